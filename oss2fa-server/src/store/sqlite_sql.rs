//! One connection to SQLite, and how values are read.

use std::future::{Future, ready};
use std::path::Path;

use rusqlite::config::DbConfig;
use rusqlite::hooks::Wal;
use rusqlite::types::ValueRef;
use rusqlite::wal::CheckpointMode;
use rusqlite::{Connection, DEFAULT_NAME, ErrorCode, OpenFlags, Statement};

use super::error::StoreError;
use super::sql::{Cell, Row, Sql, Value};

/// Statements that each connection keeps prepared.
const PREPARED: usize = 128;

/// One connection.
pub struct SqliteSql {
    connection: Connection,
    /// A statement of the transaction failed. SQLite may have rolled all of it back, and would then run each
    /// further statement for itself.
    failed: bool,
}

impl SqliteSql {
    /// Opens a connection with the settings that all of them have.
    ///
    /// # Errors
    /// [`StoreError::File`].
    pub fn open(path: &Path, flags: OpenFlags) -> Result<Self, StoreError> {
        let open = || {
            let connection = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
            connection.set_prepared_statement_cache_capacity(PREPARED);
            connection.busy_timeout(std::time::Duration::from_secs(10))?;
            if flags.contains(OpenFlags::SQLITE_OPEN_READ_WRITE) {
                connection.pragma_update(None, "journal_mode", "wal")?;
                connection.pragma_update(None, "synchronous", "full")?;
            }
            connection.pragma_update(None, "foreign_keys", true)?;
            // What a row held must not stay readable in the file after it was changed.
            connection.pragma_update(None, "secure_delete", "fast")?;
            connection.pragma_update(None, "trusted_schema", false)?;
            connection.pragma_update(None, "cell_size_check", true)?;
            // Without it a statement that could use a partial index is compiled anew for each new parameter.
            connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
            Ok(connection)
        };
        let connection = open().map_err(|error: rusqlite::Error| StoreError::File {
            path: path.to_owned(),
            what: format!("the store cannot be opened: {}", StoreError::from(error)),
        })?;
        Ok(Self { connection, failed: false })
    }

    pub(super) fn begin(&mut self) -> Result<(), StoreError> {
        self.failed = false;
        self.script("BEGIN IMMEDIATE")
    }

    pub(super) fn commit(&self) -> Result<(), StoreError> {
        if self.failed {
            return Err(StoreError::Database("a statement of the transaction failed".to_owned()));
        }
        self.script("COMMIT")
    }

    pub(super) fn roll_back(&self) {
        // Nothing is open where BEGIN itself failed.
        let _ = self.connection.execute_batch("ROLLBACK");
    }

    /// Runs a script of many statements.
    ///
    /// # Errors
    /// Those of SQLite.
    pub(super) fn script(&self, sql: &str) -> Result<(), StoreError> {
        Ok(self.connection.execute_batch(sql)?)
    }

    /// Tells after each commit how many pages are in the log; SQLite's own checkpoints on this connection end.
    pub(super) fn on_commit(&mut self, mut tell: impl FnMut(u32) + Send + 'static) -> Result<(), StoreError> {
        self.connection.wal_hook(Some(move |_: &mut Wal, pages| {
            tell(u32::try_from(pages).unwrap_or(0));
            Ok(())
        }))?;
        Ok(())
    }

    /// Brings the log into the database as far as nobody is in the way, and nobody waits for it; gives how many of
    /// its pages are there.
    pub(super) fn checkpoint(&self) -> Result<u32, StoreError> {
        match self.connection.wal_checkpoint_v2(DEFAULT_NAME, CheckpointMode::PASSIVE) {
            Ok((_, done)) => Ok(u32::try_from(done).unwrap_or(0)),
            // Another one is at it.
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => Ok(0),
            Err(error) => Err(error.into()),
        }
    }

    /// A copy of the whole database into `to`, which is missing or empty.
    pub(super) fn copy_into(&self, to: &str) -> Result<(), StoreError> {
        self.connection.execute("VACUUM INTO ?1", [to])?;
        Ok(())
    }

    fn read(&self, sql: &'static str, values: &[Value<'_>]) -> Result<Vec<Row>, StoreError> {
        let mut statement = self.connection.prepare_cached(of_sqlite(sql))?;
        bind(&mut statement, values)?;
        let width = statement.column_count();
        let mut rows = statement.raw_query();
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let cells = (0..width).map(|n| Ok(cell(row.get_ref(n)?))).collect::<rusqlite::Result<_>>()?;
            found.push(Row(cells));
        }
        Ok(found)
    }

    fn change(&self, sql: &'static str, values: &[Value<'_>]) -> Result<u64, StoreError> {
        let mut statement = self.connection.prepare_cached(of_sqlite(sql))?;
        bind(&mut statement, values)?;
        Ok(statement.raw_execute()? as u64)
    }

    fn change_each(&self, sql: &'static str, sets: &[Vec<Value<'_>>]) -> Result<(), StoreError> {
        let mut statement = self.connection.prepare_cached(of_sqlite(sql))?;
        for values in sets {
            bind(&mut statement, values)?;
            statement.raw_execute()?;
        }
        Ok(())
    }
}

impl Sql for SqliteSql {
    fn rows(
        &mut self,
        sql: &'static str,
        values: &[Value<'_>],
    ) -> impl Future<Output = Result<Vec<Row>, StoreError>> + Send {
        let answer = self.read(sql, values);
        self.failed |= answer.is_err();
        ready(answer)
    }

    fn execute(
        &mut self,
        sql: &'static str,
        values: &[Value<'_>],
    ) -> impl Future<Output = Result<u64, StoreError>> + Send {
        let answer = self.change(sql, values);
        self.failed |= answer.is_err();
        ready(answer)
    }

    fn execute_each(
        &mut self,
        sql: &'static str,
        sets: &[Vec<Value<'_>>],
    ) -> impl Future<Output = Result<(), StoreError>> + Send {
        let answer = self.change_each(sql, sets);
        self.failed |= answer.is_err();
        ready(answer)
    }
}

fn of_sqlite(sql: &'static str) -> &'static str {
    sql.strip_suffix("FOR UPDATE").or_else(|| sql.strip_suffix("FOR UPDATE OF c")).unwrap_or(sql)
}

fn bind(statement: &mut Statement<'_>, values: &[Value<'_>]) -> rusqlite::Result<()> {
    for (n, value) in values.iter().enumerate() {
        match value {
            Value::Null => statement.raw_bind_parameter(n + 1, rusqlite::types::Null)?,
            Value::Int(number) => statement.raw_bind_parameter(n + 1, number)?,
            Value::Text(text) => statement.raw_bind_parameter(n + 1, text)?,
            Value::Bytes(bytes) => statement.raw_bind_parameter(n + 1, bytes)?,
        }
    }
    Ok(())
}

fn cell(value: ValueRef<'_>) -> Cell {
    match value {
        ValueRef::Null => Cell::Null,
        ValueRef::Integer(number) => Cell::Int(number),
        ValueRef::Text(text) => Cell::Text(String::from_utf8_lossy(text).into_owned()),
        ValueRef::Blob(bytes) => Cell::Bytes(bytes.to_vec()),
        // STRICT tables hold none; a sum could.
        #[expect(clippy::cast_possible_truncation, reason = "counts are whole numbers")]
        ValueRef::Real(number) => Cell::Int(number as i64),
    }
}
