//! authenticatorMakeCredential: a new credential (CTAP 2.1 section 6.1).

use zeroize::Zeroizing;

use super::client_pin::Token;
use super::{descriptors, options, request};
use crate::cbor::{self, Value};
use crate::cose::Algorithm;
use crate::error::{KeyError, Malformed};
use crate::hid::Channel;
use crate::transport::{HidTransport, Patience};

const COMMAND: u8 = 0x01;
const WHAT: &str = "new credential";

/// How a credential is protected against being used or found without its user (section 12.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protection {
    /// Not further.
    Optional,
    /// Found without verification only by who knows its id.
    OptionalWithList,
    /// Neither found nor used without verification.
    Required,
}

impl Protection {
    /// Its number.
    #[must_use]
    pub fn level(self) -> i64 {
        match self {
            Self::Optional => 1,
            Self::OptionalWithList => 2,
            Self::Required => 3,
        }
    }

    pub(crate) fn from_level(level: i64) -> Option<Self> {
        match level {
            1 => Some(Self::Optional),
            2 => Some(Self::OptionalWithList),
            3 => Some(Self::Required),
            _ => None,
        }
    }
}

/// Where a credential is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Residence {
    /// Found by its id alone; it takes no room on the key.
    ById,
    /// In the key, found by its rp id.
    Resident,
}

/// How the user is to be verified by the request itself.
#[derive(Debug, Clone, Copy)]
pub enum Verification<'a> {
    /// Not at all: a touch is enough.
    None,
    /// By a token that a PIN or a finger has given.
    Token(&'a Token),
    /// By the key, in the same step (CTAP 2.0, option `uv`).
    BuiltIn,
    /// An empty proof, at which a key of CTAP 2.0 waits for its touch and then refuses (section 6.1.2 step 1).
    Selecting,
}

impl Verification<'_> {
    pub(super) fn option(&self) -> Option<bool> {
        matches!(self, Self::BuiltIn).then_some(true)
    }

    pub(super) fn proof(&self, client_data_hash: &[u8; 32]) -> (Option<Value>, Option<Value>) {
        match self {
            Self::Token(token) => (
                Some(Value::Bytes(token.authenticate(client_data_hash))),
                Some(Value::number(token.protocol().number())),
            ),
            Self::Selecting => (Some(Value::Bytes(Vec::new())), Some(Value::number(1))),
            Self::None | Self::BuiltIn => (None, None),
        }
    }
}

/// What to make.
#[derive(Debug, Clone)]
pub struct MakeCredential<'a> {
    /// SHA-256 of the client data.
    pub client_data_hash: &'a [u8; 32],
    /// Whom the credential is for.
    pub rp_id: &'a str,
    /// Who its owner is: 1 to 64 bytes without personal data (WebAuthn section 5.4.3).
    pub user_id: &'a [u8],
    /// A name that the key may show.
    pub user_name: &'a str,
    /// Algorithms, the preferred one first.
    pub algorithms: &'a [Algorithm],
    /// Credentials of which none must be on the key.
    pub exclude: &'a [Vec<u8>],
    /// Where to keep it.
    pub residence: Residence,
    /// How to protect it; `None` where the key does not know of it.
    pub protection: Option<Protection>,
    /// How the user is verified.
    pub verification: Verification<'a>,
}

impl MakeCredential<'_> {
    /// The request's bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let pair = |key: &str, value: Value| (Value::text(key), value);
        let named = |id: Value| vec![pair("id", id)];
        let mut user = named(Value::bytes(self.user_id));
        user.push(pair("name", Value::text(self.user_name)));
        let algorithm = |algorithm: &Algorithm| {
            Value::Map(vec![
                pair("alg", Value::number(algorithm.id())),
                pair("type", Value::text("public-key")),
            ])
        };
        let protection = self
            .protection
            .map(|protection| Value::Map(vec![pair("credProtect", Value::number(protection.level()))]));
        let resident = (self.residence == Residence::Resident).then_some(true);
        let (proof, protocol) = self.verification.proof(self.client_data_hash);
        request(
            COMMAND,
            vec![
                (0x01, Some(Value::bytes(self.client_data_hash))),
                (0x02, Some(Value::Map(named(Value::text(self.rp_id))))),
                (0x03, Some(Value::Map(user))),
                (0x04, Some(Value::Array(self.algorithms.iter().map(algorithm).collect()))),
                (0x05, descriptors(self.exclude)),
                (0x06, protection),
                (0x07, options(&[("rk", resident), ("uv", self.verification.option())])),
                (0x08, proof),
                (0x09, protocol),
            ],
        )
    }
}

/// What a key answers: an attestation object (section 6.1, WebAuthn section 6.5). Not verified yet:
/// [`crate::verify::Registration::verify`] does that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attestation {
    /// The format of the statement.
    pub format: String,
    /// The authenticator data.
    pub auth_data: Vec<u8>,
    /// The statement: a map.
    pub statement: Value,
}

impl Attestation {
    /// Reads the answer.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut fields = cbor::parse(bytes)?.into_fields(WHAT)?;
        let format = fields.demand(0x01)?.into_text(WHAT)?;
        let auth_data = fields.demand(0x02)?.into_bytes(WHAT)?;
        let statement = fields.demand(0x03)?;
        if !matches!(statement, Value::Map(_)) {
            return Err(Malformed(WHAT));
        }
        Ok(Self { format, auth_data, statement })
    }

    /// The attestation object (WebAuthn section 6.5.4), as whoever asked for `conveyance` gets it.
    #[must_use]
    pub fn to_object(&self, conveyance: Conveyance) -> Vec<u8> {
        let (format, auth_data, statement) = match conveyance {
            Conveyance::Whole => (self.format.as_str(), self.auth_data.clone(), self.statement.clone()),
            // WebAuthn section 5.1.3 step 21: neither who made the key, nor of which model it is.
            Conveyance::None => {
                let mut auth_data = self.auth_data.clone();
                auth_data.iter_mut().skip(AAGUID_AT).take(16).for_each(|byte| *byte = 0);
                ("none", auth_data, Value::Map(Vec::new()))
            }
        };
        cbor::encode(&Value::Map(vec![
            (Value::text("fmt"), Value::text(format)),
            (Value::text("attStmt"), statement),
            (Value::text("authData"), Value::Bytes(auth_data)),
        ]))
    }
}

/// What a relying party is told of the maker of a key (WebAuthn section 5.4.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conveyance {
    /// Nothing.
    None,
    /// All that the key says.
    Whole,
}

/// Where the model stands in authenticator data: behind hash, flags and counter (section 6.1).
const AAGUID_AT: usize = 37;

/// Asks the key, which waits for a touch.
///
/// # Errors
/// [`KeyError`].
pub fn make_credential<T: HidTransport>(
    channel: &mut Channel<T>,
    what: &MakeCredential<'_>,
    patience: &mut Patience<'_>,
) -> Result<Attestation, KeyError> {
    Ok(Attestation::parse(&super::call(channel, &what.to_bytes(), patience)?)?)
}
