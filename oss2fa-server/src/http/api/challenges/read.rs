//! `GET /integrations/challenges/{pk}`: how far it is.

use axum::Json;
use axum::extract::State;

use super::Challenge;
use crate::http::App;
use crate::http::body::Pk;
use crate::http::error::{ApiError, Errors};
use crate::http::extract::Integrated;
use crate::ids::ChallengeId;

/// A challenge.
#[utoipa::path(
    get,
    path = "/integrations/challenges/{pk}",
    tag = "challenges",
    security(("integration_token" = []), ("basic" = [])),
    params(("pk" = i64, Path, description = "Its number.")),
    responses((status = 200, body = Challenge, description = "It is there, whatever its status."), Errors)
)]
pub async fn read(
    State(app): State<App>,
    Integrated(caller): Integrated,
    Pk(pk): Pk<ChallengeId>,
) -> Result<Json<Challenge>, ApiError> {
    Ok(Json(app.service().challenge(&caller, pk).await?.into()))
}
