//! Who asks, in the body: an app's UUID and token beside the fields of the operation.

use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use oss2fa_core::secret::SecretText;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::http::App;
use crate::http::body::Body;
use crate::http::error::ApiError;
use crate::http::extract::From;
use crate::http::seen::Seen;
use crate::service::apps::{AppClaim, Apps, Door, Reason, Requester};

/// The version of the interface that `version` must name.
const VERSION: &str = "1";

/// Longest value of a field, in bytes.
const LONGEST: usize = 1024;

/// The fields of a request.
pub trait Fields: DeserializeOwned + Send {
    /// What the body must have, for whoever sent another.
    const NAMES: &'static str;

    /// Those that every request has: `version`, `appuuid`, `token`.
    fn common(self) -> (Common, Self::Rest);

    /// Those of the operation.
    type Rest: Send;
}

/// The fields that every request has.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Common {
    pub(super) version: String,
    pub(super) appuuid: String,
    pub(super) token: SecretText,
}

/// A request with nothing else.
impl Fields for Common {
    const NAMES: &'static str = "version, appuuid and token";
    type Rest = ();

    fn common(self) -> (Common, ()) {
        (self, ())
    }
}

/// A request of an app whose token was right.
pub struct Claimed<T: Fields> {
    /// Who answers.
    pub apps: Apps,
    /// Who asks.
    pub requester: Requester,
    /// What it asks with.
    pub rest: T::Rest,
}

impl<T: Fields> FromRequest<App> for Claimed<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &App) -> Result<Self, ApiError> {
        let (mut parts, body) = request.into_parts();
        let From(address) =
            <From as axum::extract::FromRequestParts<App>>::from_request_parts(&mut parts, app).await?;
        let apps = app.apps.clone().ok_or_else(|| ApiError::not_found("path"))?;
        if parts.uri.query().is_some() {
            return Err(ApiError::bad_request(
                "this path takes no query: URLs end up in logs. Send the fields as JSON in the body; where \
                 GET can have none, by POST to the same path",
            ));
        }
        let seen = Seen::of(&parts.extensions).map(std::sync::Arc::clone);
        let Body(value) = Body::<T>::from_request(Request::from_parts(parts, body), app)
            .await
            .map_err(|error| described::<T>(error))?;
        let (Common { version, appuuid, token }, rest) = value.common();
        if version != VERSION {
            return Err(ApiError::bad_request("version must be \"1\""));
        }
        let claim = AppClaim { appuuid: checked("appuuid", appuuid)?, token };
        match apps.requester(Door::Rest(address), &claim, app.service().clock.now()).await {
            Ok(requester) => {
                if let Some(seen) = seen {
                    seen.asked_by(requester.integration());
                }
                app.limiter.of_app(requester.app().client)?;
                Ok(Self { apps, requester, rest })
            }
            Err(denied) => {
                if matches!(denied, crate::service::apps::Denied::Refused(Reason::Requester)) {
                    app.limiter.of_refused(address)?;
                }
                Err(denied.into())
            }
        }
    }
}

/// A body of another form is told what belongs into it.
fn described<T: Fields>(error: ApiError) -> ApiError {
    if error.status() == StatusCode::BAD_REQUEST {
        ApiError::bad_request(format!(
            "the body must be a JSON object with the fields {}, all of them text, and no others",
            T::NAMES
        ))
    } else {
        error
    }
}

/// The UUID as it was sent, where it can be one.
pub(super) fn checked(field: &'static str, value: String) -> Result<String, ApiError> {
    if value.len() > LONGEST || crate::ids::AppUuid::parse(&value).is_err() {
        return Err(ApiError::bad_request(format!(
            "{field} must be a UUID: 32 hexadecimal digits with four dashes"
        )));
    }
    Ok(value)
}
