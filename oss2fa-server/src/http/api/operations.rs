//! What operators and their machines ask.

use std::sync::LazyLock;
use std::time::Duration;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use bytes::Bytes;
use utoipa::openapi::OpenApi;

use crate::http::App;
use crate::http::error::{ApiError, ErrorBody, Errors};
use crate::http::extract::From;
use crate::http::router::documentation;
use crate::store::error::StoreError;

/// How long the store may take to be called ready.
const READY_WITHIN: Duration = Duration::from_secs(5);

/// The server answers.
#[utoipa::path(
    get,
    path = "/healthz",
    tag = "operations",
    responses((status = 200, description = "It does.", body = String, content_type = "text/plain"), Errors)
)]
pub async fn healthz() -> impl IntoResponse {
    "ok\n"
}

/// The server can do its work: its store answers, and takes writes.
#[utoipa::path(
    get,
    path = "/readyz",
    tag = "operations",
    responses(
        (status = 200, description = "It can.", body = String, content_type = "text/plain"),
        (status = 503, description = "It cannot; the code says why.", body = ErrorBody),
        Errors
    )
)]
pub async fn readyz(State(app): State<App>, _: From) -> Result<&'static str, ApiError> {
    let (code, message) = match tokio::time::timeout(READY_WITHIN, app.service().store.ready()).await {
        Ok(Ok(())) => return Ok("ready\n"),
        Ok(Err(error)) => {
            // The text can name files and addresses: it is for the log.
            tracing::warn!(code = "not_ready", %error, "the server is not ready");
            reason(&error)
        }
        Err(_) => {
            ("store_unavailable", "the store has not answered in time: look at the log and at the store")
        }
    };
    Err(ApiError::new(StatusCode::SERVICE_UNAVAILABLE, code, message))
}

fn reason(error: &StoreError) -> (&'static str, &'static str) {
    match error {
        StoreError::Moved(_) | StoreError::Moving(_) => {
            ("store_moved", "this server's store was moved to another: start it on the new one")
        }
        StoreError::Unreachable(_) | StoreError::Conflict(_) => {
            ("store_unavailable", "the store does not answer: look at the log and at the store")
        }
        StoreError::Closed => {
            ("store_closed", "the store takes no writes any more: look at the log and start again")
        }
        _ => ("store_failed", "the store fails: the log says how"),
    }
}

/// Figures for Prometheus, for the networks that `[metrics] allowed` names.
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "operations",
    responses((status = 200, description = "The figures.", body = String, content_type = "text/plain"), Errors)
)]
pub async fn metrics(State(app): State<App>, From(address): From) -> Result<impl IntoResponse, ApiError> {
    if !app.operations.metrics_allowed.iter().any(|network| network.contains(&address)) {
        return Err(ApiError::forbidden("the figures are not for this address: see [metrics] allowed"));
    }
    app.service().store.measure();
    let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    Ok((kind, app.operations.exporter.text()))
}

/// This document.
#[utoipa::path(
    get,
    path = "/openapi.json",
    tag = "operations",
    responses((status = 200, description = "All operations.", body = Object), Errors)
)]
pub async fn openapi(_: From) -> impl IntoResponse {
    static TEXT: LazyLock<Bytes> = LazyLock::new(|| document(&documentation()).into());
    ([(header::CONTENT_TYPE, "application/json")], TEXT.clone())
}

/// The text of the document, as it is served and kept in the tree.
#[must_use]
pub fn document(api: &OpenApi) -> String {
    let mut text = api.to_pretty_json().unwrap_or_default();
    text.push('\n');
    text
}
