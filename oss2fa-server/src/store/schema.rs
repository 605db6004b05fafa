//! Migrations: applied in order, each once, with a checksum; a newer database is refused.

use sha2::{Digest, Sha256};

use super::error::StoreError;
use super::postgres::PostgresSql;
use super::sql::Sql;
use super::sqlite::SqliteSql;
use crate::outside::Timestamp;
use crate::values;

/// A migration: its name, which is the same for both databases, and its script.
pub type Migration = (&'static str, &'static str);

/// For SQLite.
pub const SQLITE: &[Migration] = &[
    ("0001_first", include_str!("../../migrations/sqlite/0001_first.sql")),
    ("0002_yubico", include_str!("../../migrations/sqlite/0002_yubico.sql")),
    ("0003_hosts", include_str!("../../migrations/sqlite/0003_hosts.sql")),
    ("0004_device_use", include_str!("../../migrations/sqlite/0004_device_use.sql")),
    ("0005_compact_secrets", include_str!("../../migrations/sqlite/0005_compact_secrets.sql")),
    ("0006_use_by_client", include_str!("../../migrations/sqlite/0006_use_by_client.sql")),
    ("0007_enrollment_messages", include_str!("../../migrations/sqlite/0007_enrollment_messages.sql")),
    ("0008_pages", include_str!("../../migrations/sqlite/0008_pages.sql")),
];

/// For PostgreSQL.
pub const POSTGRES: &[Migration] = &[
    ("0001_first", include_str!("../../migrations/postgres/0001_first.sql")),
    ("0002_yubico", include_str!("../../migrations/postgres/0002_yubico.sql")),
    ("0003_hosts", include_str!("../../migrations/postgres/0003_hosts.sql")),
    ("0004_device_use", include_str!("../../migrations/postgres/0004_device_use.sql")),
    ("0005_compact_secrets", include_str!("../../migrations/postgres/0005_compact_secrets.sql")),
    ("0006_use_by_client", include_str!("../../migrations/postgres/0006_use_by_client.sql")),
    ("0007_enrollment_messages", include_str!("../../migrations/postgres/0007_enrollment_messages.sql")),
    ("0008_pages", include_str!("../../migrations/postgres/0008_pages.sql")),
];

const FIRST: &str = "CREATE TABLE IF NOT EXISTS migration (
    name TEXT PRIMARY KEY, checksum TEXT NOT NULL, applied_at BIGINT NOT NULL)";

/// A database whose schema can be changed.
pub trait Migrated: Sql {
    /// Begins a transaction in which no other node migrates.
    fn begin(&mut self) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Runs a script of many statements.
    fn run_script(&mut self, sql: &str) -> impl Future<Output = Result<(), StoreError>> + Send;
}

impl Migrated for SqliteSql {
    async fn begin(&mut self) -> Result<(), StoreError> {
        SqliteSql::begin(self)
    }

    async fn run_script(&mut self, sql: &str) -> Result<(), StoreError> {
        self.script(sql)
    }
}

impl Migrated for PostgresSql {
    async fn begin(&mut self) -> Result<(), StoreError> {
        // Nodes that start together migrate one after another. The number is a name for the lock.
        self.script("BEGIN; SELECT pg_advisory_xact_lock(6017322)").await
    }

    async fn run_script(&mut self, sql: &str) -> Result<(), StoreError> {
        self.script(sql).await
    }
}

/// Brings the database to this release's schema.
///
/// # Errors
/// [`StoreError::Newer`] or [`StoreError::Migration`] where the database is not one that this release can
/// use; it is then left as it was.
pub async fn migrate<S: Migrated>(
    sql: &mut S,
    migrations: &[Migration],
    at: Timestamp,
) -> Result<(), StoreError> {
    sql.begin().await?;
    let done = apply(sql, migrations, at).await;
    sql.run_script(if done.is_ok() { "COMMIT" } else { "ROLLBACK" }).await.and(done)
}

async fn apply<S: Migrated>(sql: &mut S, migrations: &[Migration], at: Timestamp) -> Result<(), StoreError> {
    sql.run_script(FIRST).await?;
    let applied = applied(sql, migrations).await?;
    for (name, script) in migrations {
        if !applied.iter().any(|done| done == name) {
            sql.run_script(script).await?;
            let sum = checksum(script);
            sql.execute(
                "INSERT INTO migration (name, checksum, applied_at) VALUES (?1, ?2, ?3)",
                values![*name, &sum, at],
            )
            .await?;
        }
    }
    Ok(())
}

async fn applied<S: Sql>(sql: &mut S, migrations: &[Migration]) -> Result<Vec<String>, StoreError> {
    let rows = sql.rows("SELECT name, checksum FROM migration ORDER BY name", &[]).await?;
    let mut applied = Vec::new();
    for row in rows {
        let (name, stored): (String, String) = (row.take(0)?, row.take(1)?);
        match migrations.iter().find(|(known, _)| *known == name) {
            None => return Err(StoreError::Newer(name)),
            Some((_, script)) if checksum(script) != stored => return Err(StoreError::Migration(name)),
            Some(_) => applied.push(name),
        }
    }
    Ok(applied)
}

/// Whether the database has exactly this release's schema; changes nothing. `place` is named in errors.
///
/// # Errors
/// [`StoreError::NoStore`], [`StoreError::Older`], or those of [`migrate`].
pub async fn check<S: Sql>(sql: &mut S, migrations: &[Migration], place: &str) -> Result<(), StoreError> {
    let applied = applied(sql, migrations).await.map_err(|error| match error {
        // In the words of SQLite and of PostgreSQL: the table of migrations is not there.
        StoreError::Database(what) if what.contains("no such table") || what.contains("does not exist") => {
            StoreError::NoStore(place.to_owned())
        }
        error => error,
    })?;
    if applied.len() == migrations.len() { Ok(()) } else { Err(StoreError::Older) }
}

/// Refuses to write to a store that was moved away: what is spent there must not be open here.
pub(super) async fn still_here<S: Sql>(sql: &mut S) -> Result<(), StoreError> {
    let state = sql.row("SELECT moved_to, moved_at FROM store_state WHERE pk = 1", &[]).await?;
    let Some(state) = state else { return Err(StoreError::Corrupt("no state of its own")) };
    match (state.take::<Option<String>>(0)?, state.take::<Option<i64>>(1)?) {
        (None, _) => Ok(()),
        (Some(to), Some(_)) => Err(StoreError::Moved(to)),
        (Some(to), None) => Err(StoreError::Moving(to)),
    }
}

fn checksum(script: &str) -> String {
    data_encoding::HEXLOWER.encode(&Sha256::digest(script.as_bytes()))
}
