//! The configuration file as serde sees it: every key, nothing checked yet. What may hold a password is a secret.

use std::collections::BTreeMap;
use std::path::PathBuf;

use oss2fa_core::secret::SecretText;
use serde::Deserialize;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct File {
    pub(super) listen: String,
    pub(super) data_dir: PathBuf,
    pub(super) store: Option<SecretText>,
    pub(super) store_ca_file: Option<PathBuf>,
    pub(super) store_connections: i64,
    pub(super) master_key: Option<String>,
    pub(super) tls: Tls,
    pub(super) proxy: Proxy,
    pub(super) log: Log,
    pub(super) limits: Limits,
    pub(super) smtp: Option<Smtp>,
    pub(super) sms: Option<Sms>,
    pub(super) webhooks: Webhooks,
    pub(super) metrics: Metrics,
    pub(super) ungleich_otp: UngleichOtp,
    pub(super) yubico: Option<Yubico>,
}

impl Default for File {
    fn default() -> Self {
        Self {
            listen: "0.0.0.0:8300".to_owned(),
            data_dir: PathBuf::from("/var/lib/oss2fa-server"),
            store: None,
            store_ca_file: None,
            store_connections: 8,
            master_key: None,
            tls: Tls::default(),
            proxy: Proxy::default(),
            log: Log::default(),
            limits: Limits::default(),
            smtp: None,
            sms: None,
            webhooks: Webhooks::default(),
            metrics: Metrics::default(),
            ungleich_otp: UngleichOtp::default(),
            yubico: None,
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Tls {
    pub(super) mode: String,
    pub(super) certificate: Option<PathBuf>,
    pub(super) key: Option<PathBuf>,
}

impl Default for Tls {
    fn default() -> Self {
        Self { mode: "on".to_owned(), certificate: None, key: None }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Proxy {
    pub(super) trusted: Vec<String>,
    pub(super) header: String,
}

impl Default for Proxy {
    fn default() -> Self {
        Self { trusted: Vec::new(), header: "X-Forwarded-For".to_owned() }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Log {
    pub(super) level: String,
    pub(super) format: String,
}

impl Default for Log {
    fn default() -> Self {
        Self { level: "info".to_owned(), format: "text".to_owned() }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Limits {
    pub(super) body: i64,
    pub(super) token_per_second: i64,
    pub(super) token_burst: i64,
    pub(super) address_per_second: i64,
    pub(super) address_burst: i64,
    pub(super) refused_per_minute: i64,
    pub(super) request_timeout: i64,
    pub(super) connections: i64,
    pub(super) connections_per_address: Option<i64>,
    pub(super) stop_grace: i64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body: 65_536,
            token_per_second: 200,
            token_burst: 400,
            address_per_second: 100,
            address_burst: 200,
            refused_per_minute: 20,
            request_timeout: 30,
            connections: 10_000,
            connections_per_address: None,
            stop_grace: 30,
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Smtp {
    pub(super) host: String,
    pub(super) port: Option<i64>,
    #[serde(default = "starttls")]
    pub(super) security: String,
    pub(super) username: Option<String>,
    pub(super) password_file: Option<PathBuf>,
    pub(super) from: String,
    #[serde(default = "subject")]
    pub(super) subject: String,
    #[serde(default = "ten_seconds")]
    pub(super) timeout: i64,
    pub(super) ca_file: Option<PathBuf>,
}

fn starttls() -> String {
    "starttls".to_owned()
}

fn subject() -> String {
    "Your code".to_owned()
}

fn ten_seconds() -> i64 {
    10
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Sms {
    #[serde(default = "post")]
    pub(super) method: String,
    pub(super) url: SecretText,
    #[serde(default)]
    pub(super) headers: BTreeMap<String, SecretText>,
    pub(super) body: Option<SecretText>,
    pub(super) content_type: Option<String>,
    pub(super) secret_file: Option<PathBuf>,
    #[serde(default = "success_status")]
    pub(super) success_status: Vec<i64>,
    #[serde(default)]
    pub(super) success_body: String,
    #[serde(default = "ten_seconds")]
    pub(super) timeout: i64,
    pub(super) ca_file: Option<PathBuf>,
}

fn post() -> String {
    "POST".to_owned()
}

fn success_status() -> Vec<i64> {
    vec![200, 201, 202, 204]
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Webhooks {
    pub(super) danger_plain_http: bool,
    pub(super) timeout: i64,
}

impl Default for Webhooks {
    fn default() -> Self {
        Self { danger_plain_http: false, timeout: ten_seconds() }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Metrics {
    pub(super) allowed: Vec<String>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self { allowed: ["127.0.0.0/8", "::1/128"].map(str::to_owned).to_vec() }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct UngleichOtp {
    pub(super) enabled: bool,
    pub(super) window: i64,
    pub(super) single_use_tokens: bool,
    pub(super) seed_reads: String,
    pub(super) bus_url: Option<SecretText>,
    pub(super) bus_ca_file: Option<PathBuf>,
    pub(super) bus_service: String,
    pub(super) bus_exchange: String,
    pub(super) bus_prefetch: i64,
}

impl Default for UngleichOtp {
    fn default() -> Self {
        Self {
            enabled: false,
            window: 1,
            single_use_tokens: false,
            seed_reads: "always".to_owned(),
            bus_url: None,
            bus_ca_file: None,
            bus_service: "ungleichotp".to_owned(),
            bus_exchange: "nameko-rpc".to_owned(),
            bus_prefetch: 64,
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Yubico {
    #[serde(default = "yubicloud")]
    pub(super) urls: Vec<String>,
    pub(super) client_id: i64,
    pub(super) secret_file: PathBuf,
    #[serde(default = "ten_seconds")]
    pub(super) timeout: i64,
    pub(super) ca_file: Option<PathBuf>,
}

fn yubicloud() -> Vec<String> {
    vec!["https://api.yubico.com/wsapi/2.0/verify".to_owned()]
}
