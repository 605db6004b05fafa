//! `GET /app` and `POST /app`: the apps of the requester's user.

use axum::Json;

use super::claimed::{Claimed, Common};
use super::{Answer, AppsOfUser, Listed, ok};
use crate::http::error::ApiError;

/// Lists them.
#[utoipa::path(get, path = "/app", responses((status = 200, description = "The apps.")))]
pub async fn list(claimed: Claimed<Common>) -> Result<Json<Answer<AppsOfUser>>, ApiError> {
    let Claimed { apps, requester, .. } = claimed;
    let found = apps.list(&requester).await?;
    let apps =
        found.into_iter().map(|app| Listed { name: app.appname, appuuid: app.appuuid.to_string() }).collect();
    Ok(ok(AppsOfUser { apps }))
}

/// The same, for clients that cannot send a body with GET.
#[utoipa::path(post, path = "/app", responses((status = 200, description = "The apps.")))]
pub async fn list_by_post(claimed: Claimed<Common>) -> Result<Json<Answer<AppsOfUser>>, ApiError> {
    list(claimed).await
}
