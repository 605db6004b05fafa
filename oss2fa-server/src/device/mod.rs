//! Device kinds: each one module behind one trait. To add a kind, add a folder and a line to [`Kinds::all`].
//!
//! A kind has no state and touches no store: it is given what was kept for the device, enrollment or
//! challenge, and says what to keep, what to show and what to send. Both preparing and challenging may take
//! several steps: an answer can give one more step instead of a verdict.

pub mod app;
pub mod email;
pub mod fido;
pub mod hotp;
mod otp;
mod otp_material;
pub mod recovery_code;
mod sent;
pub mod sms;
pub mod totp;
pub mod yubikey;

use std::sync::Arc;

use oss2fa_core::factor::recovery_code::StoredCode;
use oss2fa_core::factor::yubico_otp::{PublicId, TypedOtp};
use oss2fa_core::ids::DeviceId;
use oss2fa_core::random::Random;
use oss2fa_core::secret::{SecretBytes, SecretText};
use oss2fa_core::verdict::Verified;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::ids::Username;
use crate::keys::TenantKeys;
use crate::message::{EmailAddress, PhoneNumber};
use crate::outside::Timestamp;
use crate::policy::Policy;
use crate::store::error::StoreError;

/// How a kind is told apart, in the API and on a page.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub struct Description {
    /// Its number; never changes.
    pub pk: i64,
    /// Its name, as `prepare-device` takes it.
    pub name: &'static str,
    /// What it is, for people.
    pub description: &'static str,
}

/// What a kind may know when it is asked.
pub struct Surroundings<'a> {
    /// The rules of the integration.
    pub policy: &'a Policy,
    /// Who asks: shown in apps and messages.
    pub issuer: &'a str,
    /// For whom.
    pub username: &'a Username,
    /// What devices of the client keep that are relatives of the kind, where it has any ([`Kind::relatives`]) and
    /// one more is prepared.
    pub registered: &'a [SecretBytes],
    /// The tenant's keys: for digests.
    pub keys: &'a TenantKeys,
    /// Random bytes.
    pub random: &'a dyn Random,
    /// The time.
    pub now: Timestamp,
}

/// A message to send.
#[derive(Debug, Clone)]
pub enum Outgoing {
    /// A code by e-mail.
    Mail {
        /// To whom.
        to: EmailAddress,
        /// The code.
        code: SecretText,
    },
    /// A code by SMS.
    Sms {
        /// To whom.
        to: PhoneNumber,
        /// The code.
        code: SecretText,
    },
}

impl Outgoing {
    /// Where it goes, in one spelling: mail systems take small letters for large ones.
    #[must_use]
    pub fn address(&self) -> String {
        match self {
            Self::Mail { to, .. } => to.as_str().to_ascii_lowercase(),
            Self::Sms { to, .. } => to.as_str().to_owned(),
        }
    }
}

/// A step that waits for its answer.
#[derive(Debug)]
pub struct Step {
    /// What the kind wants back with the answer; the store seals it.
    pub state: SecretBytes,
    /// What the application is shown; kept sealed too, since it can hold the secret.
    pub shown: Option<Value>,
    /// What is to be sent.
    pub send: Option<Outgoing>,
}

/// A device that was proved and is to be stored.
#[derive(Debug)]
pub struct NewDevice {
    /// What a person calls it until they rename it.
    pub name: String,
    /// What may be shown: a masked address.
    pub shown: Option<String>,
    /// What the kind wants back at each challenge; the store seals it.
    pub material: SecretBytes,
    /// The secret that makes its codes, where one does: its fingerprint keeps used codes used. Of a security key
    /// what tells its credential from others.
    pub code_secret: Option<SecretBytes>,
    /// The lowest time step or counter that may still be accepted.
    pub next_position: u64,
    /// Keyed digests of single-use codes that are unused.
    pub codes: Vec<StoredCode>,
    /// By what its passwords name it, where they do: there is one such device in an integration.
    pub public_id: Option<PublicId>,
}

/// What came of an answer to an enrollment.
#[derive(Debug)]
pub enum Enrolled {
    /// The device is proved.
    Device(NewDevice),
    /// One more step.
    Another(Step),
    /// What policy does not take, in words for its owner.
    Unfit(&'static str),
    /// The device is proved, and to be stored, if the validation servers say that this password is right.
    Ask(TypedOtp, NewDevice),
    /// Wrong.
    Refused,
}

/// A stored device.
#[derive(Debug)]
pub struct StoredDevice {
    /// Its number.
    pub pk: DeviceId,
    /// What the kind kept.
    pub material: SecretBytes,
    /// The lowest time step or counter that may still be accepted.
    pub next_position: u64,
    /// Unused single-use codes, with their numbers.
    pub codes: Vec<StoredCode>,
}

/// What a right answer spends; the store's conditional update.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spend {
    /// `next_position` of the device rises above the position of the evidence.
    Position,
    /// The single-use code whose number is the position of the evidence.
    Code,
    /// The challenge itself: it can be completed once.
    Challenge,
    /// The challenge, and the signature counter: `next_position` rises above the position of the evidence, which a
    /// key that does not count leaves at 0. One that went back is a key that was copied.
    Counter,
    /// Nothing: an app may show its token again. The row count says that the device is still there.
    Nothing,
}

/// What came of an answer to a challenge.
#[derive(Debug)]
pub enum Answered {
    /// Right: what it proves, and what it spends.
    Verified(Verified, Spend),
    /// One more step.
    Another(Step),
    /// Right if the validation servers say so; what they vouch for spends the position.
    Ask(TypedOtp),
    /// Wrong.
    Refused,
}

/// What a person or a program answered: the `token` of a request. Text for codes; a kind may take an object.
#[derive(Clone)]
pub struct Token(Value);

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(***)")
    }
}

/// A `token` that is one of no kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the token must be text, as in {{\"token\": \"123456\"}}, or for FIDO2 and U2F the object that the browser gave"
)]
pub struct NoToken;

impl Token {
    /// Takes what stands in the request. A number is none: it has lost the zeros that a code may begin with.
    ///
    /// # Errors
    /// [`NoToken`] for what is neither text nor an object: nobody's try.
    pub fn read(value: Value) -> Result<Self, NoToken> {
        match value {
            Value::String(_) | Value::Object(_) => Ok(Self(value)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => Err(NoToken),
        }
    }

    /// Takes a code, which is text.
    ///
    /// # Errors
    /// [`NoToken`] for all else: nobody's try.
    pub fn typed(value: Value) -> Result<Self, NoToken> {
        if value.is_string() { Ok(Self(value)) } else { Err(NoToken) }
    }

    /// The text, where it is one.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        self.0.as_str()
    }

    /// Whatever it is.
    #[must_use]
    pub fn value(&self) -> &Value {
        &self.0
    }
}

/// Why a kind could not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum KindError {
    /// The options of the request do not fit.
    #[error("{0}")]
    Options(String),
    /// Policy does not offer it.
    #[error(transparent)]
    NotOffered(#[from] NotOffered),
    /// What was kept makes no sense, or there is no randomness.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a kind is not offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotOffered {
    /// Nobody said for whom credentials are made.
    #[error(
        "the policy of this integration names no relying party for security keys: an administrator sets fido.rp_id \
         and fido.origins"
    )]
    NoRelyingParty,
    /// The credential was made for another one.
    #[error("this security key was enrolled for another fido.rp_id than policy has now: enroll it again")]
    OtherRelyingParty,
    /// Such keys can be touched, and no more.
    #[error(
        "the policy of this integration asks keys to verify their user, which U2F keys cannot: use FIDO2"
    )]
    CannotVerifyUser,
}

/// One kind of device.
pub trait Kind: Send + Sync {
    /// Number, name, words.
    fn description(&self) -> Description;

    /// Whether policy has what the kind needs.
    ///
    /// # Errors
    /// [`NotOffered`].
    fn offered(&self, _: &Policy) -> Result<(), NotOffered> {
        Ok(())
    }

    /// Wrong answers that one challenge takes.
    fn attempts(&self, policy: &Policy) -> u32 {
        policy.attempts
    }

    /// Kinds whose devices of the client [`Kind::prepare`] wants to know.
    fn relatives(&self) -> &'static [&'static str] {
        &[]
    }

    /// Begins to enroll a device. `options` are those of `prepare-device`.
    ///
    /// # Errors
    /// [`KindError`].
    fn prepare(&self, around: &Surroundings<'_>, enrollment: i64, options: &Value)
    -> Result<Step, KindError>;

    /// Takes the answer to the enrollment's last step.
    ///
    /// # Errors
    /// [`KindError`].
    fn enroll(
        &self,
        around: &Surroundings<'_>,
        enrollment: i64,
        state: &SecretBytes,
        token: &Token,
    ) -> Result<Enrolled, KindError>;

    /// Begins a challenge; `None` where nothing is to be kept, shown or sent.
    ///
    /// # Errors
    /// [`KindError`].
    fn challenge(
        &self,
        around: &Surroundings<'_>,
        device: &StoredDevice,
        challenge: i64,
    ) -> Result<Option<Step>, KindError>;

    /// Takes the answer to a challenge; `state` is what its last step kept.
    ///
    /// # Errors
    /// [`KindError`].
    fn answer(
        &self,
        around: &Surroundings<'_>,
        device: &StoredDevice,
        challenge: Option<(i64, &SecretBytes)>,
        token: &Token,
    ) -> Result<Answered, KindError>;

    /// Takes a token without a challenge, as [`Kind::answer`] does; nothing where by its shape alone it is no try at
    /// this device. At kinds that need a challenge first none is one.
    fn tried(
        &self,
        _: &Surroundings<'_>,
        _: &StoredDevice,
        _: &Token,
    ) -> Option<Result<Answered, KindError>> {
        None
    }
}

/// The kinds that this server knows.
#[derive(Clone)]
pub struct Kinds(Arc<Vec<Box<dyn Kind>>>);

impl Kinds {
    /// All of them, in the order of their numbers.
    #[must_use]
    pub fn all() -> Self {
        Self(Arc::new(vec![
            Box::new(totp::Totp),
            Box::new(hotp::Hotp),
            Box::new(email::Email),
            Box::new(sms::Sms),
            Box::new(recovery_code::RecoveryCodes),
            Box::new(fido::SecurityKey(fido::Model::U2f)),
            Box::new(fido::SecurityKey(fido::Model::Fido2)),
            Box::new(yubikey::Yubikey),
        ]))
    }

    /// The one of this name, in any case.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<&dyn Kind> {
        self.0.iter().map(|kind| &**kind).find(|kind| kind.description().name.eq_ignore_ascii_case(name))
    }

    /// All of them.
    pub fn descriptions(&self) -> impl Iterator<Item = Description> {
        self.0.iter().map(|kind| kind.description())
    }

    /// Those that a policy offers.
    pub fn offered(&self, policy: &Policy) -> impl Iterator<Item = Description> {
        let offered =
            |kind: &&dyn Kind| policy.allows_kind(kind.description().name) && kind.offered(policy).is_ok();
        self.0.iter().map(|kind| &**kind).filter(offered).map(|kind| kind.description())
    }
}
