//! Authenticator data: what a key signs about itself and a credential (WebAuthn section 6.1).

use crate::cbor::{self, Value};
use crate::cose::PublicKey;
use crate::error::Malformed;

/// Longest credential id, in bytes (WebAuthn section 7.1 step 24 of later levels; keys' own limit is lower).
pub const MAX_CREDENTIAL_ID: usize = 1023;

/// Longest authenticator data that is looked at, in bytes.
pub const MAX_AUTH_DATA: usize = 4096;

const WHAT: Malformed = Malformed("authenticator data");

/// The flags (WebAuthn section 6.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flags(pub u8);

impl Flags {
    const USER_PRESENT: u8 = 0x01;
    const USER_VERIFIED: u8 = 0x04;
    const ATTESTED: u8 = 0x40;
    const EXTENSIONS: u8 = 0x80;

    /// Somebody touched the key.
    #[must_use]
    pub fn user_present(self) -> bool {
        self.0 & Self::USER_PRESENT != 0
    }

    /// The key knows who: by PIN, finger or the like.
    #[must_use]
    pub fn user_verified(self) -> bool {
        self.0 & Self::USER_VERIFIED != 0
    }
}

/// A model of security key (WebAuthn section 6.5.1): all zero where the key does not tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Aaguid(pub [u8; 16]);

impl Aaguid {
    /// What keys have that do not tell, and all keys of U2F.
    pub const NONE: Self = Self([0; 16]);
}

/// A credential that a key has made (WebAuthn section 6.5.1).
#[derive(Debug, Clone, PartialEq)]
pub struct AttestedCredential {
    /// Of which model the key says it is.
    pub aaguid: Aaguid,
    /// The credential's id.
    pub id: Vec<u8>,
    /// Its public key.
    pub public_key: PublicKey,
}

/// Authenticator data, taken apart. Nothing in it is true before a signature over it was verified.
#[derive(Debug, Clone, PartialEq)]
pub struct AuthenticatorData {
    /// SHA-256 of the rp id.
    pub rp_id_hash: [u8; 32],
    /// The flags.
    pub flags: Flags,
    /// The signature counter, big-endian on the wire.
    pub sign_count: u32,
    /// The new credential, at registration.
    pub credential: Option<AttestedCredential>,
    /// What extensions say: a map.
    pub extensions: Option<Value>,
}

impl AuthenticatorData {
    /// Takes authenticator data apart; it must be whole, with nothing after it.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        if bytes.len() > MAX_AUTH_DATA {
            return Err(WHAT);
        }
        let (rp_id_hash, rest) = bytes.split_first_chunk::<32>().ok_or(WHAT)?;
        let (flags, rest) = rest.split_first().ok_or(WHAT)?;
        let (sign_count, mut rest) = rest.split_first_chunk::<4>().ok_or(WHAT)?;
        let mut credential = None;
        if flags & Flags::ATTESTED != 0 {
            let (found, after) = attested(rest)?;
            (credential, rest) = (Some(found), after);
        }
        let mut extensions = None;
        if flags & Flags::EXTENSIONS != 0 {
            let (found, after) = cbor::parse_first(rest)?;
            if !matches!(found, Value::Map(_)) {
                return Err(WHAT);
            }
            (extensions, rest) = (Some(found), after);
        }
        if !rest.is_empty() {
            return Err(WHAT);
        }
        Ok(Self {
            rp_id_hash: *rp_id_hash,
            flags: Flags(*flags),
            sign_count: u32::from_be_bytes(*sign_count),
            credential,
            extensions,
        })
    }
}

fn attested(bytes: &[u8]) -> Result<(AttestedCredential, &[u8]), Malformed> {
    let (aaguid, rest) = bytes.split_first_chunk::<16>().ok_or(WHAT)?;
    let (length, rest) = rest.split_first_chunk::<2>().ok_or(WHAT)?;
    let length = usize::from(u16::from_be_bytes(*length));
    if length == 0 || length > MAX_CREDENTIAL_ID {
        return Err(WHAT);
    }
    let (id, rest) = rest.split_at_checked(length).ok_or(WHAT)?;
    let (key, rest) = cbor::parse_first(rest)?;
    let public_key = PublicKey::from_value(key)?;
    Ok((AttestedCredential { aaguid: Aaguid(*aaguid), id: id.to_vec(), public_key }, rest))
}
