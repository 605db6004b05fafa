//! `DELETE /integrations/clients/{pk}/devices/{device_pk}`: removes a device.

use axum::extract::State;
use axum::http::StatusCode;
use oss2fa_core::ids::DeviceId;

use crate::http::App;
use crate::http::body::Pk;
use crate::http::error::{ApiError, Errors};
use crate::http::extract::Desk;
use crate::ids::ClientId;
use crate::store::verbs::clients::ClientChange;

/// Removes a device; challenges that are open on it are over.
#[utoipa::path(
    delete,
    path = "/integrations/clients/{pk}/devices/{device_pk}",
    tag = "clients",
    security(("integration_token" = []), ("admin_token" = []), ("basic" = [])),
    params(
        ("pk" = i64, Path, description = "Number of the client."),
        ("device_pk" = i64, Path, description = "Number of the device."),
        ("integration" = Option<i64>, Query, description = "For administrators: of which integration.")
    ),
    responses((status = 204, description = "Removed."), Errors)
)]
pub async fn remove_device(
    State(app): State<App>,
    Desk(clerk): Desk,
    Pk((pk, device)): Pk<(ClientId, DeviceId)>,
) -> Result<StatusCode, ApiError> {
    app.service().change_client(&clerk, pk, ClientChange::RemoveDevice(device)).await?;
    Ok(StatusCode::NO_CONTENT)
}
