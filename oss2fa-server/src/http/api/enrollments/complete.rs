//! `POST /integrations/enrollments/{pk}/complete`: proves the device.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::Enrollment;
use crate::device::Token;
use crate::fields;
use crate::http::App;
use crate::http::api::devices::DeviceToken;
use crate::http::api::{Context, binding};
use crate::http::body::{Body, Pk};
use crate::http::error::{ApiError, Errors};
use crate::http::extract::Integrated;
use crate::ids::EnrollmentId;
use crate::service::enrollment::Outcome;
use crate::service::refusal::Refusal;

const CLIENT_ID: HeaderName = HeaderName::from_static("x-client-id");
const DEVICE_ID: HeaderName = HeaderName::from_static("x-device-id");

/// The proof.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Proof {
    /// The code that the device shows, or that was sent; for FIDO2 and U2F the credential that the browser made.
    #[schema(value_type = DeviceToken)]
    #[serde(deserialize_with = "fields::value")]
    token: Value,
    /// Where the client is, for the audit. An address outside of the networks of the policy is refused.
    #[serde(default, deserialize_with = "fields::optional")]
    binding_context: Option<Context>,
}

/// Proves the device: the client has it from then on. 201, `X-Client-Id` and `X-Device-Id` when that is done; 200 when
/// the kind of device asks for one more step.
#[utoipa::path(
    post,
    path = "/integrations/enrollments/{pk}/complete",
    tag = "enrollments",
    security(("integration_token" = []), ("basic" = [])),
    params(("pk" = i64, Path, description = "Number of the enrollment.")),
    request_body = Proof,
    responses(
        (status = 201, description = "Enrolled.", headers(
            ("X-Client-Id" = i64, description = "Number of the client."),
            ("X-Device-Id" = i64, description = "Number of the device.")
        )),
        (status = 200, body = Enrollment, description = "One more step."),
        Errors
    )
)]
pub async fn complete(
    State(app): State<App>,
    Integrated(caller): Integrated,
    Pk(pk): Pk<EnrollmentId>,
    Body(proof): Body<Proof>,
) -> Result<Response, ApiError> {
    let token = Token::read(proof.token).map_err(Refusal::from)?;
    let context = binding(proof.binding_context)?;
    match app.service().complete_enrollment(&caller, pk, &token, &context).await? {
        Outcome::Complete(client, device) => {
            let made = [(CLIENT_ID, HeaderValue::from(client.0)), (DEVICE_ID, HeaderValue::from(device.0))];
            Ok((StatusCode::CREATED, made).into_response())
        }
        Outcome::Another(shown) => Ok(Json(Enrollment::from(shown)).into_response()),
    }
}
