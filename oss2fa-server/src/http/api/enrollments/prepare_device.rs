//! `POST /integrations/enrollments/{pk}/prepare-device`: chooses the kind of device.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::Enrollment;
use crate::fields;
use crate::http::App;
use crate::http::body::{Body, Pk};
use crate::http::error::{ApiError, Errors};
use crate::http::extract::Integrated;
use crate::ids::EnrollmentId;
use crate::service::refusal::Refusal;

/// Which kind of device, and what it needs to know.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Selection {
    /// A name that `GET /devices-kind` lists.
    #[schema(example = "TOTP")]
    kind: String,
    /// TOTP and HOTP: `generate_qr_code`, `secret`, `counter` (HOTP). EMAIL and SMS: `address`. YUBIKEY:
    /// `judged_by` (`secrets` or `servers`), and with secrets `public_id`, `private_id`, `key`.
    #[serde(default, deserialize_with = "fields::value")]
    #[schema(value_type = Option<Object>)]
    options: Value,
}

/// Chooses the kind of device; the answer has what its owner needs. Can be asked again: a message is sent
/// again, within the limits of the policy.
#[utoipa::path(
    post,
    path = "/integrations/enrollments/{pk}/prepare-device",
    tag = "enrollments",
    security(("integration_token" = []), ("basic" = [])),
    params(("pk" = i64, Path, description = "Number of the enrollment.")),
    request_body = Selection,
    responses((status = 200, body = Enrollment, description = "It waits for the proof."), Errors)
)]
pub async fn prepare_device(
    State(app): State<App>,
    Integrated(caller): Integrated,
    Pk(pk): Pk<EnrollmentId>,
    Body(selection): Body<Selection>,
) -> Result<Json<Enrollment>, ApiError> {
    if !selection.options.is_null() && !selection.options.is_object() {
        let words = "the options must be an object: look at /openapi.json for what each kind takes";
        return Err(Refusal::Options(words.to_owned()).into());
    }
    let shown = app.service().prepare_device(&caller, pk, &selection.kind, &selection.options).await?;
    Ok(Json(shown.into()))
}
