//! `POST /integrations/offline-credentials`: a host has made one.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;

use super::host;
use crate::http::App;
use crate::http::api::username;
use crate::http::body::Body;
use crate::http::error::{ApiError, Errors};
use crate::http::extract::{From, Integrated};
use crate::service::client::device_name;
use crate::store::verbs::offline::OfflineCredential;

/// Whose it is, and where. Its secret is not for the server.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewCredential {
    /// The client's name.
    #[schema(min_length = 1, max_length = 256, example = "john.doe")]
    username: String,
    /// The host that has its secret.
    #[schema(min_length = 1, max_length = 256, example = "web1.example.org")]
    host: String,
    /// What its owner calls it: one active credential of a client on a host has this name.
    #[schema(min_length = 1, max_length = 64, example = "phone")]
    name: String,
}

/// Notes an offline credential, so that it is listed and can be revoked. A client has at most five on a host.
#[utoipa::path(
    post,
    path = "/integrations/offline-credentials",
    tag = "offline_credentials",
    security(("integration_token" = []), ("basic" = [])),
    request_body = NewCredential,
    responses((status = 201, body = OfflineCredential, description = "It is listed."), Errors)
)]
pub async fn create(
    State(app): State<App>,
    Integrated(caller): Integrated,
    From(address): From,
    Body(new): Body<NewCredential>,
) -> Result<(StatusCode, Json<OfflineCredential>), ApiError> {
    let which = (username(&new.username)?, host(&new.host)?, device_name(&new.name)?);
    let made = app.service().note_offline_credential(&caller, address, which).await?;
    Ok((StatusCode::CREATED, Json(made)))
}
