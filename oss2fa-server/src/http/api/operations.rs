//! What operators and their machines ask.

use axum::response::IntoResponse;

/// The server answers.
#[utoipa::path(get, path = "/healthz", tag = "operations", responses((status = 200, description = "It does.")))]
pub async fn healthz() -> impl IntoResponse {
    "ok\n"
}
