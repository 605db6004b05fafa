//! `POST /integrations/challenges/{pk}/resend`: sends a new code.

use axum::Json;
use axum::extract::State;

use super::Challenge;
use crate::http::App;
use crate::http::body::Pk;
use crate::http::error::{ApiError, Errors};
use crate::http::extract::Integrated;
use crate::ids::ChallengeId;

/// Sends a new code in place of the old, within the limits of the policy.
#[utoipa::path(
    post,
    path = "/integrations/challenges/{pk}/resend",
    tag = "challenges",
    security(("integration_token" = []), ("basic" = [])),
    params(("pk" = i64, Path, description = "Its number.")),
    responses((status = 200, body = Challenge, description = "Sent."), Errors)
)]
pub async fn resend(
    State(app): State<App>,
    Integrated(caller): Integrated,
    Pk(pk): Pk<ChallengeId>,
) -> Result<Json<Challenge>, ApiError> {
    Ok(Json(app.service().resend_challenge(&caller, pk).await?.into()))
}
