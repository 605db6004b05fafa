//! `GET /tenants/integrations/{pk}/webhooks`: where its events are sent.

use axum::Json;
use axum::extract::State;

use crate::http::App;
use crate::http::api::Listed;
use crate::http::body::Pk;
use crate::http::error::{ApiError, Errors};
use crate::http::extract::Admin;
use crate::ids::IntegrationId;
use crate::store::verbs::webhooks::Webhook;

/// The webhooks of an integration, all on one page: how many deliveries wait, and why the newest failed. Not
/// for the helpdesk.
#[utoipa::path(
    get,
    path = "/tenants/integrations/{pk}/webhooks",
    tag = "webhooks",
    security(("admin_token" = []), ("basic" = [])),
    params(("pk" = i64, Path, description = "Number of the integration.")),
    responses((status = 200, body = Listed<Webhook>, description = "All of them."), Errors)
)]
pub async fn list(
    State(app): State<App>,
    Admin(mandate): Admin,
    Pk(pk): Pk<IntegrationId>,
) -> Result<Json<Listed<Webhook>>, ApiError> {
    Ok(Json(Listed { results: app.service().webhooks(&mandate, pk).await?, next: None }))
}
