//! `POST /integrations/clients/{pk}/unlock`: lets a client try again at once.

use axum::extract::State;
use axum::http::StatusCode;

use crate::http::App;
use crate::http::body::Pk;
use crate::http::error::{ApiError, Errors};
use crate::http::extract::Desk;
use crate::ids::ClientId;
use crate::store::verbs::clients::ClientChange;

/// Releases the locks that wrong tokens have set.
#[utoipa::path(
    post,
    path = "/integrations/clients/{pk}/unlock",
    tag = "clients",
    security(("integration_token" = []), ("admin_token" = []), ("basic" = [])),
    params(
        ("pk" = i64, Path, description = "Number of the client."),
        ("integration" = Option<i64>, Query, description = "For administrators: of which integration.")
    ),
    responses((status = 204, description = "Released."), Errors)
)]
pub async fn unlock(
    State(app): State<App>,
    Desk(clerk): Desk,
    Pk(pk): Pk<ClientId>,
) -> Result<StatusCode, ApiError> {
    app.service().change_client(&clerk, pk, ClientChange::Unlock).await?;
    Ok(StatusCode::NO_CONTENT)
}
