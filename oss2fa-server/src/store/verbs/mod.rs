//! The verbs, a file for each noun.

pub mod administrators;
pub mod apps;
pub mod attempts;
pub mod challenges;
pub mod clients;
pub mod deliveries;
pub mod devices;
pub mod enrollments;
pub mod host_events;
pub mod housekeeping;
pub mod idempotency;
pub mod integrations;
pub mod keys;
pub mod locks;
pub mod offline;
pub mod ready;
pub mod state;
pub mod tenants;
pub mod trusted;
pub mod webhooks;
pub mod yubico_clients;
pub mod yubikeys;

use std::borrow::Cow;

use super::audit::Event;
use crate::ids::{IntegrationId, TenantId};
use crate::outside::Timestamp;
use crate::whereabouts::Whereabouts;

/// Who does something, when and where from: what every event of the audit carries.
#[derive(Debug, Clone)]
pub struct Doer {
    /// In whose tenant.
    pub tenant: TenantId,
    /// Through which integration.
    pub integration: Option<IntegrationId>,
    /// `integration`, `admin:NAME`, `cli`, `server`.
    pub actor: Cow<'static, str>,
    /// An address, or empty.
    pub source: String,
    /// When.
    pub now: Timestamp,
    /// Where the login takes place, as the application says: in each event, and nowhere else.
    pub whereabouts: Whereabouts,
}

impl Doer {
    /// The same in the place of a login.
    #[must_use]
    pub fn at(self, whereabouts: Whereabouts) -> Self {
        Self { whereabouts, ..self }
    }

    /// An event of theirs.
    #[must_use]
    pub fn event(&self, what: &'static str, username: &str, detail: impl Into<String>) -> Event {
        let mut detail = detail.into();
        if self.whereabouts != Whereabouts::default() {
            detail = format!("{detail} {}", self.whereabouts);
        }
        if detail.trim().len() < detail.len() {
            detail = detail.trim().to_owned();
        }
        Event {
            tenant: self.tenant,
            at: self.now,
            what,
            integration: self.integration,
            username: username.to_owned(),
            actor: self.actor.clone(),
            source: self.source.clone(),
            detail,
        }
    }
}

/// A page of a list: after a number, at most so many.
#[derive(Debug, Clone, Copy)]
pub struct Page {
    /// After this number; 0 for the first page.
    pub after: i64,
    /// At most so many.
    pub limit: u32,
}
