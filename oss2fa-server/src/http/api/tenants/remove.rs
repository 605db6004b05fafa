//! `DELETE /tenants/{pk}`: removes a tenant and all that is its own.

use axum::extract::State;
use axum::http::StatusCode;

use crate::http::App;
use crate::http::body::Pk;
use crate::http::error::{ApiError, Errors};
use crate::http::extract::Admin;
use crate::ids::TenantId;

/// Removes a tenant with its integrations, clients, administrators, audit and keys: what backups hold of it
/// does not open any more. For the owner of the server.
#[utoipa::path(
    delete,
    path = "/tenants/{pk}",
    tag = "tenants",
    security(("admin_token" = []), ("basic" = [])),
    params(("pk" = i64, Path, description = "Its number.")),
    responses((status = 204, description = "Removed."), Errors)
)]
pub async fn remove(
    State(app): State<App>,
    Admin(mandate): Admin,
    Pk(pk): Pk<TenantId>,
) -> Result<StatusCode, ApiError> {
    let removed = app.service().remove_tenant(&mandate, pk).await;
    // Also where the answer of a commit was lost: it may be gone.
    app.recognised.forget();
    removed?;
    Ok(StatusCode::NO_CONTENT)
}
