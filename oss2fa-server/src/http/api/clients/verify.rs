//! `POST /integrations/clients/verify`: a code in one request.

use axum::Json;
use axum::extract::State;
use oss2fa_core::ids::DeviceId;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::device::Token;
use crate::fields;
use crate::http::App;
use crate::http::api::{Context, binding, username};
use crate::http::body::Body;
use crate::http::error::{ApiError, Errors};
use crate::http::extract::Integrated;
use crate::service::refusal::Refusal;
use crate::service::verify::Code;
use crate::store::verbs::attempts::Admitted;

/// A code, and whose it is.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Verification {
    /// The client's name.
    #[schema(min_length = 1, max_length = 256, example = "john.doe")]
    username: String,
    /// The code of a device that makes codes, or a recovery code.
    #[schema(value_type = String, example = "123456")]
    #[serde(deserialize_with = "fields::value")]
    token: Value,
    /// Only this device.
    #[serde(default)]
    device_pk: Option<i64>,
    /// Where the client is and what it comes with.
    #[serde(default, deserialize_with = "fields::optional")]
    binding_context: Option<Context>,
}

/// The code was right, and is spent.
#[derive(Serialize, ToSchema)]
pub struct Accepted {
    /// Number of the client.
    client: i64,
    /// Number of the device.
    device: i64,
}

impl From<Admitted> for Accepted {
    fn from(admitted: Admitted) -> Self {
        Self { client: admitted.client().0, device: admitted.device().0 }
    }
}

/// Verifies a code without a challenge: 200 only when it was right and nobody had used it.
#[utoipa::path(
    post,
    path = "/integrations/clients/verify",
    tag = "clients",
    security(("integration_token" = []), ("basic" = [])),
    request_body = Verification,
    responses((status = 200, body = Accepted, description = "Right, and spent."), Errors)
)]
pub async fn verify(
    State(app): State<App>,
    Integrated(caller): Integrated,
    Body(asked): Body<Verification>,
) -> Result<Json<Accepted>, ApiError> {
    let code = Code {
        username: username(&asked.username)?,
        device: asked.device_pk.map(DeviceId),
        token: Token::typed(asked.token).map_err(Refusal::from)?,
        context: binding(asked.binding_context)?,
    };
    Ok(Json(app.service().verify(&caller, code).await?.into()))
}
