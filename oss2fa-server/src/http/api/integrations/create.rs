//! `POST /tenants/integrations`: makes one.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;

use super::{Where, WithCredentials};
use crate::http::App;
use crate::http::api::one_tenant;
use crate::http::body::{Asked, Body};
use crate::http::error::{ApiError, Errors};
use crate::http::extract::Admin;
use crate::ids::TenantId;
use crate::service::name::Name;

/// What is to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewIntegration {
    /// Its name; authenticator apps and messages show it. No other integration of the tenant has it.
    #[schema(min_length = 1, max_length = 64, example = "VPN")]
    name: String,
    /// In which tenant. The owner of the server has to say it, here or in the query; others have one.
    #[serde(default)]
    #[schema(value_type = Option<i64>)]
    tenant: Option<TenantId>,
}

/// Makes an integration; token, access key and secret key are shown this once. Not for the helpdesk.
#[utoipa::path(
    post,
    path = "/tenants/integrations",
    tag = "integrations",
    security(("admin_token" = []), ("basic" = [])),
    params(Where),
    request_body = NewIntegration,
    responses((status = 201, body = WithCredentials, description = "Made."), Errors)
)]
pub async fn create(
    State(app): State<App>,
    Admin(mandate): Admin,
    Asked(place): Asked<Where>,
    Body(new): Body<NewIntegration>,
) -> Result<(StatusCode, Json<WithCredentials>), ApiError> {
    let tenant = one_tenant(place.tenant, new.tenant)?;
    let made = app.service().create_integration(&mandate, tenant, Name::parse(&new.name)?).await?;
    Ok((StatusCode::CREATED, Json(WithCredentials::of(made))))
}
