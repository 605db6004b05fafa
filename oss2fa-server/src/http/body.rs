//! Bodies and numbers in paths: read strictly, and refused in the one shape of errors.

use axum::extract::rejection::{BytesRejection, PathRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use bytes::Bytes;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use utoipa::IntoParams;

use super::App;
use super::error::ApiError;
use super::extract::has_token;
use super::seen::Seen;
use crate::store::verbs::Page;

/// A JSON body.
pub struct Body<T>(pub T);

impl<T: DeserializeOwned> FromRequest<App> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &App) -> Result<Self, ApiError> {
        if !is_meant_as_json(request.headers()) {
            return Err(ApiError::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported_media_type",
                "send the body as JSON, with Content-Type: application/json",
            ));
        }
        let reading = Seen::of(request.extensions()).map(Seen::reading);
        let bytes = Bytes::from_request(request, app).await.map_err(|error: BytesRejection| {
            if error.status() == StatusCode::PAYLOAD_TOO_LARGE {
                ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", "the body is too large")
            } else {
                ApiError::bad_request("the body did not arrive whole: send it again")
            }
        })?;
        drop(reading);
        // What is derived takes the values of a list for those of the fields, in their order.
        if bytes.trim_ascii_start().starts_with(b"[") {
            return Err(ApiError::bad_request(
                "the body is a list, and must be an object: look at /openapi.json for what is taken",
            ));
        }
        serde_json::from_slice(&bytes).map(Self).map_err(|error| {
            // The place alone: the text of a serde error can repeat what was sent, as a token.
            let what = if error.is_data() {
                "has a field that does not fit, or one too many"
            } else {
                "is not JSON"
            };
            ApiError::bad_request(format!(
                "the body {what}, at line {} column {}: look at /openapi.json for what is taken",
                error.line(),
                error.column()
            ))
        })
    }
}

/// Whether the body is said to be JSON, or nothing is said of it. `curl --data` calls everything a form where
/// nobody tells it otherwise, and that is taken along with a header that holds a token: no page of a browser
/// can send one here. With Basic, which browsers remember, a form stays a form.
fn is_meant_as_json(headers: &HeaderMap) -> bool {
    let Some(kind) = headers.get(header::CONTENT_TYPE) else { return true };
    let kind = kind.to_str().ok().and_then(|kind| kind.split(';').next()).unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/json")
        || (kind.eq_ignore_ascii_case("application/x-www-form-urlencoded") && has_token(headers))
}

/// The numbers of a path. What is no number is nothing that is there.
pub struct Pk<T>(pub T);

impl<T: DeserializeOwned + Send> FromRequestParts<App> for Pk<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let path = Path::<T>::from_request_parts(parts, app).await;
        path.map(|Path(pk)| Self(pk)).map_err(|_: PathRejection| ApiError::not_found("thing"))
    }
}

/// The parameters of a query.
pub struct Asked<T>(pub T);

impl<T: DeserializeOwned> FromRequestParts<App> for Asked<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let query = Query::<T>::from_request_parts(parts, app).await;
        query.map(|Query(query)| Self(query)).map_err(|_: QueryRejection| {
            ApiError::bad_request(
                "a parameter of the query does not fit: look at /openapi.json for what is taken",
            )
        })
    }
}

/// A page of a list.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Pages {
    /// The `next` of the page before; nothing for the first.
    #[serde(default)]
    #[param(minimum = 0)]
    cursor: Option<i64>,
    /// Most results: 1 to 200, 50 by default.
    #[serde(default)]
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
}

impl Pages {
    /// For the store; one more than is shown tells whether there is a next page.
    ///
    /// # Errors
    /// 400 for a limit or a cursor that cannot be.
    pub fn page(&self) -> Result<Page, ApiError> {
        let limit = self.limit.unwrap_or(50);
        if !(1..=200).contains(&limit) {
            return Err(ApiError::bad_request("limit must be 1 to 200"));
        }
        let after = self.cursor.unwrap_or(0);
        if after < 0 {
            return Err(ApiError::bad_request("cursor must be the `next` of the page before"));
        }
        Ok(Page { after, limit: limit + 1 })
    }
}
