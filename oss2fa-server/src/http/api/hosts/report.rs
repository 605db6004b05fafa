//! `POST /integrations/host-events`: what a host did while no server could be reached.

use axum::Json;
use axum::extract::State;
use data_encoding::BASE64URL_NOPAD;
use oss2fa_core::ids::DeviceId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::fields;
use crate::http::App;
use crate::http::body::Body;
use crate::http::error::{ApiError, Errors};
use crate::http::extract::{From, Integrated};
use crate::outside::Timestamp;
use crate::service::host::{Signed, Told};
use crate::service::refusal::Refusal;

/// What a host did, the oldest first.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// Name of the host.
    #[schema(min_length = 1, example = "web1.example.org")]
    host: String,
    /// At most 100.
    #[serde(deserialize_with = "fields::objects")]
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
    /// What: `fail_open`, `offline_code`, `offline_touch`, `offline_refused`, `local_login`, `skipped`, or another
    /// word.
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
    /// Of `offline_touch`: what the security key has signed. It raises the counter that is kept of the key here.
    #[serde(default, deserialize_with = "fields::optional")]
    assertion: Option<HostAssertion>,
}

/// What a security key has signed for a host, while no server could be reached. Bytes are base64url without padding.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HostAssertion {
    /// Number of the device.
    device: i64,
    /// `clientDataJSON`; its origin is `oss2fa:host`.
    #[schema(max_length = 2048)]
    client_data: String,
    /// `authenticatorData`.
    #[schema(max_length = 2048)]
    authenticator_data: String,
    /// `signature`.
    #[schema(max_length = 2048)]
    signature: String,
}

impl HostAssertion {
    fn signed(self) -> Result<Signed, ApiError> {
        let bytes = |text: &str| {
            let fits = Some(text).filter(|text| text.len() <= LONGEST);
            fits.and_then(|text| BASE64URL_NOPAD.decode(text.as_bytes()).ok()).ok_or_else(|| {
                let words = "an `assertion` has base64url without padding, of at most 2048 characters each";
                ApiError::from(Refusal::Options(words.to_owned()))
            })
        };
        Ok(Signed {
            device: DeviceId(self.device),
            client_data: bytes(&self.client_data)?,
            authenticator_data: bytes(&self.authenticator_data)?,
            signature: bytes(&self.signature)?,
        })
    }
}

/// Longest text of an assertion.
const LONGEST: usize = 2048;

impl HostEvent {
    fn told(self) -> Result<Told, ApiError> {
        let at = Timestamp::from_rfc3339(&self.at).ok_or_else(|| {
            let words = "`at` of each event is a time of RFC 3339, such as 2017-08-27T23:47:31Z";
            ApiError::from(Refusal::Options(words.to_owned()))
        })?;
        let Self { id, event, username, service, detail, assertion, .. } = self;
        let assertion = assertion.map(HostAssertion::signed).transpose()?;
        Ok(Told { id, at, event, username, service, detail, assertion })
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
