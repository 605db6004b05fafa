//! What holds, as `check-config` tells it: nothing in it is secret.

use std::borrow::Cow;
use std::path::Path;

use serde::Serialize;

use super::{
    CertificateFiles, Config, LogFormat, MasterKeySource, PlainHttp, Rate, SmsConfig, SmtpConfig, TlsConfig,
    TokenUse, UngleichOtpConfig, YubicoConfig,
};

/// A configuration in the words of its file, with durations in seconds, to be serialised. Templates of
/// `[sms]` are left out, for they may hold a gateway's key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Summary<'a> {
    file: Option<Cow<'a, str>>,
    listen: String,
    data_dir: Cow<'a, str>,
    store: String,
    store_ca_file: Option<Cow<'a, str>>,
    store_connections: u32,
    master_key: Cow<'a, str>,
    tls: Tls<'a>,
    proxy: Proxy<'a>,
    log: Log,
    limits: Limits,
    smtp: Option<Smtp<'a>>,
    sms: Option<Sms<'a>>,
    webhooks: Webhooks,
    metrics: Metrics,
    ungleich_otp: Option<UngleichOtp<'a>>,
    yubico: Option<Yubico<'a>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Tls<'a> {
    mode: &'static str,
    certificate: Option<Cow<'a, str>>,
    key: Option<Cow<'a, str>>,
    self_signed: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Proxy<'a> {
    trusted: Vec<String>,
    header: Option<&'a str>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Log {
    level: String,
    format: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Limits {
    body: usize,
    token_per_second: u32,
    token_burst: u32,
    address_per_second: u32,
    address_burst: u32,
    refused_per_minute: u32,
    request_timeout: u64,
    connections: u32,
    connections_per_address: u32,
    stop_grace: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Smtp<'a> {
    host: &'a str,
    port: u16,
    security: &'static str,
    username: Option<&'a str>,
    password_file: Option<Cow<'a, str>>,
    from: String,
    subject: &'a str,
    timeout: u64,
    ca_file: Option<Cow<'a, str>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Sms<'a> {
    method: &'static str,
    host: &'a str,
    headers: Vec<&'a str>,
    content_type: Option<&'a str>,
    secret_file: Option<Cow<'a, str>>,
    success_status: Vec<u16>,
    success_body: Option<&'a str>,
    timeout: u64,
    ca_file: Option<Cow<'a, str>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Webhooks {
    danger_plain_http: bool,
    timeout: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Metrics {
    allowed: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct UngleichOtp<'a> {
    window: u8,
    single_use_tokens: bool,
    seed_reads: &'static str,
    bus: Option<Bus<'a>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Bus<'a> {
    broker: &'a str,
    ca_file: Option<Cow<'a, str>>,
    service: &'a str,
    exchange: &'a str,
    prefetch: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Yubico<'a> {
    urls: Vec<&'a str>,
    client_id: u32,
    secret_file: Cow<'a, str>,
    timeout: u64,
    ca_file: Option<Cow<'a, str>>,
}

impl<'a> Summary<'a> {
    pub(super) fn of(config: &'a Config) -> Self {
        let limits = config.limits;
        let parts = |rate: Rate| (rate.per_second.get(), rate.burst.get());
        let (token_per_second, token_burst) = parts(limits.token);
        let (address_per_second, address_burst) = parts(limits.address);
        Self {
            file: optional(config.path.as_deref()),
            listen: config.listen.to_string(),
            data_dir: config.data_dir.to_string_lossy(),
            store: config.store.to_string(),
            store_ca_file: optional(config.store_ca_file.as_deref()),
            store_connections: config.store_connections.get(),
            master_key: match &config.master_key {
                MasterKeySource::File(path) => path.to_string_lossy(),
                MasterKeySource::Credential(name) => Cow::Owned(format!("credential:{name}")),
                MasterKeySource::Secret(_) => Cow::Borrowed("derived from SECRET_KEY"),
            },
            tls: tls(&config.tls),
            proxy: Proxy {
                trusted: config
                    .proxy
                    .iter()
                    .flat_map(|proxy| &proxy.trusted)
                    .map(ToString::to_string)
                    .collect(),
                header: config.proxy.as_ref().map(|proxy| proxy.header.name()),
            },
            log: Log {
                level: config.log.level.to_string().to_ascii_lowercase(),
                format: match config.log.format {
                    LogFormat::Text => "text",
                    LogFormat::Json => "json",
                },
            },
            limits: Limits {
                body: limits.body,
                token_per_second,
                token_burst,
                address_per_second,
                address_burst,
                refused_per_minute: limits.refused_per_minute.get(),
                request_timeout: limits.request_timeout.as_secs(),
                connections: limits.connections.get(),
                connections_per_address: limits.connections_per_address.get(),
                stop_grace: limits.stop_grace.as_secs(),
            },
            smtp: config.smtp.as_ref().map(smtp),
            sms: config.sms.as_ref().map(sms),
            webhooks: Webhooks {
                danger_plain_http: config.webhooks.plain_http == PlainHttp::Danger,
                timeout: config.webhooks.timeout.as_secs(),
            },
            metrics: Metrics { allowed: config.metrics.allowed.iter().map(ToString::to_string).collect() },
            ungleich_otp: config.ungleich_otp.as_ref().map(ungleich_otp),
            yubico: config.yubico.as_ref().map(yubico),
        }
    }
}

fn optional(path: Option<&Path>) -> Option<Cow<'_, str>> {
    path.map(Path::to_string_lossy)
}

fn tls(tls: &TlsConfig) -> Tls<'_> {
    match tls {
        TlsConfig::Off => Tls { mode: "off", certificate: None, key: None, self_signed: false },
        TlsConfig::SelfSigned(made) => Tls { self_signed: true, ..given(made) },
        TlsConfig::Files(files) => given(files),
    }
}

fn given(files: &CertificateFiles) -> Tls<'_> {
    Tls {
        mode: "on",
        certificate: optional(Some(&files.certificate)),
        key: optional(Some(&files.key)),
        self_signed: false,
    }
}

fn smtp(smtp: &SmtpConfig) -> Smtp<'_> {
    Smtp {
        host: &smtp.host,
        port: smtp.port,
        security: smtp.security.name(),
        username: smtp.login.as_ref().map(|login| login.username.as_str()),
        password_file: optional(smtp.login.as_ref().map(|login| login.password.path())),
        from: smtp.from.to_string(),
        subject: &smtp.subject,
        timeout: smtp.timeout.as_secs(),
        ca_file: optional(smtp.ca_file.as_deref()),
    }
}

fn sms(sms: &SmsConfig) -> Sms<'_> {
    Sms {
        method: sms.method.name(),
        host: &sms.host,
        headers: sms.headers.keys().map(String::as_str).collect(),
        content_type: sms.body.as_ref().map(|body| body.content_type.as_str()),
        secret_file: optional(sms.secret.as_ref().map(|secret| secret.path())),
        success_status: sms.success_status.iter().copied().collect(),
        success_body: sms.success_body.as_deref(),
        timeout: sms.timeout.as_secs(),
        ca_file: optional(sms.ca_file.as_deref()),
    }
}

fn ungleich_otp(section: &UngleichOtpConfig) -> UngleichOtp<'_> {
    UngleichOtp {
        window: section.window,
        single_use_tokens: section.tokens == TokenUse::Once,
        seed_reads: section.seed_reads.name(),
        bus: section.bus.as_ref().map(|bus| Bus {
            broker: &bus.broker,
            ca_file: optional(bus.ca_file.as_deref()),
            service: &bus.service,
            exchange: &bus.exchange,
            prefetch: bus.prefetch,
        }),
    }
}

fn yubico(section: &YubicoConfig) -> Yubico<'_> {
    Yubico {
        urls: section.urls.iter().map(reqwest::Url::as_str).collect(),
        client_id: section.client_id,
        secret_file: section.secret.path().to_string_lossy(),
        timeout: section.timeout.as_secs(),
        ca_file: optional(section.ca_file.as_deref()),
    }
}
