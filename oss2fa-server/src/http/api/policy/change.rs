//! `PUT /tenants/integrations/{pk}/policy`: other rules.

use axum::Json;
use axum::extract::State;

use crate::http::App;
use crate::http::body::{Body, Pk};
use crate::http::error::{ApiError, Errors};
use crate::http::extract::Admin;
use crate::ids::IntegrationId;
use crate::policy::Policy;

/// Replaces the rules of an integration: a key that is left out gets its default. Not for the helpdesk.
#[utoipa::path(
    put,
    path = "/tenants/integrations/{pk}/policy",
    tag = "policy",
    security(("admin_token" = []), ("basic" = [])),
    params(("pk" = i64, Path, description = "Number of the integration.")),
    request_body = Policy,
    responses((status = 200, body = Policy, description = "The rules as they are now."), Errors)
)]
pub async fn change(
    State(app): State<App>,
    Admin(mandate): Admin,
    Pk(pk): Pk<IntegrationId>,
    Body(policy): Body<Policy>,
) -> Result<Json<Policy>, ApiError> {
    let changed = app.service().set_policy(&mandate, pk, policy).await;
    // Also where the answer of a commit was lost: the policy may have changed.
    app.recognised.forget();
    Ok(Json(changed?))
}
