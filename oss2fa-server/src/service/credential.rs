//! What proves an integration or an administrator: made at random, shown once, kept as digests.

use data_encoding::HEXLOWER;
use oss2fa_core::random::{NoRandomness, Random};
use oss2fa_core::secret::SecretText;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::store::verbs::integrations::CredentialDigests;

/// Random bytes of a token and of a secret key: 160 bits, so that a digest of it cannot be searched for.
const LENGTH: usize = 20;

/// A token and a pair, to be shown once.
pub struct Credentials {
    /// 40 hexadecimal digits.
    pub token: SecretText,
    /// The name half of the pair: 40 hexadecimal digits.
    pub access_key: String,
    /// The secret half: 40 hexadecimal digits.
    pub secret_key: SecretText,
}

impl Credentials {
    /// New ones.
    ///
    /// # Errors
    /// [`NoRandomness`].
    pub fn generate(random: &dyn Random) -> Result<Self, NoRandomness> {
        Ok(Self {
            token: SecretText::new(hex(random)?),
            access_key: hex(random)?,
            secret_key: SecretText::new(hex(random)?),
        })
    }

    /// What is kept of them.
    #[must_use]
    pub fn digests(&self) -> CredentialDigests {
        CredentialDigests {
            token: digest(self.token.expose()),
            access_key: self.access_key.clone(),
            secret: digest(self.secret_key.expose()),
        }
    }
}

/// 40 hexadecimal digits at random.
///
/// # Errors
/// [`NoRandomness`].
pub fn hex(random: &dyn Random) -> Result<String, NoRandomness> {
    let mut bytes = Zeroizing::new([0; LENGTH]);
    random.fill(bytes.as_mut_slice())?;
    Ok(HEXLOWER.encode(bytes.as_slice()))
}

/// What is kept of a token. It has 160 random bits, and is looked up by this: neither a salt nor a comparison
/// in constant time would add anything.
#[must_use]
pub fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}
