//! One line of the log for each request, and its count. Never a body, a token, a code or a query.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderName, HeaderValue, Method};
use axum::response::Response;
use oss2fa_core::random::{NoRandomness, Random};

use super::metrics::{Path, Requests, method_name};
use super::seen::Seen;
use crate::listen::ClientSocket;

static X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Gives each request a name: different ones, that tell nothing of how many there were.
#[derive(Debug)]
pub struct RequestIds {
    seed: u64,
    next: AtomicU64,
}

impl RequestIds {
    /// Beginning anywhere.
    ///
    /// # Errors
    /// [`NoRandomness`].
    pub fn new(random: &dyn Random) -> Result<Self, NoRandomness> {
        let mut seed = [0; 8];
        random.fill(&mut seed)?;
        Ok(Self { seed: u64::from_ne_bytes(seed), next: AtomicU64::new(0) })
    }

    /// One more.
    #[must_use]
    pub fn next(&self) -> String {
        // Steps of an odd number come to every value once, and each step of the mixing can be undone: no two are
        // equal (SplitMix64: Steele, Lea, Flood 2014). They are names, not secrets.
        let step = self.next.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.seed.wrapping_add(step);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        format!("{:016x}", mixed ^ (mixed >> 31))
    }
}

/// What watches the requests.
pub struct Watch {
    /// Their names.
    pub ids: Arc<RequestIds>,
    /// Their counts.
    pub requests: Requests,
}

/// A request that is watched.
pub struct Watched<'a> {
    begun: Instant,
    id: String,
    method: Method,
    path: &'a Path,
    peer: Option<IpAddr>,
    /// What it shows of itself on its way.
    pub seen: Arc<Seen>,
}

impl Watch {
    /// Names a request.
    pub fn begin(&self, request: &mut Request) -> Watched<'_> {
        let seen = Arc::new(Seen::default());
        request.extensions_mut().insert(Arc::clone(&seen));
        Watched {
            begun: Instant::now(),
            id: self.ids.next(),
            method: request.method().clone(),
            path: self.requests.path(request.extensions().get::<MatchedPath>()),
            peer: request.extensions().get::<ClientSocket>().map(|peer| peer.0.ip()),
            seen,
        }
    }
}

impl Watched<'_> {
    /// Counts the request and logs it: `warn` where the server could not do it, `debug` otherwise.
    pub fn end(self, response: &mut Response) {
        let Self { begun, id, method, path, peer, seen } = self;
        let (status, took) = (response.status(), begun.elapsed());
        path.count(&method, status, took);
        let (method, path, integration) = (method_name(&method), path.template(), seen.integration());
        let address = seen.address().or(peer).map(tracing::field::display);
        #[expect(clippy::cast_precision_loss, reason = "no request takes so many microseconds")]
        let ms = took.as_micros() as f64 / 1000.0;
        if status.is_server_error() {
            let status = status.as_u16();
            tracing::warn!(
                code = "request_failed",
                id,
                method,
                path,
                status,
                ms,
                integration,
                address,
                "failed"
            );
        } else {
            let status = status.as_u16();
            tracing::debug!(code = "request", id, method, path, status, ms, integration, address, "answered");
        }
        if let Ok(id) = HeaderValue::try_from(id) {
            response.headers_mut().insert(X_REQUEST_ID.clone(), id);
        }
    }
}
