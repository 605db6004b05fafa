//! `GET /integrations/policy`: the rules that an integration works by.

use axum::Json;
use axum::extract::State;

use crate::http::App;
use crate::http::error::{ApiError, Errors};
use crate::http::extract::Desk;
use crate::policy::Policy;
use crate::service::mandate::Action;

/// The rules of the integration that asks. Administrators change them.
#[utoipa::path(
    get,
    path = "/integrations/policy",
    tag = "policy",
    security(("integration_token" = []), ("admin_token" = []), ("basic" = [])),
    params(("integration" = Option<i64>, Query, description = "For administrators: of which integration.")),
    responses((status = 200, body = Policy, description = "All of them, the defaults included."), Errors)
)]
pub async fn own(State(_): State<App>, Desk(clerk): Desk) -> Result<Json<Policy>, ApiError> {
    clerk.demand(Action::ReadPolicy)?;
    Ok(Json(clerk.caller.integration.policy.clone()))
}
