//! What one request has shown of itself on its way: for the log, and to tell who was slow.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, OnceLock};

use axum::http::Extensions;

use crate::ids::IntegrationId;

/// An extension of each request; extractors write to it. Numbers of integrations begin with 1.
#[derive(Debug, Default)]
pub struct Seen {
    address: OnceLock<IpAddr>,
    integration: AtomicI64,
    reading: AtomicBool,
}

impl Seen {
    /// That of this request, where somebody watches it.
    #[must_use]
    pub fn of(extensions: &Extensions) -> Option<&Arc<Self>> {
        extensions.get()
    }

    /// Notes where the request comes from.
    pub fn comes_from(&self, address: IpAddr) {
        let _ = self.address.set(address);
    }

    /// Where it comes from, once somebody has looked.
    #[must_use]
    pub fn address(&self) -> Option<IpAddr> {
        self.address.get().copied()
    }

    /// Notes which integration asks.
    pub fn asked_by(&self, integration: IntegrationId) {
        self.integration.store(integration.0, Ordering::Relaxed);
    }

    /// The integration that asks, where one was recognised.
    #[must_use]
    pub fn integration(&self) -> Option<i64> {
        Some(self.integration.load(Ordering::Relaxed)).filter(|pk| *pk != 0)
    }

    /// The body is waited for until the guard is dropped.
    #[must_use]
    pub fn reading(self: &Arc<Self>) -> Reading {
        self.reading.store(true, Ordering::Relaxed);
        Reading(Arc::clone(self))
    }

    /// Whether the body is being waited for.
    #[must_use]
    pub fn is_reading(&self) -> bool {
        self.reading.load(Ordering::Relaxed)
    }
}

/// For as long as this lives, the request waits for its body.
#[derive(Debug)]
pub struct Reading(Arc<Seen>);

impl Drop for Reading {
    fn drop(&mut self) {
        self.0.reading.store(false, Ordering::Relaxed);
    }
}
