//! A few connections for reading, lent out one by one.
//!
//! Opening one costs more than a hundred reads, so who finds none free waits for the next.

use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use rusqlite::Connection;

use super::error::StoreError;
use super::open;

/// Connections at the most. A read takes microseconds: more would only cost memory.
const MOST: usize = 4;

pub(super) struct Readers {
    path: PathBuf,
    shelf: Mutex<Shelf>,
    one_back: Condvar,
}

#[derive(Default)]
struct Shelf {
    free: Vec<Connection>,
    lent: usize,
}

/// A connection on loan; it goes back on drop.
pub(super) struct Reader<'a> {
    readers: &'a Readers,
    connection: Option<Connection>,
}

impl Readers {
    pub(super) fn of(path: &Path) -> Self {
        Self { path: path.to_owned(), shelf: Mutex::default(), one_back: Condvar::new() }
    }

    pub(super) fn take(&self) -> Result<Reader<'_>, StoreError> {
        let mut shelf = self.shelf();
        while shelf.free.is_empty() && shelf.lent >= MOST {
            shelf = self.one_back.wait(shelf).unwrap_or_else(PoisonError::into_inner);
        }
        shelf.lent += 1;
        let mut reader = Reader { readers: self, connection: shelf.free.pop() };
        drop(shelf);
        if reader.connection.is_none() {
            reader.connection = Some(open::reader(&self.path)?);
        }
        Ok(reader)
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reader<'_> {
    /// Closes it instead of giving it back.
    pub(super) fn discard(&mut self) {
        self.connection = None;
    }

    pub(super) fn connection(&self) -> Result<&Connection, StoreError> {
        self.connection.as_ref().ok_or(StoreError::Closed)
    }
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        let mut shelf = self.readers.shelf();
        shelf.lent -= 1;
        shelf.free.extend(self.connection.take());
        drop(shelf);
        self.readers.one_back.notify_one();
    }
}
