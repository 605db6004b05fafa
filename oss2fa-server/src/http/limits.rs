//! Limits: requests per token and per address, and tokens that are guessed.

use std::net::IpAddr;

use axum::http::StatusCode;
use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use super::error::ApiError;
use crate::config::{LimitsConfig, Rate};
use crate::ids::{AdministratorId, ClientId, IntegrationId, YubicoClientId};
use crate::neighbours::network_of;

/// Counts requests, in memory of this node.
pub struct Limiter {
    tokens: DefaultKeyedRateLimiter<IntegrationId>,
    administrators: DefaultKeyedRateLimiter<AdministratorId>,
    apps: DefaultKeyedRateLimiter<ClientId>,
    yubico_clients: DefaultKeyedRateLimiter<YubicoClientId>,
    addresses: DefaultKeyedRateLimiter<IpAddr>,
    refused: DefaultKeyedRateLimiter<IpAddr>,
    clock: DefaultClock,
}

fn quota(rate: Rate) -> Quota {
    Quota::per_second(rate.per_second).allow_burst(rate.burst)
}

impl Limiter {
    /// With the limits of the configuration.
    #[must_use]
    pub fn new(limits: &LimitsConfig) -> Self {
        Self {
            tokens: RateLimiter::keyed(quota(limits.token)),
            administrators: RateLimiter::keyed(quota(limits.token)),
            apps: RateLimiter::keyed(quota(limits.token)),
            yubico_clients: RateLimiter::keyed(quota(limits.token)),
            addresses: RateLimiter::keyed(quota(limits.address)),
            refused: RateLimiter::keyed(Quota::per_minute(limits.refused_per_minute)),
            clock: DefaultClock::default(),
        }
    }

    /// Counts a request of an address.
    ///
    /// # Errors
    /// 429 with the seconds to wait.
    pub fn of_address(&self, address: IpAddr) -> Result<(), ApiError> {
        self.check(&self.addresses, &network_of(address))
    }

    /// Counts a request of an app, which has the limits of a token.
    ///
    /// # Errors
    /// 429.
    pub fn of_app(&self, app: ClientId) -> Result<(), ApiError> {
        self.check(&self.apps, &app)
    }

    /// Counts a request of a client of the validation protocol, which has the limits of a token.
    ///
    /// # Errors
    /// 429.
    pub fn of_yubico_client(&self, client: YubicoClientId) -> Result<(), ApiError> {
        self.check(&self.yubico_clients, &client)
    }

    /// Counts a request of an integration.
    ///
    /// # Errors
    /// 429 with the seconds to wait.
    pub fn of_token(&self, integration: IntegrationId) -> Result<(), ApiError> {
        self.check(&self.tokens, &integration)
    }

    /// Counts a request of an administrator, who has the limits of a token.
    ///
    /// # Errors
    /// 429 with the seconds to wait.
    pub fn of_administrator(&self, administrator: AdministratorId) -> Result<(), ApiError> {
        self.check(&self.administrators, &administrator)
    }

    /// Counts a request with a token that nobody has.
    ///
    /// # Errors
    /// 429 with the seconds to wait: whoever guesses learns nothing more.
    pub fn of_refused(&self, address: IpAddr) -> Result<(), ApiError> {
        self.check(&self.refused, &network_of(address))
    }

    /// Forgets who has been quiet; to be called now and then.
    pub fn forget(&self) {
        self.tokens.retain_recent();
        self.administrators.retain_recent();
        self.apps.retain_recent();
        self.yubico_clients.retain_recent();
        self.addresses.retain_recent();
        self.refused.retain_recent();
    }

    fn check<K: std::hash::Hash + Eq + Clone>(
        &self,
        limiter: &DefaultKeyedRateLimiter<K>,
        key: &K,
    ) -> Result<(), ApiError> {
        limiter.check_key(key).map_err(|until| {
            let seconds = until.wait_time_from(self.clock.now()).as_secs() + 1;
            ApiError::new(
                StatusCode::TOO_MANY_REQUESTS,
                "too_many_requests",
                "too many requests: wait, or have the administrator raise the limit in [limits]",
            )
            .retry_after(seconds)
        })
    }
}
