//! `GET /devices-kind`: the kinds of devices that can be enrolled.

use axum::Json;
use axum::extract::State;

use crate::device::Description;
use crate::http::App;
use crate::http::error::{ApiError, Errors};
use crate::http::extract::Onlooker;

/// The kinds that the policy of the integration offers; all of them for an administrator who names none.
#[utoipa::path(
    get,
    path = "/devices-kind",
    tag = "devices",
    security(("integration_token" = []), ("admin_token" = []), ("basic" = [])),
    params(("integration" = Option<i64>, Query, description = "For administrators: of which integration.")),
    responses((status = 200, body = Vec<Description>, description = "The kinds."), Errors)
)]
pub async fn kinds(State(app): State<App>, onlooker: Onlooker) -> Result<Json<Vec<Description>>, ApiError> {
    let kinds = &app.service().kinds;
    Ok(Json(match onlooker {
        Onlooker::Of(clerk) => kinds.offered(&clerk.caller.integration.policy).collect(),
        Onlooker::Administrator(_) => kinds.descriptions().collect(),
    }))
}
