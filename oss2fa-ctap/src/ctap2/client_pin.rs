//! authenticatorClientPIN: tokens by PIN or by the key's own verification (CTAP 2.1 section 6.5).

use std::fmt;

use oss2fa_core::random::Random;
use oss2fa_core::secret::{SecretBytes, SecretText};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::info::{Ability, Info};
use super::pin_protocol::{Agreement, PinProtocol};
use super::status::Status;
use crate::cbor::{self, Value};
use crate::error::{KeyError, Malformed};
use crate::hid::Channel;
use crate::transport::{HidTransport, Patience};

/// With so many tries left no PIN is tried any more: the last ones belong to whoever holds the key, not to a
/// prompt that may have been labelled wrongly.
pub const TRIES_KEPT: u8 = 3;

const COMMAND: u8 = 0x06;
const WHAT: &str = "answer about its PIN";

const PIN_RETRIES: i64 = 0x01;
const KEY_AGREEMENT: i64 = 0x02;
const PIN_TOKEN: i64 = 0x05;
const TOKEN_BY_VERIFICATION: i64 = 0x06;
const VERIFICATION_RETRIES: i64 = 0x07;
const TOKEN_BY_PIN: i64 = 0x09;

/// What a token is for (section 6.5.5.7). Tokens of CTAP 2.0 are for anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permission {
    /// To make a credential.
    MakeCredential,
    /// To sign.
    GetAssertion,
}

impl Permission {
    fn bits(self) -> i64 {
        match self {
            Self::MakeCredential => 0x01,
            Self::GetAssertion => 0x02,
        }
    }
}

/// What a key gave after it verified its user. Wiped on drop.
pub struct Token {
    protocol: PinProtocol,
    secret: SecretBytes,
}

impl Token {
    /// What proves the token to the key: the MAC of the client data's hash.
    #[must_use]
    pub fn authenticate(&self, client_data_hash: &[u8; 32]) -> Vec<u8> {
        self.protocol.mac(self.secret.expose(), client_data_hash)
    }

    /// Under which protocol it was given.
    #[must_use]
    pub fn protocol(&self) -> PinProtocol {
        self.protocol
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(***)")
    }
}

/// How often the PIN may still be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PinRetries {
    /// How many tries are left.
    pub left: u8,
    /// Whether the key wants to be plugged in again before the next one.
    pub plug_in_again: bool,
}

/// What a key answers (section 6.5.5).
#[derive(Debug, Default)]
pub struct Answer {
    key_agreement: Option<Value>,
    token: Option<Zeroizing<Vec<u8>>>,
    pin_retries: Option<u8>,
    plug_in_again: bool,
    verification_retries: Option<u8>,
}

impl Answer {
    /// Reads the answer.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut fields = cbor::parse(bytes)?.into_fields(WHAT)?;
        let retries = |value: Value| u8::try_from(value.into_number(WHAT)?).map_err(|_| Malformed(WHAT));
        let key_agreement = fields.take(0x01);
        let token = fields.take(0x02).map(|token| token.into_bytes(WHAT)).transpose()?;
        let pin_retries = fields.take(0x03).map(retries).transpose()?;
        let plug_in_again = match fields.take(0x04) {
            None => false,
            Some(Value::Bool(state)) => state,
            Some(_) => return Err(Malformed(WHAT)),
        };
        let verification_retries = fields.take(0x05).map(retries).transpose()?;
        let token = token.map(Zeroizing::new);
        Ok(Self { key_agreement, token, pin_retries, plug_in_again, verification_retries })
    }
}

/// The bytes of a request with its further parameters, by their keys of section 6.5.5.
#[must_use]
pub fn request(
    protocol: Option<PinProtocol>,
    subcommand: i64,
    more: Vec<(i64, Value)>,
) -> Zeroizing<Vec<u8>> {
    let mut parameters = vec![
        (0x01, protocol.map(|protocol| Value::number(protocol.number()))),
        (0x02, Some(Value::number(subcommand))),
    ];
    parameters.extend(more.into_iter().map(|(key, value)| (key, Some(value))));
    super::request(COMMAND, parameters)
}

/// How often the PIN may still be wrong (section 6.5.5.2).
///
/// # Errors
/// [`KeyError`].
pub fn pin_retries<T: HidTransport>(
    channel: &mut Channel<T>,
    patience: &mut Patience<'_>,
) -> Result<PinRetries, KeyError> {
    let answer = ask(channel, &request(None, PIN_RETRIES, Vec::new()), patience)?;
    let left = answer.pin_retries.ok_or(Malformed(WHAT))?;
    Ok(PinRetries { left, plug_in_again: answer.plug_in_again })
}

/// How often the key's own verification may still fail (section 6.5.5.3).
///
/// # Errors
/// [`KeyError`].
pub fn verification_retries<T: HidTransport>(
    channel: &mut Channel<T>,
    patience: &mut Patience<'_>,
) -> Result<u8, KeyError> {
    let answer = ask(channel, &request(None, VERIFICATION_RETRIES, Vec::new()), patience)?;
    Ok(answer.verification_retries.ok_or(Malformed(WHAT))?)
}

/// The tries that a PIN has, where there are more than [`TRIES_KEPT`]: looked at before anybody is asked for
/// a PIN, and again before one is tried.
///
/// # Errors
/// [`KeyError::FewPinTries`], [`KeyError::PlugInAgain`], [`KeyError::PinBlocked`], or another [`KeyError`].
pub fn pin_may_be_tried<T: HidTransport>(
    channel: &mut Channel<T>,
    patience: &mut Patience<'_>,
) -> Result<PinRetries, KeyError> {
    let retries = pin_retries(channel, patience)?;
    match retries {
        PinRetries { left: 0, .. } => Err(KeyError::PinBlocked),
        PinRetries { left, .. } if left <= TRIES_KEPT => Err(KeyError::FewPinTries { left }),
        PinRetries { plug_in_again: true, .. } => Err(KeyError::PlugInAgain),
        PinRetries { .. } => Ok(retries),
    }
}

/// A token by PIN: with permissions where the key knows of them (section 6.5.5.7.2), else as CTAP 2.0 did
/// (section 6.5.5.7.1). Tries nothing where [`TRIES_KEPT`] or fewer tries are left.
///
/// # Errors
/// [`KeyError::WrongPin`] with the tries that are left, or another [`KeyError`].
pub fn token_by_pin<T: HidTransport>(
    channel: &mut Channel<T>,
    info: &Info,
    pin: &SecretText,
    permission: Permission,
    rp_id: &str,
    random: &dyn Random,
    patience: &mut Patience<'_>,
) -> Result<Token, KeyError> {
    if !(4..=63).contains(&pin.expose().len()) {
        return Err(KeyError::PinLength);
    }
    if info.pin() != Ability::Ready {
        return Err(KeyError::NoPin);
    }
    pin_may_be_tried(channel, patience)?;
    let agreement = agree(channel, info, random, patience)?;
    let hashed = Zeroizing::new(<[u8; 32]>::from(Sha256::digest(pin.expose().as_bytes())));
    let sealed = agreement.encrypt(hashed.first_chunk::<16>().ok_or(KeyError::PinLength)?, random)?;
    let mut more = vec![(0x03, agreement.public_key()), (0x06, Value::Bytes(sealed))];
    let mut subcommand = PIN_TOKEN;
    if info.gives_tokens_with_permissions() {
        subcommand = TOKEN_BY_PIN;
        more.extend([(0x09, Value::number(permission.bits())), (0x0a, Value::text(rp_id))]);
    }
    match ask(channel, &request(Some(agreement.protocol()), subcommand, more), patience) {
        Ok(answer) => opened(&agreement, &answer),
        Err(KeyError::Status(Status::PIN_INVALID)) => {
            Err(KeyError::WrongPin { left: pin_retries(channel, patience)?.left })
        }
        Err(error) => Err(error),
    }
}

/// A token by the key's own verification, as by a finger (section 6.5.5.7.3). The key waits for it, unless it says
/// beforehand that it is blocked.
///
/// # Errors
/// [`KeyError::NotRecognised`] with the tries that are left, [`KeyError::RecognitionBlocked`], or another
/// [`KeyError`].
pub fn token_by_verification<T: HidTransport>(
    channel: &mut Channel<T>,
    info: &Info,
    permission: Permission,
    rp_id: &str,
    random: &dyn Random,
    patience: &mut Patience<'_>,
) -> Result<Token, KeyError> {
    if !info.gives_tokens_with_permissions() || info.built_in_verification() != Ability::Ready {
        return Err(KeyError::Unsupported("verification of its user by itself"));
    }
    if looks_left(channel, patience)? == Some(0) {
        return Err(KeyError::RecognitionBlocked);
    }
    let agreement = agree(channel, info, random, patience)?;
    let more = vec![
        (0x03, agreement.public_key()),
        (0x09, Value::number(permission.bits())),
        (0x0a, Value::text(rp_id)),
    ];
    match ask(channel, &request(Some(agreement.protocol()), TOKEN_BY_VERIFICATION, more), patience) {
        Ok(answer) => opened(&agreement, &answer),
        Err(KeyError::NotRecognised { .. }) => match looks_left(channel, patience)? {
            Some(0) => Err(KeyError::RecognitionBlocked),
            left => Err(KeyError::NotRecognised { left }),
        },
        Err(error) => Err(error),
    }
}

// A key that does not tell may still recognise its user.
fn looks_left<T: HidTransport>(
    channel: &mut Channel<T>,
    patience: &mut Patience<'_>,
) -> Result<Option<u8>, KeyError> {
    match verification_retries(channel, patience) {
        Ok(left) => Ok(Some(left)),
        Err(KeyError::Status(_) | KeyError::Malformed(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

// A key is agreed on anew for each token (section 6.5.5.4): a wrong PIN makes the device take a new one.
fn agree<T: HidTransport>(
    channel: &mut Channel<T>,
    info: &Info,
    random: &dyn Random,
    patience: &mut Patience<'_>,
) -> Result<Agreement, KeyError> {
    let protocol = PinProtocol::choose(&info.pin_protocols);
    let protocol = protocol.ok_or(KeyError::Unsupported("a PIN protocol that is known here"))?;
    let answer = ask(channel, &request(Some(protocol), KEY_AGREEMENT, Vec::new()), patience)?;
    Agreement::with(protocol, answer.key_agreement.ok_or(Malformed(WHAT))?, random)
}

fn ask<T: HidTransport>(
    channel: &mut Channel<T>,
    request: &[u8],
    patience: &mut Patience<'_>,
) -> Result<Answer, KeyError> {
    Ok(Answer::parse(&super::call(channel, request, patience)?)?)
}

fn opened(agreement: &Agreement, answer: &Answer) -> Result<Token, KeyError> {
    let sealed = answer.token.as_ref().ok_or(Malformed(WHAT))?;
    let mut secret = agreement.decrypt(sealed)?;
    // Lengths of tokens: sections 6.5.6 and 6.5.7.
    match (agreement.protocol(), secret.len()) {
        (PinProtocol::One, 16 | 32) | (PinProtocol::Two, 32) => {
            let secret = SecretBytes::new(std::mem::take(&mut *secret));
            Ok(Token { protocol: agreement.protocol(), secret })
        }
        (PinProtocol::One | PinProtocol::Two, _) => Err(Malformed(WHAT).into()),
    }
}
