//! One line of the log for each request, and its count. Never a body, a token, a code or a query.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use oss2fa_core::random::{NoRandomness, Random};

use super::metrics::{Requests, method_name};
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

/// Names a request, counts it, and logs it: `warn` where the server could not do it, `debug` otherwise.
pub async fn watch(watch: Arc<Watch>, mut request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let id = watch.ids.next();
    let method = request.method().clone();
    let path = watch.requests.path(request.extensions().get::<MatchedPath>());
    let peer = request.extensions().get::<ClientSocket>().map(|peer| peer.0.ip());
    let seen = Arc::new(Seen::default());
    request.extensions_mut().insert(Arc::clone(&seen));
    let mut response = next.run(request).await;
    let (status, took) = (response.status(), begun.elapsed());
    path.count(&method, status, took);
    let (method, path, integration) = (method_name(&method), path.template(), seen.integration());
    let address = seen.address().or(peer).map(tracing::field::display);
    #[expect(clippy::cast_precision_loss, reason = "no request takes so many microseconds")]
    let ms = took.as_micros() as f64 / 1000.0;
    if status.is_server_error() {
        let status = status.as_u16();
        tracing::warn!(code = "request_failed", id, method, path, status, ms, integration, address, "failed");
    } else {
        let status = status.as_u16();
        tracing::debug!(code = "request", id, method, path, status, ms, integration, address, "answered");
    }
    if let Ok(id) = HeaderValue::try_from(id) {
        response.headers_mut().insert(X_REQUEST_ID.clone(), id);
    }
    response
}
