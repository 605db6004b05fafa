//! `DELETE /tenants/administrators/{pk}`: removes an administrator.

use axum::extract::State;
use axum::http::StatusCode;

use crate::http::App;
use crate::http::body::Pk;
use crate::http::error::{ApiError, Errors};
use crate::http::extract::Admin;
use crate::ids::AdministratorId;

/// Removes an administrator, whose token is worth nothing from then on. The last owner of the server stays. Not
/// for the helpdesk.
#[utoipa::path(
    delete,
    path = "/tenants/administrators/{pk}",
    tag = "administrators",
    security(("admin_token" = []), ("basic" = [])),
    params(("pk" = i64, Path, description = "Its number.")),
    responses((status = 204, description = "Removed."), Errors)
)]
pub async fn remove(
    State(app): State<App>,
    Admin(mandate): Admin,
    Pk(pk): Pk<AdministratorId>,
) -> Result<StatusCode, ApiError> {
    app.service().remove_administrator(&mandate, pk).await?;
    Ok(StatusCode::NO_CONTENT)
}
