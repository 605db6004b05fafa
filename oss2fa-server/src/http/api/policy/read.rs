//! `GET /tenants/integrations/{pk}/policy`: the rules of an integration, for administrators.

use axum::Json;
use axum::extract::State;

use crate::http::App;
use crate::http::body::Pk;
use crate::http::error::{ApiError, Errors};
use crate::http::extract::Admin;
use crate::ids::IntegrationId;
use crate::policy::Policy;
use crate::service::mandate::Action;

/// The rules of an integration.
#[utoipa::path(
    get,
    path = "/tenants/integrations/{pk}/policy",
    tag = "policy",
    security(("admin_token" = []), ("basic" = [])),
    params(("pk" = i64, Path, description = "Number of the integration.")),
    responses((status = 200, body = Policy, description = "All of them, the defaults included."), Errors)
)]
pub async fn read(
    State(app): State<App>,
    Admin(mandate): Admin,
    Pk(pk): Pk<IntegrationId>,
) -> Result<Json<Policy>, ApiError> {
    Ok(Json(app.service().integration_for(&mandate, Action::ReadPolicy, pk).await?.policy))
}
