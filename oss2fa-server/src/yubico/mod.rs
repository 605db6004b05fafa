//! Validation servers: who is asked whether a YubiKey's password is right, where its secrets are not here.

mod servers;

use async_trait::async_trait;
use oss2fa_core::factor::yubico_otp::TypedOtp;
use oss2fa_core::ids::DeviceId;
use oss2fa_core::verdict::Verified;

pub use servers::{NotUsable, ValidationServers};

/// Judges passwords of YubiKeys.
#[async_trait]
pub trait OtpAuthority: Send + Sync {
    /// The evidence for a password, or `None` where it is wrong or was used.
    ///
    /// # Errors
    /// [`NoAnswer`] where nobody could say: nothing is accepted then.
    async fn judge(&self, device: DeviceId, otp: &TypedOtp) -> Result<Option<Verified>, NoAnswer>;
}

/// Nobody could say whether a password is right. Safe to show: no password and no key is in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoAnswer {
    /// There is no `[yubico]`.
    #[error(
        "no validation servers are configured: set client_id and secret_file in [yubico], or enroll the key \
         with its own secrets"
    )]
    NotConfigured,
    /// None of them gave an answer that can be used.
    #[error("no validation server could judge the password: try again with the key's next one")]
    Failed {
        /// What came from each, for the log.
        why: Vec<String>,
    },
}

/// There are no validation servers.
#[derive(Debug, Clone, Copy)]
pub struct Nobody;

#[async_trait]
impl OtpAuthority for Nobody {
    async fn judge(&self, _: DeviceId, _: &TypedOtp) -> Result<Option<Verified>, NoAnswer> {
        Err(NoAnswer::NotConfigured)
    }
}
