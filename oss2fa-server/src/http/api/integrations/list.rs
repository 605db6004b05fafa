//! `GET /tenants/integrations`: a page of a tenant's integrations.

use axum::Json;
use axum::extract::State;

use super::Where;
use crate::http::App;
use crate::http::api::Listed;
use crate::http::body::{Asked, Pages};
use crate::http::error::{ApiError, Errors};
use crate::http::extract::Admin;
use crate::store::verbs::integrations::Integration;

/// A tenant's integrations by their number.
#[utoipa::path(
    get,
    path = "/tenants/integrations",
    tag = "integrations",
    security(("admin_token" = []), ("basic" = [])),
    params(Where, Pages),
    responses((status = 200, body = Listed<Integration>, description = "A page of them."), Errors)
)]
pub async fn list(
    State(app): State<App>,
    Admin(mandate): Admin,
    Asked(place): Asked<Where>,
    Asked(pages): Asked<Pages>,
) -> Result<Json<Listed<Integration>>, ApiError> {
    let page = pages.page()?;
    let found = app.service().integrations(&mandate, place.tenant, page).await?;
    Ok(Json(Listed::of(found, page.limit, |integration| integration.pk.0, |integration| integration)))
}
