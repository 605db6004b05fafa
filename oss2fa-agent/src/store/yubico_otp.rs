//! YubiKeys that type passwords: which key it is, and its secrets, or that validation servers judge it.
//!
//! The counters in a password stand in `next_position` as one number. Several accounts may have one key: what one of
//! them has spent is spent for all of them (`attempt.rs`).

use data_encoding::HEXLOWER;
use oss2fa_core::factor::yubico_otp::{PublicId, TypedOtp, Yubikey};
use oss2fa_core::ids::{DeviceId, DeviceName, UserName};
use oss2fa_core::secret::{SecretBytes, SecretText};
use oss2fa_core::verdict::{FactorKind, Verified};
use serde::{Deserialize, Serialize};

use super::Store;
use super::audit::{Context, Event};
use super::device::{AccountId, Device, Vouched};
use super::error::StoreError;
use super::joining::{Joining, Newcomer};
use super::keys::Keys;
use super::security_key::KeyAdded;
use crate::admin::Imported;

const KIND: FactorKind = FactorKind::YubicoOtp;

/// A key, as it is stored.
#[derive(Debug, Clone)]
pub struct Typist {
    /// Which key types.
    pub public_id: PublicId,
    /// Who says whether it did.
    pub judged_by: JudgedBy,
}

/// Who says whether a password is right.
#[derive(Debug, Clone)]
pub enum JudgedBy {
    /// This host.
    Here(Secrets),
    /// The validation servers of the configuration.
    Servers,
}

/// What was written into a key.
#[derive(Debug, Clone)]
pub struct Secrets {
    /// The private id, 6 bytes.
    pub private_id: SecretBytes,
    /// The AES key, 16 bytes.
    pub key: SecretBytes,
}

/// A key to be added.
#[derive(Debug)]
pub struct NewTypist {
    /// What the owner calls it.
    pub name: DeviceName,
    /// The key.
    pub typist: Typist,
    /// The position of a password that was typed for this; `None` where none was.
    pub typed: Option<u64>,
    /// Who stands behind it.
    pub vouched: Vouched,
    /// How it got here, for the audit.
    pub event: Event,
}

impl Typist {
    /// The evidence for a password, where this host can say: what its secrets open, beyond all that was accepted.
    #[must_use]
    pub fn check(&self, device: DeviceId, next_position: u64, typed: &TypedOtp) -> Option<Verified> {
        match &self.judged_by {
            JudgedBy::Servers => None,
            JudgedBy::Here(Secrets { private_id, key }) => {
                let public_id = &self.public_id;
                Yubikey { device, public_id, private_id, key, next_position }.check(typed)
            }
        }
    }
}

impl Store {
    /// Adds a key; it counts at once.
    ///
    /// # Errors
    /// A [`StoreError`].
    pub fn add_typist(
        &self,
        context: Context,
        user: UserName,
        new: NewTypist,
    ) -> Result<KeyAdded, StoreError> {
        let words = |id| format!("{KIND} device={id}");
        self.join(context, user, new.event, move |account| add(account, &new), words)
    }
}

/// Adds a key within the caller's transaction.
///
/// # Errors
/// Those of SQLite and of the random source.
pub(super) fn add(joining: &Joining<'_>, new: &NewTypist) -> Result<KeyAdded, StoreError> {
    let fingerprint = fingerprint(joining.keys, &new.typist);
    if let Some(refused) = joining.refusal(Some(&fingerprint), new.vouched)? {
        return Ok(refused);
    }
    // Of a key that is nobody's any more the counters may have begun anew, with new secrets in it.
    let floor: Option<i64> = joining
        .connection
        .prepare_cached(
            "SELECT max(next_position) FROM device WHERE fingerprint = ?1 AND status <> 'removed'",
        )?
        .query_row([fingerprint.as_slice()], |row| row.get(0))?;
    let floor = floor.unwrap_or(0).cast_unsigned();
    let next_position = match new.typed {
        Some(typed) if typed < floor => return Ok(KeyAdded::Used),
        Some(typed) => typed + 1,
        None => floor,
    };
    let newcomer = Newcomer {
        kind: KIND,
        name: &new.name,
        vouched: new.vouched,
        fingerprint: Some(&fingerprint),
        next_position,
    };
    joining.admit(&newcomer, &spelled(&new.typist)?, |id| associated(id, joining.account))
}

// What shows that two rows are of one key. The public id alone is on no secret: whoever typed it beside secrets of their
// own would raise the counters of its owner.
fn fingerprint(keys: &Keys, typist: &Typist) -> [u8; 32] {
    let mut name = SecretBytes::new(typist.public_id.as_str().as_bytes().to_vec());
    if let JudgedBy::Here(Secrets { private_id, key }) = &typist.judged_by {
        let all = [name.expose(), b"|", private_id.expose(), b"|", key.expose()].concat();
        name = SecretBytes::new(all);
    }
    keys.device_fingerprint(KIND, name.expose())
}

/// A key that another system knows by its public id.
pub(super) fn imported(name: &DeviceName, what: &Imported) -> Option<NewTypist> {
    let Imported::YubicoOtp { public_id } = what else { return None };
    let typist = Typist { public_id: PublicId::parse(public_id).ok()?, judged_by: JudgedBy::Servers };
    let event = Event::Imported;
    Some(NewTypist { name: name.clone(), typist, typed: None, vouched: Vouched::Yes, event })
}

impl Device {
    /// The key that types this device's passwords; `None` for every other device.
    ///
    /// # Errors
    /// [`StoreError::Seal`] where it was changed or belongs to another row.
    pub fn typist(&self, keys: &Keys) -> Result<Option<Typist>, StoreError> {
        if self.kind != KIND {
            return Ok(None);
        }
        let associated = associated(self.id, self.account);
        let plain = self.sealed.as_deref().and_then(|sealed| keys.open(sealed, &associated));
        let plain = plain.ok_or(StoreError::Seal(self.id.0))?;
        read(plain.expose()).map(Some).ok_or(StoreError::Corrupt("a YubiKey that types passwords"))
    }
}

fn associated(id: DeviceId, account: AccountId) -> Vec<u8> {
    format!("device.sealed id={id} account={} kind={KIND} typist", account.0).into_bytes()
}

/// How it is written down; this must be read for ever.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Spelled {
    public_id: String,
    secrets: Option<SpelledSecrets>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SpelledSecrets {
    private_id: SecretText,
    key: SecretText,
}

fn spelled(typist: &Typist) -> Result<SecretBytes, StoreError> {
    let hex = |bytes: &SecretBytes| SecretText::new(HEXLOWER.encode(bytes.expose()));
    let secrets = match &typist.judged_by {
        JudgedBy::Servers => None,
        JudgedBy::Here(Secrets { private_id, key }) => {
            Some(SpelledSecrets { private_id: hex(private_id), key: hex(key) })
        }
    };
    let spelled = Spelled { public_id: typist.public_id.as_str().to_owned(), secrets };
    let written = serde_json::to_vec(&spelled).map(SecretBytes::new);
    written.map_err(|_| StoreError::Corrupt("a YubiKey that cannot be written down"))
}

fn read(plain: &[u8]) -> Option<Typist> {
    let spelled: Spelled = serde_json::from_slice(plain).ok()?;
    let bytes = |text: &SecretText| HEXLOWER.decode(text.expose().as_bytes()).ok().map(SecretBytes::new);
    let judged_by = match spelled.secrets {
        None => JudgedBy::Servers,
        Some(SpelledSecrets { private_id, key }) => {
            JudgedBy::Here(Secrets { private_id: bytes(&private_id)?, key: bytes(&key)? })
        }
    };
    Some(Typist { public_id: PublicId::parse(&spelled.public_id).ok()?, judged_by })
}
