//! `Allow`, `OPTIONS` and the headers that every answer has.

use std::collections::HashMap;

use axum::extract::{MatchedPath, Request};
use axum::http::header::{ALLOW, CACHE_CONTROL, VARY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use utoipa::openapi::{OpenApi, PathItem};

use super::error::ApiError;

/// Which methods each path has.
pub struct Methods(HashMap<String, Allowed>);

/// The methods of one path.
pub struct Allowed {
    methods: Vec<Method>,
    header: HeaderValue,
}

impl Allowed {
    fn of(item: &PathItem) -> Self {
        let documented: [(_, &[Method]); 5] = [
            (&item.get, &[Method::GET, Method::HEAD]),
            (&item.post, &[Method::POST]),
            (&item.put, &[Method::PUT]),
            (&item.patch, &[Method::PATCH]),
            (&item.delete, &[Method::DELETE]),
        ];
        let there = documented.into_iter().filter(|(operation, _)| operation.is_some());
        let mut methods: Vec<_> = there.flat_map(|(_, methods)| methods.iter().cloned()).collect();
        methods.push(Method::OPTIONS);
        let names: Vec<_> = methods.iter().map(Method::as_str).collect();
        let header = HeaderValue::from_str(&names.join(", "));
        Self { methods, header: header.unwrap_or_else(|_| HeaderValue::from_static("OPTIONS")) }
    }

    /// Whether the path takes this method.
    #[must_use]
    pub fn takes(&self, method: &Method) -> bool {
        self.methods.contains(method)
    }
}

impl Methods {
    /// From the documentation, which is generated from the routes.
    #[must_use]
    pub fn of(api: &OpenApi) -> Self {
        Self(api.paths.paths.iter().map(|(path, item)| (path.clone(), Allowed::of(item))).collect())
    }

    /// What the path of the request takes, where it is one of these.
    #[must_use]
    pub fn at(&self, request: &Request) -> Option<&Allowed> {
        self.0.get(request.extensions().get::<MatchedPath>()?.as_str())
    }
}

/// The answer to `OPTIONS`, which every path has.
#[must_use]
pub fn options(request: &Request, allowed: Option<&Allowed>) -> Option<Response> {
    (request.method() == Method::OPTIONS && allowed.is_some()).then(|| StatusCode::OK.into_response())
}

/// Says so where a method is none of the path, and adds the headers.
pub fn add(response: &mut Response, allowed: Option<&Allowed>) {
    if response.status() == StatusCode::METHOD_NOT_ALLOWED {
        *response = ApiError::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method_not_allowed",
            "this path does not take this method: the header Allow lists those that it takes",
        )
        .into_response();
    }
    let headers = response.headers_mut();
    if let Some(allowed) = allowed {
        headers.insert(ALLOW, allowed.header.clone());
    }
    headers.insert(VARY, HeaderValue::from_static("Accept"));
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("SAMEORIGIN"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
}
