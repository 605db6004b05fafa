//! The version of the API: `Accept: application/json; version=1.0`. Absent means the newest.

use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, header};

use super::error::ApiError;

/// The versions that are spoken, the newest last.
pub const VERSIONS: [&str; 1] = ["1.0"];

/// Refuses what asks for a version or a type that is not spoken here.
///
/// # Errors
/// 406.
pub fn check(request: &Request) -> Result<(), ApiError> {
    // What asks for these has versions of its own in mind: of Prometheus' text, or none.
    let is_api = !["/healthz", "/readyz", "/metrics"].contains(&request.uri().path());
    if !is_api || acceptable(request.headers()) {
        return Ok(());
    }
    Err(ApiError::new(
        StatusCode::NOT_ACCEPTABLE,
        "not_acceptable",
        "this server speaks \"application/json; version=1.0\": ask for that, or for no version",
    ))
}

/// RFC 9110 section 12.5.1: one of the ranges must match, with a version that is spoken, if any is named.
fn acceptable(headers: &HeaderMap) -> bool {
    let mut asked = headers.get_all(header::ACCEPT).iter().peekable();
    if asked.peek().is_none() {
        return true;
    }
    asked.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')).any(|range| {
        let mut parts = range.split(';').map(str::trim);
        let kind = parts.next().unwrap_or_default();
        let kind_fits =
            ["*/*", "application/*", "application/json", "application/x-ndjson", "text/plain", "text/*"]
                .iter()
                .any(|known| kind.eq_ignore_ascii_case(known));
        kind_fits
            && parts.all(|part| {
                // Names of parameters have no case (section 5.6.6). One without a value is not left out.
                let (name, value) = part.split_once('=').unwrap_or((part, ""));
                match name.trim().to_ascii_lowercase().as_str() {
                    "version" => VERSIONS.contains(&value.trim().trim_matches('"')),
                    "q" => !matches!(value.trim(), "0" | "0.0" | "0.00" | "0.000"),
                    _ => true,
                }
            })
    })
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, HeaderValue, header};

    use super::acceptable;

    #[test]
    fn what_is_spoken_here() {
        let with = |accept: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
            acceptable(&headers)
        };
        assert!(acceptable(&HeaderMap::new()));
        for good in [
            "*/*",
            "application/json",
            "application/json; version=1.0",
            "APPLICATION/JSON;VERSION=1.0",
            "application/json;",
            "text/html, */*;q=0.8",
        ] {
            assert!(with(good), "{good}");
        }
        for bad in [
            "application/json; version=2.0",
            "application/json; version=",
            "application/json; version",
            "application/json; Version=2.0",
            "application/json;Q=0",
            "text/html",
            "application/xml",
            "",
        ] {
            assert!(!with(bad), "{bad}");
        }
    }
}
