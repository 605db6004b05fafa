//! `GET /integrations/security-keys`: the public halves of a client's keys, for a host that the client logs in at.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::device::fido::for_hosts::HostKey;
use crate::http::App;
use crate::http::api::username;
use crate::http::body::Asked;
use crate::http::error::{ApiError, Errors};
use crate::http::extract::Desk;

/// Whose keys.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Whose {
    /// The client's name.
    #[param(min_length = 1, max_length = 256)]
    username: String,
}

/// The security keys of a client, as a host needs them: credential ids and public keys, nothing that is secret. A host
/// keeps them for the time when no server can be reached; a key that is not in this list any more must not count there.
/// Empty where there is no such client, where it may not pass, and where `fido.origins` of the policy does not name
/// `oss2fa:host`.
#[utoipa::path(
    get,
    path = "/integrations/security-keys",
    tag = "security_keys",
    security(("integration_token" = []), ("admin_token" = []), ("basic" = [])),
    params(
        ("integration" = Option<i64>, Query, description = "For administrators: of which integration."),
        Whose
    ),
    responses((status = 200, body = Vec<HostKey>, description = "All of them, by the number of the device."), Errors)
)]
pub async fn list(
    State(app): State<App>,
    Desk(clerk): Desk,
    Asked(whose): Asked<Whose>,
) -> Result<Json<Vec<HostKey>>, ApiError> {
    Ok(Json(app.service().security_keys(&clerk, username(&whose.username)?).await?))
}
