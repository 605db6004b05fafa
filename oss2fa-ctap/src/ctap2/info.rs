//! authenticatorGetInfo: what a key is and can do (CTAP 2.1 section 6.4).

use crate::auth_data::Aaguid;
use crate::cbor::{self, Value};
use crate::cose::Algorithm;
use crate::error::{KeyError, Malformed};
use crate::hid::Channel;
use crate::transport::{HidTransport, Patience};

const COMMAND: u8 = 0x04;
const WHAT: &str = "description of itself";
/// What a key takes that does not say (section 6.4, maxMsgSize).
const USUAL_MESSAGE: usize = 1024;

/// What a key says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Info {
    /// `FIDO_2_0`, `FIDO_2_1`, `U2F_V2` and the like.
    pub versions: Vec<String>,
    /// Names of extensions.
    pub extensions: Vec<String>,
    /// Its model.
    pub aaguid: Aaguid,
    /// Longest request, in bytes.
    pub max_message: usize,
    /// PIN protocols, the one it likes best first.
    pub pin_protocols: Vec<u64>,
    /// How many credentials a list may have; 1 where it does not say.
    pub max_credentials: usize,
    /// Longest credential id, in bytes, where it says.
    pub max_credential_id: Option<usize>,
    /// Algorithms that are accepted here, those it likes best first; empty where it does not say.
    pub algorithms: Vec<Algorithm>,
    /// Whether the PIN has to be changed before it is of use.
    pub pin_must_change: bool,
    /// Shortest PIN, in characters.
    pub min_pin: u64,
    /// Version of its firmware, as the maker counts.
    pub firmware: Option<u64>,
    options: Vec<(String, bool)>,
}

/// An ability that a key may have and that may have been set up (section 6.4, options).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ability {
    /// It has it, and it is ready.
    Ready,
    /// It has it, and it was not set up.
    NotSetUp,
    /// It does not have it.
    Absent,
}

impl Info {
    /// The request.
    pub const REQUEST: [u8; 1] = [COMMAND];

    /// Reads the answer. What is not known here is passed over.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut fields = cbor::parse(bytes)?.into_fields(WHAT)?;
        let versions = texts(fields.demand(0x01)?)?;
        let extensions = fields.take(0x02).map_or(Ok(Vec::new()), texts)?;
        let aaguid = fields.demand(0x03)?.into_bytes(WHAT)?;
        let aaguid = Aaguid(aaguid.as_slice().try_into().map_err(|_| Malformed(WHAT))?);
        let options = fields.take(0x04).map_or(Ok(Vec::new()), flags)?;
        let max_message = fields.take(0x05).map_or(Ok(USUAL_MESSAGE), size)?;
        let pin_protocols = fields.take(0x06).map_or(Ok(Vec::new()), numbers)?;
        let max_credentials = fields.take(0x07).map_or(Ok(1), size)?;
        let max_credential_id = fields.take(0x08).map(size).transpose()?;
        let algorithms = fields.take(0x0a).map_or(Ok(Vec::new()), algorithms)?;
        let pin_must_change = fields.take(0x0c).map_or(Ok(false), truth)?;
        let min_pin = fields.take(0x0d).map_or(Ok(4), number)?;
        let firmware = fields.take(0x0e).map(number).transpose()?;
        Ok(Self {
            versions,
            extensions,
            aaguid,
            max_message,
            pin_protocols,
            max_credentials: max_credentials.max(1),
            max_credential_id,
            algorithms,
            pin_must_change,
            min_pin,
            firmware,
            options,
        })
    }

    /// Whether it speaks this version.
    #[must_use]
    pub fn speaks(&self, version: &str) -> bool {
        self.versions.iter().any(|known| known == version)
    }

    /// Whether it can keep credentials that are found without their id.
    #[must_use]
    pub fn keeps_resident_credentials(&self) -> bool {
        self.ability("rk") == Ability::Ready
    }

    /// Whether a PIN was set.
    #[must_use]
    pub fn pin(&self) -> Ability {
        self.ability("clientPin")
    }

    /// Whether it verifies its user by itself, as by a finger.
    #[must_use]
    pub fn built_in_verification(&self) -> Ability {
        self.ability("uv")
    }

    /// Whether it gives tokens with permissions (CTAP 2.1), by PIN or by itself.
    #[must_use]
    pub fn gives_tokens_with_permissions(&self) -> bool {
        self.ability("pinUvAuthToken") == Ability::Ready
    }

    /// Whether it makes no credential without verifying its user (section 7.2).
    #[must_use]
    pub fn always_verifies(&self) -> bool {
        self.ability("alwaysUv") == Ability::Ready
    }

    /// Whether a credential that is not resident can be made without verifying the user (section 6.4).
    #[must_use]
    pub fn makes_credentials_unverified(&self) -> bool {
        self.ability("makeCredUvNotRqd") == Ability::Ready
    }

    /// An option by its name (section 6.4).
    #[must_use]
    pub fn ability(&self, option: &str) -> Ability {
        match self.options.iter().find(|(name, _)| name == option) {
            Some((_, true)) => Ability::Ready,
            Some((_, false)) => Ability::NotSetUp,
            None => Ability::Absent,
        }
    }
}

/// Asks the key.
///
/// # Errors
/// [`KeyError`].
pub fn info<T: HidTransport>(
    channel: &mut Channel<T>,
    patience: &mut Patience<'_>,
) -> Result<Info, KeyError> {
    Ok(Info::parse(&super::call(channel, &Info::REQUEST, patience)?)?)
}

fn texts(value: Value) -> Result<Vec<String>, Malformed> {
    value.into_array(WHAT)?.into_iter().map(|text| text.into_text(WHAT)).collect()
}

fn numbers(value: Value) -> Result<Vec<u64>, Malformed> {
    value.into_array(WHAT)?.into_iter().map(number).collect()
}

fn number(value: Value) -> Result<u64, Malformed> {
    match value {
        Value::Unsigned(number) => Ok(number),
        _ => Err(Malformed(WHAT)),
    }
}

fn size(value: Value) -> Result<usize, Malformed> {
    usize::try_from(number(value)?).map_err(|_| Malformed(WHAT))
}

fn truth(value: Value) -> Result<bool, Malformed> {
    match value {
        Value::Bool(truth) => Ok(truth),
        _ => Err(Malformed(WHAT)),
    }
}

fn flags(value: Value) -> Result<Vec<(String, bool)>, Malformed> {
    let entries = value.into_fields(WHAT)?.rest();
    entries.into_iter().map(|(name, value)| Ok((name.into_text(WHAT)?, truth(value)?))).collect()
}

fn algorithms(value: Value) -> Result<Vec<Algorithm>, Malformed> {
    let mut known = Vec::new();
    for entry in value.into_array(WHAT)? {
        let mut fields = entry.into_fields(WHAT)?;
        let id = fields.demand_named("alg")?.into_number(WHAT)?;
        let kind = fields.demand_named("type")?.into_text(WHAT)?;
        if kind == "public-key" {
            known.extend(Algorithm::from_id(id));
        }
    }
    Ok(known)
}
