//! `DELETE /integrations/challenges/{pk}`: gives it up.

use axum::extract::State;
use axum::http::StatusCode;

use crate::http::App;
use crate::http::body::Pk;
use crate::http::error::{ApiError, Errors};
use crate::http::extract::Integrated;
use crate::ids::ChallengeId;

/// Gives a challenge up: its answer is not taken any more.
#[utoipa::path(
    delete,
    path = "/integrations/challenges/{pk}",
    tag = "challenges",
    security(("integration_token" = []), ("basic" = [])),
    params(("pk" = i64, Path, description = "Its number.")),
    responses((status = 204, description = "Given up."), Errors)
)]
pub async fn cancel(
    State(app): State<App>,
    Integrated(caller): Integrated,
    Pk(pk): Pk<ChallengeId>,
) -> Result<StatusCode, ApiError> {
    app.service().cancel_challenge(&caller, pk).await?;
    Ok(StatusCode::NO_CONTENT)
}
