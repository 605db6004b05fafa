//! `PATCH /integrations/clients/{pk}/devices/{device_pk}`: what a device is called.

use axum::Json;
use axum::extract::State;
use oss2fa_core::ids::DeviceId;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::http::App;
use crate::http::api::devices::ShownDevice;
use crate::http::body::{Body, Pk};
use crate::http::error::{ApiError, Errors};
use crate::http::extract::Desk;
use crate::ids::ClientId;
use crate::service::client::device_name;
use crate::store::verbs::clients::ClientChange;

/// What is to be changed.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewName {
    /// What its owner calls it.
    #[schema(min_length = 1, max_length = 64, example = "work phone")]
    name: String,
}

/// Gives a device another name. Not for the helpdesk.
#[utoipa::path(
    patch,
    path = "/integrations/clients/{pk}/devices/{device_pk}",
    tag = "clients",
    security(("integration_token" = []), ("admin_token" = []), ("basic" = [])),
    params(
        ("pk" = i64, Path, description = "Number of the client."),
        ("device_pk" = i64, Path, description = "Number of the device."),
        ("integration" = Option<i64>, Query, description = "For administrators: of which integration.")
    ),
    request_body = NewName,
    responses((status = 200, body = ShownDevice, description = "The device as it is now."), Errors)
)]
pub async fn rename_device(
    State(app): State<App>,
    Desk(clerk): Desk,
    Pk((pk, device)): Pk<(ClientId, DeviceId)>,
    Body(NewName { name }): Body<NewName>,
) -> Result<Json<ShownDevice>, ApiError> {
    let change = ClientChange::Rename(device, device_name(&name)?);
    app.service().change_client(&clerk, pk, change).await?;
    let devices = app.service().devices_of(&clerk, pk).await?;
    let renamed = devices.into_iter().find(|found| found.pk == device);
    renamed
        .and_then(|device| ShownDevice::of(device, &app.service().kinds))
        .map(Json)
        .ok_or_else(|| ApiError::not_found("device"))
}
