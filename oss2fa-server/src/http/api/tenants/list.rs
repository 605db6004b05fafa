//! `GET /tenants`: a page of the tenants.

use axum::Json;
use axum::extract::State;

use crate::http::App;
use crate::http::api::Listed;
use crate::http::body::{Asked, Pages};
use crate::http::error::{ApiError, Errors};
use crate::http::extract::Admin;
use crate::store::verbs::tenants::Tenant;

/// The tenants by their number: all of them for the owner of the server, their own for others.
#[utoipa::path(
    get,
    path = "/tenants",
    tag = "tenants",
    security(("admin_token" = []), ("basic" = [])),
    params(Pages),
    responses((status = 200, body = Listed<Tenant>, description = "A page of them."), Errors)
)]
pub async fn list(
    State(app): State<App>,
    Admin(mandate): Admin,
    Asked(pages): Asked<Pages>,
) -> Result<Json<Listed<Tenant>>, ApiError> {
    let page = pages.page()?;
    let found = app.service().tenants(&mandate, page).await?;
    Ok(Json(Listed::of(found, page.limit, |tenant| tenant.pk.0, |tenant| tenant)))
}
