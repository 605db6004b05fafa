//! `POST /tenants/integrations/{pk}/rotate-token`: new proof in place of the old.

use axum::Json;
use axum::extract::State;

use super::WithCredentials;
use crate::http::App;
use crate::http::body::Pk;
use crate::http::error::{ApiError, Errors};
use crate::http::extract::Admin;
use crate::ids::IntegrationId;

/// Replaces token, access key and secret key; the new ones are shown this once, and the old ones are worth
/// nothing from then on (on other nodes a second later). Not for the helpdesk.
#[utoipa::path(
    post,
    path = "/tenants/integrations/{pk}/rotate-token",
    tag = "integrations",
    security(("admin_token" = []), ("basic" = [])),
    params(("pk" = i64, Path, description = "Its number.")),
    responses((status = 200, body = WithCredentials, description = "Replaced."), Errors)
)]
pub async fn rotate_token(
    State(app): State<App>,
    Admin(mandate): Admin,
    Pk(pk): Pk<IntegrationId>,
) -> Result<Json<WithCredentials>, ApiError> {
    let rotated = app.service().rotate_token(&mandate, pk).await;
    // Also where the answer of a commit was lost: the token may have changed.
    app.recognised.forget();
    Ok(Json(WithCredentials::of(rotated?)))
}
