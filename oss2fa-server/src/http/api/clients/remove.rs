//! `DELETE /integrations/clients/{pk}`: removes a client.

use axum::extract::State;
use axum::http::StatusCode;

use crate::http::App;
use crate::http::body::Pk;
use crate::http::error::{ApiError, Errors};
use crate::http::extract::Desk;
use crate::ids::ClientId;
use crate::store::verbs::clients::ClientChange;

/// Removes a client with its devices; what was open for it is over. Not for the helpdesk.
#[utoipa::path(
    delete,
    path = "/integrations/clients/{pk}",
    tag = "clients",
    security(("integration_token" = []), ("admin_token" = []), ("basic" = [])),
    params(
        ("pk" = i64, Path, description = "Number of the client."),
        ("integration" = Option<i64>, Query, description = "For administrators: of which integration.")
    ),
    responses((status = 204, description = "Removed."), Errors)
)]
pub async fn remove(
    State(app): State<App>,
    Desk(clerk): Desk,
    Pk(pk): Pk<ClientId>,
) -> Result<StatusCode, ApiError> {
    app.service().change_client(&clerk, pk, ClientChange::Remove).await?;
    Ok(StatusCode::NO_CONTENT)
}
