//! `GET /tenants/administrators`: a page of the administrators.

use axum::Json;
use axum::extract::State;

use crate::http::App;
use crate::http::api::Listed;
use crate::http::api::integrations::Where;
use crate::http::body::{Asked, Pages};
use crate::http::error::{ApiError, Errors};
use crate::http::extract::Admin;
use crate::store::verbs::administrators::Administrator;

/// The administrators by their number: of one tenant, or for the owner of the server all of them. Not for the
/// helpdesk.
#[utoipa::path(
    get,
    path = "/tenants/administrators",
    tag = "administrators",
    security(("admin_token" = []), ("basic" = [])),
    params(Where, Pages),
    responses((status = 200, body = Listed<Administrator>, description = "A page of them."), Errors)
)]
pub async fn list(
    State(app): State<App>,
    Admin(mandate): Admin,
    Asked(place): Asked<Where>,
    Asked(pages): Asked<Pages>,
) -> Result<Json<Listed<Administrator>>, ApiError> {
    let page = pages.page()?;
    let found = app.service().administrators(&mandate, place.tenant, page).await?;
    Ok(Json(Listed::of(found, page.limit, |found| found.pk.0, |found| found)))
}
