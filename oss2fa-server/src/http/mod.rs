//! HTTP: routes, who asks, what is answered. No rules here, and no SQL.

pub mod allow;
pub mod api;
pub mod body;
pub mod error;
pub mod extract;
pub mod limits;
pub mod peer;
pub mod router;
pub mod version;

use std::sync::Arc;

use crate::http::limits::Limiter;
use crate::http::peer::Proxies;
use crate::service::Service;
use extract::Recognised;

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
