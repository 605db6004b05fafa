//! `PATCH /integrations/clients/{pk}`: whether a client must prove a factor, or may not pass at all.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::http::App;
use crate::http::body::{Body, Pk};
use crate::http::error::{ApiError, Errors};
use crate::http::extract::Desk;
use crate::ids::ClientId;
use crate::store::verbs::clients::{Client, ClientChange, ClientStatus};

/// What is to be changed.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewStatus {
    /// active: must prove a factor. bypass: passes without one, and each time is in the audit. inactive: does
    /// not pass.
    status: ClientStatus,
}

/// Changes what a client may. Not for the helpdesk.
#[utoipa::path(
    patch,
    path = "/integrations/clients/{pk}",
    tag = "clients",
    security(("integration_token" = []), ("admin_token" = []), ("basic" = [])),
    params(
        ("pk" = i64, Path, description = "Its number."),
        ("integration" = Option<i64>, Query, description = "For administrators: of which integration.")
    ),
    request_body = NewStatus,
    responses((status = 200, body = Client, description = "The client as it is now."), Errors)
)]
pub async fn set_status(
    State(app): State<App>,
    Desk(clerk): Desk,
    Pk(pk): Pk<ClientId>,
    Body(NewStatus { status }): Body<NewStatus>,
) -> Result<Json<Client>, ApiError> {
    app.service().change_client(&clerk, pk, ClientChange::Status(status)).await?;
    Ok(Json(app.service().client(&clerk, pk).await?))
}
