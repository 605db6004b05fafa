//! The one writer: a thread that takes jobs from a queue and commits them in groups.
//!
//! A job's answer goes out after its commit, never before. A job that fails is rolled back alone; a
//! commit that fails is told to every job in the group.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::audit::AuditEntry;
use super::error::StoreError;

/// Most jobs in one commit.
const GROUP: usize = 256;

type Completion = Box<dyn FnOnce(Result<(), String>) + Send>;
type Job = Box<dyn FnOnce(&Connection, &mut Vec<AuditEntry>) -> (bool, Completion) + Send>;

/// Takes committed audit events to the system log.
pub trait EventSink: Send {
    /// One event, already durable.
    fn event(&mut self, entry: &AuditEntry);
}

/// The sending half; the thread ends when the last of these is gone.
pub struct Writer {
    queue: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Starts the thread.
    pub fn start(connection: Connection, sink: Box<dyn EventSink>) -> std::io::Result<Self> {
        let (queue, jobs) = channel();
        let thread = std::thread::Builder::new()
            .name("store-writer".to_owned())
            .stack_size(256 * 1024)
            .spawn(move || run(&connection, &jobs, sink))?;
        Ok(Self { queue: Some(queue), thread: Some(thread) })
    }

    /// Queues a job and waits until it is durable.
    ///
    /// # Errors
    /// The job's own, [`StoreError::Commit`], or [`StoreError::Closed`].
    pub async fn run<T, J>(&self, job: J) -> Result<T, StoreError>
    where
        T: Send + 'static,
        J: FnOnce(&Connection, &mut Vec<AuditEntry>) -> Result<T, StoreError> + Send + 'static,
    {
        let (answer, wait) = oneshot::channel();
        let boxed: Job = Box::new(move |connection, events| {
            let result = catch_unwind(AssertUnwindSafe(|| job(connection, events)))
                .unwrap_or(Err(StoreError::Corrupt("a store job panicked")));
            let keep = result.is_ok();
            let complete: Completion = Box::new(move |committed| {
                // Nobody may be waiting any more; the change stands all the same.
                let _ = answer.send(committed.map_err(StoreError::Commit).and(result));
            });
            (keep, complete)
        });
        let queue = self.queue.as_ref().ok_or(StoreError::Closed)?;
        queue.send(boxed).map_err(|_| StoreError::Closed)?;
        wait.await.unwrap_or(Err(StoreError::Closed))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        drop(self.queue.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn run(connection: &Connection, jobs: &Receiver<Job>, mut sink: Box<dyn EventSink>) {
    while let Ok(first) = jobs.recv() {
        let mut events = Vec::new();
        let mut completions = Vec::new();
        let group = begin(connection).and_then(|()| {
            one(connection, first, &mut events, &mut completions)?;
            while completions.len() < GROUP {
                let Ok(next) = jobs.try_recv() else { break };
                one(connection, next, &mut events, &mut completions)?;
            }
            connection.prepare_cached("COMMIT")?.execute([])
        });
        let verdict = group.map(|_| ()).map_err(|error| error.to_string());
        if let Err(error) = &verdict {
            tracing::error!(code = "store_commit", %error, "the store could not commit");
            // After a failed commit the transaction may still be open.
            let _ = connection.execute_batch("ROLLBACK");
            events.clear();
        }
        for complete in completions {
            complete(verdict.clone());
        }
        for entry in &events {
            sink.event(entry);
        }
    }
}

fn begin(connection: &Connection) -> rusqlite::Result<()> {
    connection.prepare_cached("BEGIN IMMEDIATE")?.execute([]).map(|_| ())
}

// The savepoint keeps the failure of one job from the others of its group.
fn one(
    connection: &Connection,
    job: Job,
    events: &mut Vec<AuditEntry>,
    completions: &mut Vec<Completion>,
) -> rusqlite::Result<()> {
    let before = events.len();
    connection.prepare_cached("SAVEPOINT job")?.execute([])?;
    let (keep, complete) = job(connection, events);
    completions.push(complete);
    if !keep {
        events.truncate(before);
        connection.prepare_cached("ROLLBACK TO job")?.execute([])?;
    }
    connection.prepare_cached("RELEASE job")?.execute([])?;
    Ok(())
}
