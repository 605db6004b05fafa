//! `POST /tenants`: makes one.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::http::App;
use crate::http::body::Body;
use crate::http::error::{ApiError, Errors};
use crate::http::extract::Admin;
use crate::service::name::Name;
use crate::store::verbs::tenants::Tenant;

/// What is to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewTenant {
    /// Its name; no other tenant has it.
    #[schema(min_length = 1, max_length = 64, example = "Example Ltd")]
    name: String,
}

/// Makes a tenant with keys and an audit of its own. For the owner of the server.
#[utoipa::path(
    post,
    path = "/tenants",
    tag = "tenants",
    security(("admin_token" = []), ("basic" = [])),
    request_body = NewTenant,
    responses((status = 201, body = Tenant, description = "Made."), Errors)
)]
pub async fn create(
    State(app): State<App>,
    Admin(mandate): Admin,
    Body(new): Body<NewTenant>,
) -> Result<(StatusCode, Json<Tenant>), ApiError> {
    let tenant = app.service().create_tenant(&mandate, Name::parse(&new.name)?).await?;
    Ok((StatusCode::CREATED, Json(tenant)))
}
