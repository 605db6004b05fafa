//! Security keys as they are stored: the credential, sealed under its row, and a counter that only grows.
//!
//! Nothing of a credential is secret. It is sealed all the same, so that whoever can write to the database, and
//! has not the master key, cannot put a key of their own in the place of somebody else's. The signature counter
//! stands in `next_position`: the lowest that may still be accepted, 0 for a key that does not count.

use data_encoding::HEXLOWER;
use oss2fa_core::ids::{DeviceId, DeviceName, UserName};
use oss2fa_core::secret::SecretBytes;
use oss2fa_core::verdict::FactorKind;
use oss2fa_ctap::auth_data::{Aaguid, MAX_CREDENTIAL_ID};
use oss2fa_ctap::cose::PublicKey;
use oss2fa_ctap::verify::{self, Enrolled, RpId, UserVerification};
use rusqlite::Connection;
use serde::{Deserialize, Serialize};

use super::Store;
use super::audit::{Context, Event};
use super::device::{self, AccountId, Device, Vouched};
use super::error::StoreError;
use super::joining::{Joining, Newcomer};
use super::keys::Keys;
use crate::admin::{Imported, KeyAlgorithm, KeyKind};
use crate::outside::Random;

/// A credential of a security key.
#[derive(Debug, Clone, PartialEq)]
pub struct Credential {
    /// Its id on the key: the key handle of U2F. Empty where it stays on the key, and only its public key is known.
    pub id: Vec<u8>,
    /// Its public key.
    pub public_key: PublicKey,
    /// For whom the key has made it.
    pub rp: RpId,
    /// What the key was told about its owner; `None` where another program has told it.
    pub user_id: Option<Vec<u8>>,
    /// The model of the key, as far as it tells.
    pub aaguid: Aaguid,
    /// What its owner wants to be asked at each login, whatever policy wants.
    pub verification: UserVerification,
}

impl Credential {
    /// What a key has just made.
    #[must_use]
    pub fn of(made: &Enrolled, rp: &RpId, user_id: &[u8], verification: UserVerification) -> Self {
        Self {
            id: made.id().to_vec(),
            public_key: made.public_key().clone(),
            rp: rp.clone(),
            user_id: Some(user_id.to_vec()),
            aaguid: made.aaguid(),
            verification,
        }
    }

    // By what it is known again.
    fn fingerprint(&self, keys: &Keys) -> [u8; 32] {
        match self.id.as_slice() {
            [] => keys.credential_fingerprint(self.rp.as_str(), &self.public_key.to_cose()),
            id => keys.credential_fingerprint(self.rp.as_str(), id),
        }
    }
}

/// What came of adding a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyAdded {
    /// It is there, and counts.
    Added(DeviceId),
    /// This credential is a device of the user already.
    AlreadyThere(DeviceId),
    /// Somebody else has this credential.
    OfAnother,
    /// The user has other devices, and nobody vouched for one more.
    NotVouched,
    /// The user has too many devices.
    TooMany,
    /// The password that was typed, or a later one, was used here.
    Used,
}

impl KeyAdded {
    /// For whoever wanted it.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Added(_) => "the security key was added",
            Self::AlreadyThere(_) => "this security key is enrolled already",
            Self::OfAnother => "this credential belongs to somebody else here",
            Self::NotVouched => {
                "the user has got another device meanwhile: enrol the key again, with a code of it"
            }
            Self::TooMany => "the user has too many devices: remove one",
            Self::Used => {
                "that password, or a later one, was used on this host already: touch the key again. Where its \
                 secrets were written anew, first remove the devices that have the old ones"
            }
        }
    }
}

/// A key to be added.
#[derive(Debug)]
pub struct NewKey {
    /// FIDO2 or U2F.
    pub kind: FactorKind,
    /// What the owner calls it.
    pub name: DeviceName,
    /// What the key has made.
    pub credential: Credential,
    /// Its signature counter.
    pub sign_count: u32,
    /// Who stands behind it.
    pub vouched: Vouched,
    /// How it got here, for the audit.
    pub event: Event,
}

impl Store {
    /// Adds a key whose owner has touched it, or that another system knows; it counts at once.
    ///
    /// # Errors
    /// A [`StoreError`].
    pub fn add_key(&self, context: Context, user: UserName, new: NewKey) -> Result<KeyAdded, StoreError> {
        let kind = new.kind;
        let words = move |id| format!("{kind} device={id}");
        self.join(context, user, new.event, move |account| add(account, &new), words)
    }
}

/// Adds a key within the caller's transaction.
///
/// # Errors
/// Those of SQLite and of the random source.
pub(super) fn add(joining: &Joining<'_>, new: &NewKey) -> Result<KeyAdded, StoreError> {
    if let Some(refused) = refusal(joining, new)? {
        return Ok(refused);
    }
    let id = place(joining, new)?;
    device::mark_enrolled(joining.connection, joining.account, joining.now)?;
    Ok(KeyAdded::Added(id))
}

/// Makes the row of a key, sealed for it.
///
/// # Errors
/// Those of SQLite and of the random source.
pub(super) fn place(joining: &Joining<'_>, new: &NewKey) -> Result<DeviceId, StoreError> {
    let fingerprint = new.credential.fingerprint(joining.keys);
    // Where the credential was here before, its counter goes on from there.
    let before: Option<i64> = joining
        .connection
        .prepare_cached("SELECT max(next_position) FROM device WHERE fingerprint = ?1")?
        .query_row([fingerprint.as_slice()], |row| row.get(0))?;
    let newcomer = Newcomer {
        kind: new.kind,
        name: &new.name,
        vouched: new.vouched,
        fingerprint: Some(&fingerprint),
        next_position: before.unwrap_or(0).max(next_after(new.sign_count)).cast_unsigned(),
    };
    let plain = SecretBytes::new(spelled(&new.credential)?);
    joining.place(&newcomer, &plain, |id| associated(id, joining.account, new.kind))
}

/// Puts a credential into the row of a key.
///
/// # Errors
/// Those of SQLite and of the random source.
pub(super) fn seal(
    connection: &Connection,
    keys: &Keys,
    random: &dyn Random,
    (id, account, kind): (DeviceId, AccountId, FactorKind),
    credential: &Credential,
) -> Result<(), StoreError> {
    let plain = SecretBytes::new(spelled(credential)?);
    device::seal(connection, keys, random, id, &plain, &associated(id, account, kind))
}

/// A key that another system knows, where what it says of it can be one.
pub(super) fn imported(name: &DeviceName, what: &Imported) -> Option<NewKey> {
    let Imported::SecurityKey { kind, id, public_key, algorithm, rp_id, pin } = what else { return None };
    let bytes = |text: &str| HEXLOWER.decode(text.as_bytes()).ok();
    let (id, public_key) = (bytes(id)?, bytes(public_key)?);
    let public_key = match algorithm {
        KeyAlgorithm::Es256 => PublicKey::from_point(&[&[4], public_key.as_slice()].concat()).ok()?,
        KeyAlgorithm::EdDsa => PublicKey::from_ed25519(&public_key).ok()?,
    };
    let credential = Credential {
        id: Some(id)
            .filter(|id| id.len() <= MAX_CREDENTIAL_ID && (!id.is_empty() || *kind == KeyKind::Fido2))?,
        public_key,
        rp: RpId::new(rp_id).ok()?,
        user_id: None,
        aaguid: Aaguid::NONE,
        verification: if *pin { UserVerification::Required } else { UserVerification::NotAsked },
    };
    Some(NewKey {
        kind: FactorKind::from(*kind),
        name: name.clone(),
        credential,
        // The other system does not keep it.
        sign_count: 0,
        vouched: Vouched::Yes,
        event: Event::Imported,
    })
}

impl Device {
    /// The credential of a security key; `None` for every other device.
    ///
    /// # Errors
    /// [`StoreError::Seal`] where it was changed or belongs to another row.
    pub fn credential(&self, keys: &Keys) -> Result<Option<Credential>, StoreError> {
        if !matches!(self.kind, FactorKind::Fido2 | FactorKind::U2f) {
            return Ok(None);
        }
        let associated = associated(self.id, self.account, self.kind);
        let plain = self.sealed.as_deref().and_then(|sealed| keys.open(sealed, &associated));
        let plain = plain.ok_or(StoreError::Seal(self.id.0))?;
        read(plain.expose()).map(Some).ok_or(StoreError::Corrupt("a credential of a security key"))
    }

    /// The same, as what an answer of a key is held against.
    ///
    /// # Errors
    /// As [`Device::credential`].
    pub fn known_credential(
        &self,
        keys: &Keys,
    ) -> Result<Option<(verify::Credential, Credential)>, StoreError> {
        let Some(stored) = self.credential(keys)? else { return Ok(None) };
        // One below the lowest that may be accepted; a key that has never counted may still say 0.
        let sign_count = u32::try_from(self.next_position().saturating_sub(1))
            .map_err(|_| StoreError::Corrupt("a signature counter beyond 32 bits"))?;
        let known = verify::Credential {
            device: self.id,
            id: stored.id.clone(),
            public_key: stored.public_key.clone(),
            sign_count,
            user_id: stored.user_id.clone(),
        };
        Ok(Some((known, stored)))
    }
}

// Which counter may come next, after this one.
pub(super) fn next_after(sign_count: u32) -> i64 {
    if sign_count == 0 { 0 } else { i64::from(sign_count) + 1 }
}

fn refusal(joining: &Joining<'_>, new: &NewKey) -> Result<Option<KeyAdded>, StoreError> {
    let Joining { connection, keys, account, .. } = joining;
    let fingerprint = new.credential.fingerprint(keys);
    if let Some(there) = device::holder_of(connection, *account, &fingerprint)? {
        return Ok(Some(KeyAdded::AlreadyThere(there)));
    }
    // WebAuthn section 7.1 step 22.
    let elsewhere: bool = connection
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM device WHERE fingerprint = ?1 AND status <> 'removed')",
        )?
        .query_row([fingerprint.as_slice()], |row| row.get(0))?;
    if elsewhere {
        return Ok(Some(KeyAdded::OfAnother));
    }
    joining.refusal(Some(&fingerprint), new.vouched)
}

fn associated(id: DeviceId, account: AccountId, kind: FactorKind) -> Vec<u8> {
    format!("device.sealed id={id} account={} kind={kind} credential", account.0).into_bytes()
}

/// How it is written down; this must be read for ever.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Spelled {
    id: String,
    public_key: String,
    rp: String,
    user_id: Option<String>,
    aaguid: String,
    verification: Asked,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Asked {
    Touch,
    User,
}

fn spelled(credential: &Credential) -> Result<Vec<u8>, StoreError> {
    let spelled = Spelled {
        id: HEXLOWER.encode(&credential.id),
        public_key: HEXLOWER.encode(&credential.public_key.to_cose()),
        rp: credential.rp.as_str().to_owned(),
        user_id: credential.user_id.as_deref().map(|id| HEXLOWER.encode(id)),
        aaguid: HEXLOWER.encode(&credential.aaguid.0),
        verification: match credential.verification {
            UserVerification::NotAsked => Asked::Touch,
            UserVerification::Required => Asked::User,
        },
    };
    serde_json::to_vec(&spelled).map_err(|_| StoreError::Corrupt("a credential that cannot be written down"))
}

fn read(plain: &[u8]) -> Option<Credential> {
    let spelled: Spelled = serde_json::from_slice(plain).ok()?;
    let bytes = |text: &str| HEXLOWER.decode(text.as_bytes()).ok();
    Some(Credential {
        id: bytes(&spelled.id)?,
        public_key: PublicKey::from_cose(&bytes(&spelled.public_key)?).ok()?,
        rp: RpId::new(&spelled.rp).ok()?,
        user_id: match spelled.user_id {
            Some(text) => Some(bytes(&text)?),
            None => None,
        },
        aaguid: Aaguid(bytes(&spelled.aaguid)?.try_into().ok()?),
        verification: match spelled.verification {
            Asked::Touch => UserVerification::NotAsked,
            Asked::User => UserVerification::Required,
        },
    })
}
