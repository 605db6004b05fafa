//! One writer at a time: whoever finds nobody writing commits, for itself and for all who have queued.
//!
//! A job's answer is given after its commit, never before. Nobody waits for another thread to be woken
//! while the store is idle; under load, those who come during a commit share the next one. A job that
//! fails is rolled back alone; a commit that fails is told to every job of its group.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::Connection;

use super::audit::AuditEntry;
use super::error::StoreError;

/// Most jobs in one commit.
const GROUP: usize = 256;

type Completion = Box<dyn FnOnce(Result<(), String>) + Send>;
type Work = Box<dyn FnOnce(&Connection, &mut Vec<AuditEntry>) -> (Keep, Completion) + Send>;

/// Takes committed audit events to the system log.
pub trait EventSink: Send {
    /// One event, already durable.
    fn event(&mut self, entry: &AuditEntry);
}

/// The place where jobs queue.
pub struct Writer {
    queue: Mutex<Queue>,
    desk: Mutex<Desk>,
}

struct Desk {
    connection: Connection,
    sink: Box<dyn EventSink>,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Job>,
    somebody_writes: bool,
}

struct Job {
    work: Work,
    turn: SyncSender<Turn>,
}

/// What somebody who waits is told.
enum Turn {
    /// Your job is done; its result is there.
    Done,
    /// Your job is the next: write, for yourself and those behind you.
    Write,
}

/// Whether a job's changes stay.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Keep {
    Changes,
    Nothing,
}

impl Writer {
    /// Writes through `connection`, and tells `sink` what has happened.
    #[must_use]
    pub fn new(connection: Connection, sink: Box<dyn EventSink>) -> Self {
        Self { queue: Mutex::default(), desk: Mutex::new(Desk { connection, sink }) }
    }

    /// Does a job, and returns when it is durable.
    ///
    /// # Errors
    /// The job's own, [`StoreError::Commit`], or [`StoreError::Closed`].
    pub fn run<T, J>(&self, job: J) -> Result<T, StoreError>
    where
        T: Send + 'static,
        J: FnOnce(&Connection, &mut Vec<AuditEntry>) -> Result<T, StoreError> + Send + 'static,
    {
        let result = Arc::new(Mutex::new(None));
        let place = Arc::clone(&result);
        let work: Work = Box::new(move |connection, events| {
            let done = catch_unwind(AssertUnwindSafe(|| job(connection, events)))
                .unwrap_or(Err(StoreError::Corrupt("a store job panicked")));
            let keep = if done.is_ok() { Keep::Changes } else { Keep::Nothing };
            let complete: Completion = Box::new(move |committed| {
                *lock(&place) = Some(committed.map_err(StoreError::Commit).and(done));
            });
            (keep, complete)
        });
        let (turn, my_turn) = sync_channel(1);
        let mine = {
            let mut queue = lock(&self.queue);
            queue.waiting.push_back(Job { work, turn });
            !std::mem::replace(&mut queue.somebody_writes, true)
        };
        if mine || matches!(my_turn.recv(), Ok(Turn::Write)) {
            let _hand_over = HandOver(self);
            self.write_group();
        }
        lock(&result).take().unwrap_or(Err(StoreError::Closed))
    }

    fn write_group(&self) {
        let mut desk = lock(&self.desk);
        let Desk { connection, sink } = &mut *desk;
        let group: Vec<Job> = {
            let mut queue = lock(&self.queue);
            let size = queue.waiting.len().min(GROUP);
            queue.waiting.drain(..size).collect()
        };
        let mut events = Vec::new();
        let mut completions = Vec::with_capacity(group.len());
        let mut turns = Vec::with_capacity(group.len());
        let mut committed = execute(connection, "BEGIN IMMEDIATE").map(|()| End::Commit);
        let alone = group.len() == 1;
        for Job { work, turn } in group {
            turns.push(turn);
            if committed.is_ok() {
                committed = if alone {
                    only(connection, work, &mut events, &mut completions)
                } else {
                    one_of_many(connection, work, &mut events, &mut completions)
                };
            }
        }
        let verdict =
            committed.and_then(|end| execute(connection, end.statement())).map_err(|error| error.to_string());
        if let Err(error) = &verdict {
            tracing::error!(code = "store_commit", %error, "the store could not commit");
            // After a failed commit the transaction may still be open.
            let _ = connection.execute_batch("ROLLBACK");
            events.clear();
        }
        for complete in completions {
            complete(verdict.clone());
        }
        for turn in turns {
            // Whoever writes does not read its own.
            let _ = turn.try_send(Turn::Done);
        }
        for entry in &events {
            sink.event(entry);
        }
    }
}

/// Passes the pen on when its holder is done, also where it panicked.
struct HandOver<'a>(&'a Writer);

impl Drop for HandOver<'_> {
    fn drop(&mut self) {
        let mut queue = lock(&self.0.queue);
        while let Some(next) = queue.waiting.front() {
            if next.turn.try_send(Turn::Write).is_ok() {
                return;
            }
            // Nobody waits for it any more: not done, and nobody was told that it is.
            queue.waiting.pop_front();
        }
        queue.somebody_writes = false;
    }
}

/// How a transaction ends.
#[derive(Clone, Copy)]
enum End {
    Commit,
    RollBack,
}

impl End {
    fn statement(self) -> &'static str {
        match self {
            Self::Commit => "COMMIT",
            Self::RollBack => "ROLLBACK",
        }
    }
}

fn only(
    connection: &Connection,
    work: Work,
    events: &mut Vec<AuditEntry>,
    completions: &mut Vec<Completion>,
) -> rusqlite::Result<End> {
    let (keep, complete) = work(connection, events);
    completions.push(complete);
    if keep == Keep::Nothing {
        events.clear();
        return Ok(End::RollBack);
    }
    Ok(End::Commit)
}

// The savepoint keeps the failure of one job from the others of its group.
fn one_of_many(
    connection: &Connection,
    work: Work,
    events: &mut Vec<AuditEntry>,
    completions: &mut Vec<Completion>,
) -> rusqlite::Result<End> {
    let before = events.len();
    execute(connection, "SAVEPOINT job")?;
    let (keep, complete) = work(connection, events);
    completions.push(complete);
    if keep == Keep::Nothing {
        events.truncate(before);
        execute(connection, "ROLLBACK TO job")?;
    }
    execute(connection, "RELEASE job")?;
    Ok(End::Commit)
}

fn execute(connection: &Connection, sql: &str) -> rusqlite::Result<()> {
    connection.prepare_cached(sql)?.execute([]).map(|_| ())
}

// A panic elsewhere leaves nothing half done in what these locks hold.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
