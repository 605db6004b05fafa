//! `GET /tenants/integrations/{pk}`: one integration.

use axum::Json;
use axum::extract::State;

use crate::http::App;
use crate::http::body::Pk;
use crate::http::error::{ApiError, Errors};
use crate::http::extract::Admin;
use crate::ids::IntegrationId;
use crate::service::mandate::Action;
use crate::store::verbs::integrations::Integration;

/// An integration. What proves it is not shown again.
#[utoipa::path(
    get,
    path = "/tenants/integrations/{pk}",
    tag = "integrations",
    security(("admin_token" = []), ("basic" = [])),
    params(("pk" = i64, Path, description = "Its number.")),
    responses((status = 200, body = Integration, description = "It is there."), Errors)
)]
pub async fn read(
    State(app): State<App>,
    Admin(mandate): Admin,
    Pk(pk): Pk<IntegrationId>,
) -> Result<Json<Integration>, ApiError> {
    Ok(Json(app.service().integration_for(&mandate, Action::ReadIntegrations, pk).await?))
}
