//! Counter-based codes (RFC 4226): a window that looks forward only, resynchronisation by two codes.

use std::fmt;
use std::ops::RangeInclusive;

use super::generator::{Generator, TypedCode};
use super::otp::{MAX_POSITION, OtpParameters, looks_like};
use crate::ids::DeviceId;
use crate::secret::SecretBytes;
use crate::verdict::{FactorKind, Verified};

/// How many codes the user may have skipped, by a button pressed without a login (the look-ahead
/// parameter s of RFC 4226 section 7.4).
pub const LOOK_AHEAD: u64 = 10;

/// How far [`Hotp::resync`] looks ahead, in codes.
pub const RESYNC_LOOK_AHEAD: u64 = 1000;

/// A counter-based device as the store knows it.
#[derive(Clone, Copy)]
pub struct Hotp<'a> {
    /// Which device.
    pub device: DeviceId,
    /// The shared secret; an empty one matches nothing.
    pub secret: &'a SecretBytes,
    /// How it makes its codes; the period is not used.
    pub parameters: OtpParameters,
    /// The lowest counter that may still be accepted: one above the last accepted counter.
    pub next_counter: u64,
}

impl Hotp<'_> {
    /// Whether `code` could be a code of this device, by its shape alone.
    #[must_use]
    pub fn has_shape(&self, code: &str) -> bool {
        looks_like(code, self.parameters.digits)
    }

    /// Compares `code` with that of `next_counter` and the [`LOOK_AHEAD`] after it, the earliest
    /// first; never with an earlier one.
    #[must_use]
    pub fn check(&self, code: &str) -> Option<Verified> {
        let typed = TypedCode::read(code, self.parameters.digits)?;
        let generator = Generator::new(self.secret, self.parameters)?;
        let counter = generator.find(self.window(LOOK_AHEAD), &typed)?;
        Some(Verified::by_check(self.device, FactorKind::Hotp, counter))
    }

    /// Looks further ahead, by [`RESYNC_LOOK_AHEAD`], for two consecutive codes (RFC 4226
    /// section 7.4). The position of the evidence is the counter of the second.
    #[must_use]
    pub fn resync(&self, first: &str, second: &str) -> Option<Verified> {
        let first = TypedCode::read(first, self.parameters.digits)?;
        let second = TypedCode::read(second, self.parameters.digits)?;
        let generator = Generator::new(self.secret, self.parameters)?;
        let counter = generator.find_pair(self.window(RESYNC_LOOK_AHEAD), &first, &second)?;
        Some(Verified::by_check(self.device, FactorKind::Hotp, counter))
    }

    fn window(&self, ahead: u64) -> RangeInclusive<u64> {
        self.next_counter..=self.next_counter.saturating_add(ahead).min(MAX_POSITION)
    }
}

impl fmt::Debug for Hotp<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hotp").field("device", &self.device).finish_non_exhaustive()
    }
}
