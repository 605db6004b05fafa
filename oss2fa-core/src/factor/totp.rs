//! Time-based codes (RFC 6238): one use each, a skew of a few steps, resynchronisation by two codes.

use std::fmt;

use super::generator::{Generator, TypedCode};
use super::otp::{MAX_POSITION, OtpParameters, looks_like};
use crate::ids::DeviceId;
use crate::secret::SecretBytes;
use crate::verdict::{FactorKind, Verified};

/// How far [`Totp::resync`] searches on either side of now, in steps: an hour at 30 seconds.
pub const RESYNC_STEPS: u64 = 120;

/// A time-based device as the store knows it.
#[derive(Clone, Copy)]
pub struct Totp<'a> {
    /// Which device.
    pub device: DeviceId,
    /// The shared secret; an empty one matches nothing.
    pub secret: &'a SecretBytes,
    /// How it makes its codes.
    pub parameters: OtpParameters,
    /// How many steps before and after the expected one are accepted (RFC 6238 section 5.2).
    pub skew: u8,
    /// By how many steps the device's clock was ahead (or, below zero, behind) when last seen
    /// (RFC 6238 section 6).
    pub drift: i64,
    /// The lowest step that may still be accepted: one above the last accepted step.
    pub next_step: u64,
}

/// What two consecutive codes told.
#[derive(Debug, PartialEq, Eq)]
pub struct Resynced {
    /// Evidence; its position is the step of the second code.
    pub verified: Verified,
    /// By how many steps the device's clock is ahead of this one.
    pub drift: i64,
}

impl Totp<'_> {
    /// Whether `code` could be a code of this device, by its shape alone.
    #[must_use]
    pub fn has_shape(&self, code: &str) -> bool {
        looks_like(code, self.parameters.digits)
    }

    /// Compares `code` with those of the expected step and its neighbours, the earliest first, and
    /// with none below `next_step`. `now` is in seconds since 1970.
    #[must_use]
    pub fn check(&self, code: &str, now: u64) -> Option<Verified> {
        let typed = TypedCode::read(code, self.parameters.digits)?;
        let generator = Generator::new(self.secret, self.parameters)?;
        let expected = self.parameters.period.step_at(now).saturating_add_signed(self.drift);
        let skew = u64::from(self.skew);
        let from = expected.saturating_sub(skew).max(self.next_step);
        let to = expected.saturating_add(skew).min(MAX_POSITION);
        let step = generator.find(from..=to, &typed)?;
        Some(Verified::by_check(self.device, FactorKind::Totp, step))
    }

    /// Looks for two consecutive codes up to [`RESYNC_STEPS`] before and after `now` (seconds since
    /// 1970), and learns by how much the device's clock is off.
    ///
    /// Neither code may be below `next_step`: with old codes, which an onlooker may have, a
    /// resynchronisation would be a login by replay (as it was in CVE-2019-12887).
    #[must_use]
    pub fn resync(&self, first: &str, second: &str, now: u64) -> Option<Resynced> {
        let first = TypedCode::read(first, self.parameters.digits)?;
        let second = TypedCode::read(second, self.parameters.digits)?;
        let generator = Generator::new(self.secret, self.parameters)?;
        let current = self.parameters.period.step_at(now);
        let from = current.saturating_sub(RESYNC_STEPS).max(self.next_step);
        let to = current.saturating_add(RESYNC_STEPS).min(MAX_POSITION);
        let step = generator.find_pair(from..=to, &first, &second)?;
        let drift = i64::try_from(i128::from(step) - i128::from(current)).ok()?;
        Some(Resynced { verified: Verified::by_check(self.device, FactorKind::Totp, step), drift })
    }
}

impl fmt::Debug for Totp<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Totp").field("device", &self.device).finish_non_exhaustive()
    }
}
