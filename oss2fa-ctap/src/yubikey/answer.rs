//! Challenges (HMAC-SHA1: RFC 2104; lengths: `CFGFLAG_HMAC_LT64` of `ykdef.h`), and the answer that a store has expected.

use std::fmt;

use oss2fa_core::ids::DeviceId;
use oss2fa_core::random::{NoRandomness, Random};
use oss2fa_core::secret::SecretBytes;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::frame::PAYLOAD;

/// Longest challenge, in bytes: a slot set up for challenges of less than 64 bytes (`HMAC_LT64`) takes no more.
pub const MAX_CHALLENGE: usize = PAYLOAD - 1;

/// A challenge of 1 to [`MAX_CHALLENGE`] bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct Challenge(Vec<u8>);

impl Challenge {
    /// A new one, as long as can be.
    ///
    /// # Errors
    /// [`NoRandomness`].
    pub fn fresh(random: &dyn Random) -> Result<Self, NoRandomness> {
        let mut bytes = vec![0; MAX_CHALLENGE];
        random.fill(&mut bytes)?;
        if bytes.iter().all(|byte| bytes.first() == Some(byte)) {
            return Err(NoRandomness);
        }
        // A zero at the end would be taken for padding by some slots and not by others.
        if let Some(last) = bytes.last_mut() {
            *last |= 1;
        }
        Ok(Self(bytes))
    }

    /// One that was stored, or imported from another program.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        (1..=MAX_CHALLENGE).contains(&bytes.len()).then(|| Self(bytes.to_vec()))
    }

    /// As a store keeps it.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Filled up with zeroes, as Yubico's own programs do: a slot for shorter challenges strips from the end
    /// what is equal to the last byte.
    pub(super) fn payload(&self) -> Zeroizing<[u8; PAYLOAD]> {
        let mut payload = Zeroizing::new([0; PAYLOAD]);
        for (to, from) in payload.iter_mut().zip(&self.0) {
            *to = *from;
        }
        payload
    }
}

impl fmt::Debug for Challenge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Challenge(***)")
    }
}

/// The answer that a store expects of a device to the challenge it has kept beside it.
#[derive(Debug, Clone)]
pub struct ExpectedAnswer {
    /// Which device.
    pub device: DeviceId,
    /// HMAC-SHA1 of the challenge, 20 bytes; anything else matches nothing.
    pub answer: SecretBytes,
}

/// A YubiKey gave the answer that was expected: made by [`ExpectedAnswer::check`] and by nothing else.
///
/// It says that the answer was right; that the challenge is not used again is the store's part, which puts the
/// next one in its place in the same transaction.
///
/// ```compile_fail
/// use oss2fa_core::ids::DeviceId;
/// let forged = oss2fa_ctap::yubikey::Answered { device: DeviceId(1) };
/// ```
#[derive(Debug, PartialEq, Eq)]
pub struct Answered {
    device: DeviceId,
}

impl Answered {
    /// The device whose key it was.
    #[must_use]
    pub fn device(&self) -> DeviceId {
        self.device
    }
}

impl ExpectedAnswer {
    /// Compares in constant time.
    #[must_use]
    pub fn check(&self, given: &SecretBytes) -> Option<Answered> {
        let whole = self.answer.expose().len() == 20;
        let same = bool::from(self.answer.expose().ct_eq(given.expose()));
        (whole && same).then_some(Answered { device: self.device })
    }
}
