//! `GET /app/UUID` and `POST /app/UUID`: the seed of an app of the requester's user.

use axum::Json;
use axum::extract::Path;
use axum::extract::rejection::PathRejection;

use super::claimed::{Claimed, Common};
use super::{Answer, SeedOfApp, ok};
use crate::http::error::ApiError;
use crate::service::apps::Reason;

/// Shows the seed, as often as `seed_reads` lets it.
#[utoipa::path(get, path = "/app/{appuuid}", params(("appuuid" = String, Path)), responses((status = 200, description = "The seed.")))]
pub async fn seed(
    path: Result<Path<String>, PathRejection>,
    claimed: Claimed<Common>,
) -> Result<Json<Answer<SeedOfApp>>, ApiError> {
    let Claimed { apps, requester, .. } = claimed;
    let Ok(Path(app)) = path else { return Err(Reason::NotThere.into()) };
    Ok(ok(SeedOfApp { seed: apps.seed(&requester, &app).await? }))
}

/// The same, for clients that cannot send a body with GET.
#[utoipa::path(post, path = "/app/{appuuid}", params(("appuuid" = String, Path)), responses((status = 200, description = "The seed.")))]
pub async fn seed_by_post(
    path: Result<Path<String>, PathRejection>,
    claimed: Claimed<Common>,
) -> Result<Json<Answer<SeedOfApp>>, ApiError> {
    seed(path, claimed).await
}
