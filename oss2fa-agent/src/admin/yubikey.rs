//! What the command line asks the daemon about YubiKeys.

use oss2fa_core::ids::DeviceName;
use oss2fa_core::secret::SecretText;
use serde::{Deserialize, Serialize};

/// A YubiKey to be enrolled by its challenge-response.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct YubikeyEnrollment {
    /// As typed; the daemon makes it canonical.
    pub user: String,
    /// Which of its configurations answers.
    pub slot: YubikeySlot,
    /// What the owner calls it; by default the kind's name.
    pub name: Option<DeviceName>,
    /// A fresh code of one of the user's devices, where one is needed.
    pub proof: Option<SecretText>,
}

/// One of the two configurations of a YubiKey.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum YubikeySlot {
    /// The short touch.
    #[serde(rename = "1")]
    One,
    /// The long touch.
    #[serde(rename = "2")]
    Two,
}

/// A YubiKey to be enrolled by a password that it has typed.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TypistEnrollment {
    /// As typed; the daemon makes it canonical.
    pub user: String,
    /// What the owner calls it; by default the kind's name.
    pub name: Option<DeviceName>,
    /// What the key has typed.
    pub otp: SecretText,
    /// What was written into it; where absent, validation servers judge its passwords.
    pub secrets: Option<TypistSecrets>,
    /// A fresh code of one of the user's devices, where one is needed.
    pub proof: Option<SecretText>,
}

/// The secrets of a YubiKey that types passwords, in hexadecimal.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TypistSecrets {
    /// The private id.
    pub private_id: SecretText,
    /// The AES key.
    pub key: SecretText,
}
