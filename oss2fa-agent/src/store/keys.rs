//! The keys: a master key outside the database wraps a data key inside; all else is derived from that.

use oss2fa_core::factor::otp::Algorithm;
use oss2fa_core::keys::{KeyBytes, MacKey, SealError};
use oss2fa_core::secret::SecretBytes;
use sha1::{Digest, Sha1};
use sha2::{Sha256, Sha512};
use zeroize::Zeroizing;

use crate::outside::Random;

const WRAPPED_AS: &[u8] = b"oss2fa agent data key 1";

/// Wraps the data key for the database.
///
/// # Errors
/// [`SealError`].
pub fn wrap(master: &KeyBytes, data: &KeyBytes, random: &dyn Random) -> Result<Vec<u8>, SealError> {
    master.seal(data.expose(), WRAPPED_AS, random)
}

/// Opens what [`wrap`] made; `None` with another key or a changed value.
#[must_use]
pub fn unwrap_key(master: &KeyBytes, wrapped: &[u8]) -> Option<KeyBytes> {
    KeyBytes::from_slice(master.open(wrapped, WRAPPED_AS)?.expose())
}

/// The keys in use, derived from the data key.
pub struct Keys {
    sealing: KeyBytes,
    digest: MacKey,
    fingerprint: MacKey,
    audit: MacKey,
}

impl Keys {
    /// Derives them, one label each.
    #[must_use]
    pub fn derive(data: &KeyBytes) -> Self {
        let mac = |label: &[u8]| MacKey::new(&data.derive(label));
        Self {
            sealing: data.derive(b"oss2fa agent seal 1"),
            digest: mac(b"oss2fa agent recovery code 1"),
            fingerprint: mac(b"oss2fa agent fingerprint 1"),
            audit: mac(b"oss2fa agent audit 1"),
        }
    }

    /// Seals a secret under `associated`, which names its row.
    ///
    /// # Errors
    /// [`SealError`].
    pub fn seal(
        &self,
        secret: &SecretBytes,
        associated: &[u8],
        random: &dyn Random,
    ) -> Result<Vec<u8>, SealError> {
        self.sealing.seal(secret.expose(), associated, random)
    }

    /// Opens a sealed secret; `None` where it was changed or belongs to another row.
    #[must_use]
    pub fn open(&self, sealed: &[u8], associated: &[u8]) -> Option<SecretBytes> {
        self.sealing.open(sealed, associated)
    }

    /// Keyed digest of a recovery code of one account.
    #[must_use]
    pub fn recovery_digest(&self, account: i64, code: &str) -> [u8; 32] {
        self.digest.mac(&[&account.to_be_bytes(), code.as_bytes()])
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
        self.fingerprint.mac(&[hashed.get(..length).unwrap_or_default()])
    }

    /// Keyed fingerprint of a security key's credential: an id is unique for whom it is made.
    #[must_use]
    pub fn credential_fingerprint(&self, rp: &str, id: &[u8]) -> [u8; 32] {
        self.fingerprint.mac(&[b"credential", rp.as_bytes(), id])
    }

    /// Keyed fingerprint of a key of OpenSSH, by the bytes of its public part.
    #[must_use]
    pub fn ssh_key_fingerprint(&self, blob: &[u8]) -> [u8; 32] {
        self.fingerprint.mac(&[b"ssh key", blob])
    }

    /// The next link of the audit's chain.
    #[must_use]
    pub fn audit_link(&self, fields: &[&[u8]]) -> [u8; 32] {
        self.audit.mac(fields)
    }
}
