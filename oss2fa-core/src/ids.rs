//! Names and numbers that must not be mixed up.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};

/// Number of a device in one store; never given out twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DeviceId(pub i64);

impl fmt::Display for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The name of an account in its canonical form, as the user directory spells it.
///
/// Made once, at the border, from `pw_name`. Everything behind the border takes this type, so that
/// look-up, lock, policy and audit cannot disagree about who is meant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct UserName(String);

/// Longest account name, in bytes (`LOGIN_NAME_MAX` on Linux).
pub const MAX_USER_NAME: usize = 256;

/// Longest device name, in characters.
pub const MAX_DEVICE_NAME: usize = 64;

/// A name that no account or device may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadName;

impl fmt::Display for BadName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name is empty, too long, or has characters that a name cannot have")
    }
}

impl std::error::Error for BadName {}

impl UserName {
    /// Takes the name that the user directory gave.
    ///
    /// # Errors
    /// [`BadName`] for a name that could be read as something else in a path, a list or a log:
    /// empty, too long, with a control character, a slash or a colon, or beginning with a dash.
    pub fn from_directory(name: &str) -> Result<Self, BadName> {
        let odd = |c: char| c.is_control() || matches!(c, '/' | ':' | ',') || c.is_whitespace();
        if name.is_empty()
            || name.len() > MAX_USER_NAME
            || name.starts_with('-')
            || matches!(name, "." | "..")
            || name.chars().any(odd)
        {
            return Err(BadName);
        }
        Ok(Self(name.to_owned()))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a person calls one of their devices.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct DeviceName(String);

impl DeviceName {
    /// Takes a name of 1 to [`MAX_DEVICE_NAME`] characters, without control characters.
    ///
    /// # Errors
    /// [`BadName`] for any other.
    pub fn new(name: &str) -> Result<Self, BadName> {
        let name = name.trim();
        if name.is_empty() || name.chars().count() > MAX_DEVICE_NAME || name.chars().any(char::is_control) {
            return Err(BadName);
        }
        Ok(Self(name.to_owned()))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DeviceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for DeviceName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}
