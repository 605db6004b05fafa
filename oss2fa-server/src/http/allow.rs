//! `Allow`, `OPTIONS` and the headers that every answer has.

use std::collections::HashMap;

use axum::extract::{MatchedPath, Request};
use axum::http::header::{ALLOW, CACHE_CONTROL, VARY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use utoipa::openapi::OpenApi;

use super::error::ApiError;

/// Which methods each path has.
pub struct Methods(HashMap<String, HeaderValue>);

impl Methods {
    /// From the documentation, which is generated from the routes.
    #[must_use]
    pub fn of(api: &OpenApi) -> Self {
        let paths = api.paths.paths.iter().map(|(path, item)| {
            let mut methods = Vec::new();
            for (there, name) in [
                (item.get.is_some(), "GET, HEAD"),
                (item.post.is_some(), "POST"),
                (item.put.is_some(), "PUT"),
                (item.patch.is_some(), "PATCH"),
                (item.delete.is_some(), "DELETE"),
            ] {
                if there {
                    methods.push(name);
                }
            }
            methods.push("OPTIONS");
            let value = HeaderValue::from_str(&methods.join(", "));
            (path.clone(), value.unwrap_or_else(|_| HeaderValue::from_static("OPTIONS")))
        });
        Self(paths.collect())
    }

    /// What the path of the request takes, where it is one of these.
    #[must_use]
    pub fn at(&self, request: &Request) -> Option<&HeaderValue> {
        self.0.get(request.extensions().get::<MatchedPath>()?.as_str())
    }

    /// Whether the path of the request is one of these and takes its method.
    #[must_use]
    pub fn take(&self, request: &Request) -> bool {
        let listed = self.at(request).and_then(|allow| allow.to_str().ok()).unwrap_or_default();
        listed.split(", ").any(|method| method == request.method().as_str())
    }
}

/// The answer to `OPTIONS`, which every path has.
#[must_use]
pub fn options(request: &Request, allow: Option<&HeaderValue>) -> Option<Response> {
    (request.method() == Method::OPTIONS && allow.is_some()).then(|| StatusCode::OK.into_response())
}

/// Says so where a method is none of the path, and adds the headers.
pub fn add(response: &mut Response, allow: Option<&HeaderValue>) {
    if response.status() == StatusCode::METHOD_NOT_ALLOWED {
        *response = ApiError::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method_not_allowed",
            "this path does not take this method: the header Allow lists those that it takes",
        )
        .into_response();
    }
    let headers = response.headers_mut();
    if let Some(allow) = allow {
        headers.insert(ALLOW, allow.clone());
    }
    headers.insert(VARY, HeaderValue::from_static("Accept"));
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("SAMEORIGIN"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
}
