//! The shape of refusals on the paths of apps, whoever refuses: the limits, too.

use axum::Json;
use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::http::error::Sentence;

/// The paths of apps.
const PATHS: [&str; 4] = ["/verify", "/app/register", "/app", "/app/{appuuid}"];

#[derive(Serialize)]
struct Fail {
    status: &'static str,
    error: String,
}

/// Whether the request is about apps.
#[must_use]
pub fn is_of_apps(request: &Request) -> bool {
    request.extensions().get::<MatchedPath>().is_some_and(|path| PATHS.contains(&path.as_str()))
}

/// Gives refusals the body `{"status": "FAIL", "error": "..."}`; status and headers stay.
#[must_use]
pub fn fail(response: Response) -> Response {
    if response.status().as_u16() < 400 {
        return response;
    }
    let (mut parts, _) = response.into_parts();
    let error = match parts.extensions.remove::<Sentence>() {
        Some(Sentence(words)) => words,
        None => "the request was refused".to_owned(),
    };
    let answer = (parts.status, Json(Fail { status: "FAIL", error })).into_response();
    let (fresh, body) = answer.into_parts();
    let kept: HeaderMap = std::mem::take(&mut parts.headers);
    parts.headers = fresh.headers;
    for (name, value) in &kept {
        if name != header::CONTENT_LENGTH && name != header::CONTENT_TYPE {
            parts.headers.insert(name.clone(), value.clone());
        }
    }
    Response::from_parts(parts, body)
}
