//! What comes from outside the program's own logic: the time and randomness, as parameters.

use std::time::{SystemTime, UNIX_EPOCH};

pub use oss2fa_core::random::{NoRandomness, Random};

/// Tells the time.
pub trait Clock: Send + Sync {
    /// Seconds since 1970, UTC.
    fn now(&self) -> u64;
}

/// The clock and the random source of the running system.
#[derive(Debug, Clone, Copy, Default)]
pub struct System;

impl Clock for System {
    #[expect(clippy::disallowed_methods, reason = "the one place where the system's clock is read")]
    fn now(&self) -> u64 {
        // Before 1970 no code can be valid: 0 makes every TOTP check fail.
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
    }
}

impl Random for System {
    #[expect(clippy::disallowed_methods, reason = "the one place where the system's random source is read")]
    fn fill(&self, bytes: &mut [u8]) -> Result<(), NoRandomness> {
        getrandom::fill(bytes).map_err(|_| NoRandomness)
    }
}
