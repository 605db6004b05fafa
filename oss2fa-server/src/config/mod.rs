//! The server's configuration: a file of the administrator's, parsed into types that cannot hold nonsense.

mod error;
mod fallbacks;
mod file;
mod front;
mod host_name;
mod limits;
mod parse;
mod password_file;
mod place;
mod raw;
mod sms;
mod sms_template;
mod smtp;
mod store_url;
mod summary;
mod ungleich_otp;
mod yubico;

use std::fs;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;
use oss2fa_core::secret::SecretText;

pub use error::ConfigError;
pub use fallbacks::Fallbacks;
pub use front::{CertificateFiles, ProxyConfig, ProxyHeader, TlsConfig};
pub use limits::{LimitsConfig, Rate};
pub use password_file::PasswordFile;
pub use sms::{SmsBody, SmsConfig, SmsEscaping, SmsMethod};
pub use smtp::{SmtpConfig, SmtpLogin, SmtpSecurity};
pub use store_url::{PostgresUrl, StoreUrl, StoreUrlError};
pub use summary::Summary;
pub use ungleich_otp::{BusConfig, SeedReads, TokenUse, UngleichOtpConfig};
pub use yubico::YubicoConfig;

/// Where the configuration is looked for when no file is named.
pub const DEFAULT_PATH: &str = "/etc/oss2fa/server.toml";

/// All that an administrator can set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The file it came from; `None`: there is none, all is default.
    pub path: Option<PathBuf>,
    /// Where requests are taken; port 0 is any free one.
    pub listen: SocketAddr,
    /// Where the server keeps what it makes; absolute.
    pub data_dir: PathBuf,
    /// The database.
    pub store: StoreUrl,
    /// The only authorities whose certificates a PostgreSQL server may have, PEM; `None`: the system's.
    pub store_ca_file: Option<PathBuf>,
    /// The most connections to the database at once.
    pub store_connections: NonZeroU32,
    /// Where the master key is.
    pub master_key: MasterKeySource,
    /// Who says so.
    pub master_key_named: Named,
    /// `[tls]`.
    pub tls: TlsConfig,
    /// `[proxy]`; `None`: no peer's header is believed.
    pub proxy: Option<ProxyConfig>,
    /// `[log]`.
    pub log: LogConfig,
    /// `[limits]`.
    pub limits: LimitsConfig,
    /// `[smtp]`; `None`: no mail is sent.
    pub smtp: Option<SmtpConfig>,
    /// `[sms]`; `None`: no text message is sent.
    pub sms: Option<SmsConfig>,
    /// `[webhooks]`.
    pub webhooks: WebhooksConfig,
    /// `[metrics]`.
    pub metrics: MetricsConfig,
    /// `[ungleich_otp]`; `None`: not enabled.
    pub ungleich_otp: Option<UngleichOtpConfig>,
    /// `[yubico]`; `None`: no validation servers are asked.
    pub yubico: Option<YubicoConfig>,
}

/// Where the master key comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MasterKeySource {
    /// A file, made on first start.
    File(PathBuf),
    /// A systemd credential of this name: letters, digits, `.`, `-`, `_`.
    Credential(String),
    /// It is derived from this: see [`Fallbacks`].
    Secret(SecretText),
}

/// Who says what holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Named {
    /// The file.
    InFile,
    /// Nobody: it is the default.
    Nowhere,
}

/// `[log]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogConfig {
    /// How much is logged.
    pub level: tracing::Level,
    /// In which form.
    pub format: LogFormat,
}

/// The form of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// A JSON object in each line.
    Json,
}

/// `[webhooks]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WebhooksConfig {
    /// Whether a webhook's URL may be `http`.
    pub plain_http: PlainHttp,
    /// For one delivery.
    pub timeout: Duration,
}

/// Whether a webhook's URL may be `http`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlainHttp {
    /// Only `https`.
    Refused,
    /// Also `http`: events can be read and held back on the way.
    Danger,
}

/// `[metrics]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetricsConfig {
    /// Who may read `/metrics`; empty: nobody.
    pub allowed: Vec<IpNet>,
}

/// What the command line says, which wins over the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overrides {
    /// `--data-dir`; a relative path is relative to the working directory.
    pub data_dir: Option<PathBuf>,
    /// `--listen`.
    pub listen: Option<SocketAddr>,
}

/// Which file is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source<'a> {
    /// This one, which must exist.
    Named(&'a Path),
    /// This one; where nothing of this name exists, all is default.
    IfPresent(&'a Path),
}

impl Config {
    /// Reads and checks the file that `--config` names, or else the one at [`DEFAULT_PATH`] if it is there.
    ///
    /// # Errors
    /// [`ConfigError`] says what is wrong with it; nothing is guessed and nothing falls back to a default.
    pub fn load(path: Option<&Path>, overrides: Overrides) -> Result<Self, ConfigError> {
        let default = Source::IfPresent(Path::new(DEFAULT_PATH));
        Self::read(path.map_or(default, Source::Named), overrides)
    }

    /// As [`Config::load`], with the default path as a parameter.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn read(source: Source<'_>, overrides: Overrides) -> Result<Self, ConfigError> {
        let path = match source {
            // A link to nowhere is there, and what it should have led to is missed.
            Source::IfPresent(path)
                if fs::symlink_metadata(path).is_err_and(|error| error.kind() == ErrorKind::NotFound) =>
            {
                return parse::config(None, raw::File::default(), overrides);
            }
            Source::Named(path) | Source::IfPresent(path) => path,
        };
        Self::parse(path, &file::read(path)?, overrides)
    }

    /// Checks `text`, which was read from `path`.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn parse(path: &Path, text: &str, overrides: Overrides) -> Result<Self, ConfigError> {
        let raw: raw::File = toml::from_str(text).map_err(|error| ConfigError::syntax(path, text, &error))?;
        parse::config(Some(path), raw, overrides)
    }

    /// What holds, for people and programs: with the paths of passwords, and without any.
    #[must_use]
    pub fn summary(&self) -> Summary<'_> {
        Summary::of(self)
    }
}
