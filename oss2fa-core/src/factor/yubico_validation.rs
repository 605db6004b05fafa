//! The words of the validation protocol 2.0 ("OTP Validation Protocol Version 2.0" of Yubico), for whoever asks
//! and whoever answers: statuses, signatures, and what makes an answer evidence. What is sent where is not here.

use std::collections::BTreeMap;
use std::fmt;

use data_encoding::BASE64;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use subtle::ConstantTimeEq;

use super::yubico_otp::{Touch, TypedOtp};
use crate::ids::DeviceId;
use crate::secret::SecretBytes;
use crate::verdict::{FactorKind, Verified};

/// Longest answer that is looked at, in bytes.
pub const LONGEST_ANSWER: usize = 4096;

/// Fewest and most characters of a nonce.
pub const NONCE: std::ops::RangeInclusive<usize> = 16..=40;

/// What an answer says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// The password is right and was not used.
    Ok,
    /// It is not one.
    BadOtp,
    /// It, or a later one, was accepted.
    ReplayedOtp,
    /// The signature of the request is wrong.
    BadSignature,
    /// The request lacks something.
    MissingParameter,
    /// There is no client of this id.
    NoSuchClient,
    /// The client may not ask.
    OperationNotAllowed,
    /// The server failed.
    BackendError,
    /// The server did not hear from enough others.
    NotEnoughAnswers,
    /// The very request was seen.
    ReplayedRequest,
}

impl Status {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Ok,
        Self::BadOtp,
        Self::ReplayedOtp,
        Self::BadSignature,
        Self::MissingParameter,
        Self::NoSuchClient,
        Self::OperationNotAllowed,
        Self::BackendError,
        Self::NotEnoughAnswers,
        Self::ReplayedRequest,
    ];

    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::BadOtp => "BAD_OTP",
            Self::ReplayedOtp => "REPLAYED_OTP",
            Self::BadSignature => "BAD_SIGNATURE",
            Self::MissingParameter => "MISSING_PARAMETER",
            Self::NoSuchClient => "NO_SUCH_CLIENT",
            Self::OperationNotAllowed => "OPERATION_NOT_ALLOWED",
            Self::BackendError => "BACKEND_ERROR",
            Self::NotEnoughAnswers => "NOT_ENOUGH_ANSWERS",
            Self::ReplayedRequest => "REPLAYED_REQUEST",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == word)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What client and server sign with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey(SecretBytes);

impl ApiKey {
    /// Of these bytes; `None` where they are fewer than 16, which is no key, or more than 64.
    #[must_use]
    pub fn new(bytes: SecretBytes) -> Option<Self> {
        (16..=64).contains(&bytes.expose().len()).then_some(Self(bytes))
    }

    /// Reads one as it is handed out: in base64.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        BASE64.decode(text.trim().as_bytes()).ok().map(SecretBytes::new).and_then(Self::new)
    }

    /// The bytes. Each call is a place to look at in a review.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        self.0.expose()
    }

    /// The signature of fields: HMAC-SHA1, in base64, over `name=value` in the order of their names with `&`
    /// between them, without `h`.
    #[must_use]
    pub fn sign<'a>(&self, fields: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
        BASE64.encode(&self.mac(&sorted(fields)))
    }

    /// Whether `signature` is that of these fields, in a time that does not depend on either.
    #[must_use]
    pub fn signed<'a>(
        &self,
        fields: impl IntoIterator<Item = (&'a str, &'a str)>,
        signature: &str,
    ) -> Option<Signed> {
        let given = BASE64.decode(signature.as_bytes()).ok()?;
        bool::from(self.mac(&sorted(fields)).as_slice().ct_eq(&given)).then_some(Signed(()))
    }

    fn mac(&self, fields: &BTreeMap<&str, &str>) -> Vec<u8> {
        // HMAC takes keys of any length: without one nothing has this signature.
        let Ok(mut mac) = <Hmac<Sha1> as KeyInit>::new_from_slice(self.0.expose()) else { return Vec::new() };
        for (n, (name, value)) in fields.iter().enumerate() {
            let between = if n == 0 { "" } else { "&" };
            for part in [between, name, "=", value] {
                mac.update(part.as_bytes());
            }
        }
        mac.finalize().into_bytes().to_vec()
    }
}

fn sorted<'a>(fields: impl IntoIterator<Item = (&'a str, &'a str)>) -> BTreeMap<&'a str, &'a str> {
    fields.into_iter().filter(|(name, _)| *name != "h").collect()
}

/// A signature was right: made by [`ApiKey::signed`] alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signed(());

/// Whether a text can be a nonce: 16 to 40 letters and digits.
#[must_use]
pub fn is_nonce(text: &str) -> bool {
    NONCE.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// What was asked.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// About which device.
    pub device: DeviceId,
    /// The password.
    pub otp: &'a TypedOtp,
    /// What no question had before.
    pub nonce: &'a str,
    /// What the answer must be signed with.
    pub key: &'a ApiKey,
}

/// What an answer is worth.
#[derive(Debug, PartialEq, Eq)]
pub enum Judged {
    /// It says that the password is right, and of which touch it is.
    Right(Verified, Touch),
    /// It says that it is not, and means this very question.
    Wrong(Status),
    /// Its server saw this very question, from a server beside it: that one's answer counts.
    Seen,
    /// Its server cannot say.
    Failed(Status),
    /// It is no answer to this question: what is wrong with it.
    Unusable(&'static str),
}

impl Question<'_> {
    /// What to send, without the signature: `id` is the client's.
    #[must_use]
    pub fn fields<'f>(&'f self, id: &'f str, otp: &'f str) -> [(&'static str, &'f str); 4] {
        [("id", id), ("nonce", self.nonce), ("otp", otp), ("timestamp", "1")]
    }

    /// Judges the body of an answer. It is evidence only where it says OK, is signed with the key, names this
    /// password and this nonce, and tells the counters, so that it can be spent here as well.
    #[must_use]
    pub fn judge(&self, body: &str) -> Judged {
        let Some(fields) = read(body) else { return Judged::Unusable("it is not an answer of the protocol") };
        let Some(status) = fields.get("status").copied().and_then(Status::parse) else {
            return Judged::Unusable("it has no status");
        };
        let signature = fields.get("h").copied().unwrap_or_default();
        let pairs = fields.iter().map(|(name, value)| (*name, *value));
        if self.key.signed(pairs, signature).is_none() {
            // A server that does not know the client cannot sign what it answers; it refuses all the same.
            return match status {
                Status::NoSuchClient
                | Status::BadSignature
                | Status::MissingParameter
                | Status::OperationNotAllowed
                | Status::BackendError => Judged::Failed(status),
                _ if signature.is_empty() => Judged::Unusable("it is not signed"),
                _ => Judged::Unusable("its signature is wrong: look at the client's key"),
            };
        }
        if fields.get("nonce").copied() != Some(self.nonce) {
            return match status {
                Status::Ok | Status::BadOtp | Status::ReplayedOtp | Status::ReplayedRequest => {
                    Judged::Unusable("it has the nonce of another question")
                }
                failed => Judged::Failed(failed),
            };
        }
        let about = fields.get("otp").and_then(|otp| TypedOtp::read(otp));
        match status {
            Status::Ok | Status::BadOtp | Status::ReplayedOtp | Status::ReplayedRequest
                if about.as_ref() != Some(self.otp) =>
            {
                Judged::Unusable("it is about another password")
            }
            Status::Ok => match touch(&fields) {
                Some(touch) => Judged::Right(
                    Verified::by_check(self.device, FactorKind::YubicoOtp, touch.position()),
                    touch,
                ),
                None => Judged::Unusable("it does not tell the counters of the key (timestamp=1)"),
            },
            Status::BadOtp | Status::ReplayedOtp => Judged::Wrong(status),
            Status::ReplayedRequest => Judged::Seen,
            Status::BadSignature
            | Status::MissingParameter
            | Status::NoSuchClient
            | Status::OperationNotAllowed
            | Status::BackendError
            | Status::NotEnoughAnswers => Judged::Failed(status),
        }
    }
}

/// The lines of an answer. Each name stands once: nobody has to guess which of two was signed.
fn read(body: &str) -> Option<BTreeMap<&str, &str>> {
    if body.len() > LONGEST_ANSWER {
        return None;
    }
    let mut fields = BTreeMap::new();
    for line in body.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once('=')?;
        let plain = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if !plain || fields.insert(name, value).is_some() {
            return None;
        }
    }
    Some(fields)
}

fn touch(fields: &BTreeMap<&str, &str>) -> Option<Touch> {
    let plain =
        |name: &str| fields.get(name).copied().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    Some(Touch {
        session: plain("sessioncounter")?.parse().ok()?,
        used: plain("sessionuse")?.parse().ok()?,
        clock: plain("timestamp")?.parse().ok()?,
    })
}
