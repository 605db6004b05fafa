//! The store of one host: SQLite in WAL mode, synced before each answer; one writer at a time, readers beside it.
//!
//! Methods are verbs of the domain, each atomic. Where a verb decides, the row count of one
//! conditional update is the verdict ([`attempt`]).

pub mod asked;
pub mod attempt;
pub mod audit;
pub mod challenge_response;
pub mod device;
mod error;
mod joining;
pub mod keys;
pub mod lock;
pub mod master_key;
pub mod open;
pub mod outbox;
mod readers;
pub mod recovery;
pub mod schema;
pub mod security_key;
pub mod server_keys;
pub mod ssh_key;
pub mod ssh_touch;
pub mod touch;
mod verbs;
pub mod without_server;
pub mod writer;
pub mod yubico_otp;

use std::path::Path;
use std::sync::Arc;

use rusqlite::Connection;

pub use attempt::{Admitted, Attempt, Purpose, Verdict};
pub use audit::{AuditEntry, AuditVerdict, Context, Event};
pub use challenge_response::{Exchange, Exchanged};
pub use device::{AccountId, Device};
pub use error::StoreError;
pub use master_key::Owner;
pub use outbox::Report;
pub use security_key::{Credential, KeyAdded};
pub use ssh_touch::SshTouch;
pub use touch::{Answer, Signed, Touch};
pub use verbs::{AccountView, Enrollment};

use crate::config::{Config, StoreConfig};
use crate::outside::{Clock, Random};
use asked::Asked;
use keys::Keys;
use master_key::Found;
use readers::Readers;
use writer::{EventSink, Writer};

/// The store of one host.
pub struct Store {
    keys: Arc<Keys>,
    random: Arc<dyn Random>,
    clock: Arc<dyn Clock>,
    readers: Readers,
    writer: Writer,
    asked: Arc<Asked>,
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
        Ok(Self {
            keys: Arc::new(keys),
            random,
            clock,
            readers: Readers::of(&config.path),
            writer: Writer::new(connection, sink),
            asked: Arc::default(),
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

    fn read<T>(&self, query: impl FnOnce(&Connection) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let mut reader = self.readers.take()?;
        // One transaction: one state of the store, and its locks are taken once.
        let result = reader.connection().and_then(|connection| {
            connection.prepare_cached("BEGIN")?.execute([])?;
            let result = query(connection)?;
            connection.prepare_cached("COMMIT")?.execute([])?;
            Ok(result)
        });
        if result.is_err() {
            // It may still be in its transaction.
            reader.discard();
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
