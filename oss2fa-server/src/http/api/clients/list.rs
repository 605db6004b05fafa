//! `GET /integrations/clients`: a page of the clients, or the one of a name.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::http::App;
use crate::http::api::{Listed, username};
use crate::http::body::{Asked, Pages};
use crate::http::error::{ApiError, Errors};
use crate::http::extract::Desk;
use crate::store::verbs::clients::Client;

/// Which clients.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Filter {
    /// Only the client of this name.
    #[serde(default)]
    #[param(min_length = 1, max_length = 256)]
    username: Option<String>,
}

/// The clients of an integration, by their number.
#[utoipa::path(
    get,
    path = "/integrations/clients",
    tag = "clients",
    security(("integration_token" = []), ("admin_token" = []), ("basic" = [])),
    params(
        ("integration" = Option<i64>, Query, description = "For administrators: of which integration."),
        Filter,
        Pages
    ),
    responses((status = 200, body = Listed<Client>, description = "A page of them."), Errors)
)]
pub async fn list(
    State(app): State<App>,
    Desk(clerk): Desk,
    Asked(filter): Asked<Filter>,
    Asked(pages): Asked<Pages>,
) -> Result<Json<Listed<Client>>, ApiError> {
    let username = filter.username.as_deref().map(username).transpose()?;
    let page = pages.page()?;
    let found = app.service().clients(&clerk, username, page).await?;
    Ok(Json(Listed::of(found, page.limit, |client| client.pk.0, |client| client)))
}
