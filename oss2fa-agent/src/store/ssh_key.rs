//! Keys of OpenSSH that live on security keys, as they are stored: the public part, sealed under its row.
//!
//! Nothing of it is secret. It is sealed so that whoever can write to the database, and has not the master key, cannot
//! put a key of their own in the place of somebody else's. One key may be several people's: root's, and that of who
//! becomes root.

use oss2fa_core::factor::ssh_sk::SkKey;
use oss2fa_core::ids::{DeviceId, DeviceName, UserName};
use oss2fa_core::secret::SecretBytes;
use oss2fa_core::verdict::FactorKind;

use super::Store;
use super::audit::{Context, Event};
use super::device::{AccountId, Device, Vouched};
use super::error::StoreError;
use super::joining::{Joining, Newcomer};
use super::keys::Keys;
use super::security_key::KeyAdded;

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
        let fingerprint = new.key.fingerprint();
        let words = move |id| format!("{} device={id} {fingerprint}", FactorKind::SshSk);
        self.join(context, user, Event::Confirmed, move |account| add(account, &new), words)
    }
}

fn add(joining: &Joining<'_>, new: &NewSshKey) -> Result<KeyAdded, StoreError> {
    let fingerprint = joining.keys.ssh_key_fingerprint(new.key.blob());
    if let Some(refused) = joining.refusal(Some(&fingerprint), new.vouched)? {
        return Ok(refused);
    }
    let newcomer = Newcomer {
        kind: FactorKind::SshSk,
        name: &new.name,
        vouched: new.vouched,
        fingerprint: Some(&fingerprint),
        next_position: 0,
    };
    let plain = SecretBytes::new(new.key.to_line().into_bytes());
    joining.admit(&newcomer, &plain, |id| associated(id, joining.account))
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
