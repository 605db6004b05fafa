//! PostgreSQL: the same verbs; a few writers per node that commit in groups, a pool for reading.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use deadpool_postgres::Pool;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::JoinHandle;

use super::audit;
use super::error::StoreError;
use super::figures;
use super::job::{GROUP, Job, access_of, may_share, queue_up};
use super::postgres_encoding;
use super::postgres_pool::{Limits, pool};
pub use super::postgres_sql::PostgresSql;
use super::postgres_version;
use super::schema;
use super::verb::{Access, Query, Tx, Verb};
use crate::config::PostgresUrl;
use crate::keys::KeyRing;
use crate::outside::Clock;

/// Transactions that one node has under way at the same time.
const WRITERS: usize = 2;

/// Jobs that may wait for a writer; who comes later waits to be queued.
const WAITING: usize = 4096;

/// How often a transaction is tried again that was given up in favour of another.
const TRIES: usize = 5;

type PostgresJob = Box<dyn Job<PostgresSql>>;

/// A database that many nodes share.
pub struct Postgres {
    pool: Pool,
    jobs: Mutex<Option<Sender<PostgresJob>>>,
    writers: Mutex<Vec<JoinHandle<()>>>,
}

impl Postgres {
    /// Connects, and brings the database to this release's schema. `authorities` are the only ones whose
    /// certificates are taken, where a file is named.
    ///
    /// # Errors
    /// A [`StoreError`] that says what is wrong and what to do; the password of the URL is in none.
    pub async fn open(
        url: &PostgresUrl,
        authorities: Option<&Path>,
        connections: usize,
        ring: &Arc<KeyRing>,
        clock: &dyn Clock,
    ) -> Result<Self, StoreError> {
        // A migration may take its time; what serves may not.
        let mut first = PostgresSql::without_limits(url, authorities).await?;
        schema::migrate(&mut first, schema::POSTGRES, clock.now()).await?;
        first.discard();
        Ok(Self::start(pool(url, authorities, connections.max(WRITERS + 1), Limits::Serving)?, ring))
    }

    /// Connects to a database that has this release's schema.
    ///
    /// # Errors
    /// As [`Postgres::open`]; [`StoreError::NoStore`] and [`StoreError::Older`].
    pub async fn open_existing(
        url: &PostgresUrl,
        authorities: Option<&Path>,
        ring: &Arc<KeyRing>,
    ) -> Result<Self, StoreError> {
        let pool = pool(url, authorities, WRITERS + 1, Limits::Serving)?;
        let mut first = PostgresSql::from_pool(&pool).await?;
        postgres_version::check(&mut first).await?;
        postgres_encoding::check(&mut first).await?;
        schema::check(&mut first, schema::POSTGRES, &url.to_string()).await?;
        drop(first);
        Ok(Self::start(pool, ring))
    }

    /// Prepares connections and makes none.
    ///
    /// # Errors
    /// A file of authorities that is of no use.
    pub fn check(url: &PostgresUrl, authorities: Option<&Path>) -> Result<(), StoreError> {
        pool(url, authorities, WRITERS + 1, Limits::Serving).map(drop)
    }

    fn start(pool: Pool, ring: &Arc<KeyRing>) -> Self {
        let (jobs, queue) = channel(WAITING);
        let queue = Arc::new(tokio::sync::Mutex::new(queue));
        let writers = (0..WRITERS)
            .map(|_| tokio::spawn(write_groups(pool.clone(), Arc::clone(&queue), Arc::clone(ring))))
            .collect();
        Self { pool, jobs: Mutex::new(Some(jobs)), writers: Mutex::new(writers) }
    }

    /// Runs a verb; returns when it is durable.
    ///
    /// # Errors
    /// The verb's own, or the commit's.
    pub async fn write<V: Verb>(&self, verb: V) -> Result<V::Output, StoreError> {
        let (job, answered) = queue_up::<PostgresSql, V>(verb);
        let jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner).clone();
        jobs.ok_or(StoreError::Closed)?.send(job).await.map_err(|_| StoreError::Closed)?;
        answered.wait().await
    }

    /// Asks a question.
    ///
    /// # Errors
    /// The query's own.
    pub async fn read<Q: Query>(&self, query: &Q, ring: &KeyRing) -> Result<Q::Output, StoreError> {
        let mut connection = PostgresSql::from_pool(&self.pool).await?;
        let answer = query.run(&mut Tx::new(&mut connection, ring)).await;
        if matches!(answer, Err(StoreError::Unreachable(_))) {
            connection.discard();
        }
        answer
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

async fn write_groups(pool: Pool, queue: Arc<tokio::sync::Mutex<Receiver<PostgresJob>>>, ring: Arc<KeyRing>) {
    loop {
        let mut group = Vec::new();
        if queue.lock().await.recv_many(&mut group, GROUP).await == 0 {
            return;
        }
        let access = access_of(&group);
        let written = write_group(&pool, &mut group, &ring, access).await;
        figures::group(&written, group.len());
        match written {
            // Whose fault it was, or who waited for whom, is found by running each alone.
            Err(error) if may_be_tried_alone(&error, group.len()) => {
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

fn may_be_tried_alone(error: &StoreError, jobs: usize) -> bool {
    match error {
        // Perhaps it was committed after all.
        StoreError::Unreachable(_) => false,
        StoreError::Conflict(_) => true,
        _ => jobs > 1,
    }
}

async fn alone(pool: &Pool, mut job: PostgresJob, ring: &KeyRing) {
    let mut written = Err(StoreError::Closed);
    for tried in 1..=TRIES {
        let access = match job.access() {
            Access::Lasting if tried == TRIES => Access::Alone,
            access => access,
        };
        written = write_group(pool, std::slice::from_mut(&mut job), ring, access).await;
        figures::group(&written, 1);
        if !matches!(written, Err(StoreError::Conflict(_))) {
            break;
        }
    }
    job.finish(written);
}

async fn write_group(
    pool: &Pool,
    group: &mut [PostgresJob],
    ring: &KeyRing,
    access: Access,
) -> Result<(), StoreError> {
    may_share(group)?;
    let mut connection = begun(pool, access).await?;
    match in_transaction(&mut connection, group, ring).await {
        Ok(()) => Ok(()),
        Err(error) => {
            // What cannot even roll back is not used again: the server then does it.
            let lost = matches!(error, StoreError::Unreachable(_));
            if lost || connection.command("ROLLBACK").await.is_err() {
                connection.discard();
            }
            Err(error)
        }
    }
}

/// A transaction. A connection of the pool may have died unseen: then another is taken.
async fn begun(pool: &Pool, access: Access) -> Result<PostgresSql, StoreError> {
    let mut tried = 0;
    loop {
        let mut connection = PostgresSql::from_pool(pool).await?;
        tried += 1;
        match connection.begin(access).await {
            Ok(()) => return Ok(connection),
            Err(error) => {
                connection.discard();
                if tried > pool.status().max_size || !matches!(error, StoreError::Unreachable(_)) {
                    return Err(error);
                }
            }
        }
    }
}

async fn in_transaction(
    connection: &mut PostgresSql,
    group: &mut [PostgresJob],
    ring: &KeyRing,
) -> Result<(), StoreError> {
    if access_of(group) != Access::Alone {
        schema::still_here(connection).await?;
    }
    let mut tx = Tx::new(connection, ring);
    for job in group {
        job.run(&mut tx).await?;
    }
    audit::write(&mut tx).await?;
    tx.sql.commit().await
}
