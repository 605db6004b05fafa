//! The keys: a master key outside the database wraps a data key inside; all else is derived from that.

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use oss2fa_core::factor::otp::Algorithm;
use oss2fa_core::secret::SecretBytes;
use sha1::{Digest, Sha1};
use sha2::{Sha256, Sha512};
use zeroize::Zeroizing;

use super::error::StoreError;
use crate::outside::{NoRandomness, Random};

/// Bytes of each key.
pub const KEY_LENGTH: usize = 32;

const NONCE_LENGTH: usize = 24;
const WRAPPED_AS: &[u8] = b"oss2fa agent data key 1";

/// 32 bytes that are wiped on drop and never shown.
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

    /// From bytes of the right length.
    #[must_use]
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        <[u8; KEY_LENGTH]>::try_from(bytes).ok().map(|bytes| Self(Zeroizing::new(bytes)))
    }

    /// The bytes, to be written to the key's file.
    #[must_use]
    pub fn expose(&self) -> &[u8; KEY_LENGTH] {
        &self.0
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(&Key::from(*self.0))
    }

    /// Wraps `data` for the database.
    ///
    /// # Errors
    /// [`StoreError::Random`].
    pub fn wrap(&self, data: &Self, random: &dyn Random) -> Result<Vec<u8>, StoreError> {
        seal(&self.cipher(), data.0.as_slice(), WRAPPED_AS, random)
    }

    /// Opens what [`KeyBytes::wrap`] made; `None` with another key or a changed value.
    #[must_use]
    pub fn unwrap_key(&self, wrapped: &[u8]) -> Option<Self> {
        let opened = open(&self.cipher(), wrapped, WRAPPED_AS)?;
        Self::from_slice(&opened)
    }
}

/// The keys in use, derived from the data key.
pub struct Keys {
    sealing: XChaCha20Poly1305,
    digest: Hmac<Sha256>,
    fingerprint: Hmac<Sha256>,
    audit: Hmac<Sha256>,
}

impl Keys {
    /// Derives them (HKDF-SHA256, one label each).
    ///
    /// # Errors
    /// Never with keys of this length; the libraries' own words for it are passed on.
    pub fn derive(data: &KeyBytes) -> Result<Self, StoreError> {
        let hkdf = Hkdf::<Sha256>::new(None, data.0.as_slice());
        let key = |label: &[u8]| {
            let mut bytes = Zeroizing::new([0; KEY_LENGTH]);
            hkdf.expand(label, bytes.as_mut_slice()).map_err(|_| StoreError::Corrupt("a key length"))?;
            Ok::<_, StoreError>(KeyBytes(bytes))
        };
        let mac = |label: &[u8]| {
            Hmac::<Sha256>::new_from_slice(key(label)?.0.as_slice())
                .map_err(|_| StoreError::Corrupt("a key length"))
        };
        Ok(Self {
            sealing: key(b"oss2fa agent seal 1")?.cipher(),
            digest: mac(b"oss2fa agent recovery code 1")?,
            fingerprint: mac(b"oss2fa agent fingerprint 1")?,
            audit: mac(b"oss2fa agent audit 1")?,
        })
    }

    /// Seals a secret under `associated`, which names its row.
    ///
    /// # Errors
    /// [`StoreError::Random`].
    pub fn seal(
        &self,
        secret: &SecretBytes,
        associated: &[u8],
        random: &dyn Random,
    ) -> Result<Vec<u8>, StoreError> {
        seal(&self.sealing, secret.expose(), associated, random)
    }

    /// Opens a sealed secret; `None` where it was changed or belongs to another row.
    #[must_use]
    pub fn open(&self, sealed: &[u8], associated: &[u8]) -> Option<SecretBytes> {
        open(&self.sealing, sealed, associated).map(|bytes| SecretBytes::new(bytes.to_vec()))
    }

    /// Keyed digest of a recovery code of one account.
    #[must_use]
    pub fn recovery_digest(&self, account: i64, code: &str) -> [u8; 32] {
        mac(&self.digest, &[&account.to_be_bytes(), code.as_bytes()])
    }

    /// Keyed fingerprint of a device's secret, the same for all secrets that make the same codes: HMAC
    /// pads a short key with zeros, and hashes one that is longer than its block (RFC 2104 section 2).
    #[must_use]
    pub fn fingerprint(&self, algorithm: Algorithm, secret: &SecretBytes) -> [u8; 32] {
        let key = secret.expose();
        let hashed = Zeroizing::new(match algorithm {
            Algorithm::Sha1 if key.len() > 64 => Sha1::digest(key).to_vec(),
            Algorithm::Sha256 if key.len() > 64 => Sha256::digest(key).to_vec(),
            Algorithm::Sha512 if key.len() > 128 => Sha512::digest(key).to_vec(),
            _ => key.to_vec(),
        });
        let length = hashed.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        mac(&self.fingerprint, &[hashed.get(..length).unwrap_or_default()])
    }

    /// The next link of the audit's chain.
    #[must_use]
    pub fn audit_link(&self, fields: &[&[u8]]) -> [u8; 32] {
        mac(&self.audit, fields)
    }
}

// Each field goes in with its length, so that no two lists of fields look alike.
fn mac(keyed: &Hmac<Sha256>, fields: &[&[u8]]) -> [u8; 32] {
    let mut mac = keyed.clone();
    for field in fields {
        mac.update(&u64::try_from(field.len()).unwrap_or(u64::MAX).to_be_bytes());
        mac.update(field);
    }
    mac.finalize().into_bytes().into()
}

fn seal(
    cipher: &XChaCha20Poly1305,
    plain: &[u8],
    associated: &[u8],
    random: &dyn Random,
) -> Result<Vec<u8>, StoreError> {
    let mut nonce = [0; NONCE_LENGTH];
    random.fill(&mut nonce)?;
    let sealed = cipher
        .encrypt(&XNonce::from(nonce), Payload { msg: plain, aad: associated })
        .map_err(|_| StoreError::Corrupt("a secret too long to seal"))?;
    Ok([nonce.as_slice(), &sealed].concat())
}

fn open(cipher: &XChaCha20Poly1305, sealed: &[u8], associated: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let (nonce, sealed) = sealed.split_first_chunk::<NONCE_LENGTH>()?;
    cipher.decrypt(&XNonce::from(*nonce), Payload { msg: sealed, aad: associated }).ok().map(Zeroizing::new)
}
