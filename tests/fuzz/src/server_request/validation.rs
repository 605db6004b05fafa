//! The validation protocol of Yubico, whose answers are lines. Nobody has a YubiKey here: no password is right.

use std::collections::BTreeMap;

use axum::body::Body;
use axum::http::{Request, StatusCode};

use super::look_at;
use super::world::world;

const FIELDS: [&str; 5] = ["h", "t", "otp", "nonce", "status"];

/// What is said to whom nobody knows.
const TO_STRANGERS: [&str; 3] = ["MISSING_PARAMETER", "NO_SUCH_CLIENT", "BAD_SIGNATURE"];

/// What is said to a client beside that.
const TO_CLIENTS: [&str; 2] = ["MISSING_PARAMETER", "BAD_OTP"];

/// The first byte says whether the query, which is the rest, goes out as a client sends it: with its id, and signed.
pub(super) fn target(data: &[u8]) {
    let [kind, query @ ..] = data else { return };
    let (id, key) = &world().api;
    let mut query = String::from_utf8_lossy(query).into_owned();
    let is_client = kind % 2 == 1;
    if is_client {
        query = format!("id={id}&{query}");
        let signature = key.sign(query.split('&').filter_map(|pair| pair.split_once('=')));
        query.push_str(&format!("&h={signature}"));
    }
    let Ok(uri) = format!("/wsapi/2.0/verify?{query}").parse::<axum::http::Uri>() else { return };
    let (status, headers, body) = world().answer(Request::get(uri).body(Body::empty()).unwrap());
    if status != StatusCode::OK {
        // Too many: of that the limits speak, in their own shape.
        assert_eq!(status, StatusCode::TOO_MANY_REQUESTS);
        return look_at(status, &headers, &body);
    }
    assert!(headers.contains_key("x-request-id") && headers["cache-control"] == "no-store");
    let text = std::str::from_utf8(&body).unwrap();
    let lines = text.strip_suffix("\r\n\r\n").expect("an empty line ends it");
    let mut fields = BTreeMap::new();
    for line in lines.split("\r\n") {
        let (name, value) = line.split_once('=').expect("a field");
        assert!(FIELDS.contains(&name) && !value.chars().any(char::is_control), "{line:?}");
        assert!(fields.insert(name, value).is_none(), "{name} twice");
    }
    let status = fields["status"];
    match fields.get("h") {
        Some(signature) => {
            assert!(is_client && TO_CLIENTS.contains(&status), "{status}");
            assert!(key.signed(fields.clone(), signature).is_some(), "signed by somebody else");
        }
        None => assert!(TO_STRANGERS.contains(&status), "{status}"),
    }
}
