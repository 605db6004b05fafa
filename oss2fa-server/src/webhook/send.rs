//! One delivery over HTTP.

use std::time::Duration;

use reqwest::header::CONTENT_TYPE;
use reqwest::redirect::Policy;
use reqwest::{Client, Response, StatusCode};
use tokio::sync::OnceCell;

use super::sign::signature;
use super::target::{FarOnly, Target};
use crate::config::{PlainHttp, WebhooksConfig};
use crate::outside::Timestamp;
use crate::store::verbs::deliveries::{Claim, Delivery};

/// How much of an answer is read, so that its connection can be used again, in bytes.
const LONGEST_ANSWER: usize = 8 * 1024;

/// Sends deliveries.
pub(super) struct Post {
    config: WebhooksConfig,
    client: OnceCell<Client>,
}

impl Post {
    pub(super) fn new(config: WebhooksConfig) -> Self {
        Self { config, client: OnceCell::new() }
    }

    /// Sends one. A failure is one sentence that its administrators may read.
    pub(super) async fn send(
        &self,
        claim: &Claim,
        delivery: &Delivery,
        now: Timestamp,
    ) -> Result<(), String> {
        // Again, because the configuration may have changed since the webhook was made.
        let target = Target::parse(&claim.url, self.config.plain_http).map_err(|error| error.to_string())?;
        let signed = signature(claim.secret.expose(), now, delivery.body.as_bytes())
            .ok_or("the delivery cannot be signed")?;
        let asked = async {
            let response = self
                .client()
                .await?
                .post(target.url().clone())
                .header(CONTENT_TYPE, "application/json")
                .header("X-OSS2FA-Signature", signed)
                .header("X-OSS2FA-Delivery", delivery.pk)
                .body(delivery.body.clone())
                .send()
                .await
                .map_err(|error| self.fault(error))?;
            let taken = judge(response.status());
            read(response).await;
            taken
        };
        // The client's own limit leaves out the look-up of names.
        tokio::time::timeout(self.config.timeout, asked).await.unwrap_or_else(|_| Err(self.timed_out()))
    }

    /// Made when it is first needed: a server without webhooks needs no list of authorities.
    async fn client(&self) -> Result<&Client, String> {
        let make = async || {
            // The client takes the process's provider; where the program chose one, this is nothing.
            let _ = rustls::crypto::ring::default_provider().install_default();
            let mut builder = Client::builder()
                .no_proxy()
                .redirect(Policy::none())
                .referer(false)
                .pool_idle_timeout(Duration::from_secs(60))
                .pool_max_idle_per_host(8)
                .user_agent(concat!("oss2fa-server/", env!("CARGO_PKG_VERSION")));
            if self.config.plain_http == PlainHttp::Refused {
                builder = builder.https_only(true).dns_resolver(FarOnly);
            }
            builder.build().map_err(|error| format!("TLS cannot be set up: {}", innermost(&error)))
        };
        self.client.get_or_try_init(make).await
    }

    fn timed_out(&self) -> String {
        format!("the receiver did not answer within {} s", self.config.timeout.as_secs())
    }

    fn fault(&self, error: reqwest::Error) -> String {
        // The URL can hold a token.
        let error = error.without_url();
        if error.is_timeout() {
            return self.timed_out();
        }
        format!("the receiver cannot be reached: {}", innermost(&error))
    }
}

fn judge(status: StatusCode) -> Result<(), String> {
    match status.as_u16() {
        200..=299 => Ok(()),
        code @ 300..=399 => Err(format!(
            "the receiver answered {code}, a redirection, which is not followed: make a webhook for its target"
        )),
        code => Err(format!("the receiver answered {code}: 200 to 299 says that it has taken a delivery")),
    }
}

async fn read(mut response: Response) {
    let mut left = LONGEST_ANSWER;
    while let Ok(Some(chunk)) = response.chunk().await {
        match left.checked_sub(chunk.len()) {
            Some(less) => left = less,
            None => return,
        }
    }
}

/// The innermost reason on one line: what the system or the TLS library said.
fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut reason = error;
    while let Some(deeper) = reason.source() {
        reason = deeper;
    }
    reason.to_string().chars().map(|c| if c.is_control() { ' ' } else { c }).take(300).collect()
}
