//! What every request passes on its way to its operation, and every answer on its way back.
//!
//! One function, and so one future. Of layers each would have its own on the heap, with a request in it that stays
//! there while the store is waited for, and for each request a copy of all layers below.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, FromRequestParts, Request};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;

use super::allow::{self, Allowed, Methods};
use super::api::apps::shape;
use super::error::ApiError;
use super::extract::From;
use super::log::Watch;
use super::seen::Seen;
use super::{App, deadline, idempotency, unread, version};

/// What is known at the gate.
pub struct Gate {
    /// What every handler works with.
    pub app: App,
    /// Names, counts and logs requests.
    pub watch: Watch,
    /// Which methods there are.
    pub methods: Methods,
    /// Those that take an `Idempotency-Key`.
    pub once: Methods,
    /// The largest body, in bytes.
    pub largest_body: usize,
    /// The longest that a request may take.
    pub request_timeout: Duration,
}

impl Gate {
    /// Lets a request in, and its answer out.
    pub async fn pass(&self, mut request: Request, next: Next) -> Response {
        let watched = self.watch.begin(&mut request);
        DefaultBodyLimit::max(self.largest_body).apply(&mut request);
        let is_of_apps = shape::is_of_apps(&request);
        let (request, rest) = unread::lend(request);
        // What a panic may have left half done belongs to this request alone, and goes with it.
        let answer = AssertUnwindSafe(self.answer(&watched.seen, request, next)).catch_unwind();
        let mut response = answer.await.unwrap_or_else(|_| panicked());
        if is_of_apps {
            response = shape::fail(response);
        }
        if let Some(rest) = rest {
            rest.drain(&mut response).await;
        }
        watched.end(&mut response);
        response
    }

    async fn answer(&self, seen: &Seen, request: Request, next: Next) -> Response {
        let allowed = self.methods.at(&request);
        let mut response = match allow::options(&request, allowed) {
            Some(options) => self.unless_limited(request, options).await,
            None => self.operate(seen, allowed, request, next).await,
        };
        allow::add(&mut response, allowed);
        response
    }

    async fn operate(
        &self,
        seen: &Seen,
        allowed: Option<&Allowed>,
        request: Request,
        next: Next,
    ) -> Response {
        if let Err(refused) = version::check(&request) {
            return self.unless_limited(request, refused.into_response()).await;
        }
        if allowed.is_some_and(|allowed| !allowed.takes(request.method())) {
            return self.unless_limited(request, StatusCode::METHOD_NOT_ALLOWED.into_response()).await;
        }
        let version = request.version();
        if idempotency::has_key(&request)
            && self.once.at(&request).is_some_and(|once| once.takes(request.method()))
        {
            // Apart: what requests without a key never need goes with none of them.
            let once = Box::pin(idempotency::once(self.app.clone(), request, next));
            let answer = async { once.await.unwrap_or_else(IntoResponse::into_response) };
            return deadline::limit(self.request_timeout, seen, version, answer).await;
        }
        deadline::limit(self.request_timeout, seen, version, next.run(request)).await
    }

    /// What no operation answers counts for its address as well: an operation counts by what it takes.
    async fn unless_limited(&self, request: Request, answer: Response) -> Response {
        let (mut parts, _) = request.into_parts();
        match From::from_request_parts(&mut parts, &self.app).await {
            Ok(_) => answer,
            Err(limited) => limited.into_response(),
        }
    }
}

fn panicked() -> Response {
    tracing::error!(code = "panic", "a handler panicked: this is a bug");
    ApiError::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "internal",
        "the server could not do this; its log says why. Nothing was accepted",
    )
    .into_response()
}
