//! `GET /integrations/clients/{pk}/devices`: what a client proves itself with.

use axum::Json;
use axum::extract::State;

use crate::http::App;
use crate::http::api::devices::ShownDevice;
use crate::http::body::Pk;
use crate::http::error::{ApiError, Errors};
use crate::http::extract::Desk;
use crate::ids::ClientId;

/// The devices of a client, by their number.
#[utoipa::path(
    get,
    path = "/integrations/clients/{pk}/devices",
    tag = "clients",
    security(("integration_token" = []), ("admin_token" = []), ("basic" = [])),
    params(
        ("pk" = i64, Path, description = "Number of the client."),
        ("integration" = Option<i64>, Query, description = "For administrators: of which integration.")
    ),
    responses((status = 200, body = Vec<ShownDevice>, description = "All of them."), Errors)
)]
pub async fn devices(
    State(app): State<App>,
    Desk(clerk): Desk,
    Pk(pk): Pk<ClientId>,
) -> Result<Json<Vec<ShownDevice>>, ApiError> {
    let kinds = &app.service().kinds;
    let devices = app.service().devices_of(&clerk, pk).await?;
    Ok(Json(devices.into_iter().filter_map(|device| ShownDevice::of(device, kinds)).collect()))
}
