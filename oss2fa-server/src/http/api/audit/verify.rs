//! `GET /tenants/audit/verify`: whether anything was changed, removed or added.

use axum::Json;
use axum::extract::State;

use crate::http::App;
use crate::http::api::integrations::Where;
use crate::http::body::Asked;
use crate::http::error::{ApiError, Errors};
use crate::http::extract::Admin;
use crate::store::audit::AuditVerdict;

/// Checks a tenant's chain from its beginning. The owner of the server names the tenant, 0 for the server
/// itself. Keep number and hash of the newest event elsewhere: whoever has the server's keys could write
/// another chain, and would not meet them.
#[utoipa::path(
    get,
    path = "/tenants/audit/verify",
    tag = "audit",
    security(("admin_token" = []), ("basic" = [])),
    params(Where),
    responses((status = 200, body = AuditVerdict, description = "What the check found: read it."), Errors)
)]
pub async fn verify(
    State(app): State<App>,
    Admin(mandate): Admin,
    Asked(place): Asked<Where>,
) -> Result<Json<AuditVerdict>, ApiError> {
    let tenant = app.service().audit_of(&mandate, place.tenant).await?;
    Ok(Json(app.service().verify_audit(tenant).await?))
}
