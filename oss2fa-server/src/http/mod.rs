//! HTTP: routes, who asks, what is answered. No rules here, and no SQL.

pub mod allow;
pub mod api;
pub mod body;
pub mod deadline;
pub mod error;
pub mod extract;
pub mod gate;
pub mod idempotency;
pub mod limits;
pub mod log;
pub mod metrics;
pub mod peer;
pub mod router;
pub mod seen;
pub mod unread;
pub mod version;
pub mod wsapi;

use std::sync::Arc;
use std::time::Duration;

use crate::config::PlainHttp;
use crate::http::limits::Limiter;
use crate::http::peer::Proxies;
use crate::service::Service;
use crate::service::apps::Apps;
use crate::service::validation::Validation;
use extract::Recognised;
use ipnet::IpNet;
use log::RequestIds;
use metrics::Exporter;

/// What every handler works with.
#[derive(Clone)]
pub struct App(Arc<Parts>);

/// The parts of [`App`].
pub struct Parts {
    /// The rules.
    pub service: Service,
    /// Who asks how often.
    pub limiter: Limiter,
    /// Which proxies are believed.
    pub proxies: Proxies,
    /// Integrations that were recognised a moment ago.
    pub recognised: Recognised,
    /// What operators set and ask.
    pub operations: Operations,
    /// The apps of ungleich-otp, where they are enabled.
    pub apps: Option<Apps>,
    /// What answers the validation protocol of Yubico.
    pub validation: Validation,
}

/// What operators set and ask.
pub struct Operations {
    /// The longest that a request may take.
    pub request_timeout: Duration,
    /// The largest body, in bytes.
    pub largest_body: usize,
    /// What `/metrics` answers.
    pub exporter: Exporter,
    /// Who may read it.
    pub metrics_allowed: Vec<IpNet>,
    /// Whether a webhook's URL may be `http`.
    pub webhooks_plain_http: PlainHttp,
    /// The names of requests.
    pub ids: Arc<RequestIds>,
}

impl App {
    /// Of these parts.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }

    /// The rules.
    #[must_use]
    pub fn service(&self) -> &Service {
        &self.0.service
    }
}

impl std::ops::Deref for App {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}
