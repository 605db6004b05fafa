//! `GET /tenants/audit`: what has happened, page by page or as JSON lines.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use utoipa::IntoParams;

use super::stream::lines;
use crate::http::App;
use crate::http::api::{Listed, username};
use crate::http::body::{Asked, Pages};
use crate::http::error::{ApiError, Errors};
use crate::http::extract::Admin;
use crate::ids::{IntegrationId, TenantId};
use crate::outside::Timestamp;
use crate::service::audit::AuditSearch;
use crate::store::audit::{AuditEntry, AuditFilter};

/// Whose audit, and what of it.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Wanted {
    /// Number of the tenant. The owner of the server has to name it, 0 for the server itself; others have one.
    #[serde(default)]
    #[param(value_type = Option<i64>)]
    tenant: Option<TenantId>,
    /// Only this event, such as `accepted` or `refused`.
    #[serde(default)]
    event: Option<String>,
    /// Only about this client.
    #[serde(default)]
    username: Option<String>,
    /// Only through this integration.
    #[serde(default)]
    #[param(value_type = Option<i64>)]
    integration: Option<IntegrationId>,
    /// Only at or after this time (RFC 3339; a plus sign is written %2B).
    #[serde(default)]
    #[param(format = DateTime)]
    since: Option<String>,
    /// Only before this time (RFC 3339).
    #[serde(default)]
    #[param(format = DateTime)]
    until: Option<String>,
}

impl Wanted {
    fn filter(&self) -> Result<AuditFilter, ApiError> {
        let time = |name, written: &Option<String>| {
            written.as_deref().map(|written| instant(name, written)).transpose()
        };
        if self.event.as_ref().is_some_and(|event| event.contains('\0')) {
            return Err(ApiError::bad_request("event must be the name of an event, such as accepted"));
        }
        Ok(AuditFilter {
            event: self.event.clone(),
            username: self
                .username
                .as_deref()
                .map(|written| username(written).map(|name| name.as_str().to_owned()))
                .transpose()?,
            integration: self.integration,
            since: time("since", &self.since)?,
            until: time("until", &self.until)?,
        })
    }
}

fn instant(name: &str, written: &str) -> Result<Timestamp, ApiError> {
    Timestamp::from_rfc3339(written).ok_or_else(|| {
        ApiError::bad_request(format!(
            "{name} must be a time of RFC 3339, such as 2017-08-27T23:47:31Z; write a plus sign as %2B"
        ))
    })
}

/// What has happened in a tenant, the oldest first. With `Accept: application/x-ndjson` everything after the
/// cursor as JSON lines, up to the newest event of the moment: a stream that breaks off was not whole.
///
/// A page can have fewer results than asked for, even none, and yet a `next`.
#[utoipa::path(
    get,
    path = "/tenants/audit",
    tag = "audit",
    security(("admin_token" = []), ("basic" = [])),
    params(Wanted, Pages),
    responses(
        (status = 200, description = "Events.", content(
            (Listed<AuditEntry> = "application/json"),
            (AuditEntry = "application/x-ndjson")
        )),
        Errors
    )
)]
pub async fn list(
    State(app): State<App>,
    Admin(mandate): Admin,
    Asked(wanted): Asked<Wanted>,
    Asked(pages): Asked<Pages>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let (page, filter) = (pages.page()?, wanted.filter()?);
    let service = app.service();
    let tenant = service.audit_of(&mandate, wanted.tenant).await?;
    let search = AuditSearch { tenant, after: page.after, filter };
    if wants_lines(&headers) {
        return Ok(lines(service, search));
    }
    // One more than is shown was asked for, where that tells whether there is a next page; here the head does.
    let (results, next) = service.audit_page(search, page.limit.saturating_sub(1)).await?;
    Ok(Json(Listed { results, next }).into_response())
}

/// Named, and not behind JSON: of `*/*` nobody expects a stream.
fn wants_lines(headers: &HeaderMap) -> bool {
    let named = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    named
        .flat_map(|value| value.split(','))
        .filter_map(|range| range.split(';').next())
        .map(|range| range.trim().to_ascii_lowercase())
        .find(|range| range == "application/json" || range == "application/x-ndjson")
        .is_some_and(|range| range == "application/x-ndjson")
}
