//! U2F: registration and authentication of keys that do not speak CTAP2 (FIDO U2F Raw Message Formats 1.2).

use std::fmt;

use crate::cose::PublicKey;
use crate::error::{KeyError, Malformed};
use crate::hid::{Channel, Command};
use crate::transport::{Go, HidTransport, Meanwhile, Patience};

/// Longest key handle, in bytes: its length is one byte (section 4.3).
pub const MAX_KEY_HANDLE: usize = 255;

const REGISTER: u8 = 0x01;
const AUTHENTICATE: u8 = 0x02;
const VERSION: u8 = 0x03;
/// Control bytes of authentication (section 5.1).
const CHECK_ONLY: u8 = 0x07;
const ENFORCE_PRESENCE: u8 = 0x03;

const REGISTRATION: Malformed = Malformed("registration of U2F");
const AUTHENTICATION: Malformed = Malformed("authentication of U2F");

/// The status word after each answer (section 3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatusWord(pub u16);

impl StatusWord {
    /// Done.
    pub const NO_ERROR: Self = Self(0x9000);
    /// It wants to be touched.
    pub const CONDITIONS_NOT_SATISFIED: Self = Self(0x6985);
    /// The key handle is not one of its own.
    pub const WRONG_DATA: Self = Self(0x6a80);
    /// The length of the request is wrong.
    pub const WRONG_LENGTH: Self = Self(0x6700);
}

impl fmt::Display for StatusWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let meaning = match self.0 {
            0x6985 => "it was not touched",
            0x6a80 => "the credential is not one of its own",
            0x6700 => "a length is wrong",
            0x6e00 => "it does not know this class of requests",
            0x6d00 => "it does not know this request",
            _ => "an error of its own",
        };
        write!(f, "the security key refused (U2F status 0x{:04x}): {meaning}", self.0)
    }
}

/// A request in extended length encoding, asking for the longest answer (sections 3.1 and 3.1.3).
///
/// # Errors
/// [`KeyError::Unsupported`] for data that no request can carry.
pub fn request(instruction: u8, first_parameter: u8, data: &[u8]) -> Result<Vec<u8>, KeyError> {
    let too_long = KeyError::Unsupported("requests of that length");
    let length = u16::try_from(data.len()).map_err(|_| too_long)?;
    let mut bytes = vec![0, instruction, first_parameter, 0, 0];
    if !data.is_empty() {
        bytes.extend(length.to_be_bytes());
        bytes.extend_from_slice(data);
    }
    bytes.extend([0, 0]);
    Ok(bytes)
}

/// Parts data and status word (section 3.3).
///
/// # Errors
/// [`Malformed`] for fewer than two bytes.
pub fn response(bytes: &[u8]) -> Result<(&[u8], StatusWord), Malformed> {
    let (data, word) = bytes.split_last_chunk::<2>().ok_or(Malformed("answer of U2F"))?;
    Ok((data, StatusWord(u16::from_be_bytes(*word))))
}

/// What a key answers to a registration (section 4.3).
#[derive(Debug, Clone, PartialEq)]
pub struct Registered {
    /// The credential's public key.
    pub public_key: PublicKey,
    /// The credential's id.
    pub key_handle: Vec<u8>,
    /// The attestation certificate, in DER.
    pub certificate: Vec<u8>,
    /// The signature of the attestation key, in DER.
    pub signature: Vec<u8>,
}

impl Registered {
    /// Takes the answer apart.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn parse(data: &[u8]) -> Result<Self, Malformed> {
        let (reserved, rest) = data.split_first().ok_or(REGISTRATION)?;
        let (point, rest) = rest.split_first_chunk::<65>().ok_or(REGISTRATION)?;
        let (length, rest) = rest.split_first().ok_or(REGISTRATION)?;
        let (key_handle, rest) = rest.split_at_checked(usize::from(*length)).ok_or(REGISTRATION)?;
        let (certificate, signature) = der_sequence(rest).ok_or(REGISTRATION)?;
        let whole = der_sequence(signature).is_some_and(|(_, after)| after.is_empty());
        if *reserved != 5 || key_handle.is_empty() || !whole {
            return Err(REGISTRATION);
        }
        Ok(Self {
            public_key: PublicKey::from_point(point)?,
            key_handle: key_handle.to_vec(),
            certificate: certificate.to_vec(),
            signature: signature.to_vec(),
        })
    }
}

// The certificate's length stands nowhere but in its own first bytes (ITU-T X.690 section 8.1.3).
fn der_sequence(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (head, length) = match bytes {
        [0x30, short @ 0..=0x7f, ..] => (2, usize::from(*short)),
        [0x30, 0x81, length, ..] => (3, usize::from(*length)),
        [0x30, 0x82, high, low, ..] => (4, usize::from(u16::from_be_bytes([*high, *low]))),
        _ => return None,
    };
    bytes.split_at_checked(head + length)
}

/// What a key answers to an authentication (section 5.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authenticated {
    /// 1 where somebody touched it; nothing but bit 0 may be set.
    pub user_presence: u8,
    /// The signature counter.
    pub counter: u32,
    /// The signature, in DER.
    pub signature: Vec<u8>,
}

impl Authenticated {
    /// Takes the answer apart.
    ///
    /// # Errors
    /// [`Malformed`]. A user presence byte with another bit set is refused: read as flags of CTAP2, it would
    /// say that the user was verified.
    pub fn parse(data: &[u8]) -> Result<Self, Malformed> {
        let (user_presence, rest) = data.split_first().ok_or(AUTHENTICATION)?;
        let (counter, signature) = rest.split_first_chunk::<4>().ok_or(AUTHENTICATION)?;
        let whole = der_sequence(signature).is_some_and(|(_, after)| after.is_empty());
        if *user_presence > 1 || !whole {
            return Err(AUTHENTICATION);
        }
        Ok(Self {
            user_presence: *user_presence,
            counter: u32::from_be_bytes(*counter),
            signature: signature.to_vec(),
        })
    }

    /// The authenticator data that the signature covers, as CTAP2 spells it (CTAP 2.1 section 7.2 and
    /// section 5.4 here: the same bytes).
    #[must_use]
    pub fn auth_data(&self, application: &[u8; 32]) -> Vec<u8> {
        [application.as_slice(), &[self.user_presence], &self.counter.to_be_bytes()].concat()
    }
}

/// Whether a key handle is one of a key's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handle {
    /// The key made it, for this application.
    Known,
    /// It did not.
    Unknown,
}

/// How a request for the version was spelled before lengths of zero were left out: some keys know no other, and
/// other programs send none.
pub const OLD_VERSION_REQUEST: [u8; 9] = [0, VERSION, 0, 0, 0, 0, 0, 0, 0];

/// Demands version `U2F_V2` (section 6.1).
///
/// # Errors
/// [`KeyError`].
pub fn version<T: HidTransport>(
    channel: &mut Channel<T>,
    patience: &mut Patience<'_>,
) -> Result<(), KeyError> {
    let mut answer = channel.transact(Command::MSG, &request(VERSION, 0, &[])?, patience)?;
    if response(&answer)?.1 != StatusWord::NO_ERROR {
        answer = channel.transact(Command::MSG, &OLD_VERSION_REQUEST, patience)?;
    }
    match response(&answer)? {
        (b"U2F_V2", StatusWord::NO_ERROR) => Ok(()),
        (_, StatusWord::NO_ERROR) => Err(KeyError::Unsupported("version 2 of U2F")),
        (_, word) => Err(KeyError::StatusWord(word)),
    }
}

/// Makes a credential (section 4), waiting for the touch.
///
/// # Errors
/// [`KeyError`].
pub fn register<T: HidTransport>(
    channel: &mut Channel<T>,
    challenge: &[u8; 32],
    application: &[u8; 32],
    patience: &mut Patience<'_>,
) -> Result<Registered, KeyError> {
    let request = request(REGISTER, 0, &[challenge.as_slice(), application].concat())?;
    until_touched(channel, &request, patience, Registered::parse)
}

/// Asks whether `key_handle` is one of the key's own, without a touch (section 5.1, check-only).
///
/// # Errors
/// [`KeyError`].
pub fn check_only<T: HidTransport>(
    channel: &mut Channel<T>,
    application: &[u8; 32],
    key_handle: &[u8],
    patience: &mut Patience<'_>,
) -> Result<Handle, KeyError> {
    let Ok(request) = authenticate_request(CHECK_ONLY, &[0; 32], application, key_handle) else {
        return Ok(Handle::Unknown);
    };
    let answer = channel.transact(Command::MSG, &request, patience)?;
    match response(&answer)?.1 {
        // What reads like a refusal is the yes of this request.
        StatusWord::CONDITIONS_NOT_SATISFIED => Ok(Handle::Known),
        StatusWord::WRONG_DATA | StatusWord::WRONG_LENGTH => Ok(Handle::Unknown),
        word => Err(KeyError::StatusWord(word)),
    }
}

/// Signs `challenge` with the credential (section 5), waiting for the touch.
///
/// # Errors
/// [`KeyError`].
pub fn authenticate<T: HidTransport>(
    channel: &mut Channel<T>,
    challenge: &[u8; 32],
    application: &[u8; 32],
    key_handle: &[u8],
    patience: &mut Patience<'_>,
) -> Result<Authenticated, KeyError> {
    let request = authenticate_request(ENFORCE_PRESENCE, challenge, application, key_handle)?;
    until_touched(channel, &request, patience, Authenticated::parse)
}

fn authenticate_request(
    control: u8,
    challenge: &[u8; 32],
    application: &[u8; 32],
    key_handle: &[u8],
) -> Result<Vec<u8>, KeyError> {
    let length = u8::try_from(key_handle.len()).map_err(|_| KeyError::NoCredential)?;
    let data = [challenge.as_slice(), application, &[length], key_handle].concat();
    request(AUTHENTICATE, control, &data)
}

// A key of U2F does not wait for its touch: it says no until it has been touched, and is asked again.
fn until_touched<T: HidTransport, A>(
    channel: &mut Channel<T>,
    request: &[u8],
    patience: &mut Patience<'_>,
    parse: fn(&[u8]) -> Result<A, Malformed>,
) -> Result<A, KeyError> {
    loop {
        let answer = channel.transact(Command::MSG, request, patience)?;
        match response(&answer)? {
            (data, StatusWord::NO_ERROR) => return Ok(parse(data)?),
            (_, StatusWord::CONDITIONS_NOT_SATISFIED) => {
                if patience.ask(Meanwhile::TouchNeeded) == Go::Cancel {
                    return Err(KeyError::Cancelled);
                }
                channel.pause(patience)?;
            }
            (_, StatusWord::WRONG_DATA) => return Err(KeyError::NoCredential),
            (_, word) => return Err(KeyError::StatusWord(word)),
        }
    }
}
