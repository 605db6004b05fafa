//! Evidence that a factor was checked.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ids::DeviceId;

/// The kinds of factor; locks are counted for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FactorKind {
    /// RFC 6238.
    Totp,
    /// RFC 4226.
    Hotp,
    /// A single-use recovery code.
    RecoveryCode,
    /// A code that a server sent by e-mail or SMS. No device of a host makes one.
    SentCode,
    /// A security key: by CTAP2 at a host, and whatever it speaks by Web Authentication at a server.
    Fido2,
    /// A security key of a host, by U2F.
    U2f,
    /// What a YubiKey types at a touch.
    YubicoOtp,
    /// The answer of a YubiKey that is plugged into a host to the challenge that was kept for it.
    YubikeyHmac,
    /// A key of OpenSSH that lives on a security key, touched far away. No code is its, and this host never speaks to it.
    SshSk,
}

impl FactorKind {
    /// The word for it in the store, on the command line and in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Totp => "totp",
            Self::Hotp => "hotp",
            Self::RecoveryCode => "recovery_code",
            Self::SentCode => "sent_code",
            Self::Fido2 => "fido2",
            Self::U2f => "u2f",
            Self::YubicoOtp => "yubico_otp",
            Self::YubikeyHmac => "yubikey_hmac",
            Self::SshSk => "ssh_sk",
        }
    }

    /// Whether a device of its owner makes these codes from a secret that it shares: what has a
    /// provisioning URI, a length and an algorithm.
    #[must_use]
    pub fn is_made_by_device(self) -> bool {
        match self {
            Self::Totp | Self::Hotp => true,
            Self::RecoveryCode | Self::SentCode | Self::Fido2 | Self::U2f | Self::YubicoOtp => false,
            Self::YubikeyHmac | Self::SshSk => false,
        }
    }

    /// Whether it is a security key: touched where it is plugged in, with nothing to type that proves it.
    #[must_use]
    pub fn is_security_key(self) -> bool {
        match self {
            Self::Fido2 | Self::U2f | Self::YubikeyHmac => true,
            Self::Totp | Self::Hotp | Self::RecoveryCode | Self::SentCode | Self::YubicoOtp | Self::SshSk => {
                false
            }
        }
    }
}

impl fmt::Display for FactorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A code matched a device: made by the checks in [`crate::factor`] and by nothing else.
///
/// It says that the code was right, not that it was unused: that is the row count of the store's
/// conditional update, which takes this value and gives the evidence that lets somebody in.
///
/// It cannot be forged:
///
/// ```compile_fail
/// use oss2fa_core::verdict::{Verified, FactorKind};
/// use oss2fa_core::ids::DeviceId;
/// let forged = Verified { device: DeviceId(1), kind: FactorKind::Totp, position: 7 };
/// ```
///
/// nor be used twice:
///
/// ```compile_fail
/// fn twice(proof: oss2fa_core::verdict::Verified) {
///     drop(proof);
///     drop(proof);
/// }
/// ```
#[derive(Debug, PartialEq, Eq)]
pub struct Verified {
    device: DeviceId,
    kind: FactorKind,
    position: u64,
}

impl Verified {
    pub(crate) fn by_check(device: DeviceId, kind: FactorKind, position: u64) -> Self {
        Self { device, kind, position }
    }

    /// The device whose code it was.
    #[must_use]
    pub fn device(&self) -> DeviceId {
        self.device
    }

    /// The kind of that device.
    #[must_use]
    pub fn kind(&self) -> FactorKind {
        self.kind
    }

    /// What must be spent: the time step (TOTP, in periods since 1970), the counter (HOTP), the
    /// number of the recovery code, the signature counter (FIDO), or the two counters of a YubiKey. 0 for a code that
    /// was sent: there its
    /// challenge is spent.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.position
    }
}
