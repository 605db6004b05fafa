//! The words every part of OSS2FA shares: ids, secrets, verdicts, factors and the login wire protocol.
//!
//! Pure by rule: no I/O, no async, no clock, no random source. What needs the time or randomness
//! takes it as a parameter. Without features only what the PAM module needs is left: [`wire`] and
//! [`secret`].
#![forbid(unsafe_code)]

pub mod random;
pub mod secret;
pub mod wire;

#[cfg(feature = "factors")]
pub mod backoff;
#[cfg(feature = "factors")]
mod base32;
#[cfg(feature = "factors")]
pub mod factor;
#[cfg(feature = "factors")]
pub mod ids;
#[cfg(feature = "factors")]
pub mod import;
#[cfg(feature = "keys")]
pub mod keys;
#[cfg(feature = "factors")]
pub mod otpauth;
#[cfg(feature = "factors")]
pub mod session;
#[cfg(feature = "factors")]
pub mod verdict;
