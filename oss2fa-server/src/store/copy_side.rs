//! Either end of `store copy`: a connection of its own, outside the groups of verbs.

use super::Place;
use super::error::StoreError;
use super::postgres::PostgresSql;
use super::schema::{self, Migrated, Migration};
use super::sql::{Row, Sql};
use super::sqlite::SqliteSql;
use super::sqlite_file;
use super::verb::Access;
use crate::values;

/// One end.
pub(super) trait Side: Migrated {
    /// What brings it to this release's schema.
    const MIGRATIONS: &'static [Migration];

    /// Begins a transaction; nobody else writes until its end.
    fn begin_alone(&mut self) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Commits it. Where this fails with [`StoreError::Unreachable`] it is not known whether it has.
    fn commit(&mut self) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Leaves nothing of it.
    fn roll_back(&mut self) -> impl Future<Output = ()> + Send;

    /// The highest number that a table has given, also where that row is gone.
    fn last_number(&mut self, table: &'static str) -> impl Future<Output = Result<i64, StoreError>> + Send;

    /// No number up to this one is given again.
    fn number_after(
        &mut self,
        table: &'static str,
        last: i64,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;
}

impl Side for SqliteSql {
    const MIGRATIONS: &'static [Migration] = schema::SQLITE;

    async fn begin_alone(&mut self) -> Result<(), StoreError> {
        Self::begin(self)
    }

    async fn commit(&mut self) -> Result<(), StoreError> {
        Self::commit(self)
    }

    async fn roll_back(&mut self) {
        Self::roll_back(self);
    }

    async fn last_number(&mut self, table: &'static str) -> Result<i64, StoreError> {
        number(self.row("SELECT seq FROM sqlite_sequence WHERE name = ?1", values![table]).await?)
    }

    async fn number_after(&mut self, table: &'static str, last: i64) -> Result<(), StoreError> {
        let there = "UPDATE sqlite_sequence SET seq = ?2 WHERE name = ?1";
        if self.execute(there, values![table, last]).await? == 0 {
            let new = "INSERT INTO sqlite_sequence (name, seq) VALUES (?1, ?2)";
            self.execute(new, values![table, last]).await?;
        }
        Ok(())
    }
}

impl Side for PostgresSql {
    const MIGRATIONS: &'static [Migration] = schema::POSTGRES;

    async fn begin_alone(&mut self) -> Result<(), StoreError> {
        Self::begin(self, Access::Alone).await
    }

    async fn commit(&mut self) -> Result<(), StoreError> {
        Self::commit(self).await
    }

    async fn roll_back(&mut self) {
        // Where this fails the connection is gone, and the server rolls back.
        let _ = self.command("ROLLBACK").await;
    }

    async fn last_number(&mut self, table: &'static str) -> Result<i64, StoreError> {
        // Null while none was given.
        let asked = "SELECT pg_sequence_last_value(CAST(pg_get_serial_sequence(?1, 'pk') AS regclass))";
        number(self.row(asked, values![table]).await?)
    }

    async fn number_after(&mut self, table: &'static str, last: i64) -> Result<(), StoreError> {
        let set = "SELECT setval(CAST(pg_get_serial_sequence(?1, 'pk') AS regclass), ?2)";
        self.row(set, values![table, last]).await.map(drop)
    }
}

fn number(row: Option<Row>) -> Result<i64, StoreError> {
    Ok(row.map_or(Ok(None), |row| row.take::<Option<i64>>(0))?.unwrap_or(0))
}

/// Opens an embedded store that is there, or one that is to be filled.
pub(super) fn sqlite(place: &std::path::Path, end: End) -> Result<SqliteSql, StoreError> {
    if end == End::Source && !place.exists() {
        return Err(StoreError::File {
            path: place.to_owned(),
            what: "there is no store here to copy from".to_owned(),
        });
    }
    sqlite_file::closed_to_others(place)?;
    SqliteSql::open(place, rusqlite::OpenFlags::SQLITE_OPEN_READ_WRITE)
}

/// Which end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// What is copied.
    Source,
    /// What is filled.
    Target,
}

impl Place {
    /// What may be shown of it: no password.
    #[must_use]
    pub fn shown(&self) -> String {
        match self {
            Self::Sqlite(path) => format!("sqlite:{}", path.display()),
            Self::Postgres { url, .. } => url.to_string(),
        }
    }
}
