//! `DELETE /tenants/integrations/{pk}`: removes an integration and its clients.

use axum::extract::State;
use axum::http::StatusCode;

use crate::http::App;
use crate::http::body::Pk;
use crate::http::error::{ApiError, Errors};
use crate::http::extract::Admin;
use crate::ids::IntegrationId;

/// Removes an integration with its clients and their devices; the audit stays. Not for the helpdesk.
#[utoipa::path(
    delete,
    path = "/tenants/integrations/{pk}",
    tag = "integrations",
    security(("admin_token" = []), ("basic" = [])),
    params(("pk" = i64, Path, description = "Its number.")),
    responses((status = 204, description = "Removed."), Errors)
)]
pub async fn remove(
    State(app): State<App>,
    Admin(mandate): Admin,
    Pk(pk): Pk<IntegrationId>,
) -> Result<StatusCode, ApiError> {
    let removed = app.service().remove_integration(&mandate, pk).await;
    // Also where the answer of a commit was lost: it may be gone.
    app.recognised.forget();
    removed?;
    Ok(StatusCode::NO_CONTENT)
}
