//! `GET /tenants/{pk}`: one tenant.

use axum::Json;
use axum::extract::State;

use crate::http::App;
use crate::http::body::Pk;
use crate::http::error::{ApiError, Errors};
use crate::http::extract::Admin;
use crate::ids::TenantId;
use crate::store::verbs::tenants::Tenant;

/// A tenant.
#[utoipa::path(
    get,
    path = "/tenants/{pk}",
    tag = "tenants",
    security(("admin_token" = []), ("basic" = [])),
    params(("pk" = i64, Path, description = "Its number.")),
    responses((status = 200, body = Tenant, description = "It is there."), Errors)
)]
pub async fn read(
    State(app): State<App>,
    Admin(mandate): Admin,
    Pk(pk): Pk<TenantId>,
) -> Result<Json<Tenant>, ApiError> {
    Ok(Json(app.service().tenant(&mandate, pk).await?))
}
