//! The store of one host: SQLite in WAL mode, synced before each answer; one writer, readers beside it.
//!
//! Methods are verbs of the domain, each atomic. Where a verb decides, the row count of one
//! conditional update is the verdict ([`attempt`]).

pub mod attempt;
pub mod audit;
pub mod device;
mod error;
pub mod keys;
pub mod lock;
pub mod master_key;
pub mod open;
pub mod recovery;
pub mod schema;
mod verbs;
pub mod writer;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;

pub use attempt::{Admitted, Attempt, Purpose, Verdict};
pub use audit::{AuditEntry, AuditVerdict, Context, Event};
pub use device::{AccountId, Device};
pub use error::StoreError;
pub use master_key::Owner;
pub use verbs::{AccountView, Enrollment};

use crate::config::{Config, StoreConfig};
use crate::outside::{Clock, Random};
use keys::Keys;
use master_key::Found;
use writer::{EventSink, Writer};

/// Connections that are kept for reading while nobody reads.
const IDLE_READERS: usize = 2;

/// The store of one host.
pub struct Store {
    path: PathBuf,
    keys: Arc<Keys>,
    random: Arc<dyn Random>,
    clock: Arc<dyn Clock>,
    readers: Mutex<Vec<Connection>>,
    writer: Writer,
}

impl Store {
    /// Opens the store, and makes it on the very first start.
    ///
    /// # Errors
    /// A [`StoreError`] that says what is wrong and what to do.
    pub fn open(
        config: &StoreConfig,
        master: Found,
        owner: Owner,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
        sink: Box<dyn EventSink>,
    ) -> Result<Self, StoreError> {
        let (connection, keys) = open::open(config, master, owner, random.as_ref(), clock.now())?;
        let writer = Writer::start(connection, sink).map_err(|error| StoreError::File {
            path: config.path.clone(),
            what: format!("the writer thread cannot be started: {error}"),
        })?;
        Ok(Self {
            path: config.path.clone(),
            keys: Arc::new(keys),
            random,
            clock,
            readers: Mutex::new(Vec::new()),
            writer,
        })
    }

    /// The keys, to check codes with.
    #[must_use]
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Seconds since 1970.
    #[must_use]
    pub fn now(&self) -> u64 {
        self.clock.now()
    }

    // Blocks: to be called where blocking is allowed.
    fn read<T>(&self, query: impl FnOnce(&Connection) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let idle = self.readers.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let connection = match idle {
            Some(connection) => connection,
            None => open::reader(&self.path)?,
        };
        // One transaction: one state of the store, and its locks are taken once.
        let result = connection.unchecked_transaction().map_err(StoreError::from).and_then(|transaction| {
            let result = query(&transaction)?;
            transaction.commit()?;
            Ok(result)
        });
        let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        if readers.len() < IDLE_READERS {
            readers.push(connection);
        }
        result
    }
}

/// The audit of a running or stopped agent, for root.
pub struct AuditReader {
    connection: Connection,
    keys: Keys,
}

impl AuditReader {
    /// Opens the store that `config` names. `credentials` is systemd's folder of them, if any.
    ///
    /// # Errors
    /// A [`StoreError`] that says what is wrong and what to do.
    pub fn open(config: &Config, credentials: Option<&Path>) -> Result<Self, StoreError> {
        let owner = crate::privileges::owner_of_files(&config.agent.user);
        let master = master_key::find(&config.store.master_key, owner, credentials)?;
        let connection = open::open_for_reading(&config.store.path)?;
        let keys = open::keys_of(&connection, &config.store, master)?;
        Ok(Self { connection, keys })
    }

    /// Events after number `seq`, at most `limit`.
    ///
    /// # Errors
    /// Those of SQLite.
    pub fn events_after(&self, seq: u64, limit: usize) -> Result<Vec<AuditEntry>, StoreError> {
        audit::events_after(&self.connection, seq, limit)
    }

    /// Walks the whole chain.
    ///
    /// # Errors
    /// Those of SQLite.
    pub fn verify(&self, progress: &mut dyn FnMut(u64)) -> Result<AuditVerdict, StoreError> {
        audit::verify(&self.connection, &self.keys, progress)
    }
}

/// Copies the store to a new file of mode 0600, while the agent runs or not. `progress` hears the
/// pages that are left and the pages in all.
///
/// # Errors
/// A [`StoreError`]; also where `target` is there already.
pub fn backup(
    config: &Config,
    target: &Path,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<(), StoreError> {
    let from = open::open_for_reading(&config.store.path)?;
    verbs::copy_to(&from, target, progress)
}
