//! Apps of ungleich-otp: each holds a seed, and proves itself with a time-based token. What REST and the bus
//! both ask is decided here.

mod claim;
pub mod home;
pub mod own;

use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use oss2fa_core::random::NoRandomness;
use oss2fa_core::secret::SecretText;

use claim::Vouched;
pub use claim::{Requester, TrustedRequester};

use super::Service;
use crate::config::{SeedReads, TokenUse, UngleichOtpConfig};
use crate::outside::Timestamp;
use crate::store::error::StoreError;
use crate::store::verbs::integrations::Integration;

/// For how long the integration of the apps, with its policy, is not looked up again.
const FRESH: Duration = Duration::from_secs(1);

type RecentHome = Option<(Instant, Arc<Integration>)>;

/// Who answers for the apps. Cheap to clone: REST and the bus have one each.
#[derive(Clone)]
pub struct Apps {
    service: Service,
    window: u8,
    tokens: TokenUse,
    seed_reads: SeedReads,
    home: Arc<RwLock<RecentHome>>,
}

/// What an app claims: that it is the one of this UUID, as its token shows.
pub struct AppClaim {
    /// As it was sent.
    pub appuuid: String,
    /// As it was sent.
    pub token: SecretText,
}

impl fmt::Debug for AppClaim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AppClaim").field("appuuid", &self.appuuid).finish_non_exhaustive()
    }
}

/// Where a question came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// REST, from this address.
    Rest(IpAddr),
    /// The bus.
    Bus,
}

impl Door {
    /// The source, as locks and the audit have it.
    fn source(self) -> String {
        match self {
            Self::Rest(address) => address.to_string(),
            Self::Bus => "bus".to_owned(),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Rest(_) => "rest",
            Self::Bus => "bus",
        }
    }
}

/// The answer to `verify`. Whatever is not known to be right is [`Verdict::Fail`].
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The app that was asked about has shown a right token.
    Ok,
    /// Nobody is let in.
    Fail(Reason),
}

/// Why something is refused: all that whoever asks may know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// The app that asks is unknown, inactive or locked, or its token is wrong.
    #[error(
        "the app is not known by this appuuid and token: check the seed and the clock of the app, wait if there \
         were many wrong tokens, and try with the next one"
    )]
    Requester,
    /// It is known, and not trusted.
    #[error("this app is not trusted to do this: an administrator can change that")]
    Untrusted,
    /// The app that was asked about is unknown, inactive or locked, or its token is wrong.
    #[error("tokentoverify is no valid token of the app appuuidtoverify")]
    About,
    /// There is no such app of the user of the app that asks.
    #[error("there is no such app of the user of this app: GET /app lists those that there are")]
    NotThere,
    /// The seed is not shown any more.
    #[error("the seed of this app is not shown any more: an administrator can give it a new one")]
    SeedSpent,
    /// Only a trusted app registers apps of other users.
    #[error("this app is not trusted to register an app of another user")]
    AnotherUser,
    /// The user has as many apps as there may be.
    #[error("this user has as many apps as there may be: remove one first")]
    TooMany,
    /// A user's name that nobody can have.
    #[error(
        "username must be 1 to 256 bytes of letters, digits and . _ - + @ $ \\, and not begin with a dash"
    )]
    BadUsername,
    /// An app's name that cannot be shown.
    #[error("appname must be 1 to 128 characters, none of which a control character")]
    BadAppname,
}

/// What kept a question from being answered. Nobody is let in.
#[derive(Debug, thiserror::Error)]
pub enum AppsError {
    /// The store failed: the same question may be asked again.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is no tenant whose apps they could be.
    #[error(
        "apps are clients of the tenant \"default\", which was removed: oss2fa-server tenant create default"
    )]
    NoTenant,
}

impl From<NoRandomness> for AppsError {
    fn from(error: NoRandomness) -> Self {
        Self::Store(error.into())
    }
}

/// What REST is answered where it is not answered what it asked for.
#[derive(Debug)]
pub enum Denied {
    /// It may not.
    Refused(Reason),
    /// It could not be found out.
    Failed(AppsError),
}

impl<E: Into<AppsError>> From<E> for Denied {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

impl Apps {
    /// By these rules.
    #[must_use]
    pub fn new(service: Service, config: &UngleichOtpConfig) -> Self {
        Self {
            service,
            window: config.window,
            tokens: config.tokens,
            seed_reads: config.seed_reads,
            home: Arc::default(),
        }
    }

    /// Whether `about` has shown a right token, asked by `requester`, which must be a trusted app.
    ///
    /// # Errors
    /// [`AppsError`].
    pub async fn verify(
        &self,
        door: Door,
        requester: &AppClaim,
        about: &AppClaim,
        now: Timestamp,
    ) -> Result<Verdict, AppsError> {
        let trusted = match self.requester(door, requester, now).await {
            Ok(requester) => requester.trusted(),
            Err(Denied::Refused(reason)) => Err(reason),
            Err(Denied::Failed(error)) => return Err(error),
        };
        match trusted {
            Ok(trusted) => self.verify_for(&trusted, about).await,
            Err(reason) => Ok(Verdict::Fail(reason)),
        }
    }

    /// Whether `about` has shown a right token, asked by an app that may ask.
    ///
    /// # Errors
    /// [`AppsError`].
    pub async fn verify_for(
        &self,
        requester: &TrustedRequester,
        about: &AppClaim,
    ) -> Result<Verdict, AppsError> {
        let verdict = match self.vouch(requester, about).await? {
            Some(Vouched) => Verdict::Ok,
            None => Verdict::Fail(Reason::About),
        };
        let word = if verdict == Verdict::Ok { "ok" } else { "fail" };
        let door = requester.door().name();
        metrics::counter!("oss2fa_app_verifications_total", "door" => door, "verdict" => word).increment(1);
        Ok(verdict)
    }

    /// The integration that apps are clients of.
    async fn home(&self, now: Timestamp) -> Result<Arc<Integration>, AppsError> {
        if let Some((at, home)) = &*self.home.read().unwrap_or_else(PoisonError::into_inner)
            && at.elapsed() < FRESH
        {
            return Ok(Arc::clone(home));
        }
        let found = Arc::new(home::found_or_made(&self.service.store, "server", now).await?);
        *self.home.write().unwrap_or_else(PoisonError::into_inner) =
            Some((Instant::now(), Arc::clone(&found)));
        Ok(found)
    }
}
