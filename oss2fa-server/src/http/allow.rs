//! `Allow`, `OPTIONS` and the headers that every answer has.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::{MatchedPath, Request};
use axum::http::header::{ALLOW, CACHE_CONTROL, VARY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use utoipa::openapi::OpenApi;

use super::error::ApiError;

/// Which methods each path has.
#[derive(Clone)]
pub struct Methods(Arc<HashMap<String, HeaderValue>>);

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
        Self(Arc::new(paths.collect()))
    }

    fn at(&self, path: Option<&MatchedPath>) -> Option<HeaderValue> {
        self.0.get(path?.as_str()).cloned()
    }
}

/// Answers `OPTIONS`, says so where a method is none of the path, and adds the headers.
pub async fn add(methods: Methods, request: Request, next: Next) -> Response {
    let allow = methods.at(request.extensions().get());
    let mut response = if request.method() == Method::OPTIONS && allow.is_some() {
        StatusCode::OK.into_response()
    } else {
        next.run(request).await
    };
    if response.status() == StatusCode::METHOD_NOT_ALLOWED {
        response = ApiError::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method_not_allowed",
            "this path does not take this method: the header Allow lists those that it takes",
        )
        .into_response();
    }
    let headers = response.headers_mut();
    if let Some(allow) = allow {
        headers.insert(ALLOW, allow);
    }
    headers.insert(VARY, HeaderValue::from_static("Accept"));
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("SAMEORIGIN"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}
