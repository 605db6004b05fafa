//! `DELETE /integrations/offline-credentials/{pk}`: its codes are worth nothing once its host has learnt of it.

use axum::extract::State;
use axum::http::StatusCode;

use crate::http::App;
use crate::http::body::Pk;
use crate::http::error::{ApiError, Errors};
use crate::http::extract::Desk;
use crate::ids::CredentialId;

/// Revokes an offline credential. Its host stops taking its codes when it next asks for the list. Revoking it
/// again changes nothing.
#[utoipa::path(
    delete,
    path = "/integrations/offline-credentials/{pk}",
    tag = "offline_credentials",
    security(("integration_token" = []), ("admin_token" = []), ("basic" = [])),
    params(
        ("pk" = i64, Path, description = "Its number."),
        ("integration" = Option<i64>, Query, description = "For administrators: of which integration.")
    ),
    responses((status = 204, description = "Revoked."), Errors)
)]
pub async fn revoke(
    State(app): State<App>,
    Desk(clerk): Desk,
    Pk(pk): Pk<CredentialId>,
) -> Result<StatusCode, ApiError> {
    app.service().revoke_offline_credential(&clerk, pk).await?;
    Ok(StatusCode::NO_CONTENT)
}
