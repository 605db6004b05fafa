//! `POST /tenants/administrators`: makes one.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use oss2fa_core::secret::SecretText;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::http::App;
use crate::http::api::integrations::Where;
use crate::http::api::one_tenant;
use crate::http::body::{Asked, Body};
use crate::http::error::{ApiError, Errors};
use crate::http::extract::Admin;
use crate::ids::TenantId;
use crate::service::administrator::NewAdministrator;
use crate::service::credential::Credentials;
use crate::service::name::Name;
use crate::store::verbs::administrators::{Administrator, Role};

/// Who is to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AdministratorToMake {
    /// Name; no other administrator of the server has it.
    #[schema(min_length = 1, max_length = 64, example = "Jane Doe")]
    name: String,
    /// owner: everything in every tenant. administrator: everything in one tenant. helpdesk: reads one tenant,
    /// unlocks clients and removes their devices.
    role: Role,
    /// In which tenant. The owner of the server has to say it, here or in the query, for all but an owner.
    #[serde(default)]
    #[schema(value_type = Option<i64>)]
    tenant: Option<TenantId>,
}

/// An administrator with what proves it, which is shown this once.
#[derive(Serialize, ToSchema)]
pub struct Made {
    /// The administrator.
    #[serde(flatten)]
    administrator: Administrator,
    /// For X-Admin-Token.
    #[schema(value_type = String)]
    token: SecretText,
    /// The password for Basic; the user is the access key.
    #[schema(value_type = String)]
    secret_key: SecretText,
}

/// Makes an administrator, of no higher role than one's own; token, access key and secret key are shown this
/// once. Not for the helpdesk.
#[utoipa::path(
    post,
    path = "/tenants/administrators",
    tag = "administrators",
    security(("admin_token" = []), ("basic" = [])),
    params(Where),
    request_body = AdministratorToMake,
    responses((status = 201, body = Made, description = "Made."), Errors)
)]
pub async fn create(
    State(app): State<App>,
    Admin(mandate): Admin,
    Asked(place): Asked<Where>,
    Body(new): Body<AdministratorToMake>,
) -> Result<(StatusCode, Json<Made>), ApiError> {
    let tenant = one_tenant(place.tenant, new.tenant)?;
    let new = NewAdministrator { name: Name::parse(&new.name)?, role: new.role, tenant };
    let (administrator, credentials) = app.service().create_administrator(&mandate, new).await?;
    let Credentials { token, secret_key, .. } = credentials;
    Ok((StatusCode::CREATED, Json(Made { administrator, token, secret_key })))
}
