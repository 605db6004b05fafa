//! `POST /integrations/host-events`: what a host did while no server could be reached.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::http::App;
use crate::http::body::Body;
use crate::http::error::{ApiError, Errors};
use crate::http::extract::{From, Integrated};
use crate::outside::Timestamp;
use crate::service::host::Told;
use crate::service::refusal::Refusal;

/// What a host did, the oldest first.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// Name of the host.
    #[schema(min_length = 1, example = "web1.example.org")]
    host: String,
    /// At most 100.
    #[schema(max_items = 100)]
    events: Vec<HostEvent>,
}

/// One event. Texts are cut at 256 characters.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HostEvent {
    /// The host's own word for it: an event of this host and id is written down once.
    #[schema(min_length = 1)]
    id: String,
    /// When, by the host's clock (RFC 3339).
    #[schema(format = DateTime)]
    at: String,
    /// What: `fail_open`, `offline_code`, `offline_refused`, `local_login`, `skipped`, or another word.
    #[schema(example = "fail_open")]
    event: String,
    /// About whom.
    #[serde(default)]
    username: String,
    /// The service of the host, such as `sshd`.
    #[serde(default)]
    service: String,
    /// One line more; never a secret.
    #[serde(default)]
    detail: String,
}

impl HostEvent {
    fn told(self) -> Result<Told, ApiError> {
        let at = Timestamp::from_rfc3339(&self.at).ok_or_else(|| {
            let words = "`at` of each event is a time of RFC 3339, such as 2017-08-27T23:47:31Z";
            ApiError::from(Refusal::Options(words.to_owned()))
        })?;
        let Self { id, event, username, service, detail, .. } = self;
        Ok(Told { id, at, event, username, service, detail })
    }
}

/// What came of it.
#[derive(Serialize, ToSchema)]
pub struct Recorded {
    /// How many were new.
    recorded: u64,
}

/// Writes what a host did by itself to the audit, as events `host_event`. What was written before is left out.
#[utoipa::path(
    post,
    path = "/integrations/host-events",
    tag = "hosts",
    security(("integration_token" = []), ("basic" = [])),
    request_body = Report,
    responses((status = 200, body = Recorded, description = "All of them are in the audit."), Errors)
)]
pub async fn report(
    State(app): State<App>,
    Integrated(caller): Integrated,
    From(address): From,
    Body(Report { host, events }): Body<Report>,
) -> Result<Json<Recorded>, ApiError> {
    let told: Vec<Told> = events.into_iter().map(HostEvent::told).collect::<Result<_, _>>()?;
    let recorded = app.service().record_host_events(&caller, address, &host, &told).await?;
    Ok(Json(Recorded { recorded }))
}
