//! `POST /app/register`: one more app.

use axum::Json;
use oss2fa_core::secret::SecretText;
use serde::Deserialize;

use super::claimed::{Claimed, Common, Fields};
use super::{Answer, AppRegistered, ok};
use crate::http::error::ApiError;

/// The fields of the request.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Registration {
    version: String,
    appuuid: String,
    token: SecretText,
    username: String,
    appname: String,
}

/// What is registered.
pub struct Named {
    username: String,
    appname: String,
}

impl Fields for Registration {
    const NAMES: &'static str = "version, appuuid, token, username and appname";
    type Rest = Named;

    fn common(self) -> (Common, Named) {
        let named = Named { username: self.username, appname: self.appname };
        (Common { version: self.version, appuuid: self.appuuid, token: self.token }, named)
    }
}

/// Registers an app of the requester's user, or of another where the requester is trusted.
#[utoipa::path(post, path = "/app/register", responses((status = 200, description = "Its UUID.")))]
pub async fn register(
    Claimed { apps, requester, rest }: Claimed<Registration>,
) -> Result<Json<Answer<AppRegistered>>, ApiError> {
    let app = apps.register(&requester, &rest.username, &rest.appname).await?;
    Ok(ok(AppRegistered { appuuid: app.to_string() }))
}
