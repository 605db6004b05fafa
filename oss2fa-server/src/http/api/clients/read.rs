//! `GET /integrations/clients/{pk}`: one client.

use axum::Json;
use axum::extract::State;

use crate::http::App;
use crate::http::body::Pk;
use crate::http::error::{ApiError, Errors};
use crate::http::extract::Desk;
use crate::ids::ClientId;
use crate::store::verbs::clients::Client;

/// A client.
#[utoipa::path(
    get,
    path = "/integrations/clients/{pk}",
    tag = "clients",
    security(("integration_token" = []), ("admin_token" = []), ("basic" = [])),
    params(
        ("pk" = i64, Path, description = "Its number."),
        ("integration" = Option<i64>, Query, description = "For administrators: of which integration.")
    ),
    responses((status = 200, body = Client, description = "It is there."), Errors)
)]
pub async fn read(
    State(app): State<App>,
    Desk(clerk): Desk,
    Pk(pk): Pk<ClientId>,
) -> Result<Json<Client>, ApiError> {
    Ok(Json(app.service().client(&clerk, pk).await?))
}
