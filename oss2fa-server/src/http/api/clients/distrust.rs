//! `DELETE /integrations/clients/{pk}/trusted-devices`: forgets the devices that applications remember.

use axum::extract::State;
use axum::http::StatusCode;

use crate::http::App;
use crate::http::body::Pk;
use crate::http::error::{ApiError, Errors};
use crate::http::extract::Desk;
use crate::ids::ClientId;
use crate::store::verbs::clients::ClientChange;

/// Forgets the remembered devices of a client: its next login is asked again.
#[utoipa::path(
    delete,
    path = "/integrations/clients/{pk}/trusted-devices",
    tag = "clients",
    security(("integration_token" = []), ("admin_token" = []), ("basic" = [])),
    params(
        ("pk" = i64, Path, description = "Number of the client."),
        ("integration" = Option<i64>, Query, description = "For administrators: of which integration.")
    ),
    responses((status = 204, description = "Forgotten."), Errors)
)]
pub async fn distrust(
    State(app): State<App>,
    Desk(clerk): Desk,
    Pk(pk): Pk<ClientId>,
) -> Result<StatusCode, ApiError> {
    app.service().change_client(&clerk, pk, ClientChange::DistrustAll).await?;
    Ok(StatusCode::NO_CONTENT)
}
