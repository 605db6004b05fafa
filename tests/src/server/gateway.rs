//! An HTTP gateway on loopback (Python's http.server): for SMS, and as the end of a webhook.

use std::path::Path;

use serde_json::Value;

use crate::server::authority::Authority;
use crate::server::mail::code_in;
use crate::server::script::{Script, text};

/// What the gateway answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GatewayMode {
    /// 200 `{"status":"OK"}`.
    Accept,
    /// 200 `{"status":"FAIL"}`, as gateways do that think of HTTP as a pipe.
    AcceptInVain,
    /// This status.
    Refuse(u16),
    /// As `Accept`, after so many seconds.
    Slow(u32),
    /// Closes the connection without an answer.
    Drop,
    /// A redirection to this gateway's own `/elsewhere`.
    Redirect,
}

/// A request that came in, whatever was answered.
#[derive(Debug, Clone)]
pub struct Sent {
    /// GET, POST..
    pub method: String,
    /// Path and query, as they came.
    pub path: String,
    /// The headers, names in lower case.
    pub headers: Value,
    /// The body.
    pub body: String,
}

/// A running gateway.
#[derive(Debug)]
pub struct Gateway {
    script: Script,
    authority: Option<Authority>,
}

const SECRET: &str = "correct-horse-gateway-staple";

impl Gateway {
    /// Starts one that speaks plain HTTP.
    #[must_use]
    pub fn start() -> Self {
        let script = Script::start("gateway", include_str!("gateway.py"), &[]);
        script.keep_secret(SECRET);
        Self { script, authority: None }
    }

    /// Starts one behind TLS, with a certificate of its own authority.
    #[must_use]
    pub fn start_tls() -> Self {
        let authority = Authority::new();
        let path = |path: &Path| path.display().to_string();
        let (certificate, key) = (path(&authority.certificate()), path(&authority.key()));
        let script = Script::start("gateway", include_str!("gateway.py"), &[&certificate, &key]);
        script.keep_secret(SECRET);
        Self { script, authority: Some(authority) }
    }

    /// From now on.
    pub fn mode(&self, mode: GatewayMode) {
        self.script.set_mode(&match mode {
            GatewayMode::Accept => "accept".to_owned(),
            GatewayMode::AcceptInVain => "vain".to_owned(),
            GatewayMode::Refuse(status) => format!("refuse {status}"),
            GatewayMode::Slow(seconds) => format!("slow {seconds}"),
            GatewayMode::Drop => "drop".to_owned(),
            GatewayMode::Redirect => "redirect".to_owned(),
        });
    }

    /// Its address.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = if self.authority.is_some() { "https" } else { "http" };
        format!("{scheme}://127.0.0.1:{}", self.script.port)
    }

    /// The lines of `server.toml` that send SMS here, as JSON with a secret in a header.
    #[must_use]
    pub fn config(&self) -> String {
        let mut lines = format!(
            "[sms]\nmethod = 'POST'\nurl = '{}/send'\nbody = '{{\"to\":\"{{phone}}\",\"text\":\"{{text}}\"}}'\n\
             content_type = 'application/json'\nsuccess_body = '\"status\":\"OK\"'\nsecret_file = '{}'\n\
             timeout = 30\n",
            self.url(),
            self.script.secret_file().display()
        );
        if let Some(authority) = &self.authority {
            lines.push_str(&format!("ca_file = '{}'\n", authority.ca().display()));
        }
        lines.push_str("[sms.headers]\nAuthorization = 'Bearer {secret}'\n");
        lines
    }

    /// What stands in its secret file.
    #[must_use]
    pub fn secret(&self) -> &'static str {
        SECRET
    }

    /// All that came in, the oldest first.
    #[must_use]
    pub fn received(&self) -> Vec<Sent> {
        self.script.received().iter().map(Sent::of).collect()
    }

    /// The `count`th request, from 1, as soon as it is there.
    ///
    /// # Panics
    /// Where it does not come within a minute.
    #[must_use]
    pub fn wait_for(&self, count: usize) -> Sent {
        Sent::of(&self.script.wait_for(count)[count - 1])
    }
}

impl Sent {
    fn of(value: &Value) -> Self {
        Self {
            method: text(value, "method"),
            path: text(value, "path"),
            headers: value["headers"].clone(),
            body: text(value, "body"),
        }
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// Where it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    /// The code in the `text` of a JSON body.
    #[must_use]
    pub fn code(&self) -> String {
        code_in(self.json()["text"].as_str().unwrap_or_default())
    }
}
