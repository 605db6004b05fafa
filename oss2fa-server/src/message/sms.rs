//! Text messages over any HTTP gateway, by a template.

pub(super) mod template;

use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{CONTENT_TYPE, HeaderMap};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, Response, StatusCode};
use tokio::time::timeout;

use super::not_sent::innermost;
use super::settings::{SettingError, SmsSettings, read_ca_file};
use super::{NotSent, Sms};
use template::Values;

/// How much of an answer is looked at, in bytes.
const LONGEST_ANSWER: usize = 64 * 1024;

/// The gateway of the configuration.
pub(super) struct Gateway {
    client: Client,
    settings: SmsSettings,
}

impl Gateway {
    pub(super) fn new(settings: SmsSettings) -> Result<Self, SettingError> {
        if settings.request.needs_secret() && settings.secret.is_none() {
            return Err(SettingError::new("[sms] secret_file", "{secret} is used, so this key must be set"));
        }
        let client = client(&settings)?;
        Ok(Self { client, settings })
    }

    pub(super) async fn send(&self, sms: &Sms) -> Result<(), NotSent> {
        match timeout(self.settings.timeout, self.ask(sms)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(self.timed_out()),
        }
    }

    async fn ask(&self, sms: &Sms) -> Result<(), NotSent> {
        let values = Values {
            phone: sms.to.as_str(),
            text: sms.text.expose(),
            secret: self.settings.secret.as_ref().map_or("", |secret| secret.expose()),
        };
        let written = self.settings.request.write(&values).map_err(|why| self.refused(why))?;
        let mut headers: HeaderMap = written.headers;
        if let Some(content_type) = written.content_type {
            headers.insert(CONTENT_TYPE, content_type);
        }
        let mut request = self.client.request(written.method, written.url).headers(headers);
        if let Some(body) = written.body {
            request = request.body(body);
        }
        let response = request.send().await.map_err(|error| self.fault(error))?;
        let status = response.status();
        if !self.settings.success_status.contains(&status) {
            return Err(self.refused(why_not(status)));
        }
        self.look_for_words(response).await
    }

    async fn look_for_words(&self, mut response: Response) -> Result<(), NotSent> {
        let wanted = self.settings.success_body.as_bytes();
        if wanted.is_empty() {
            return Ok(());
        }
        let status = response.status();
        let mut body = Vec::new();
        while body.len() < LONGEST_ANSWER
            && let Some(chunk) = response.chunk().await.map_err(|error| self.fault(error))?
        {
            let chunk: Bytes = chunk.slice(..chunk.len().min(LONGEST_ANSWER - body.len()));
            body.extend_from_slice(&chunk);
        }
        if body.windows(wanted.len()).any(|part| part == wanted) {
            return Ok(());
        }
        Err(self.refused(format!(
            "it answered {status}, but its answer does not contain what `success_body` in [sms] demands"
        )))
    }

    fn name(&self) -> String {
        format!("the SMS gateway {}", self.settings.request.origin())
    }

    fn refused(&self, why: impl Into<String>) -> NotSent {
        NotSent::Refused { by: self.name(), why: why.into() }
    }

    fn timed_out(&self) -> NotSent {
        NotSent::TimedOut { by: self.name(), after: self.settings.timeout, section: "[sms]" }
    }

    fn fault(&self, error: reqwest::Error) -> NotSent {
        // The URL can hold the code, the number and the secret.
        let error = error.without_url();
        if error.is_timeout() {
            return self.timed_out();
        }
        NotSent::Unreachable { by: self.name(), why: innermost(&error) }
    }
}

fn why_not(status: StatusCode) -> String {
    let code = status.as_u16();
    if status.is_redirection() {
        return format!(
            "it answered {code}, a redirection, which is not followed: put its target in `url` in [sms]"
        );
    }
    match code {
        401 | 403 => format!("it answered {code}: look at `headers` and `secret_file` in [sms]"),
        _ => format!("it answered {code}, which is not in `success_status` in [sms]"),
    }
}

fn client(settings: &SmsSettings) -> Result<Client, SettingError> {
    const KEY: &str = "[sms] ca_file";
    let unusable = |error: &reqwest::Error| {
        SettingError::new(KEY, format!("TLS cannot be set up: {}", innermost(error)))
    };
    // The client takes the process's provider and has none of its own; where the program chose, this is nothing.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = Client::builder()
        .no_proxy()
        .redirect(Policy::none())
        .referer(false)
        .timeout(settings.timeout)
        .pool_idle_timeout(Duration::from_secs(60))
        .pool_max_idle_per_host(4)
        .user_agent(concat!("oss2fa-server/", env!("CARGO_PKG_VERSION")));
    if let Some(path) = &settings.ca_file {
        let certificates = read_ca_file(KEY, path)?;
        let certificates =
            certificates.iter().map(|one| Certificate::from_der(one)).collect::<Result<Vec<_>, _>>();
        builder = builder.tls_certs_merge(certificates.map_err(|error| unusable(&error))?);
    } else if !settings.request.is_https() {
        // Nothing will ask for a certificate: a machine without a list of authorities can do this, too.
        builder = builder.tls_certs_only([]);
    }
    builder.build().map_err(|error| unusable(&error))
}
