//! What a host is told of a client's security key, so that it finds the key that is plugged into it, and knows its owner
//! while no server can be reached: public halves alone.

use serde::Serialize;
use utoipa::ToSchema;

use super::super::{KindError, StoredDevice, Surroundings};
use super::credential::Credential;
use super::relying_party::RelyingParty;

/// What a host must ask of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum HostAsks {
    /// A touch.
    Touch,
    /// That it makes sure who touches it.
    User,
}

/// The public half of a security key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct HostKey {
    /// Number of the device.
    pub device: i64,
    /// Name of its kind: U2F or FIDO2.
    pub kind: String,
    /// What its owner calls it.
    pub name: String,
    /// The domain that the credential was made for.
    pub rp_id: String,
    /// Its id, in base64url without padding.
    pub credential_id: String,
    /// Its public key: a `COSE_Key` in base64url without padding.
    pub public_key: String,
    /// The last signature counter; 0 where the key does not count.
    pub sign_count: u32,
    /// What a login must ask of the key.
    pub asks: HostAsks,
}

impl HostKey {
    /// `None` for a credential that policy does not offer now: one that was made for another domain, or where hosts are
    /// not let in.
    ///
    /// # Errors
    /// [`KindError`].
    pub fn of(
        around: &Surroundings<'_>,
        (kind, name): (String, String),
        device: &StoredDevice,
    ) -> Result<Option<Self>, KindError> {
        if !around.policy.fido.takes_hosts() {
            return Ok(None);
        }
        let party = RelyingParty::of(around, around.policy.challenge_expiry)?;
        let credential = Credential::read(&device.material)?;
        if credential.rp_id != party.id {
            return Ok(None);
        }
        let asks = party.host_need(&credential);
        let sign_count = u32::try_from(device.next_position.saturating_sub(1)).unwrap_or(u32::MAX);
        let Credential { rp_id, credential_id, public_key, .. } = credential;
        Ok(Some(Self { device: device.pk.0, kind, name, rp_id, credential_id, public_key, sign_count, asks }))
    }
}
