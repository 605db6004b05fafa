//! The agent's configuration: a file of root's, parsed into types that cannot hold nonsense.

mod attestation;
mod keys;
mod parse;
mod raw;
mod server;
mod yubico;

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::fcntl::OFlag;
use thiserror::Error;

pub use self::keys::KeysConfig;
pub use self::server::{Mode, ServerConfig, ServerUrl, Trust};
pub use self::yubico::YubicoConfig;
use crate::policy::Policy;

/// Where the configuration is looked for.
pub const DEFAULT_PATH: &str = "/etc/oss2fa/agent.toml";

const LARGEST_FILE: u64 = 1024 * 1024;

/// All that an administrator can set.
#[derive(Debug, Clone)]
pub struct Config {
    /// The file it came from.
    pub path: PathBuf,
    /// `[agent]`.
    pub agent: AgentConfig,
    /// `[store]`.
    pub store: StoreConfig,
    /// `[policy]`.
    pub policy: Policy,
    /// `[locks]`.
    pub locks: LockLimits,
    /// `[audit]`.
    pub audit: AuditConfig,
    /// `[keys]`.
    pub keys: KeysConfig,
    /// `[server]`; `None` for a host that works alone.
    pub server: Option<ServerConfig>,
    /// `[yubico]`; `None` where no validation servers are asked.
    pub yubico: Option<YubicoConfig>,
}

/// `[agent]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentConfig {
    /// Path of the Unix socket.
    pub socket: PathBuf,
    /// The system user that the daemon becomes.
    pub user: String,
    /// The longest a login may take.
    pub login_timeout: Duration,
    /// How much is logged.
    pub log_level: tracing::Level,
}

/// `[store]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreConfig {
    /// Path of the SQLite database.
    pub path: PathBuf,
    /// Where the master key is.
    pub master_key: MasterKeySource,
}

/// Where the master key comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MasterKeySource {
    /// A file, made on first start.
    File(PathBuf),
    /// A systemd credential of this name.
    Credential(String),
}

/// `[locks]`: how many wrong codes, and how long a pause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LockLimits {
    /// Of one user and kind of factor, from one source.
    pub free_attempts: u32,
    /// Of one source, whatever user.
    pub free_attempts_per_source: u32,
    /// Of one user and kind, from all sources that are not known.
    pub free_attempts_per_user: u32,
    /// Seconds.
    pub first_pause: u64,
    /// Seconds.
    pub longest_pause: u64,
}

/// `[audit]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuditConfig {
    /// Whether events also go to the system log.
    pub syslog: SystemLog,
}

/// Whether events also go to the system log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SystemLog {
    /// They do.
    On,
    /// They stay in the store.
    Off,
}

/// Why a configuration cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error(
        "cannot read the configuration {path}: {source}. Create it, for example from agent.toml in the documentation's examples"
    )]
    Read {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Somebody else than root could have written it.
    #[error(
        "the configuration {path} {what}, so others than root could change who gets in. Mend it with: chown root {path}; chmod go-w {path}"
    )]
    Insecure {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// Not TOML, or a key that is not known.
    #[error("the configuration {path} cannot be understood: {what}")]
    Syntax {
        /// Which file.
        path: PathBuf,
        /// Where and what.
        what: String,
    },
    /// A value that cannot be taken.
    #[error("the configuration {path} has {key} = {value}: allowed is {allowed}")]
    Value {
        /// Which file.
        path: PathBuf,
        /// Which key.
        key: String,
        /// Its value.
        value: String,
        /// What it may be.
        allowed: String,
    },
}

impl Config {
    /// Who decides about logins, as the configuration spells it.
    #[must_use]
    pub fn mode(&self) -> &'static str {
        self.server.as_ref().map_or("local", |server| server.mode.as_str())
    }

    /// Whether the touch of a key of OpenSSH counts in a login to this service: never where a server decides about
    /// everybody.
    #[must_use]
    pub fn counts_ssh_touch(&self, service: &str) -> bool {
        let by_server = self.server.as_ref().is_some_and(|server| server.mode == Mode::Remote);
        !by_server && self.policy.counts_ssh_touch(service)
    }

    /// Reads and checks `path`.
    ///
    /// # Errors
    /// [`ConfigError`] says what is wrong with it; nothing is guessed and nothing falls back to a default.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let read = |source| ConfigError::Read { path: path.to_owned(), source };
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(OFlag::O_NONBLOCK.bits() | OFlag::O_NOCTTY.bits())
            .open(path)
            .map_err(read)?;
        owned_by_root(path, &file)?;
        let mut text = String::new();
        file.take(LARGEST_FILE + 1).read_to_string(&mut text).map_err(|error| match error.kind() {
            ErrorKind::InvalidData => not_understood(path, "it is not text in UTF-8".to_owned()),
            _ => read(error),
        })?;
        // Half of a file is another configuration than the whole.
        if text.len() as u64 > LARGEST_FILE {
            return Err(not_understood(path, format!("it is longer than {LARGEST_FILE} bytes")));
        }
        // Whoever wants the defaults says so with a comment; a file without anything was cut short.
        if text.trim_start_matches('\u{feff}').trim().is_empty() {
            return Err(not_understood(
                path,
                "it is empty, as a file is that was cut short by a full disk. Restore it; if you do want every \
                 default, write a comment into it"
                    .to_owned(),
            ));
        }
        Self::parse(path, &text)
    }

    /// Checks `text`, which was read from `path`.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let raw: raw::File = toml::from_str(text).map_err(|error| not_understood(path, error.to_string()))?;
        parse::config(path, raw)
    }
}

fn not_understood(path: &Path, what: String) -> ConfigError {
    ConfigError::Syntax { path: path.to_owned(), what }
}

fn owned_by_root(path: &Path, file: &File) -> Result<(), ConfigError> {
    let meta = file.metadata().map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
    let insecure = |what: String| Err(ConfigError::Insecure { path: path.to_owned(), what });
    if !meta.is_file() {
        return Err(not_understood(path, "it is not a regular file".to_owned()));
    }
    if meta.uid() != 0 && meta.uid() != nix::unistd::geteuid().as_raw() {
        return insecure(format!("belongs to uid {}", meta.uid()));
    }
    if meta.mode() & 0o022 != 0 {
        return insecure(format!("has mode {:04o}", meta.mode() & 0o7777));
    }
    Ok(())
}
