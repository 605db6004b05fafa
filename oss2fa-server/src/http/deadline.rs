//! How long a request may take: its body, and what it asks for.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, Version, header};
use axum::response::{IntoResponse, Response};

use super::error::ApiError;
use super::seen::Seen;

/// Answers 408 where the body does not arrive in time (RFC 9110 section 15.5.9), 503 where the operation takes
/// too long. What it has already handed to the store may still be done; nothing was accepted then.
pub async fn limit(
    most: Duration,
    seen: &Seen,
    version: Version,
    answer: impl Future<Output = Response>,
) -> Response {
    // Pinned here: at the end of the time it must still be there to be asked what it waits for.
    let mut answer = pin!(answer);
    if let Ok(response) = tokio::time::timeout(most, answer.as_mut()).await {
        return response;
    }
    if seen.is_reading() { late_body(version) } else { late_answer() }
}

fn late_body(version: Version) -> Response {
    let error = ApiError::new(
        StatusCode::REQUEST_TIMEOUT,
        "request_timeout",
        "the body did not arrive in time, so nothing was done: send it again",
    );
    let mut response = error.into_response();
    // What still comes belongs to a request that was answered. HTTP/2 ends the stream alone.
    if version <= Version::HTTP_11 {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

fn late_answer() -> Response {
    ApiError::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "operation_timeout",
        "this took longer than the server waits, and nothing was accepted: try again",
    )
    .retry_after(1)
    .into_response()
}
