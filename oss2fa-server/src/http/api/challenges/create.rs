//! `POST /integrations/challenges`: opens one.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use oss2fa_core::ids::DeviceId;
use serde::Deserialize;
use utoipa::ToSchema;

use super::Challenge;
use crate::fields;
use crate::http::App;
use crate::http::api::{Context, binding, username};
use crate::http::body::Body;
use crate::http::error::{ApiError, Errors};
use crate::http::extract::Integrated;
use crate::service::challenge::NewChallenge;
use crate::service::refusal::Refusal;

/// Whom to challenge, and on which device.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    /// The client's name.
    #[schema(min_length = 1, max_length = 256, example = "john.doe")]
    username: String,
    /// One of the devices that `clients/auth` listed.
    device_pk: i64,
    /// Your own word for it, such as the number of an order; comes back with the challenge.
    #[serde(default)]
    #[schema(max_length = 256)]
    reference: Option<String>,
    /// Where the client is and what it comes with.
    #[serde(default, deserialize_with = "fields::optional")]
    binding_context: Option<Context>,
}

/// Opens a challenge; a code is sent where the device is an address.
#[utoipa::path(
    post,
    path = "/integrations/challenges",
    tag = "challenges",
    security(("integration_token" = []), ("basic" = [])),
    request_body = Asked,
    responses((status = 201, body = Challenge, description = "It waits for the answer."), Errors)
)]
pub async fn create(
    State(app): State<App>,
    Integrated(caller): Integrated,
    Body(asked): Body<Asked>,
) -> Result<(StatusCode, Json<Challenge>), ApiError> {
    if asked.reference.as_ref().is_some_and(|word| word.len() > 256 || word.contains('\0')) {
        return Err(
            Refusal::Options("the reference has at most 256 bytes, none of them U+0000".to_owned()).into()
        );
    }
    let new = NewChallenge {
        username: username(&asked.username)?,
        device: DeviceId(asked.device_pk),
        reference: asked.reference,
        context: binding(asked.binding_context)?,
    };
    let shown = app.service().create_challenge(&caller, new).await?;
    Ok((StatusCode::CREATED, Json(shown.into())))
}
