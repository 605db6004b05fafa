//! Requests to the server: its router over a store of its own, asked as anybody.
//!
//! The first byte chooses the operation, the second who asks, the third a header. Then come the value of that
//! header and the query, each with its length in a byte in front; the rest is the body. The last two numbers are no
//! operations of the documentation: behind them stands what [`validation`] and [`security_key`] take.

mod security_key;
mod validation;
mod world;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use oss2fa_server::http::router::documentation;
use serde_json::Value;

use world::world;

const VALIDATION: u8 = 255;
const SECURITY_KEY: u8 = 254;

const HEADERS: [&str; 8] = [
    "accept",
    "authorization",
    "x-integration-token",
    "x-admin-token",
    "x-forwarded-for",
    "idempotency-key",
    "content-type",
    "x-nothing",
];

/// Whatever is asked, the server has no fault, and a refusal has the one shape of errors.
///
/// # Panics
/// Where a property does not hold.
pub fn target(data: &[u8]) {
    match data {
        [VALIDATION, rest @ ..] => validation::target(rest),
        [SECURITY_KEY, rest @ ..] => security_key::target(rest),
        [operation, who, header, rest @ ..] => ask([*operation, *who, *header], rest),
        _ => {}
    }
}

fn ask([operation, who, header]: [u8; 3], rest: &[u8]) {
    let (value, rest) = counted(rest);
    let (query, body) = counted(rest);
    let world = world();
    let (method, path) = &world.operations[usize::from(operation) % world.operations.len()];
    let is_owner = who % 4 == 3;
    // The owner would remove what the others are asked about.
    let path = path.replace("{pk}", if is_owner { "999999" } else { "1" }).replace("{device_pk}", "1");
    let query = String::from_utf8_lossy(query);
    let Ok(uri) = format!("{path}?{query}").parse::<axum::http::Uri>() else { return };
    let mut request = Request::builder().method(method).uri(uri);
    request = match who % 4 {
        0 => request,
        1 => request.header("X-Integration-Token", "0".repeat(40)),
        2 => request.header("X-Integration-Token", &world.token),
        _ => request.header("X-Admin-Token", &world.owner),
    };
    if let Ok(value) = HeaderValue::from_bytes(value) {
        request = request.header(HEADERS[usize::from(header) % HEADERS.len()], value);
    }
    let (status, headers, body) =
        world.answer(request.body(Body::from(Bytes::copy_from_slice(body))).unwrap());
    look_at(status, &headers, &body);
}

fn counted(bytes: &[u8]) -> (&[u8], &[u8]) {
    let [length, rest @ ..] = bytes else { return (&[], &[]) };
    rest.split_at(usize::from(*length).min(rest.len()))
}

fn look_at(status: StatusCode, headers: &HeaderMap, body: &[u8]) {
    // 502: a code could not be sent, for nothing is configured to send it.
    assert!(!status.is_server_error() || status == StatusCode::BAD_GATEWAY, "{status}");
    assert!(headers.contains_key("x-request-id") && headers.contains_key("cache-control"));
    if status.is_client_error() || status.is_server_error() {
        let body: Value = serde_json::from_slice(body).expect("an error is JSON");
        let code = body["error"]["code"].as_str().unwrap();
        assert!(!code.is_empty() && code.bytes().all(|c| c.is_ascii_lowercase() || c == b'_'), "{code}");
        let message = body["error"]["message"].as_str().unwrap();
        assert!(message.len() < 400 && !message.chars().any(char::is_control), "{message:?}");
    }
}

fn operations() -> Vec<(Method, String)> {
    let mut found = Vec::new();
    for (path, item) in documentation().paths.paths {
        let there = [
            (Method::GET, item.get.is_some()),
            (Method::POST, item.post.is_some()),
            (Method::PUT, item.put.is_some()),
            (Method::PATCH, item.patch.is_some()),
            (Method::DELETE, item.delete.is_some()),
        ];
        found.extend(there.into_iter().filter(|(_, is)| *is).map(|(method, _)| (method, path.clone())));
    }
    found
}
