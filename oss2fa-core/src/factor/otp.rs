//! What time-based and counter-based codes have in common: algorithm, digits, period.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::generator::TypedCode;

/// The highest time step or counter that is ever accepted. Above it the next position would no
/// longer fit the signed 64-bit number that stores keep.
pub const MAX_POSITION: u64 = i64::MAX as u64 - 1;

/// A parameter outside of what is supported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum BadParameter {
    /// Not an algorithm of RFC 6238.
    Algorithm,
    /// Not 6, 7 or 8.
    Digits,
    /// Not 15 to 300 seconds.
    Period,
}

impl fmt::Display for BadParameter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Algorithm => "the algorithm must be sha1, sha256 or sha512",
            Self::Digits => "the number of digits must be 6, 7 or 8",
            Self::Period => "the period must be 15 to 300 seconds",
        })
    }
}

impl std::error::Error for BadParameter {}

/// The hash inside the HMAC (RFC 6238 section 1.2).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Algorithm {
    /// HMAC-SHA-1: the one that every authenticator application knows.
    #[default]
    Sha1,
    /// HMAC-SHA-256.
    Sha256,
    /// HMAC-SHA-512.
    Sha512,
}

impl Algorithm {
    /// The word for it in the store, on the command line and in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sha1 => "sha1",
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }

    /// Length of a new secret, in bytes: that of the hash's output (RFC 6238 section 5.1).
    #[must_use]
    pub fn secret_length(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Algorithm {
    type Err = BadParameter;

    /// Takes the name in any case.
    fn from_str(text: &str) -> Result<Self, BadParameter> {
        [Self::Sha1, Self::Sha256, Self::Sha512]
            .into_iter()
            .find(|algorithm| text.eq_ignore_ascii_case(algorithm.as_str()))
            .ok_or(BadParameter::Algorithm)
    }
}

/// How many digits a code has: 6 (the default), 7 or 8.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct Digits(u8);

impl Digits {
    /// Takes 6, 7 or 8.
    ///
    /// # Errors
    /// [`BadParameter::Digits`] for any other number.
    pub fn new(digits: u8) -> Result<Self, BadParameter> {
        if (6..=8).contains(&digits) { Ok(Self(digits)) } else { Err(BadParameter::Digits) }
    }

    /// The number.
    #[must_use]
    pub fn value(self) -> u8 {
        self.0
    }
}

impl Default for Digits {
    fn default() -> Self {
        Self(6)
    }
}

/// How long a time-based code is the current one, in seconds: 15 to 300, by default 30.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub struct Period(u16);

impl Period {
    /// Takes 15 to 300 seconds.
    ///
    /// # Errors
    /// [`BadParameter::Period`] for any other number.
    pub fn new(seconds: u16) -> Result<Self, BadParameter> {
        if (15..=300).contains(&seconds) { Ok(Self(seconds)) } else { Err(BadParameter::Period) }
    }

    /// The number of seconds.
    #[must_use]
    pub fn value(self) -> u16 {
        self.0
    }

    /// The time step at `now`, in seconds since 1970 (RFC 6238 section 4.2, with T0 = 0).
    #[must_use]
    pub fn step_at(self, now: u64) -> u64 {
        now / u64::from(self.0)
    }
}

impl Default for Period {
    fn default() -> Self {
        Self(30)
    }
}

// A number from the command line, from JSON, or from a column of a store.
macro_rules! number {
    ($name:ident, $inner:ty, $bad:expr) => {
        impl TryFrom<$inner> for $name {
            type Error = BadParameter;

            fn try_from(number: $inner) -> Result<Self, BadParameter> {
                Self::new(number)
            }
        }

        impl TryFrom<i64> for $name {
            type Error = BadParameter;

            fn try_from(number: i64) -> Result<Self, BadParameter> {
                <$inner>::try_from(number).map_err(|_| $bad).and_then(Self::new)
            }
        }

        impl From<$name> for $inner {
            fn from(number: $name) -> Self {
                number.0
            }
        }

        impl FromStr for $name {
            type Err = BadParameter;

            /// Takes plain ASCII digits, without a sign.
            fn from_str(text: &str) -> Result<Self, BadParameter> {
                if !text.bytes().all(|byte| byte.is_ascii_digit()) {
                    return Err($bad);
                }
                text.parse().map_err(|_| $bad).and_then(Self::new)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number!(Digits, u8, BadParameter::Digits);
number!(Period, u16, BadParameter::Period);

/// How a device makes its codes. The period is without meaning for a counter-based device.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OtpParameters {
    /// The hash inside the HMAC.
    pub algorithm: Algorithm,
    /// Length of a code.
    pub digits: Digits,
    /// Length of a time step.
    pub period: Period,
}

/// Whether `code` has the shape of a code of `digits` digits: that many ASCII digits, with or
/// without blanks and dashes between them. Says which devices a wrong code was a try at.
///
/// ```
/// use oss2fa_core::factor::otp::{Digits, looks_like};
/// assert!(looks_like(" 123 456\n", Digits::default()));
/// assert!(!looks_like("12345678", Digits::default()));
/// ```
#[must_use]
pub fn looks_like(code: &str, digits: Digits) -> bool {
    TypedCode::read(code, digits).is_some()
}
