//! Security keys: FIDO2 and U2F by Web Authentication, for a browser that asks the key.
//!
//! Two hold each answer: `webauthn-rs` does the protocol, and [`oss2fa_core::factor::fido`] looks once more at what
//! was signed and alone makes the evidence. The origin is compared whole by ours, and so is what browsers say of
//! frames, which `webauthn-rs` does not look at in a login. What a device keeps is [`credential::Credential`].

mod attested;
pub mod credential;
mod enrollment;
pub mod for_hosts;
mod login;
mod relying_party;

use data_encoding::BASE64URL_NOPAD;
use oss2fa_core::secret::SecretBytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    Answered, Description, Enrolled, Kind, KindError, NotOffered, Step, StoredDevice, Surroundings, Token,
};
use crate::policy::Policy;
use crate::policy::fido::UserVerification;
use crate::store::error::StoreError;

/// Names of the kinds whose devices are credentials of security keys.
pub const KINDS: [&str; 2] = ["U2F", "FIDO2"];

/// What a key must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Model {
    /// Any that browsers speak to.
    Fido2,
    /// One that knows U2F alone: it can be touched, and no more.
    U2f,
}

/// The kind.
pub struct SecurityKey(pub Model);

impl Kind for SecurityKey {
    fn description(&self) -> Description {
        match self.0 {
            Model::U2f => {
                Description { pk: 6, name: "U2F", description: "A security key that knows U2F alone" }
            }
            Model::Fido2 => Description { pk: 7, name: "FIDO2", description: "A security key" },
        }
    }

    fn offered(&self, policy: &Policy) -> Result<(), NotOffered> {
        match (&policy.fido.rp_id, self.0, policy.fido.user_verification) {
            (None, _, _) => Err(NotOffered::NoRelyingParty),
            (Some(_), Model::U2f, UserVerification::Required) => Err(NotOffered::CannotVerifyUser),
            (Some(_), _, _) => Ok(()),
        }
    }

    /// One: a challenge is worth nothing once it was answered.
    fn attempts(&self, _: &Policy) -> u32 {
        1
    }

    fn relatives(&self) -> &'static [&'static str] {
        &KINDS
    }

    fn prepare(&self, around: &Surroundings<'_>, _: i64, options: &Value) -> Result<Step, KindError> {
        match options {
            Value::Null => {}
            Value::Object(fields) if fields.is_empty() => {}
            _ => return Err(KindError::Options("this kind has no options".to_owned())),
        }
        enrollment::prepare(around, self.0)
    }

    fn enroll(
        &self,
        around: &Surroundings<'_>,
        _: i64,
        state: &SecretBytes,
        token: &Token,
    ) -> Result<Enrolled, KindError> {
        enrollment::enroll(around, self.0, state, token)
    }

    fn challenge(
        &self,
        around: &Surroundings<'_>,
        device: &StoredDevice,
        _: i64,
    ) -> Result<Option<Step>, KindError> {
        login::challenge(around, device).map(Some)
    }

    fn answer(
        &self,
        around: &Surroundings<'_>,
        device: &StoredDevice,
        challenge: Option<(i64, &SecretBytes)>,
        token: &Token,
    ) -> Result<Answered, KindError> {
        match challenge {
            Some((_, state)) => login::answer(around, device, state, token),
            None => Ok(Answered::Refused),
        }
    }
}

/// What a step keeps: the challenge, which is sealed for its row and so for one client and purpose, and what
/// `webauthn-rs` wants back.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept<T> {
    challenge: String,
    state: T,
}

impl<T: Serialize + DeserializeOwned> Kept<T> {
    fn pack(challenge: &[u8], state: T) -> Result<SecretBytes, StoreError> {
        let kept = Self { challenge: BASE64URL_NOPAD.encode(challenge), state };
        serde_json::to_vec(&kept).map(SecretBytes::new).map_err(|_| StoreError::Corrupt("a step"))
    }

    fn unpack(kept: &SecretBytes) -> Result<Self, StoreError> {
        serde_json::from_slice(kept.expose()).map_err(|_| StoreError::Corrupt("a step that makes no sense"))
    }

    fn challenge(&self) -> Result<Vec<u8>, StoreError> {
        BASE64URL_NOPAD
            .decode(self.challenge.as_bytes())
            .map_err(|_| StoreError::Corrupt("a step without its challenge"))
    }
}

/// What the browser gave, where it is of this form.
fn given<T: DeserializeOwned>(token: &Token) -> Option<T> {
    token.value().is_object().then(|| serde_json::from_value(token.value().clone()).ok()).flatten()
}

/// For the log alone; whoever sent the answer is told that it is wrong.
fn note(why: &dyn std::fmt::Display) {
    tracing::debug!(code = "security_key_refused", %why, "the answer of a security key was refused");
}
