//! Keys of OpenSSH that live on security keys, as they are stored: the public part, sealed under its row.
//!
//! Nothing of it is secret. It is sealed so that whoever can write to the database, and has not the master key, cannot
//! put a key of their own in the place of somebody else's. One key may be several people's: root's, and that of who
//! becomes root.

use std::sync::Arc;

use oss2fa_core::factor::ssh_sk::SkKey;
use oss2fa_core::ids::{DeviceId, DeviceName, UserName};
use oss2fa_core::secret::SecretBytes;
use oss2fa_core::verdict::FactorKind;
use rusqlite::{Connection, params};

use super::Store;
use super::audit::{Context, Event, append};
use super::device::{self, AccountId, Device, Vouched, mark_enrolled};
use super::error::StoreError;
use super::keys::Keys;
use super::security_key::KeyAdded;
use super::verbs::has_room;
use crate::admin::DeviceStatus;
use crate::outside::Random;

/// A key to be added.
#[derive(Debug)]
pub struct NewSshKey {
    /// Its public part.
    pub key: SkKey,
    /// What the owner calls it.
    pub name: DeviceName,
    /// Who stands behind it.
    pub vouched: Vouched,
}

impl Store {
    /// Adds a key of OpenSSH; it counts at once, where policy lets any count.
    ///
    /// # Errors
    /// A [`StoreError`].
    pub fn add_ssh_key(
        &self,
        context: Context,
        user: UserName,
        new: NewSshKey,
    ) -> Result<KeyAdded, StoreError> {
        let (keys, random) = (Arc::clone(&self.keys), Arc::clone(&self.random));
        self.writer.run(move |connection, events| {
            let account = device::account_for(connection, &user)?;
            let added = add(connection, &keys, random.as_ref(), account, &new, context.now)?;
            if let KeyAdded::Added(id) = added {
                let detail = format!("{} device={id} {}", FactorKind::SshSk, new.key.fingerprint());
                append(connection, &keys, events, &context, Event::Confirmed, &detail)?;
            }
            Ok(added)
        })
    }
}

fn add(
    connection: &Connection,
    keys: &Keys,
    random: &dyn Random,
    account: AccountId,
    new: &NewSshKey,
    now: u64,
) -> Result<KeyAdded, StoreError> {
    let fingerprint = keys.ssh_key_fingerprint(new.key.blob());
    if let Some(there) = device::holder_of(connection, account, &fingerprint)? {
        return Ok(KeyAdded::AlreadyThere(there));
    }
    if !has_room(connection, account, now)? {
        return Ok(KeyAdded::TooMany);
    }
    let others = device::devices(connection, account)?;
    if new.vouched == Vouched::No && others.iter().any(Device::is_usable_here) {
        return Ok(KeyAdded::NotVouched);
    }
    connection
        .prepare_cached(
            "INSERT INTO device (account, name, kind, status, vouched, fingerprint, created_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![
            account.0,
            new.name.as_str(),
            FactorKind::SshSk.as_str(),
            DeviceStatus::Active.as_str(),
            new.vouched == Vouched::Yes,
            fingerprint.as_slice(),
            now.cast_signed()
        ])?;
    let id = DeviceId(connection.last_insert_rowid());
    let plain = SecretBytes::new(new.key.to_line().into_bytes());
    let sealed = keys.seal(&plain, &associated(id, account), random)?;
    connection
        .prepare_cached("UPDATE device SET sealed = ?2 WHERE id = ?1")?
        .execute(params![id.0, sealed])?;
    mark_enrolled(connection, account, now)?;
    Ok(KeyAdded::Added(id))
}

impl Device {
    /// The key of OpenSSH; `None` for every other device.
    ///
    /// # Errors
    /// [`StoreError::Seal`] where it was changed or belongs to another row.
    pub fn ssh_key(&self, keys: &Keys) -> Result<Option<SkKey>, StoreError> {
        if self.kind != FactorKind::SshSk {
            return Ok(None);
        }
        let plain =
            self.sealed.as_deref().and_then(|sealed| keys.open(sealed, &associated(self.id, self.account)));
        let plain = plain.ok_or(StoreError::Seal(self.id.0))?;
        let line = std::str::from_utf8(plain.expose()).ok();
        let key =
            line.and_then(|line| line.split_once(' ')).and_then(|(kind, key)| SkKey::parse(kind, key).ok());
        key.map(Some).ok_or(StoreError::Corrupt("a key of ssh"))
    }
}

fn associated(id: DeviceId, account: AccountId) -> Vec<u8> {
    format!("device.sealed id={id} account={} kind={} key", account.0, FactorKind::SshSk).into_bytes()
}
