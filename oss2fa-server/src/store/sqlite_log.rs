//! Durability of the embedded store: a thread syncs the log and answers then. Meanwhile the writer fills it on.
//!
//! SQLite would sync in each commit, and write nothing until that is done. Here a commit only writes; nobody hears of
//! it, and no query is answered by it, before the log was synced after it. SQLite syncs the log itself before it takes
//! anything over from it into the database, and before it begins it anew.

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use tokio::sync::watch;

use super::error::StoreError;
use super::job::Job;
use super::sqlite_sql::SqliteSql;

type Group = Vec<Box<dyn Job<SqliteSql>>>;

/// How far the log is on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// Up to this commit.
    Synced(u64),
    /// A sync failed. What is on the disk is not known, and cannot be found out by one more sync.
    Failed,
}

/// Which commits there are, and which of them are durable.
#[derive(Debug)]
pub(super) struct Log {
    begun: AtomicU64,
    progress: watch::Sender<Progress>,
}

impl Log {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { begun: AtomicU64::new(0), progress: watch::Sender::new(Progress::Synced(0)) })
    }

    /// The number of a commit that begins now: before anybody can see what it changes.
    pub(super) fn begin(&self) -> u64 {
        self.begun.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// The number of the newest commit.
    pub(super) fn begun(&self) -> u64 {
        self.begun.load(Ordering::SeqCst)
    }

    /// Returns when all that could be seen so far is durable.
    pub(super) async fn durable(&self) -> Result<(), StoreError> {
        let seen = self.begun();
        let far_enough = |progress: &Progress| match progress {
            Progress::Synced(number) => *number >= seen,
            Progress::Failed => true,
        };
        if far_enough(&self.progress.borrow()) {
            return self.works();
        }
        let mut progress = self.progress.subscribe();
        // The sender is in this log: it is not gone.
        let _ = progress.wait_for(far_enough).await;
        self.works()
    }

    /// Whether every sync so far has worked.
    pub(super) fn works(&self) -> Result<(), StoreError> {
        match *self.progress.borrow() {
            Progress::Synced(_) => Ok(()),
            Progress::Failed => Err(StoreError::Database(
                "the store's log could not be synced to the disk, so nothing is accepted any more: look at the \
                 disk, then restart the server"
                    .to_owned(),
            )),
        }
    }
}

/// The thread that syncs.
pub(super) struct Syncer {
    commits: Option<Sender<(u64, Group)>>,
    thread: Option<JoinHandle<()>>,
}

impl Syncer {
    /// Syncs `file` after each commit of `log`.
    pub(super) fn start(file: File, log: Arc<Log>) -> Result<Self, StoreError> {
        let (commits, queue) = channel();
        let thread = std::thread::Builder::new()
            .name("store-sync".to_owned())
            .spawn(move || sync_commits(&file, &log, &queue))
            .map_err(|error| StoreError::Database(format!("no thread to sync the log: {error}")))?;
        Ok(Self { commits: Some(commits), thread: Some(thread) })
    }

    /// Answers the jobs of a commit once it is durable.
    pub(super) fn committed(&self, number: u64, jobs: Group) {
        let sent = self.commits.as_ref().map(|commits| commits.send((number, jobs)));
        if let Some(Err(unsent)) = sent {
            for job in unsent.0.1 {
                job.finish(Err(StoreError::Closed));
            }
        }
    }
}

impl Drop for Syncer {
    fn drop(&mut self) {
        drop(self.commits.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn sync_commits(file: &File, log: &Log, queue: &Receiver<(u64, Group)>) {
    while let Ok((mut newest, mut jobs)) = queue.recv() {
        // One sync for all that was written meanwhile.
        for (number, more) in queue.try_iter() {
            newest = number;
            jobs.extend(more);
        }
        if log.works().is_ok() {
            let progress = match file.sync_data() {
                Ok(()) => Progress::Synced(newest),
                Err(error) => {
                    tracing::error!(code = "store_sync", %error, "the store's log could not be synced");
                    Progress::Failed
                }
            };
            log.progress.send_replace(progress);
        }
        let done = log.works();
        for job in jobs {
            job.finish(done.clone());
        }
    }
}
