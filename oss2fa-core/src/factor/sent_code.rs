//! Codes that are made here and sent to their owner, by e-mail or SMS.
//!
//! A code stands for one challenge and is kept only as a keyed hash; that it ends, that it is spent once
//! and how often it may be tried is the store's part.

use std::fmt::{self, Write};

use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::generator::typed_digits;
use crate::ids::DeviceId;
use crate::random::{NoRandomness, Random};
use crate::secret::SecretText;
use crate::verdict::{FactorKind, Verified};

/// A draw is thrown away less than once in a billion times: a source that needs more is broken.
const DRAWS: usize = 8;

/// Not a length that a sent code can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadLength;

impl fmt::Display for BadLength {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the length of a code that is sent must be 6 to 10 digits")
    }
}

impl std::error::Error for BadLength {}

/// How many digits a sent code has: 6 (the default) to 10.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct CodeLength(u8);

impl CodeLength {
    /// The shortest.
    pub const LEAST: u8 = 6;

    /// The longest.
    pub const MOST: u8 = 10;

    /// Takes 6 to 10.
    ///
    /// # Errors
    /// [`BadLength`] for any other number.
    pub fn new(digits: u8) -> Result<Self, BadLength> {
        if (Self::LEAST..=Self::MOST).contains(&digits) { Ok(Self(digits)) } else { Err(BadLength) }
    }

    /// The number of digits.
    #[must_use]
    pub fn value(self) -> u8 {
        self.0
    }
}

impl Default for CodeLength {
    fn default() -> Self {
        Self(Self::LEAST)
    }
}

impl TryFrom<u8> for CodeLength {
    type Error = BadLength;

    fn try_from(digits: u8) -> Result<Self, BadLength> {
        Self::new(digits)
    }
}

impl From<CodeLength> for u8 {
    fn from(length: CodeLength) -> Self {
        length.0
    }
}

impl fmt::Display for CodeLength {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A new code: each of the codes of that length is as likely as any other.
///
/// # Errors
/// [`NoRandomness`], also from a source that gives the same over and over.
pub fn from_random(random: &dyn Random, length: CodeLength) -> Result<SecretText, NoRandomness> {
    let codes = 10_u64.pow(u32::from(length.0));
    // What is left over above the last whole set of codes would make the low ones likelier.
    let fair = u64::MAX - u64::MAX % codes;
    let mut bytes = Zeroizing::new([0; 8]);
    for _ in 0..DRAWS {
        random.fill(bytes.as_mut_slice())?;
        let drawn = Zeroizing::new(u64::from_be_bytes(*bytes));
        if *drawn < fair {
            let width = usize::from(length.0);
            // Room for all of it: a string that grows leaves what it held behind.
            let mut code = String::with_capacity(width);
            write!(code, "{:0width$}", *drawn % codes).map_err(|_| NoRandomness)?;
            return Ok(SecretText::new(code));
        }
    }
    Err(NoRandomness)
}

/// Brings what was typed to the code's one spelling, which is what gets hashed: blanks and dashes do not
/// matter. `None` for whatever cannot be a code; digits of other scripts are not digits here.
#[must_use]
pub fn canonical(typed: &str) -> Option<SecretText> {
    let digits = typed_digits(typed, usize::from(CodeLength::MOST))?;
    if digits.len() < usize::from(CodeLength::LEAST) {
        return None;
    }
    std::str::from_utf8(&digits).ok().map(|digits| SecretText::new(digits.to_owned()))
}

/// Compares the keyed hash of what was typed with that of the code that was sent, in a time that does not
/// depend on either. The position of the evidence is 0: what is spent is the challenge.
#[must_use]
pub fn check(device: DeviceId, presented: &[u8; 32], expected: &[u8; 32]) -> Option<Verified> {
    bool::from(presented.ct_eq(expected)).then(|| Verified::by_check(device, FactorKind::SentCode, 0))
}
