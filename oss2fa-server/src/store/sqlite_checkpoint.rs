//! The log on its way into the database: a thread beside the writer brings it there, so that verbs wait for little
//! of it.
//!
//! SQLite writes over the log from its beginning once all of it is in the database. While verbs keep coming the
//! thread never quite gets there: it leaves a rest, and the writer brings that in between two groups. Whoever brings
//! in the last page syncs the database. Syncs of the thread's own changed nothing that could be measured.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use rusqlite::OpenFlags;

use super::error::StoreError;
use super::figures;
use super::sqlite_sql::SqliteSql;

/// Pages in the log at which the thread begins: SQLite's own number.
const LONG: u32 = 1000;

/// Pages in the log at which the writer waits until they are in the database: the thread does not keep up.
const TOO_LONG: u32 = 16 * LONG;

/// A rest of so many pages is short.
const SHORT: u32 = 128;

/// How often the thread begins anew, with what was added meanwhile, before it leaves the rest as it is.
const PASSES: usize = 4;

/// Who has to do something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// Nobody: the log is short.
    Nobodys,
    /// The thread.
    Threads,
    /// The writer, between two groups: the thread has left a rest.
    Writers,
}

/// What the two share.
struct Shared {
    /// For the log's words to whoever is on call.
    path: PathBuf,
    /// Pages in the log.
    pages: AtomicU32,
    turn: Mutex<Turn>,
    /// One at a time: SQLite would turn the other away. Whether the last one failed.
    failing: Mutex<bool>,
}

/// What the writer has to do with it. The thread ends when this is dropped, and must be the last to close the
/// database: of two that close at once none brings the log in.
pub(super) struct Rest {
    shared: Arc<Shared>,
    _until: SyncSender<()>,
}

/// Begins; from now on SQLite does nothing of the kind by itself on the writer's connection. Gives the thread, too.
///
/// # Errors
/// [`StoreError::File`], [`StoreError::Database`].
pub(super) fn start(path: &Path, writer: &mut SqliteSql) -> Result<(Rest, JoinHandle<()>), StoreError> {
    let connection = SqliteSql::open(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    let shared = Arc::new(Shared {
        path: path.to_owned(),
        pages: AtomicU32::new(0),
        turn: Mutex::new(Turn::Nobodys),
        failing: Mutex::new(false),
    });
    let (wake, woken) = sync_channel(1);
    let of_thread = Arc::clone(&shared);
    let thread = std::thread::Builder::new()
        .name("store-log".to_owned())
        .spawn(move || of_thread.serve(&connection, &woken))
        .map_err(|error| StoreError::Database(format!("no thread for the log: {error}")))?;
    let (of_hook, asked) = (Arc::clone(&shared), wake.clone());
    writer.on_commit(move |pages| {
        of_hook.pages.store(pages, Ordering::Relaxed);
        if pages >= LONG && of_hook.pass(Turn::Nobodys, Turn::Threads) {
            let _ = asked.try_send(());
        }
    })?;
    Ok((Rest { shared, _until: wake }, thread))
}

impl Rest {
    /// To be called between two groups; `written` is what came of the one before.
    pub(super) fn bring_in(&self, writer: &SqliteSql, written: &Result<(), StoreError>) {
        let pages = self.shared.pages.load(Ordering::Relaxed);
        // Where there is no room for more log, there may be some for what is in it.
        let most = if written.is_ok() { TOO_LONG } else { LONG };
        let mine = self.shared.turn() == Turn::Writers;
        if mine || pages >= most {
            let _ = self.shared.checkpoint(writer);
        }
        if mine {
            self.shared.pass(Turn::Writers, Turn::Nobodys);
        }
    }
}

impl Shared {
    fn turn(&self) -> Turn {
        *self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it was the turn of `from`; it is that of `to` then.
    fn pass(&self, from: Turn, to: Turn) -> bool {
        let mut turn: MutexGuard<'_, Turn> = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let is = *turn == from;
        if is {
            *turn = to;
        }
        is
    }

    fn serve(&self, connection: &SqliteSql, woken: &Receiver<()>) {
        while woken.recv().is_ok() {
            for _ in 0..PASSES {
                let Some(done) = self.checkpoint(connection) else { break };
                let pages = self.pages.load(Ordering::Relaxed);
                figures::log(pages);
                if pages.saturating_sub(done) <= SHORT {
                    break;
                }
            }
            self.pass(Turn::Threads, Turn::Writers);
        }
    }

    /// Brings in what no reader needs any more in its old form; gives how many pages of the log are in the
    /// database. Nothing is lost where that fails: the log gets longer, and the next one tries again.
    fn checkpoint(&self, connection: &SqliteSql) -> Option<u32> {
        let mut failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        let done = connection.checkpoint();
        // Once: as long as it lasts this comes by many times a second.
        match (&done, *failing) {
            (Err(error), false) => tracing::warn!(
                code = "store_log",
                store = %self.path.display(),
                %error,
                "the store's log cannot be brought into the database and gets longer: look at the disk, and make room \
                 on it"
            ),
            (Ok(_), true) => tracing::warn!(
                code = "store_log_again",
                store = %self.path.display(),
                "the store's log is brought into the database again"
            ),
            (Err(_), true) | (Ok(_), false) => {}
        }
        *failing = done.is_err();
        done.ok()
    }
}
