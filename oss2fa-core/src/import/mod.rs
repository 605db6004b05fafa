//! Enrolments of other modules, read from their files.
//!
//! A file is taken over as it is or refused with the line that is wrong: nothing is guessed, and a
//! bad line changes nothing about another one. Every text of an error is free of secrets.

pub mod google_authenticator;
mod local_time;
pub mod otpauth_uris;
pub mod u2f_keys;
pub mod users_oath;
pub mod yubikey_authfile;
pub mod yubikey_csv;

use std::fmt;

use crate::factor::otp::{MAX_POSITION, OtpParameters};
use crate::secret::SecretBytes;
use crate::verdict::FactorKind;

/// How many entries are read from one file.
pub const MAX_ENTRIES: usize = 1_000_000;

/// A device that was found in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportedDevice {
    /// Line of the file, from 1.
    pub line: usize,
    /// Whose it is, as the file spells it, where it says so. Not yet a canonical name.
    pub user: Option<String>,
    /// [`FactorKind::Totp`] or [`FactorKind::Hotp`].
    pub kind: FactorKind,
    /// The shared secret.
    pub secret: SecretBytes,
    /// How the device makes its codes.
    pub parameters: OtpParameters,
    /// The lowest time step or counter that may still be accepted.
    pub next_position: u64,
    /// By how many steps the device's clock is known to be ahead (below zero: behind); 0 where the
    /// file does not say.
    pub drift: i64,
}

/// A line that cannot be taken over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportError {
    /// Line of the file, from 1.
    pub line: usize,
    /// What is wrong with it, and what to do; without secrets.
    pub reason: String,
}

impl fmt::Display for ImportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.reason)
    }
}

impl std::error::Error for ImportError {}

impl ImportError {
    fn at(line: usize, reason: impl fmt::Display) -> Self {
        Self { line, reason: reason.to_string() }
    }
}

/// The lines that say something, with their numbers.
fn entries(text: &str) -> impl Iterator<Item = (usize, &str)> {
    (1..).zip(text.lines()).filter(|(_, line)| !matches!(line.trim_start().chars().next(), None | Some('#')))
}

/// An error in place of what is beyond [`MAX_ENTRIES`]: nothing is left out in silence.
fn too_many<T>(text: &str) -> Option<Result<T, ImportError>> {
    let (line, _) = entries(text).nth(MAX_ENTRIES)?;
    let reason =
        format!("this and what follows is not read, the limit is {MAX_ENTRIES} entries: split the file");
    Some(Err(ImportError { line, reason }))
}

/// A time step or counter in plain decimal.
fn position(text: &str) -> Option<u64> {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if plain { text.parse().ok().filter(|position| *position < MAX_POSITION) } else { None }
}
