//! Why the store could not do what it was asked to.

use std::path::PathBuf;

use oss2fa_core::keys::SealError;
use oss2fa_core::random::NoRandomness;

/// A failure of storage. Refusals are no failures: verbs answer them.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// A file or folder that cannot be used.
    #[error("{}: {what}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What is wrong, and what to do.
        what: String,
    },
    /// The database does not answer.
    #[error("the database does not answer: {0}. Nothing was accepted; try again when it is back")]
    Unreachable(String),
    /// The database cannot be written to just now.
    #[error("the store cannot be written: {0}. Nothing was accepted")]
    Unwritable(String),
    /// The database refused a statement or a commit.
    #[error("the database refused: {0}")]
    Database(String),
    /// Two transactions waited for each other; this one was given up and may be tried again.
    #[error("the database gave this transaction up in favour of another: {0}")]
    Conflict(String),
    /// What is stored makes no sense.
    #[error("the store holds {0}: restore it from a backup")]
    Corrupt(&'static str),
    /// A sealed value does not open.
    #[error("a sealed value of {0} does not open: the row was changed or moved, or its key is gone")]
    Sealed(&'static str),
    /// A tenant has no keys: it was removed.
    #[error("tenant {0} has no keys: it was removed")]
    NoKeys(i64),
    /// No master key of this server opens a tenant's key.
    #[error(
        "the keys of tenant {tenant} are wrapped by master key {wanted}, which is not in the master key file. \
         Put that key back as one more line of the file"
    )]
    MasterKey {
        /// Whose keys.
        tenant: i64,
        /// First bytes of the master key's fingerprint.
        wanted: String,
    },
    /// There is no store where the configuration says.
    #[error(
        "there is no store at {0}: start the server once, which makes it, or name another with --data-dir or --config"
    )]
    NoStore(String),
    /// PostgreSQL itself is of a release that is not taken.
    #[error(
        "the database server is PostgreSQL {0}, and this release needs 15 or newer. Upgrade it (pg_upgrade, or pg_dump \
         into a new one), or name another one under `store`. Nothing was changed"
    )]
    OldPostgres(String),
    /// The database cannot hold every text.
    #[error(
        "the database has the encoding {0}, in which some names cannot be written. Make one with ENCODING 'UTF8' \
         (CREATE DATABASE ... TEMPLATE template0 ENCODING 'UTF8'), and name that one under `store`. Nothing was changed"
    )]
    Encoding(String),
    /// The database has not got all migrations of this release.
    #[error(
        "the database was made by an older release: start the server of this one, which brings it up to date"
    )]
    Older,
    /// The database has a migration that this release does not know.
    #[error(
        "the database was made by a newer release (migration {0}): install that release, or restore a backup"
    )]
    Newer(String),
    /// A migration is not the one that was applied.
    #[error("migration {0} of the database is not the one of this release: the database was changed by hand")]
    Migration(String),
    /// `store copy` has moved this store.
    #[error(
        "this store was moved to {0}: start the server on that one. To go back: oss2fa-server store reopen"
    )]
    Moved(String),
    /// `store copy` copies this store.
    #[error(
        "this store is being copied to {0}, and nothing is written meanwhile. If that was interrupted: run the \
         same oss2fa-server store copy again; or, to give it up, oss2fa-server store reopen"
    )]
    Moving(String),
    /// No random bytes.
    #[error("{0}")]
    Random(NoRandomness),
    /// The store is being closed.
    #[error("the store is closing")]
    Closed,
}

impl From<NoRandomness> for StoreError {
    fn from(error: NoRandomness) -> Self {
        Self::Random(error)
    }
}

impl From<SealError> for StoreError {
    fn from(error: SealError) -> Self {
        match error {
            SealError::Random(error) => Self::Random(error),
            _ => Self::Corrupt("a secret too long to seal"),
        }
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode;
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Conflict(error.to_string()),
            Some(ErrorCode::DiskFull) => Self::Unwritable("its disk is full; make room there".to_owned()),
            Some(ErrorCode::ReadOnly) => Self::Unwritable(format!("{error}; look at its owner and its mode")),
            Some(ErrorCode::SystemIoFailure) => Self::Unwritable(format!("{error}; look at its disk")),
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                Self::Corrupt("a file that is damaged or no SQLite database")
            }
            _ => Self::Database(error.to_string()),
        }
    }
}
