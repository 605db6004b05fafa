//! SQLite: one thread writes and commits in groups; connections for reading beside it.

use std::future::Future;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::JoinHandle;

use rusqlite::OpenFlags;

use super::audit;
use super::error::StoreError;
use super::figures;
use super::job::{GROUP, Job, access_of, may_share, now, queue_up};
use super::schema;
use super::sqlite_checkpoint::{self, Rest};
use super::sqlite_file::{self, OpenFile};
use super::sqlite_part::Part;
pub use super::sqlite_sql::SqliteSql;
use super::verb::{Access, Query, Tx, Verb};
use crate::keys::KeyRing;
use crate::outside::Clock;

/// Connections that read at the same time.
const READERS: usize = 4;

type SqliteJob = Box<dyn Job<SqliteSql>>;

/// The embedded database.
pub struct Sqlite {
    jobs: RwLock<Option<Sender<SqliteJob>>>,
    /// The writer, and the thread that ends after it.
    threads: Mutex<Vec<JoinHandle<()>>>,
    // None once it is closed.
    readers: Vec<Mutex<Option<SqliteSql>>>,
    next: AtomicUsize,
}

impl Sqlite {
    /// Opens the database, makes it where it is missing, and brings it to this release's schema.
    ///
    /// # Errors
    /// A [`StoreError`] that says what is wrong and what to do.
    pub async fn open(path: &Path, ring: &Arc<KeyRing>, clock: &dyn Clock) -> Result<Self, StoreError> {
        let file = sqlite_file::closed_to_others(path)?;
        let mut writer =
            SqliteSql::open(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE)?;
        schema::migrate(&mut writer, schema::SQLITE, clock.now()).await?;
        Self::start(writer, file, path, ring)
    }

    /// Opens a database that is there and has this release's schema.
    ///
    /// # Errors
    /// As [`Sqlite::open`]; [`StoreError::NoStore`] and [`StoreError::Older`].
    pub async fn open_existing(path: &Path, ring: &Arc<KeyRing>) -> Result<Self, StoreError> {
        if !path.exists() {
            return Err(StoreError::NoStore(path.display().to_string()));
        }
        let file = sqlite_file::closed_to_others(path)?;
        let mut writer = SqliteSql::open(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        schema::check(&mut writer, schema::SQLITE, &path.display().to_string()).await?;
        Self::start(writer, file, path, ring)
    }

    fn start(
        mut writer: SqliteSql,
        file: OpenFile,
        path: &Path,
        ring: &Arc<KeyRing>,
    ) -> Result<Self, StoreError> {
        let readers = (0..READERS)
            .map(|_| Ok(Mutex::new(Some(SqliteSql::open(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?))))
            .collect::<Result<_, StoreError>>()?;
        // Slower without, no worse.
        if let Err(error) = sqlite_file::lay_out_log(path) {
            tracing::warn!(code = "store_log", %error, "the store's log could not be laid out in its full length");
        }
        let file = file.with_log()?;
        let (rest, log) = sqlite_checkpoint::start(path, &mut writer)?;
        let (jobs, queue) = channel();
        let ring = Arc::clone(ring);
        let thread = std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || {
                write_groups(&mut writer, &file, &queue, &rest, &ring);
                // In this order: the thread of the log is the last to close, and brings all of it in.
                drop(writer);
                drop(rest);
            })
            .map_err(|error| StoreError::Database(format!("no thread for the writer: {error}")))?;
        Ok(Self {
            jobs: RwLock::new(Some(jobs)),
            threads: Mutex::new(vec![thread, log]),
            readers,
            next: AtomicUsize::new(0),
        })
    }

    /// Runs a verb; returns when it is durable.
    ///
    /// # Errors
    /// The verb's own, or the commit's.
    pub fn write<V: Verb>(
        &self,
        verb: V,
    ) -> impl Future<Output = Result<V::Output, StoreError>> + Send + use<V> {
        let (job, answered) = queue_up::<SqliteSql, V>(verb);
        if let Some(jobs) = &*self.jobs.read().unwrap_or_else(PoisonError::into_inner) {
            // Where nobody takes it any more it is dropped, and the answer says so.
            let _ = jobs.send(job);
        }
        answered.wait()
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
        let reader = reader.as_mut().ok_or(StoreError::Closed)?;
        now(query.run(&mut Tx::new(reader, ring)))
    }

    /// A copy of the database as it is at one moment, into a new file of mode 0600. It has its name only when it is
    /// whole and on the disk.
    ///
    /// # Errors
    /// Those of SQLite.
    pub fn backup(&self, to: &Path) -> Result<(), StoreError> {
        let reader = self.readers.first().ok_or(StoreError::Closed)?;
        let reader = reader.lock().unwrap_or_else(PoisonError::into_inner);
        let reader = reader.as_ref().ok_or(StoreError::Closed)?;
        let part = Part::of(to)?;
        reader.copy_into(part.path())?;
        part.finish()
    }

    /// Writes what is queued, and closes.
    pub fn close(&self) {
        // The last connection to close moves SQLite's log into the file and removes it, if it may write. So a
        // copy of the file alone, taken while the server is stopped, is whole.
        for reader in &self.readers {
            drop(reader.lock().unwrap_or_else(PoisonError::into_inner).take());
        }
        drop(self.jobs.write().unwrap_or_else(PoisonError::into_inner).take());
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            let _ = thread.join();
        }
    }
}

impl Drop for Sqlite {
    fn drop(&mut self) {
        self.close();
    }
}

fn write_groups(
    writer: &mut SqliteSql,
    file: &OpenFile,
    queue: &Receiver<SqliteJob>,
    rest: &Rest,
    ring: &KeyRing,
) {
    while let Ok(first) = queue.recv() {
        let mut group = vec![first];
        group.extend(queue.try_iter().take(GROUP - 1));
        // What is written into a file without a name is lost with the process.
        if let Err(error) = file.still_there() {
            for job in group {
                job.finish(Err(error.clone()));
            }
            continue;
        }
        let written = write_group(writer, &mut group, ring);
        figures::group(&written, group.len());
        if written.is_err() {
            writer.roll_back();
        }
        let last = written.clone();
        match (written, group.len()) {
            // Whose fault it was is found by running each alone.
            (Err(_), 2..) => {
                for mut job in group {
                    let alone = write_group(writer, std::slice::from_mut(&mut job), ring);
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
        rest.bring_in(writer, &last);
    }
}

fn write_group(writer: &mut SqliteSql, group: &mut [SqliteJob], ring: &KeyRing) -> Result<(), StoreError> {
    may_share(group)?;
    writer.begin()?;
    if access_of(group) != Access::Alone {
        now(schema::still_here(writer))?;
    }
    let mut tx = Tx::new(&mut *writer, ring);
    for job in group {
        job.run_now(&mut tx)?;
    }
    now(audit::write(&mut tx))?;
    tx.sql.commit()
}
