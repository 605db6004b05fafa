//! How a device joins an account that counts as soon as it is there, since it was touched, or has typed, before.

use std::sync::Arc;

use oss2fa_core::ids::{DeviceId, DeviceName, UserName};
use oss2fa_core::secret::SecretBytes;
use oss2fa_core::verdict::FactorKind;
use rusqlite::{Connection, params};

use super::Store;
use super::audit::{Context, Event, append};
use super::device::{self, AccountId, Device, Vouched};
use super::error::StoreError;
use super::keys::Keys;
use super::security_key::KeyAdded;
use super::verbs::has_room;
use crate::admin::DeviceStatus;
use crate::outside::Random;

/// An account, in the transaction in which a device joins it.
pub(super) struct Joining<'a> {
    pub(super) connection: &'a Connection,
    pub(super) keys: &'a Keys,
    pub(super) random: &'a dyn Random,
    pub(super) account: AccountId,
    pub(super) now: u64,
}

/// The row of such a device, but for what is sealed in it.
pub(super) struct Newcomer<'a> {
    pub(super) kind: FactorKind,
    /// What the owner calls it.
    pub(super) name: &'a DeviceName,
    /// Who stands behind it.
    pub(super) vouched: Vouched,
    /// By what it is known again; nothing where it tells no number.
    pub(super) fingerprint: Option<&'a [u8; 32]>,
    /// The lowest position that may be accepted.
    pub(super) next_position: u64,
}

impl Store {
    /// Has a device join the account of `user`, and writes down that it has.
    ///
    /// # Errors
    /// Those of `add`, of SQLite and of the audit.
    pub(super) fn join(
        &self,
        context: Context,
        user: UserName,
        event: Event,
        add: impl FnOnce(&Joining<'_>) -> Result<KeyAdded, StoreError> + Send + 'static,
        words: impl FnOnce(DeviceId) -> String + Send + 'static,
    ) -> Result<KeyAdded, StoreError> {
        let (keys, random) = (Arc::clone(&self.keys), Arc::clone(&self.random));
        self.writer.run(move |connection, events| {
            let account = device::account_for(connection, &user)?;
            let (keys, random) = (keys.as_ref(), random.as_ref());
            let added = add(&Joining { connection, keys, random, account, now: context.now })?;
            if let KeyAdded::Added(id) = added {
                append(connection, keys, events, &context, event, &words(id))?;
            }
            Ok(added)
        })
    }
}

impl Joining<'_> {
    /// Why a device of this fingerprint may not join: the account has it, has too many, or others that nobody vouches by.
    ///
    /// # Errors
    /// Those of SQLite.
    pub(super) fn refusal(
        &self,
        fingerprint: Option<&[u8; 32]>,
        vouched: Vouched,
    ) -> Result<Option<KeyAdded>, StoreError> {
        if let Some(there) = self.holder_of(fingerprint)? {
            return Ok(Some(KeyAdded::AlreadyThere(there)));
        }
        if !has_room(self.connection, self.account, self.now)? {
            return Ok(Some(KeyAdded::TooMany));
        }
        let others = device::devices(self.connection, self.account)?;
        if vouched == Vouched::No && others.iter().any(Device::is_usable_here) {
            return Ok(Some(KeyAdded::NotVouched));
        }
        Ok(None)
    }

    /// Makes its row, sealed for it, and the account one that has been enrolled. `associated` names the row.
    ///
    /// # Errors
    /// Those of SQLite and of the random source.
    pub(super) fn admit(
        &self,
        new: &Newcomer<'_>,
        plain: &SecretBytes,
        associated: impl FnOnce(DeviceId) -> Vec<u8>,
    ) -> Result<KeyAdded, StoreError> {
        let id = self.place(new, plain, associated)?;
        device::mark_enrolled(self.connection, self.account, self.now)?;
        Ok(KeyAdded::Added(id))
    }

    /// Makes its row alone. It is there before anything is sealed, for the seal names it.
    ///
    /// # Errors
    /// Those of SQLite and of the random source.
    pub(super) fn place(
        &self,
        new: &Newcomer<'_>,
        plain: &SecretBytes,
        associated: impl FnOnce(DeviceId) -> Vec<u8>,
    ) -> Result<DeviceId, StoreError> {
        self.connection
            .prepare_cached(
                "INSERT INTO device (account, name, kind, status, vouched, fingerprint, next_position, created_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            )?
            .execute(params![
                self.account.0,
                new.name.as_str(),
                new.kind.as_str(),
                DeviceStatus::Active.as_str(),
                new.vouched == Vouched::Yes,
                new.fingerprint.map(<[u8; 32]>::as_slice),
                device::stored_position(new.next_position)?,
                self.now.cast_signed()
            ])?;
        let id = DeviceId(self.connection.last_insert_rowid());
        device::seal(self.connection, self.keys, self.random, id, plain, &associated(id))?;
        Ok(id)
    }

    fn holder_of(&self, fingerprint: Option<&[u8; 32]>) -> Result<Option<DeviceId>, StoreError> {
        match fingerprint {
            Some(fingerprint) => device::holder_of(self.connection, self.account, fingerprint),
            None => Ok(None),
        }
    }
}
