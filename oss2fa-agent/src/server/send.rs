//! One request over HTTP, sent once, and how it can break.

use oss2fa_core::secret::SecretText;
use reqwest::Client;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use reqwest::redirect::Policy;
use rustls::ClientConfig;
use std::time::Duration;
use zeroize::Zeroizing;

use super::answer::Answer;
use super::question::Question;

/// Largest answer, in bytes: a page of devices has some thousands.
const LARGEST: usize = 256 * 1024;

/// How long a connection that nobody uses is kept.
const KEPT: Duration = Duration::from_secs(300);

/// What a connection may hold unread, in bytes: answers are small.
const WINDOW: u32 = 256 * 1024;

/// How a request ended without an answer.
pub(super) enum Broken {
    /// No connection was made.
    Connecting(String),
    /// The connection ended before the answer did.
    Cut(String),
    /// The answer is none that is taken.
    Strange(String),
}

/// A client for one URL. No proxy, no redirects, TLS always.
pub(super) fn client(tls: &ClientConfig) -> Result<Client, String> {
    Client::builder()
        .no_proxy()
        .redirect(Policy::none())
        .referer(false)
        .https_only(true)
        .tls_backend_preconfigured(tls.clone())
        .pool_idle_timeout(KEPT)
        .pool_max_idle_per_host(4)
        .http2_initial_stream_window_size(WINDOW)
        .http2_initial_connection_window_size(4 * WINDOW)
        .http2_keep_alive_interval(Duration::from_secs(20))
        .http2_keep_alive_timeout(Duration::from_secs(5))
        .user_agent(concat!("oss2fa-agent/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| format!("TLS cannot be set up: {}", innermost(&error)))
}

/// The token as a header that nothing shows.
pub(super) fn header_of(token: &SecretText) -> Result<HeaderValue, String> {
    let mut header = HeaderValue::from_str(token.expose()).map_err(|error| error.to_string())?;
    header.set_sensitive(true);
    Ok(header)
}

/// Sends it and waits for the whole answer, however long that takes.
pub(super) async fn send(
    client: &Client,
    url: String,
    token: &HeaderValue,
    question: &Question,
) -> Result<Answer, Broken> {
    let mut request = client
        .request(question.method.clone(), url)
        .header(ACCEPT, "application/json; version=1.0")
        .header("X-Integration-Token", token.clone());
    if let Some(key) = &question.key {
        request = request.header("Idempotency-Key", key);
    }
    if let Some(body) = &question.body {
        request = request.header(CONTENT_TYPE, "application/json").body(body.expose().to_owned());
    }
    let mut response = request.send().await.map_err(|error| broken(&error))?;
    let status = response.status().as_u16();
    let client = response.headers().get("x-client-id").and_then(|value| value.to_str().ok()?.parse().ok());
    let mut body = Zeroizing::new(Vec::new());
    while let Some(chunk) = response.chunk().await.map_err(|error| broken(&error))? {
        if body.len() + chunk.len() > LARGEST {
            return Err(Broken::Strange(format!("it is longer than {LARGEST} bytes")));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Answer::new(status, client, body))
}

fn broken(error: &reqwest::Error) -> Broken {
    let what = innermost(error);
    if error.is_connect() {
        return Broken::Connecting(what);
    }
    if error.is_builder() || error.is_redirect() {
        return Broken::Strange(what);
    }
    Broken::Cut(what)
}

/// The innermost reason on one line: what the system or the TLS library said.
pub(crate) fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut reason = error;
    while let Some(deeper) = reason.source() {
        reason = deeper;
    }
    reason.to_string().chars().map(|c| if c.is_control() { ' ' } else { c }).take(300).collect()
}
