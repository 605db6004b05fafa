//! Believing a key: the checks of a login and of an enrolment (WebAuthn sections 7.2 and 7.1).
//!
//! Each takes what a key has sent and gives evidence, or a [`Refusal`]. What a check was made for (challenge,
//! rp id, policy) is in the value that makes it, and that value is used up by it: a challenge is good for one
//! answer. The evidence says that the answer was right; that no other login was faster with the same counter is
//! the store's conditional update.

mod attestation;
mod certificate;
mod client_data;
mod login;
mod registration;
mod relayed;

use std::fmt;

pub use attestation::{Aaguids, AttestationPolicy, Attested, Demand};
pub use certificate::Anchor;
pub use client_data::{BadRpId, ClientData, MAX_RP_ID, RpId};
pub use login::{Asserted, Credential, Login};
pub use registration::{Enrolled, Registration, RegistrationPolicy};
pub use relayed::{BadChallenge, RelayedLogin, RelayedRegistration};

use crate::error::Malformed;

/// What a policy wants to know about the user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UserVerification {
    /// That somebody touched the key.
    NotAsked,
    /// That the key knows who: by PIN, finger or the like.
    Required,
}

/// What the key said about the user, under its signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum User {
    /// Somebody touched it.
    Present,
    /// It knows who.
    Verified,
}

/// Why an answer of a key is not believed. For the audit and the administrator; a user is told that the login
/// failed, in the same words for all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// The credential is not one of this user's.
    UnknownCredential,
    /// The key names another owner.
    OtherUser,
    /// The answer cannot be read.
    Malformed(&'static str),
    /// It was made for another rp id.
    RpId,
    /// Nobody touched the key.
    NotPresent,
    /// The key does not say that it knows who.
    NotVerified,
    /// The signature is not one of this credential over this challenge.
    Signature,
    /// The signature counter stands still or goes back: there are two of this key.
    Cloned {
        /// The counter that was seen last.
        stored: u32,
        /// The counter of this answer.
        seen: u32,
    },
    /// An algorithm that was not asked for.
    Algorithm,
    /// There is no new credential in the answer.
    NoCredential,
    /// The credential is weaker protected than was asked for.
    Protection,
    /// The model of key is not allowed.
    Model,
    /// The policy asks for an attestation, and there is none.
    NotAttested,
    /// A format of attestation that is not known here.
    AttestationFormat,
    /// The attestation is not right.
    Attestation(&'static str),
    /// The attestation is right, and by nobody that the policy trusts.
    Untrusted,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::Malformed(what) => return write!(f, "what the security key sent is no {what}"),
            Self::Cloned { stored, seen } => {
                return write!(
                    f,
                    "the signature counter is {seen} and was {stored} before: this key may have been cloned; \
                     remove it and enrol another one"
                );
            }
            Self::Attestation(what) => return write!(f, "the key's attestation is not right: {what}"),
            Self::UnknownCredential => "the credential is not one of this user's",
            Self::OtherUser => "the credential belongs to somebody else",
            Self::RpId => "the answer was made for another rp id",
            Self::NotPresent => "nobody touched the security key",
            Self::NotVerified => "the security key did not verify its user, and the policy asks for that",
            Self::Signature => "the signature does not fit the credential and the challenge",
            Self::Algorithm => "the credential's algorithm was not asked for",
            Self::NoCredential => "the answer has no new credential",
            Self::Protection => "the credential is weaker protected than was asked for",
            Self::Model => "this model of security key is not allowed here",
            Self::NotAttested => "the policy asks for an attestation, and the security key gave none",
            Self::AttestationFormat => "the format of the key's attestation is not known here",
            Self::Untrusted => "the key's attestation is by nobody that the policy trusts",
        };
        f.write_str(text)
    }
}

impl std::error::Error for Refusal {}

impl From<Malformed> for Refusal {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(malformed.0)
    }
}

// Flags that every answer is held against, in the order of WebAuthn section 7.2, steps 13, 16 and 17.
fn user(
    data: &crate::auth_data::AuthenticatorData,
    rp: &RpId,
    asked: UserVerification,
) -> Result<User, Refusal> {
    if data.rp_id_hash != rp.hash() {
        return Err(Refusal::RpId);
    }
    if !data.flags.user_present() {
        return Err(Refusal::NotPresent);
    }
    match (data.flags.user_verified(), asked) {
        (true, _) => Ok(User::Verified),
        (false, UserVerification::NotAsked) => Ok(User::Present),
        (false, UserVerification::Required) => Err(Refusal::NotVerified),
    }
}
