//! `GET /devices-kind`: the kinds of devices that can be enrolled.

use axum::Json;
use axum::extract::State;

use crate::device::Description;
use crate::http::App;
use crate::http::error::{ApiError, Errors};
use crate::http::extract::Integrated;

/// The kinds that the policy of the integration allows.
#[utoipa::path(
    get,
    path = "/devices-kind",
    tag = "devices",
    security(("integration_token" = []), ("basic" = [])),
    responses((status = 200, body = Vec<Description>, description = "The kinds."), Errors)
)]
pub async fn kinds(
    State(app): State<App>,
    Integrated(caller): Integrated,
) -> Result<Json<Vec<Description>>, ApiError> {
    let policy = &caller.integration.policy;
    let kinds = app.service().kinds.descriptions().filter(|kind| policy.allows_kind(kind.name));
    Ok(Json(kinds.collect()))
}
