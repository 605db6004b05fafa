//! `POST /verify`: whether an app has shown a right token, for trusted apps.

use axum::Json;
use oss2fa_core::secret::SecretText;
use serde::Deserialize;

use super::claimed::{Claimed, Common, Fields, checked};
use super::{Answer, Nothing, ok};
use crate::http::error::ApiError;
use crate::service::apps::{AppClaim, Verdict};

/// The fields of the request.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    version: String,
    appuuid: String,
    token: SecretText,
    appuuidtoverify: String,
    tokentoverify: SecretText,
}

impl Fields for Question {
    const NAMES: &'static str = "version, appuuid, token, appuuidtoverify and tokentoverify";
    /// Whom it is about.
    type Rest = AppClaim;

    fn common(self) -> (Common, AppClaim) {
        let about = AppClaim { appuuid: self.appuuidtoverify, token: self.tokentoverify };
        (Common { version: self.version, appuuid: self.appuuid, token: self.token }, about)
    }
}

/// Whether the token of another app is right.
#[utoipa::path(post, path = "/verify", responses((status = 200, description = "It is.")))]
pub async fn verify(
    Claimed { apps, requester, rest: about }: Claimed<Question>,
) -> Result<Json<Answer<Nothing>>, ApiError> {
    let requester = requester.trusted()?;
    let about = AppClaim { appuuid: checked("appuuidtoverify", about.appuuid)?, ..about };
    match apps.verify_for(&requester, &about).await? {
        Verdict::Ok => Ok(ok(Nothing {})),
        Verdict::Fail(reason) => Err(reason.into()),
    }
}
