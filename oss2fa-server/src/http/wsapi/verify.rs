//! `GET /wsapi/2.0/verify`: whether a password of a YubiKey is right. OK only when it is spent, and durable.

use axum::extract::{Extension, RawQuery, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use oss2fa_core::factor::yubico_validation::{ApiKey, Status};
use percent_encoding::percent_decode_str;
use std::sync::Arc;
use time::OffsetDateTime;
use time::macros::format_description;

use crate::http::App;
use crate::http::error::ApiError;
use crate::http::extract::From;
use crate::http::seen::Seen;
use crate::outside::Timestamp;
use crate::service::validation::{Answer, Parameters};

/// Longest query, in bytes; the longest that any client makes has a third of that.
const LONGEST: usize = 1024;

/// What is repeated in the answer, where the request has it.
const REPEATED: [&str; 2] = ["otp", "nonce"];

/// Answers a request.
#[utoipa::path(get, path = "/wsapi/2.0/verify", responses((status = 200, description = "What came of it.")))]
pub async fn verify(
    State(app): State<App>,
    From(address): From,
    seen: Option<Extension<Arc<Seen>>>,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let now = app.service().clock.now();
    let refusal = |status| Answer { status, touch: None, at: now };
    let Some(request) = read(query.as_deref().unwrap_or_default()) else {
        return Ok(written(&refusal(Status::MissingParameter), &Parameters::new(), None));
    };
    let Some(id) = request.get("id") else {
        return Ok(written(&refusal(Status::MissingParameter), &request, None));
    };
    let client = match app.validation.client(id).await {
        Ok(Some(client)) => client,
        Ok(None) => {
            app.limiter.of_refused(address)?;
            return Ok(written(&refusal(Status::NoSuchClient), &request, None));
        }
        // Whose key would sign it is what could not be read.
        Err(error) => return Ok(written(&app.validation.failed(&error), &request, None)),
    };
    if let Some(Extension(seen)) = seen {
        seen.asked_by(client.integration.pk);
    }
    let pairs = request.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let signature = request.get("h").map(String::as_str).unwrap_or_default();
    if client.key.signed(pairs, signature).is_none() {
        app.limiter.of_refused(address)?;
        // Whoever does not have the key gets nothing that is signed with it.
        return Ok(written(&refusal(Status::BadSignature), &request, None));
    }
    app.limiter.of_yubico_client(client.id)?;
    let answer = app.validation.answer(&client, address, &request).await;
    Ok(written(&answer, &request, Some(&client.key)))
}

/// The parameters, where each stands once. `+` is itself: none of them has a blank, and not every client writes
/// the signature's as `%2B`.
fn read(query: &str) -> Option<Parameters> {
    if query.len() > LONGEST {
        return None;
    }
    let mut parameters = Parameters::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=')?;
        let plain = |text: &str| {
            let text = percent_decode_str(text).decode_utf8().ok()?;
            (!text.contains(|c: char| c.is_control())).then(|| text.into_owned())
        };
        if parameters.insert(plain(name)?, plain(value)?).is_some() {
            return None;
        }
    }
    Some(parameters)
}

/// The lines of an answer, signed where the client is known.
fn written(answer: &Answer, request: &Parameters, key: Option<&ApiKey>) -> Response {
    let mut fields = vec![("t", time_of(answer.at))];
    for name in REPEATED {
        fields.extend(request.get(name).map(|value| (name, value.clone())));
    }
    if let Some(touch) = answer.touch {
        fields.push(("timestamp", touch.clock.to_string()));
        fields.push(("sessioncounter", touch.session.to_string()));
        fields.push(("sessionuse", touch.used.to_string()));
    }
    if answer.status == Status::Ok {
        // In percent of the servers that must agree: they have one store.
        fields.push(("sl", "100".to_owned()));
    }
    fields.push(("status", answer.status.as_str().to_owned()));
    let mut body = String::with_capacity(512);
    if let Some(key) = key {
        let signature = key.sign(fields.iter().map(|(name, value)| (*name, value.as_str())));
        body.push_str(&format!("h={signature}\r\n"));
    }
    for (name, value) in &fields {
        body.push_str(&format!("{name}={value}\r\n"));
    }
    body.push_str("\r\n");
    ([(CONTENT_TYPE, "text/plain"), (CACHE_CONTROL, "no-store")], body).into_response()
}

/// UTC, with milliseconds in four digits behind the Z, as the protocol has it.
fn time_of(at: Timestamp) -> String {
    let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z0[subsecond digits:3]");
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(at.0) * 1000)
        .ok()
        .and_then(|date| date.format(&format).ok())
        .unwrap_or_default()
}
