//! Enrolments of other modules, read from their files.
//!
//! A file is taken over as it is or refused with the line that is wrong: nothing is guessed, and a
//! bad line changes nothing about another one. Every text of an error is free of secrets.

use std::fmt;

use crate::factor::otp::OtpParameters;
use crate::secret::SecretBytes;
use crate::verdict::FactorKind;

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
