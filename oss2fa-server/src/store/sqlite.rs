//! SQLite: one thread writes and commits in groups; connections for reading beside it.

use std::future::{Future, ready};
use std::path::Path;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread::JoinHandle;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags, Statement};

use super::audit;
use super::error::StoreError;
use super::figures;
use super::job::{GROUP, Job, queue_up};
use super::schema;
use super::sql::{Cell, Row, Sql, Value};
use super::verb::{Query, Tx, Verb};
use crate::keys::KeyRing;
use crate::outside::Clock;

/// Connections that read at the same time.
const READERS: usize = 4;

/// Statements that each connection keeps prepared.
const PREPARED: usize = 128;

type SqliteJob = Box<dyn Job<SqliteSql>>;

/// The embedded database.
pub struct Sqlite {
    jobs: Mutex<Option<Sender<SqliteJob>>>,
    writer: Mutex<Option<JoinHandle<()>>>,
    readers: Vec<Mutex<SqliteSql>>,
    next: AtomicUsize,
}

impl Sqlite {
    /// Opens the database, makes it where it is missing, and brings it to this release's schema.
    ///
    /// # Errors
    /// A [`StoreError`] that says what is wrong and what to do.
    pub async fn open(path: &Path, ring: &Arc<KeyRing>, clock: &dyn Clock) -> Result<Self, StoreError> {
        let mut writer =
            SqliteSql::open(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE)?;
        schema::migrate(&mut writer, schema::SQLITE, clock.now()).await?;
        let readers = (0..READERS)
            .map(|_| SqliteSql::open(path, OpenFlags::SQLITE_OPEN_READ_ONLY).map(Mutex::new))
            .collect::<Result<_, _>>()?;
        let (jobs, queue) = channel();
        let ring = Arc::clone(ring);
        let thread = std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || write_groups(&mut writer, &queue, &ring))
            .map_err(|error| StoreError::Database(format!("no thread for the writer: {error}")))?;
        Ok(Self {
            jobs: Mutex::new(Some(jobs)),
            writer: Mutex::new(Some(thread)),
            readers,
            next: AtomicUsize::new(0),
        })
    }

    /// Runs a verb; returns when it is durable.
    ///
    /// # Errors
    /// The verb's own, or the commit's.
    pub async fn write<V: Verb>(&self, verb: V) -> Result<V::Output, StoreError> {
        let (job, answered) = queue_up::<SqliteSql, V>(verb);
        let queued = match &*self.jobs.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(jobs) => jobs.send(job).is_ok(),
            None => false,
        };
        if !queued {
            return Err(StoreError::Closed);
        }
        answered.await.unwrap_or(Err(StoreError::Closed))
    }

    /// Asks a question. It is answered on the caller's thread: a look-up takes some microseconds, and
    /// passing it to another thread would take longer.
    ///
    /// # Errors
    /// The query's own.
    pub fn read<Q: Query>(&self, query: &Q, ring: &KeyRing) -> Result<Q::Output, StoreError> {
        let first = self.next.fetch_add(1, Ordering::Relaxed);
        let free = (0..self.readers.len()).find_map(|n| {
            let place = (first + n) % self.readers.len();
            self.readers.get(place)?.try_lock().ok()
        });
        let mut reader = match (free, self.readers.get(first % self.readers.len())) {
            (Some(reader), _) => reader,
            (None, Some(busy)) => busy.lock().unwrap_or_else(PoisonError::into_inner),
            (None, None) => return Err(StoreError::Closed),
        };
        now(query.run(&mut Tx::new(&mut *reader, ring)))
    }

    /// A copy of the database as it is at one moment, into a new file.
    ///
    /// # Errors
    /// Those of SQLite.
    pub fn backup(&self, to: &Path) -> Result<(), StoreError> {
        let reader = self.readers.first().ok_or(StoreError::Closed)?;
        let reader = reader.lock().unwrap_or_else(PoisonError::into_inner);
        let to = to.to_str().ok_or(StoreError::Corrupt("a path that is not text"))?;
        reader.connection.execute("VACUUM INTO ?1", [to])?;
        Ok(())
    }

    /// Writes what is queued, and closes.
    pub fn close(&self) {
        drop(self.jobs.lock().unwrap_or_else(PoisonError::into_inner).take());
        if let Some(thread) = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Sqlite {
    fn drop(&mut self) {
        self.close();
    }
}

fn write_groups(writer: &mut SqliteSql, queue: &Receiver<SqliteJob>, ring: &KeyRing) {
    while let Ok(first) = queue.recv() {
        let mut group = vec![first];
        group.extend(queue.try_iter().take(GROUP - 1));
        let written = now(write_group(writer, &mut group, ring));
        figures::group(&written, group.len());
        if written.is_err() {
            writer.roll_back();
        }
        match (written, group.len()) {
            // Whose fault it was is found by running each alone.
            (Err(_), 2..) => {
                for mut job in group {
                    let alone = now(write_group(writer, std::slice::from_mut(&mut job), ring));
                    figures::group(&alone, 1);
                    if alone.is_err() {
                        writer.roll_back();
                    }
                    job.finish(alone);
                }
            }
            (written, _) => {
                for job in group {
                    job.finish(written.clone());
                }
            }
        }
    }
}

async fn write_group(
    writer: &mut SqliteSql,
    group: &mut [SqliteJob],
    ring: &KeyRing,
) -> Result<(), StoreError> {
    writer.execute("BEGIN IMMEDIATE", &[]).await?;
    schema::still_here(writer).await?;
    let mut tx = Tx::new(&mut *writer, ring);
    for job in group {
        job.run(&mut tx).await?;
    }
    audit::write(&mut tx).await?;
    writer.execute("COMMIT", &[]).await?;
    Ok(())
}

/// Runs what never waits: all that a verb awaits here is a call into SQLite.
fn now<T>(future: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => Err(StoreError::Corrupt("a verb that waits for something else than the database")),
    }
}

/// One connection.
pub struct SqliteSql {
    connection: Connection,
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
            connection.pragma_update(None, "trusted_schema", false)?;
            connection.pragma_update(None, "cell_size_check", true)?;
            Ok(connection)
        };
        let connection = open().map_err(|error: rusqlite::Error| StoreError::File {
            path: path.to_owned(),
            what: format!("the database cannot be opened: {error}"),
        })?;
        Ok(Self { connection })
    }

    fn roll_back(&self) {
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
}

impl Sql for SqliteSql {
    fn rows(
        &mut self,
        sql: &'static str,
        values: &[Value<'_>],
    ) -> impl Future<Output = Result<Vec<Row>, StoreError>> + Send {
        ready(self.read(sql, values))
    }

    fn execute(
        &mut self,
        sql: &'static str,
        values: &[Value<'_>],
    ) -> impl Future<Output = Result<u64, StoreError>> + Send {
        ready(self.change(sql, values))
    }

    fn execute_each(
        &mut self,
        sql: &'static str,
        sets: &[Vec<Value<'_>>],
    ) -> impl Future<Output = Result<(), StoreError>> + Send {
        ready(sets.iter().try_for_each(|values| self.change(sql, values).map(|_| ())))
    }
}

fn of_sqlite(sql: &'static str) -> &'static str {
    sql.strip_suffix("FOR UPDATE").unwrap_or(sql)
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
