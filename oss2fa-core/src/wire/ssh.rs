//! What sshd tells PAM of the methods that a login has passed already.

use std::ffi::CStr;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};

/// Longest text that is passed on, in bytes: several keys of every kind, and some certificates.
pub const MAX_SSH_AUTH_INFO: usize = 8 * 1024;

/// The variable of the PAM environment in which sshd says it; no client can set it.
pub const SSH_AUTH_INFO: &CStr = c"SSH_AUTH_INFO_0";

/// A line for each method that sshd has accepted in this login, as "publickey ssh-ed25519 AAAA...".
///
/// It holds public keys and no secret. Whether it is true depends on who says it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct SshAuthInfo(String);

/// This is nothing that sshd says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadSshAuthInfo;

impl fmt::Display for BadSshAuthInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SSH_AUTH_INFO_0 is empty, longer than {MAX_SSH_AUTH_INFO} bytes, or not plain text")
    }
}

impl std::error::Error for BadSshAuthInfo {}

impl SshAuthInfo {
    /// Takes the variable's value: lines of visible ASCII and blanks.
    ///
    /// # Errors
    /// [`BadSshAuthInfo`] for any other, for an empty one, and for one longer than [`MAX_SSH_AUTH_INFO`].
    pub fn new(value: &[u8]) -> Result<Self, BadSshAuthInfo> {
        let plain = |byte: &u8| matches!(byte, b'\n' | b' '..=b'~');
        if value.is_empty() || value.len() > MAX_SSH_AUTH_INFO || !value.iter().all(plain) {
            return Err(BadSshAuthInfo);
        }
        String::from_utf8(value.to_vec()).map(Self).map_err(|_| BadSshAuthInfo)
    }

    /// Its lines, one a method, in the order in which they were passed.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        self.0.split('\n').filter(|line| !line.is_empty())
    }
}

impl<'de> Deserialize<'de> for SshAuthInfo {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(String::deserialize(deserializer)?.as_bytes()).map_err(serde::de::Error::custom)
    }
}
