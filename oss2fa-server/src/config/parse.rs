//! From the raw file to checked values.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use oss2fa_core::secret::SecretText;

use super::place::Place;
use super::{
    Config, ConfigError, LogConfig, LogFormat, MasterKeySource, MetricsConfig, Named, Overrides, PlainHttp,
    StoreUrl, WebhooksConfig, front, limits, raw, sms, smtp, ungleich_otp, yubico,
};

pub(super) fn config(
    path: Option<&Path>,
    file: raw::File,
    overrides: Overrides,
) -> Result<Config, ConfigError> {
    let at = Place { path: path.unwrap_or(Path::new("(no file)")) };
    let data_dir = match overrides.data_dir {
        Some(folder) => data_dir_of_flag(&folder)?,
        None => at.absolute("data_dir", file.data_dir)?,
    };
    let written = listen(&at, &file.listen)?;
    let listen = overrides.listen.unwrap_or(written);
    let proxy = front::proxy(&at, &file.proxy)?;
    Ok(Config {
        path: path.map(Path::to_owned),
        listen,
        store: store(&at, file.store.as_ref(), &data_dir)?,
        store_ca_file: at.optional_absolute("store_ca_file", file.store_ca_file)?,
        store_connections: at.count("store_connections", file.store_connections, 1000)?,
        master_key_named: if file.master_key.is_some() { Named::InFile } else { Named::Nowhere },
        master_key: master_key(&at, file.master_key, &data_dir)?,
        tls: front::tls(&at, file.tls, listen, proxy.as_ref(), &data_dir)?,
        proxy,
        log: log(&at, &file.log)?,
        limits: limits::limits(&at, &file.limits)?,
        smtp: file.smtp.map(|section| smtp::smtp(&at, section)).transpose()?,
        sms: file.sms.map(|section| sms::sms(&at, section)).transpose()?,
        webhooks: WebhooksConfig {
            plain_http: if file.webhooks.danger_plain_http { PlainHttp::Danger } else { PlainHttp::Refused },
            timeout: at.seconds("[webhooks] timeout", file.webhooks.timeout, 1, 60)?,
        },
        metrics: MetricsConfig { allowed: at.networks("[metrics] allowed", &file.metrics.allowed)? },
        ungleich_otp: ungleich_otp::ungleich_otp(&at, file.ungleich_otp)?,
        yubico: file.yubico.map(|section| yubico::yubico(&at, section)).transpose()?,
        data_dir,
    })
}

/// What is typed on a command line is relative to where it is typed.
fn data_dir_of_flag(folder: &Path) -> Result<PathBuf, ConfigError> {
    std::path::absolute(folder).map_err(|_| ConfigError::Flag {
        flag: "--data-dir",
        value: format!("{folder:?}"),
        allowed: "a path",
    })
}

fn listen(at: &Place<'_>, value: &str) -> Result<SocketAddr, ConfigError> {
    match value.parse() {
        Ok(address) => Ok(address),
        Err(_) => at.refuse(
            "listen",
            format!("{value:?}"),
            "an address and a port such as \"0.0.0.0:8300\", \"127.0.0.1:8300\" or \"[::]:8300\"; names are not taken",
        ),
    }
}

fn store(at: &Place<'_>, value: Option<&SecretText>, data_dir: &Path) -> Result<StoreUrl, ConfigError> {
    let Some(url) = value else { return Ok(StoreUrl::in_data_dir(data_dir)) };
    url.expose().parse().or_else(|error: super::StoreUrlError| at.refuse("store", error.shown, error.allowed))
}

fn master_key(
    at: &Place<'_>,
    value: Option<String>,
    data_dir: &Path,
) -> Result<MasterKeySource, ConfigError> {
    let Some(value) = value else { return Ok(MasterKeySource::File(data_dir.join("master.key"))) };
    let Some(name) = value.strip_prefix("credential:") else {
        return at.absolute("master_key", PathBuf::from(value)).map(MasterKeySource::File);
    };
    let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'));
    if name.is_empty() || name.starts_with('.') || !plain {
        return at.refuse(
            "master_key",
            format!("{value:?}"),
            "\"credential:NAME\" with letters, digits, \".\", \"-\" and \"_\" in NAME, or an absolute path",
        );
    }
    Ok(MasterKeySource::Credential(name.to_owned()))
}

fn log(at: &Place<'_>, log: &raw::Log) -> Result<LogConfig, ConfigError> {
    use tracing::Level;
    let levels = [
        ("error", Level::ERROR),
        ("warn", Level::WARN),
        ("info", Level::INFO),
        ("debug", Level::DEBUG),
        ("trace", Level::TRACE),
    ];
    let formats = [("text", LogFormat::Text), ("json", LogFormat::Json)];
    Ok(LogConfig {
        level: at.choice("[log] level", &log.level, &levels)?,
        format: at.choice("[log] format", &log.format, &formats)?,
    })
}
