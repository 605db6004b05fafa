//! Keys as both stores use them: derivation, sealing, keyed hashes.
//!
//! What is written down in these formats must open for ever: derivation is HKDF-SHA256 without salt
//! (RFC 5869), sealing is XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha-03) with its nonce in front, the
//! keyed hash is HMAC-SHA256 (RFC 2104) over fields that each go in behind their length.

use std::fmt;

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::random::{NoRandomness, Random};
use crate::secret::SecretBytes;

/// Bytes of each key.
pub const KEY_LENGTH: usize = 32;

/// Bytes of the random nonce in front of what is sealed: long enough for a new one to be drawn each time.
const NONCE_LENGTH: usize = 24;

/// Block of SHA-256 in bytes: HMAC fills a shorter key up with zeros to that (RFC 2104 section 2).
const BLOCK_LENGTH: usize = 64;

/// Nothing was sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SealError {
    /// There were no random bytes for the nonce.
    Random(NoRandomness),
    /// The secret is longer than the cipher takes: 256 GiB.
    TooLong,
}

impl fmt::Display for SealError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Random(error) => error.fmt(f),
            Self::TooLong => f.write_str("the secret is too long to seal"),
        }
    }
}

impl std::error::Error for SealError {}

impl From<NoRandomness> for SealError {
    fn from(error: NoRandomness) -> Self {
        Self::Random(error)
    }
}

/// [`KEY_LENGTH`] bytes that are wiped on drop and never shown.
#[derive(Clone)]
pub struct KeyBytes(Zeroizing<[u8; KEY_LENGTH]>);

impl KeyBytes {
    /// A new key.
    ///
    /// # Errors
    /// [`NoRandomness`].
    pub fn generate(random: &dyn Random) -> Result<Self, NoRandomness> {
        let mut bytes = Zeroizing::new([0; KEY_LENGTH]);
        random.fill(bytes.as_mut_slice())?;
        Ok(Self(bytes))
    }

    /// From bytes of the right length; `None` for any other.
    #[must_use]
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        <[u8; KEY_LENGTH]>::try_from(bytes).ok().map(|bytes| Self(Zeroizing::new(bytes)))
    }

    /// The bytes, to be written to the key's file or sealed under another key.
    #[must_use]
    pub fn expose(&self) -> &[u8; KEY_LENGTH] {
        &self.0
    }

    /// The key for one purpose, which `label` names: HKDF-SHA256, no salt, `label` as its info (RFC 5869).
    #[must_use]
    #[expect(
        clippy::expect_used,
        reason = "fails above 255 hashes of output; one is asked for, whatever the input"
    )]
    pub fn derive(&self, label: &[u8]) -> Self {
        let mut bytes = Zeroizing::new([0; KEY_LENGTH]);
        Hkdf::<Sha256>::new(None, self.0.as_slice())
            .expand(label, bytes.as_mut_slice())
            .expect("one hash of output");
        Self(bytes)
    }

    /// Seals `plain`; it opens again only with the same `associated`, which names its place. What comes
    /// out is 40 bytes longer: the nonce in front, the tag behind.
    ///
    /// # Errors
    /// [`SealError`].
    pub fn seal(&self, plain: &[u8], associated: &[u8], random: &dyn Random) -> Result<Vec<u8>, SealError> {
        let mut nonce = [0; NONCE_LENGTH];
        random.fill(&mut nonce)?;
        let sealed = self
            .cipher()
            .encrypt(&XNonce::from(nonce), Payload { msg: plain, aad: associated })
            .map_err(|_| SealError::TooLong)?;
        Ok([nonce.as_slice(), &sealed].concat())
    }

    /// Opens what [`KeyBytes::seal`] made; `None` where it was changed, belongs to another place, or was
    /// sealed with another key.
    #[must_use]
    pub fn open(&self, sealed: &[u8], associated: &[u8]) -> Option<SecretBytes> {
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE_LENGTH>()?;
        let payload = Payload { msg: sealed, aad: associated };
        self.cipher().decrypt(&XNonce::from(*nonce), payload).ok().map(SecretBytes::new)
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(&Key::from(*self.0))
    }
}

impl fmt::Debug for KeyBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyBytes(***)")
    }
}

/// A key for keyed hashes, ready for use.
#[derive(Clone)]
pub struct MacKey(Hmac<Sha256>);

impl MacKey {
    /// Takes its key; derive one for each purpose with [`KeyBytes::derive`].
    #[must_use]
    pub fn new(key: &KeyBytes) -> Self {
        let mut block = Zeroizing::new([0; BLOCK_LENGTH]);
        for (to, from) in block.iter_mut().zip(key.expose()) {
            *to = *from;
        }
        Self(<Hmac<Sha256> as KeyInit>::new((&*block).into()))
    }

    /// HMAC-SHA256 of `fields`, each behind its length (eight bytes, the highest first), so that no two
    /// lists of fields look alike. Compare it in constant time.
    #[must_use]
    pub fn mac(&self, fields: &[&[u8]]) -> [u8; 32] {
        let mut mac = self.0.clone();
        for field in fields {
            mac.update(&u64::try_from(field.len()).unwrap_or(u64::MAX).to_be_bytes());
            mac.update(field);
        }
        mac.finalize().into_bytes().into()
    }
}

impl fmt::Debug for MacKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MacKey(***)")
    }
}
