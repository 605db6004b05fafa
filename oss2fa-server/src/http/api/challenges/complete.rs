//! `POST /integrations/challenges/{pk}/complete`: answers it. 200 only when it is complete.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use oss2fa_core::secret::SecretText;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::Challenge;
use crate::device::Token;
use crate::fields;
use crate::http::App;
use crate::http::api::clients::verify::Accepted;
use crate::http::api::devices::DeviceToken;
use crate::http::body::{Body, Pk};
use crate::http::error::{ApiError, Errors};
use crate::http::extract::Integrated;
use crate::ids::ChallengeId;
use crate::service::challenge::{Outcome, Remember};
use crate::service::refusal::Refusal;
use crate::store::verbs::attempts::Admitted;

/// The answer.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// The code that the device shows, or that was sent; for FIDO2 and U2F what the key gave to the browser.
    #[schema(value_type = DeviceToken)]
    #[serde(deserialize_with = "fields::value")]
    token: Value,
    /// Whether to remember the device that the client logs in from, where policy allows that.
    #[serde(default)]
    remember_device: bool,
}

/// The challenge is complete.
#[derive(Serialize, ToSchema)]
pub struct Complete {
    /// Who, and by which device.
    #[serde(flatten)]
    accepted: Accepted,
    /// 3: complete.
    status: i64,
    /// What stands for the client's device from now on: give it in the binding context of its next login.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    trusted_device_token: Option<SecretText>,
}

impl Complete {
    /// There is none without the evidence.
    fn of(admitted: Admitted, trusted_device_token: Option<SecretText>) -> Self {
        Self { accepted: admitted.into(), status: 3, trusted_device_token }
    }
}

/// Answers a challenge. 200 only when it is complete; 202 when the kind of device asks for one more step.
#[utoipa::path(
    post,
    path = "/integrations/challenges/{pk}/complete",
    tag = "challenges",
    security(("integration_token" = []), ("basic" = [])),
    params(("pk" = i64, Path, description = "Its number.")),
    request_body = Answer,
    responses(
        (status = 200, body = Complete, description = "Right, and spent: the client proved it."),
        (status = 202, body = Challenge, description = "Not yet: one more step."),
        Errors
    )
)]
pub async fn complete(
    State(app): State<App>,
    Integrated(caller): Integrated,
    Pk(pk): Pk<ChallengeId>,
    Body(answer): Body<Answer>,
) -> Result<Response, ApiError> {
    let remember = if answer.remember_device { Remember::Device } else { Remember::Nothing };
    let token = Token::read(answer.token).map_err(Refusal::from)?;
    match app.service().complete_challenge(&caller, pk, &token, remember).await? {
        Outcome::Complete { admitted, trusted_device } => {
            Ok(Json(Complete::of(admitted, trusted_device)).into_response())
        }
        Outcome::Another(shown) => Ok((StatusCode::ACCEPTED, Json(Challenge::from(*shown))).into_response()),
    }
}
