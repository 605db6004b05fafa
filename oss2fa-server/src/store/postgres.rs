//! PostgreSQL: the same verbs; a few writers per node that commit in groups, a pool for reading.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::BytesMut;
use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, RecyclingMethod, Runtime, Timeouts};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::JoinHandle;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};

use super::audit;
use super::error::StoreError;
use super::figures;
use super::job::{GROUP, Job, queue_up};
use super::schema;
use super::sql::{Cell, Row, Sql, Value};
use super::verb::{Query, Tx, Verb};
use crate::config::PostgresUrl;
use crate::keys::KeyRing;
use crate::outside::Clock;

/// Transactions that one node has under way at the same time.
const WRITERS: usize = 2;

/// Jobs that may wait for a writer; who comes later waits to be queued.
const WAITING: usize = 4096;

/// How long a connection may take to come about, and how long to wait for a free one.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(5);

type PostgresJob = Box<dyn Job<PostgresSql>>;

/// A database that many nodes share.
pub struct Postgres {
    pool: Pool,
    jobs: Mutex<Option<Sender<PostgresJob>>>,
    writers: Mutex<Vec<JoinHandle<()>>>,
}

impl Postgres {
    /// Connects, and brings the database to this release's schema.
    ///
    /// # Errors
    /// A [`StoreError`] that says what is wrong and what to do; the password of the URL is in none.
    pub async fn open(
        url: &PostgresUrl,
        connections: usize,
        ring: &Arc<KeyRing>,
        clock: &dyn Clock,
    ) -> Result<Self, StoreError> {
        let pool = pool(url, connections)?;
        let mut first = PostgresSql::from_pool(&pool).await?;
        schema::migrate(&mut first, schema::POSTGRES, clock.now()).await?;
        drop(first);
        let (jobs, queue) = channel(WAITING);
        let queue = Arc::new(tokio::sync::Mutex::new(queue));
        let writers = (0..WRITERS)
            .map(|_| tokio::spawn(write_groups(pool.clone(), Arc::clone(&queue), Arc::clone(ring))))
            .collect();
        Ok(Self { pool, jobs: Mutex::new(Some(jobs)), writers: Mutex::new(writers) })
    }

    /// Runs a verb; returns when it is durable.
    ///
    /// # Errors
    /// The verb's own, or the commit's.
    pub async fn write<V: Verb>(&self, verb: V) -> Result<V::Output, StoreError> {
        let (job, answered) = queue_up::<PostgresSql, V>(verb);
        let jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner).clone();
        jobs.ok_or(StoreError::Closed)?.send(job).await.map_err(|_| StoreError::Closed)?;
        answered.await.unwrap_or(Err(StoreError::Closed))
    }

    /// Asks a question.
    ///
    /// # Errors
    /// The query's own.
    pub async fn read<Q: Query>(&self, query: &Q, ring: &KeyRing) -> Result<Q::Output, StoreError> {
        let mut connection = PostgresSql::from_pool(&self.pool).await?;
        query.run(&mut Tx::new(&mut connection, ring)).await
    }

    /// Sets the figures of the pool.
    pub(super) fn measure(&self) {
        let status = self.pool.status();
        let idle = status.available;
        #[expect(clippy::cast_precision_loss, reason = "there are a few of them")]
        for (state, count) in
            [("idle", idle), ("used", status.size.saturating_sub(idle)), ("wanted", status.waiting)]
        {
            metrics::gauge!("oss2fa_store_connections", "state" => state).set(count as f64);
        }
    }

    /// Writes what is queued, and closes.
    pub async fn close(&self) {
        drop(self.jobs.lock().unwrap_or_else(PoisonError::into_inner).take());
        let writers = std::mem::take(&mut *self.writers.lock().unwrap_or_else(PoisonError::into_inner));
        for writer in writers {
            let _ = writer.await;
        }
        self.pool.close();
    }
}

fn pool(url: &PostgresUrl, connections: usize) -> Result<Pool, StoreError> {
    let mut config = url.connection().clone();
    config.application_name("oss2fa-server").connect_timeout(PATIENCE).keepalives(true);
    let manager = Manager::from_config(
        config,
        super::postgres_tls::connector()?,
        ManagerConfig { recycling_method: RecyclingMethod::Fast },
    );
    let timeouts = Timeouts { wait: Some(PATIENCE), create: Some(PATIENCE), recycle: Some(PATIENCE) };
    Pool::builder(manager)
        .max_size(connections.max(WRITERS + 1))
        .timeouts(timeouts)
        .runtime(Runtime::Tokio1)
        .build()
        .map_err(|error| StoreError::Database(error.to_string()))
}

async fn write_groups(pool: Pool, queue: Arc<tokio::sync::Mutex<Receiver<PostgresJob>>>, ring: Arc<KeyRing>) {
    loop {
        let mut group = Vec::new();
        if queue.lock().await.recv_many(&mut group, GROUP).await == 0 {
            return;
        }
        let written = write_group(&pool, &mut group, &ring).await;
        figures::group(&written, group.len());
        match written {
            // Whose fault it was, or who waited for whom, is found by running each alone.
            Err(error) if group.len() > 1 && !matches!(error, StoreError::Unreachable(_)) => {
                for job in group {
                    alone(&pool, job, &ring).await;
                }
            }
            Err(StoreError::Conflict(_)) => {
                for job in group {
                    alone(&pool, job, &ring).await;
                }
            }
            written => {
                for job in group {
                    job.finish(written.clone());
                }
            }
        }
    }
}

async fn alone(pool: &Pool, mut job: PostgresJob, ring: &KeyRing) {
    let mut written = Err(StoreError::Closed);
    for _ in 0..3 {
        written = write_group(pool, std::slice::from_mut(&mut job), ring).await;
        figures::group(&written, 1);
        if !matches!(written, Err(StoreError::Conflict(_))) {
            break;
        }
    }
    job.finish(written);
}

async fn write_group(pool: &Pool, group: &mut [PostgresJob], ring: &KeyRing) -> Result<(), StoreError> {
    let mut connection = PostgresSql::from_pool(pool).await?;
    connection.command("BEGIN").await?;
    let done = async {
        schema::still_here(&mut connection).await?;
        let mut tx = Tx::new(&mut connection, ring);
        for job in group {
            job.run(&mut tx).await?;
        }
        audit::write(&mut tx).await
    }
    .await;
    match done {
        Ok(()) => connection.command("COMMIT").await,
        Err(error) => {
            // A connection that cannot even roll back is not used again.
            if connection.command("ROLLBACK").await.is_err() {
                drop(Object::take(connection.client));
            }
            Err(error)
        }
    }
}

/// One connection.
pub struct PostgresSql {
    client: Object,
}

impl PostgresSql {
    async fn from_pool(pool: &Pool) -> Result<Self, StoreError> {
        let client = pool.get().await.map_err(|error| StoreError::Unreachable(error.to_string()))?;
        Ok(Self { client })
    }

    async fn command(&self, sql: &str) -> Result<(), StoreError> {
        self.client.batch_execute(sql).await.map_err(failure)
    }

    /// Runs a script of many statements.
    ///
    /// # Errors
    /// Those of PostgreSQL.
    pub(super) async fn script(&self, sql: &str) -> Result<(), StoreError> {
        self.command(sql).await
    }

    async fn prepared(&self, sql: &'static str) -> Result<tokio_postgres::Statement, StoreError> {
        self.client.prepare_cached(&of_postgres(sql)).await.map_err(failure)
    }
}

impl Sql for PostgresSql {
    async fn rows(&mut self, sql: &'static str, values: &[Value<'_>]) -> Result<Vec<Row>, StoreError> {
        let statement = self.prepared(sql).await?;
        let found = self.client.query(&statement, &parameters(values)).await.map_err(failure)?;
        found.iter().map(row).collect()
    }

    async fn execute(&mut self, sql: &'static str, values: &[Value<'_>]) -> Result<u64, StoreError> {
        let statement = self.prepared(sql).await?;
        self.client.execute(&statement, &parameters(values)).await.map_err(failure)
    }

    async fn execute_each(&mut self, sql: &'static str, sets: &[Vec<Value<'_>>]) -> Result<(), StoreError> {
        let statement = self.prepared(sql).await?;
        let sets: Vec<_> = sets.iter().map(|values| parameters(values)).collect();
        // All are sent before the first is answered.
        let sent = sets.iter().map(|values| self.client.execute(&statement, values));
        for answered in join_all(sent).await {
            answered.map_err(failure)?;
        }
        Ok(())
    }
}

/// Polls all together, so that the statements go out one behind the other.
async fn join_all<F: Future>(futures: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut waiting: Vec<_> = futures.map(|future| (Box::pin(future), None)).collect();
    std::future::poll_fn(|context| {
        let mut pending = false;
        for (future, output) in &mut waiting {
            if output.is_none() {
                match future.as_mut().poll(context) {
                    std::task::Poll::Ready(done) => *output = Some(done),
                    std::task::Poll::Pending => pending = true,
                }
            }
        }
        if pending { std::task::Poll::Pending } else { std::task::Poll::Ready(()) }
    })
    .await;
    waiting.into_iter().filter_map(|(_, output)| output).collect()
}

// `?1` of the common dialect is `$1` here; no statement has a question mark elsewhere.
fn of_postgres(sql: &'static str) -> String {
    sql.replace('?', "$")
}

fn parameters<'a>(values: &'a [Value<'a>]) -> Vec<&'a (dyn ToSql + Sync)> {
    values.iter().map(|value| value as &(dyn ToSql + Sync)).collect()
}

impl ToSql for Value<'_> {
    fn to_sql(
        &self,
        ty: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match self {
            Self::Null => Ok(IsNull::Yes),
            Self::Int(number) if *ty == Type::INT4 => i32::try_from(*number)?.to_sql(ty, out),
            Self::Int(number) => number.to_sql(ty, out),
            Self::Text(text) => text.to_sql(ty, out),
            Self::Bytes(bytes) => bytes.to_sql(ty, out),
        }
    }

    fn accepts(ty: &Type) -> bool {
        matches!(*ty, Type::INT8 | Type::INT4 | Type::TEXT | Type::BYTEA)
    }

    to_sql_checked!();
}

fn row(row: &tokio_postgres::Row) -> Result<Row, StoreError> {
    let cells = row.columns().iter().enumerate().map(|(n, column)| {
        let cell = match *column.type_() {
            Type::INT8 => row.try_get::<_, Option<i64>>(n).map(|cell| cell.map(Cell::Int)),
            Type::INT4 => row.try_get::<_, Option<i32>>(n).map(|cell| cell.map(|n| Cell::Int(i64::from(n)))),
            Type::BYTEA => row.try_get::<_, Option<Vec<u8>>>(n).map(|cell| cell.map(Cell::Bytes)),
            _ => row.try_get::<_, Option<String>>(n).map(|cell| cell.map(Cell::Text)),
        };
        Ok(cell.map_err(failure)?.unwrap_or(Cell::Null))
    });
    Ok(Row(cells.collect::<Result<_, StoreError>>()?))
}

fn failure(error: tokio_postgres::Error) -> StoreError {
    match error.code() {
        Some(code)
            if [
                &SqlState::T_R_DEADLOCK_DETECTED,
                &SqlState::T_R_SERIALIZATION_FAILURE,
                &SqlState::LOCK_NOT_AVAILABLE,
            ]
            .contains(&code) =>
        {
            StoreError::Conflict(said(&error))
        }
        // The server is going down, coming up, or has too many connections.
        Some(code) if code.code().starts_with("57P") || code.code().starts_with("53") => {
            StoreError::Unreachable(said(&error))
        }
        Some(_) => StoreError::Database(said(&error)),
        None if error.is_closed() => StoreError::Unreachable("the connection was closed".to_owned()),
        None => StoreError::Unreachable(error.to_string()),
    }
}

// The message alone: the detail of a PostgreSQL error can hold values of the row.
fn said(error: &tokio_postgres::Error) -> String {
    error.as_db_error().map_or_else(|| error.to_string(), |said| said.message().to_owned())
}
