//! `POST /tenants/integrations/{pk}/webhooks`: has its events sent to a URL.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use oss2fa_core::secret::SecretText;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::http::App;
use crate::http::body::{Body, Pk};
use crate::http::error::{ApiError, Errors};
use crate::http::extract::Admin;
use crate::ids::IntegrationId;
use crate::store::verbs::webhooks::Webhook;
use crate::webhook::Target;

/// Where to.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewWebhook {
    /// `https`, without user and fragment; not of loopback, link-local or multicast addresses.
    #[schema(max_length = 2000, example = "https://app.example.org/oss2fa")]
    url: String,
}

/// A webhook with what its deliveries are signed with, which is shown this once.
#[derive(Serialize, ToSchema)]
pub struct WithSecret {
    /// The webhook.
    #[serde(flatten)]
    webhook: Webhook,
    /// The key of the HMAC, as text.
    #[schema(value_type = String)]
    secret: SecretText,
}

/// Has the events of an integration sent to a URL: each as a POST of its JSON, with the headers
/// `X-OSS2FA-Delivery: NUMBER` and `X-OSS2FA-Signature: t=UNIX,v1=HEX`, where HEX is
/// HMAC-SHA256(secret, "UNIX.BODY") in hexadecimal. An answer of 200 to 299 says that it was taken; else it is
/// tried again, for a day.
///
/// A delivery can come more than once, with the same number, and in any order: `seq` tells it. Not for the
/// helpdesk.
#[utoipa::path(
    post,
    path = "/tenants/integrations/{pk}/webhooks",
    tag = "webhooks",
    security(("admin_token" = []), ("basic" = [])),
    params(("pk" = i64, Path, description = "Number of the integration.")),
    request_body = NewWebhook,
    responses((status = 201, body = WithSecret, description = "Made; its first delivery is that."), Errors)
)]
pub async fn create(
    State(app): State<App>,
    Admin(mandate): Admin,
    Pk(pk): Pk<IntegrationId>,
    Body(new): Body<NewWebhook>,
) -> Result<(StatusCode, Json<WithSecret>), ApiError> {
    let target = Target::parse(&new.url, app.operations.webhooks_plain_http).map_err(|error| {
        ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "bad_webhook_url", error.to_string())
    })?;
    let (webhook, secret) = app.service().create_webhook(&mandate, pk, &target).await?;
    Ok((StatusCode::CREATED, Json(WithSecret { webhook, secret })))
}
