//! PIN/UV auth protocols 1 and 2: how a PIN gets to a key unread (CTAP 2.1 sections 6.5.6 and 6.5.7).

use std::fmt;

use aes::cipher::{Block, BlockModeDecrypt, BlockModeEncrypt, KeyIvInit};
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use oss2fa_core::random::Random;
use p256::elliptic_curve::sec1::ToSec1Point;
use p256::{PublicKey, SecretKey};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::cbor::Value;
use crate::error::{KeyError, Malformed};

const BLOCK: usize = 16;
const WHAT: Malformed = Malformed("key agreement");
/// A draw that is no scalar of the curve comes less than once in four billion.
const DRAWS: usize = 8;

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PinProtocol {
    /// Of CTAP 2.0: one key for both purposes, no initialisation vector, half of the MAC.
    One,
    /// Of CTAP 2.1.
    Two,
}

impl PinProtocol {
    /// Its number.
    #[must_use]
    pub fn number(self) -> i64 {
        match self {
            Self::One => 1,
            Self::Two => 2,
        }
    }

    /// The first that the key likes and that is known here.
    #[must_use]
    pub fn choose(offered: &[u64]) -> Option<Self> {
        offered.iter().find_map(|number| match number {
            1 => Some(Self::One),
            2 => Some(Self::Two),
            _ => None,
        })
    }

    // Protocol 1 takes the hash itself, protocol 2 derives a key for each purpose (`kdf` of both sections).
    fn derive(self, shared_x: &[u8]) -> Result<Keys, KeyError> {
        let mut keys = Keys { authenticate: Zeroizing::new([0; 32]), encrypt: Zeroizing::new([0; 32]) };
        match self {
            Self::One => {
                let hashed = Zeroizing::new(<[u8; 32]>::from(Sha256::digest(shared_x)));
                keys.authenticate.copy_from_slice(hashed.as_slice());
                keys.encrypt.copy_from_slice(hashed.as_slice());
            }
            Self::Two => {
                let hkdf = Hkdf::<Sha256>::new(Some(&[0; 32]), shared_x);
                let unsupported = |_| KeyError::Unsupported("key derivation");
                hkdf.expand(b"CTAP2 HMAC key", keys.authenticate.as_mut_slice()).map_err(unsupported)?;
                hkdf.expand(b"CTAP2 AES key", keys.encrypt.as_mut_slice()).map_err(unsupported)?;
            }
        }
        Ok(keys)
    }

    /// The MAC of a message under a shared key or a token (`authenticate` of both sections).
    pub(super) fn mac(self, key: &[u8], message: &[u8]) -> Vec<u8> {
        // A MAC takes keys of any length; without one nothing is authenticated.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return Vec::new() };
        mac.update(message);
        let mut whole = mac.finalize().into_bytes().to_vec();
        if self == Self::One {
            whole.truncate(16);
        }
        whole
    }
}

struct Keys {
    authenticate: Zeroizing<[u8; 32]>,
    encrypt: Zeroizing<[u8; 32]>,
}

/// A key that both sides have agreed on for one exchange. Wiped on drop.
pub struct Agreement {
    protocol: PinProtocol,
    ours: Value,
    keys: Keys,
}

impl Agreement {
    /// Makes a key of our own and agrees with the key's (`encapsulate`).
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn with(protocol: PinProtocol, theirs: Value, random: &dyn Random) -> Result<Self, KeyError> {
        let theirs = point(theirs)?;
        let secret = draw(random)?;
        let shared = p256::ecdh::diffie_hellman(secret.to_nonzero_scalar(), theirs.as_affine());
        let keys = protocol.derive(shared.raw_secret_bytes())?;
        Ok(Self { protocol, ours: cose(&secret.public_key()), keys })
    }

    /// Our public key, to be sent along.
    #[must_use]
    pub fn public_key(&self) -> Value {
        self.ours.clone()
    }

    /// The protocol.
    #[must_use]
    pub fn protocol(&self) -> PinProtocol {
        self.protocol
    }

    /// Encrypts whole blocks of 16 bytes (`encrypt`).
    ///
    /// # Errors
    /// [`KeyError`] for another length, or where no random bytes are given.
    pub fn encrypt(&self, plain: &[u8], random: &dyn Random) -> Result<Vec<u8>, KeyError> {
        let mut initial = [0; BLOCK];
        let mut sealed = Vec::with_capacity(plain.len() + BLOCK);
        if self.protocol == PinProtocol::Two {
            random.fill(&mut initial)?;
            sealed.extend_from_slice(&initial);
        }
        let mut cipher = cbc::Encryptor::<aes::Aes256>::new((&*self.keys.encrypt).into(), (&initial).into());
        for piece in plain.chunks(BLOCK) {
            let mut block = Block::<aes::Aes256>::try_from(piece).map_err(|_| WHAT)?;
            cipher.encrypt_block(&mut block);
            sealed.extend_from_slice(&block);
        }
        Ok(sealed)
    }

    /// Decrypts what the key sent (`decrypt`).
    ///
    /// # Errors
    /// [`Malformed`] for what is not whole blocks.
    pub fn decrypt(&self, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Malformed> {
        let (initial, sealed) = match self.protocol {
            PinProtocol::One => ([0; BLOCK], sealed),
            PinProtocol::Two => {
                let (initial, sealed) = sealed.split_first_chunk::<BLOCK>().ok_or(WHAT)?;
                (*initial, sealed)
            }
        };
        let mut plain = Zeroizing::new(Vec::with_capacity(sealed.len()));
        let mut cipher = cbc::Decryptor::<aes::Aes256>::new((&*self.keys.encrypt).into(), (&initial).into());
        for piece in sealed.chunks(BLOCK) {
            let mut block = Block::<aes::Aes256>::try_from(piece).map_err(|_| WHAT)?;
            cipher.decrypt_block(&mut block);
            plain.extend_from_slice(&block);
        }
        Ok(plain)
    }

    /// The MAC of a message under the key agreed on (`authenticate`).
    #[must_use]
    pub fn authenticate(&self, message: &[u8]) -> Vec<u8> {
        self.protocol.mac(self.keys.authenticate.as_slice(), message)
    }
}

impl fmt::Debug for Agreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Agreement").field("protocol", &self.protocol).finish_non_exhaustive()
    }
}

fn draw(random: &dyn Random) -> Result<SecretKey, KeyError> {
    let mut bytes = Zeroizing::new([0; 32]);
    for _ in 0..DRAWS {
        random.fill(bytes.as_mut_slice())?;
        if let Ok(secret) = SecretKey::from_slice(bytes.as_slice()) {
            return Ok(secret);
        }
    }
    Err(KeyError::NoRandomness)
}

// The key's COSE_Key names an algorithm that is not the one in use, and says so (section 6.5.6).
fn point(theirs: Value) -> Result<PublicKey, Malformed> {
    let mut fields = theirs.into_fields("key agreement")?;
    let mut number = |key| fields.demand(key)?.into_number("key agreement");
    if (number(1)?, number(3)?, number(-1)?) != (2, -25, 1) {
        return Err(WHAT);
    }
    let mut coordinate = |key| fields.demand(key)?.into_bytes("key agreement");
    let (x, y) = (coordinate(-2)?, coordinate(-3)?);
    if x.len() != 32 || y.len() != 32 || !fields.rest().is_empty() {
        return Err(WHAT);
    }
    PublicKey::from_sec1_bytes(&[&[4], x.as_slice(), y.as_slice()].concat()).map_err(|_| WHAT)
}

fn cose(key: &PublicKey) -> Value {
    let point = key.to_sec1_point(false);
    let coordinates = point.as_bytes().get(1..).unwrap_or_default();
    let (x, y) = coordinates.split_at(coordinates.len() / 2);
    Value::Map(vec![
        (Value::number(1), Value::number(2)),
        (Value::number(3), Value::number(-25)),
        (Value::number(-1), Value::number(1)),
        (Value::number(-2), Value::bytes(x)),
        (Value::number(-3), Value::bytes(y)),
    ])
}
