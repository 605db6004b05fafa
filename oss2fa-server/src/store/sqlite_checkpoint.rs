//! The log on its way into the database: a thread beside the writer brings it there, so that no verb waits for it.
//!
//! SQLite writes over the log from its beginning once all of it is in the database. While verbs keep coming the
//! thread never quite gets there: it leaves a short rest, and the writer brings that in between two groups.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::JoinHandle;

use rusqlite::OpenFlags;

use super::error::StoreError;
use super::sqlite_sql::SqliteSql;

/// Pages in the log at which the thread begins: SQLite's own number.
const LONG: u32 = 1000;

/// Pages in the log at which the writer waits until they are in the database: the thread does not keep up.
const TOO_LONG: u32 = 16 * LONG;

/// So many pages the writer brings in itself.
const SHORT: u32 = 128;

/// How often the thread begins anew, with what was added meanwhile, before it leaves the rest to the writer.
const PASSES: usize = 4;

/// What the two tell each other.
#[derive(Debug, Default)]
struct Shared {
    /// Pages in the log.
    pages: AtomicU32,
    /// The thread was asked, and the writer has not yet done its part.
    under_way: AtomicBool,
    /// The thread has done its part.
    rest_is_short: AtomicBool,
}

/// The writer's end.
pub(super) struct Checkpoints {
    shared: Arc<Shared>,
    /// When the writer's connection is closed, which lets the thread end.
    pub(super) thread: JoinHandle<()>,
}

/// What the writer has to do.
pub(super) struct Rest(Arc<Shared>);

impl Checkpoints {
    /// Begins; from now on SQLite does nothing of the kind by itself on the writer's connection.
    ///
    /// # Errors
    /// [`StoreError::File`], [`StoreError::Database`].
    pub(super) fn start(path: &Path, writer: &mut SqliteSql) -> Result<Self, StoreError> {
        let connection = SqliteSql::open(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        let shared = Arc::<Shared>::default();
        let (wake, woken) = sync_channel(1);
        let of_thread = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("store-log".to_owned())
            .spawn(move || bring_in(&connection, &woken, &of_thread))
            .map_err(|error| StoreError::Database(format!("no thread for the log: {error}")))?;
        let of_hook = Arc::clone(&shared);
        writer.on_commit(move |pages| {
            of_hook.pages.store(pages, Ordering::Relaxed);
            if pages >= LONG && !of_hook.under_way.swap(true, Ordering::Relaxed) {
                let _ = wake.try_send(());
            }
        })?;
        Ok(Self { shared, thread })
    }

    /// For the writer.
    pub(super) fn rest(&self) -> Rest {
        Rest(Arc::clone(&self.shared))
    }
}

impl Rest {
    /// To be called between two groups.
    pub(super) fn bring_in(&self, writer: &SqliteSql) {
        let is_short = self.0.rest_is_short.swap(false, Ordering::Acquire);
        if is_short || self.0.pages.load(Ordering::Relaxed) >= TOO_LONG {
            let _ = checkpoint(writer);
            self.0.under_way.store(false, Ordering::Relaxed);
        }
    }
}

fn bring_in(connection: &SqliteSql, woken: &Receiver<()>, shared: &Shared) {
    while woken.recv().is_ok() {
        for _ in 0..PASSES {
            let Some(done) = checkpoint(connection) else { break };
            if shared.pages.load(Ordering::Relaxed).saturating_sub(done) <= SHORT {
                break;
            }
        }
        shared.rest_is_short.store(true, Ordering::Release);
    }
}

/// Brings in what no reader needs any more in its old form; gives how many pages of the log are in the database.
/// Nothing is lost where that fails: the log gets longer, and the next one tries again.
fn checkpoint(connection: &SqliteSql) -> Option<u32> {
    let done = connection.checkpoint();
    if let Err(error) = &done {
        tracing::warn!(code = "store_log", %error, "the store's log could not be brought into the database");
    }
    done.ok()
}
