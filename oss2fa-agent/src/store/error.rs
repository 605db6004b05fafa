//! What can go wrong with the store.

use std::path::PathBuf;

use oss2fa_core::keys::SealError;
use thiserror::Error;

use crate::outside::NoRandomness;

/// The store could not do what was asked; nothing of it was done.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StoreError {
    /// SQLite said so.
    #[error("the store failed: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// A file or folder cannot be used.
    #[error("{path}: {what}")]
    File {
        /// Which.
        path: PathBuf,
        /// What is wrong, and the cure.
        what: String,
    },
    /// The database was made by a newer release.
    #[error(
        "the store {path} was written by a newer release (it has the migration {migration}, which this \
         release does not know). Install that release again, or restore a backup of this one"
    )]
    Newer {
        /// Which store.
        path: PathBuf,
        /// Its unknown migration.
        migration: String,
    },
    /// A migration that was applied is not the one that this release has.
    #[error(
        "the migration {migration} of the store {path} is not the one of this release: the database or the program was tampered with, or is an unreleased build"
    )]
    Migration {
        /// Which store.
        path: PathBuf,
        /// Which migration.
        migration: String,
    },
    /// The master key does not open the data key.
    #[error(
        "the master key {key} does not open the store {path}: it is not the key that this store was made with. Restore the right key"
    )]
    WrongKey {
        /// Where the key came from.
        key: String,
        /// Which store.
        path: PathBuf,
    },
    /// A sealed value did not open: changed, or moved from another row.
    #[error(
        "the sealed secret of device {0} does not open: the row was changed by something else than the agent"
    )]
    Seal(i64),
    /// A stored value that the schema does not allow.
    #[error("the store holds a value that it cannot hold: {0}")]
    Corrupt(&'static str),
    /// No random bytes.
    #[error(transparent)]
    Random(#[from] NoRandomness),
    /// The writer thread has ended.
    #[error("the store is closed")]
    Closed,
    /// The transaction that held the change was not committed.
    #[error("the store could not commit: {0}")]
    Commit(String),
}

impl From<SealError> for StoreError {
    fn from(error: SealError) -> Self {
        match error {
            SealError::Random(error) => Self::Random(error),
            _ => Self::Corrupt("a secret too long to seal"),
        }
    }
}
