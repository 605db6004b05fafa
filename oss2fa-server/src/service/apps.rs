//! Apps of ungleich-otp: each holds a seed, and proves itself with a time-based token. What REST and the bus
//! both ask is decided here.

use oss2fa_core::secret::SecretText;

use super::Service;
use crate::config::UngleichOtpConfig;
use crate::outside::Timestamp;
use crate::store::error::StoreError;

/// Who answers for the apps. Cheap to clone: REST and the bus have one each.
#[derive(Clone)]
pub struct Apps {
    #[expect(dead_code, reason = "the store is asked as soon as it has apps")]
    service: Service,
    #[expect(dead_code, reason = "the store is asked as soon as it has apps")]
    window: u8,
}

/// What an app claims: that it is the one of this UUID, as its token shows.
pub struct AppClaim {
    /// As it was sent.
    pub appuuid: String,
    /// As it was sent.
    pub token: SecretText,
}

/// Where a question came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// REST, from this address.
    Rest(std::net::IpAddr),
    /// The bus.
    Bus,
}

/// The answer to `verify`. Whatever is not known to be right is [`Verdict::Fail`].
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The app that was asked about has shown a right token.
    Ok,
    /// Nobody is let in.
    Fail(Reason),
}

/// Why nobody is let in: all that whoever asks may know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// The app that asks is unknown, inactive or locked, or its token is wrong.
    #[error("the app that asks is not known by this appuuid and token")]
    Requester,
    /// It is known, and not trusted.
    #[error("the app that asks is not trusted to do this")]
    Untrusted,
    /// The app that was asked about is unknown, inactive or locked, or its token is wrong.
    #[error("the token to verify is not a valid one of that app")]
    About,
}

/// What kept a question from being answered. Nobody is let in.
#[derive(Debug, thiserror::Error)]
pub enum AppsError {
    /// The store failed: the same question may be asked again.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Apps {
    /// By these rules.
    #[must_use]
    pub fn new(service: Service, config: &UngleichOtpConfig) -> Self {
        Self { service, window: config.window }
    }

    /// Whether `about` has shown a right token, asked by `requester`, which must be a trusted app.
    ///
    /// # Errors
    /// [`AppsError`].
    pub async fn verify(
        &self,
        _door: Door,
        _requester: &AppClaim,
        _about: &AppClaim,
        _now: Timestamp,
    ) -> Result<Verdict, AppsError> {
        Ok(Verdict::Fail(Reason::Requester))
    }
}
