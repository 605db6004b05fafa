//! `GET /integrations/offline-credentials`: those of a host or a client, the revoked ones as well.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;

use super::host;
use crate::http::App;
use crate::http::api::{Listed, username};
use crate::http::body::{Asked, Pages};
use crate::http::error::{ApiError, Errors};
use crate::http::extract::Desk;
use crate::store::verbs::offline::OfflineCredential;

/// Which credentials.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Filter {
    /// Only those on this host.
    #[serde(default)]
    #[param(min_length = 1, max_length = 256)]
    host: Option<String>,
    /// Only those of this client.
    #[serde(default)]
    #[param(min_length = 1, max_length = 256)]
    username: Option<String>,
}

/// Offline credentials by their number. Revoked ones stay listed for a year: a host must not take the codes of
/// one that is revoked, or not in the list.
#[utoipa::path(
    get,
    path = "/integrations/offline-credentials",
    tag = "offline_credentials",
    security(("integration_token" = []), ("admin_token" = []), ("basic" = [])),
    params(
        ("integration" = Option<i64>, Query, description = "For administrators: of which integration."),
        Filter,
        Pages
    ),
    responses((status = 200, body = Listed<OfflineCredential>, description = "A page of them."), Errors)
)]
pub async fn list(
    State(app): State<App>,
    Desk(clerk): Desk,
    Asked(filter): Asked<Filter>,
    Asked(pages): Asked<Pages>,
) -> Result<Json<Listed<OfflineCredential>>, ApiError> {
    let username = filter.username.as_deref().map(username).transpose()?;
    let host = filter.host.as_deref().map(host).transpose()?;
    let page = pages.page()?;
    let found = app.service().offline_credentials(&clerk, host, username, page).await?;
    Ok(Json(Listed::of(found, page.limit, |credential| credential.pk.0, |credential| credential)))
}
