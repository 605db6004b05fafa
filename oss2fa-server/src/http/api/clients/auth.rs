//! `POST /integrations/clients/auth`: what a login needs.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::fields;
use crate::http::App;
use crate::http::api::devices::ShownDevice;
use crate::http::api::{Context, binding, username};
use crate::http::body::Body;
use crate::http::error::{ApiError, Errors};
use crate::http::extract::Integrated;
use crate::service::decision::Decision;

/// Who logs in, and from where.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Login {
    /// The client's name.
    #[schema(min_length = 1, max_length = 256, example = "john.doe")]
    username: String,
    /// Where the client is and what it comes with.
    #[serde(default, deserialize_with = "fields::optional")]
    binding_context: Option<Context>,
}

/// What the login needs.
#[derive(Serialize, ToSchema)]
pub struct Needed {
    /// 1 enroll, 2 challenge, 3 allow, 4 deny.
    result: i64,
    /// With 2: the devices that a challenge can be made on.
    devices: Vec<ShownDevice>,
}

/// Decides what a login needs: an enrollment, a challenge, nothing, or that it is denied.
#[utoipa::path(
    post,
    path = "/integrations/clients/auth",
    tag = "clients",
    security(("integration_token" = []), ("basic" = [])),
    request_body = Login,
    responses((status = 200, body = Needed, description = "The decision."), Errors)
)]
pub async fn auth(
    State(app): State<App>,
    Integrated(caller): Integrated,
    Body(login): Body<Login>,
) -> Result<Json<Needed>, ApiError> {
    let (username, context) = (username(&login.username)?, binding(login.binding_context)?);
    let decision = app.service().decide(&caller, &username, &context).await?;
    let result = decision.number();
    let kinds = &app.service().kinds;
    let devices = match decision {
        Decision::Challenge(devices) => {
            devices.into_iter().filter_map(|device| ShownDevice::of(device, kinds)).collect()
        }
        Decision::Enroll | Decision::Allow | Decision::Deny => Vec::new(),
    };
    Ok(Json(Needed { result, devices }))
}
