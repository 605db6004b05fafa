//! `[server]`: which server this host asks, whom it trusts to be that, and what happens while it is away.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use data_encoding::HEXLOWER_PERMISSIVE;
use reqwest::Url;

use super::parse::Place;
use super::{ConfigError, raw};
use crate::policy::family;

/// `[server]` of a host that asks one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerConfig {
    /// Who is asked about whom.
    pub mode: Mode,
    /// Tried in this order, all under one deadline. At least one.
    pub urls: Vec<ServerUrl>,
    /// The file with the integration's token.
    pub token_file: PathBuf,
    /// Whom the server must be vouched for by.
    pub trust: Trust,
    /// For one question, all URLs together.
    pub timeout: Duration,
    /// Services in which a login passes while it is proved that no server can be reached.
    pub fail_open_services: BTreeSet<String>,
    /// This host's name at the server.
    pub host: String,
}

/// Who is asked about whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// The server, about everybody.
    Remote,
    /// This host's own store, about those who have a device in it; the server, about everybody else.
    RemoteThenLocal,
}

impl Mode {
    /// As the configuration spells it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Remote => "remote",
            Self::RemoteThenLocal => "remote-then-local",
        }
    }
}

/// Whom the server must be vouched for by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trust {
    /// The system's authorities.
    System,
    /// The authorities of this file, and no others.
    Authorities(PathBuf),
    /// Nobody: its certificate has this SHA-256.
    Pinned([u8; 32]),
}

/// The address of a server: `https://`, a host, perhaps a port, perhaps a path in front of the API's own.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ServerUrl(Url);

impl ServerUrl {
    /// Takes what is written; says what is allowed where that is none.
    ///
    /// # Errors
    /// What a URL of a server is.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        const ALLOWED: &str =
            "addresses such as \"https://otp.example.org\", without user, query and fragment";
        let url = Url::parse(text).map_err(|_| ALLOWED)?;
        if url.scheme() == "http" {
            return Err("https alone: codes and the token could be read, and answers forged, on the way");
        }
        let plain = url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none();
        let names_host = url.host_str().is_some_and(|host| !host.is_empty());
        if url.scheme() != "https" || !plain || !names_host {
            return Err(ALLOWED);
        }
        Ok(Self(url))
    }

    /// Host, without the brackets of an IPv6 address, and port.
    #[must_use]
    pub fn target(&self) -> (&str, u16) {
        let host = self.0.host_str().unwrap_or_default();
        (host.trim_matches(['[', ']']), self.0.port_or_known_default().unwrap_or(443))
    }

    /// The URL of an operation.
    #[must_use]
    pub fn at(&self, path: &str) -> String {
        format!("{}{path}", self.as_str())
    }

    /// As text, without a slash at the end.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str().trim_end_matches('/')
    }
}

const MODES: &str = "\"local\", \"remote\" or \"remote-then-local\"";

/// Checks the section; `None` for a host that works alone.
pub(super) fn server(at: &Place<'_>, section: raw::Server) -> Result<Option<ServerConfig>, ConfigError> {
    let mode = match section.mode.as_deref() {
        Some("remote") => Some(Mode::Remote),
        Some("remote-then-local") => Some(Mode::RemoteThenLocal),
        Some("local") => None,
        None => (!section.urls.is_empty()).then_some(Mode::Remote),
        Some(other) => return at.refuse("[server] mode", format!("{other:?}"), MODES),
    };
    // Also what is switched off is checked: it is meant to be used, some day.
    let mut urls = Vec::new();
    for text in &section.urls {
        match ServerUrl::parse(text) {
            Ok(url) if urls.contains(&url) => {
                return at.refuse("[server] urls", format!("{text:?}"), "each address once");
            }
            Ok(url) => urls.push(url),
            Err(allowed) => return at.refuse("[server] urls", format!("{text:?}"), allowed),
        }
    }
    if urls.len() > MOST_URLS {
        return at.refuse("[server] urls", urls.len(), &format!("at most {MOST_URLS} addresses"));
    }
    let token_file = at.absolute("[server] token_file", section.token_file)?;
    let trust = trust(at, section.ca_file, section.pinned_certificate)?;
    let timeout = Duration::from_secs(at.whole("[server] timeout", section.timeout, 1, 60)?);
    let fail_open_services = services(at, "[server] fail_open_services", &section.fail_open_services)?;
    let host = host(at, section.host)?;
    let Some(mode) = mode else { return Ok(None) };
    if urls.is_empty() {
        let allowed = "at least one address, where mode is not \"local\"";
        return at.refuse("[server] urls", "[]", allowed);
    }
    Ok(Some(ServerConfig { mode, urls, token_file, trust, timeout, fail_open_services, host }))
}

const MOST_URLS: usize = 8;

/// Longest name of a host, in characters (RFC 1035 section 2.3.4).
const LONGEST_HOST: usize = 253;

fn trust(at: &Place<'_>, ca_file: Option<PathBuf>, pinned: Option<String>) -> Result<Trust, ConfigError> {
    const PINNED: &str = "[server] pinned_certificate";
    match (ca_file, pinned) {
        (None, None) => Ok(Trust::System),
        (Some(file), None) => Ok(Trust::Authorities(at.absolute("[server] ca_file", file)?)),
        (Some(_), Some(pin)) => {
            at.refuse(PINNED, format!("{pin:?}"), "either this or ca_file: only one of them can decide")
        }
        (None, Some(pin)) => {
            let digest = pin.strip_prefix("sha256:").map(|hex| hex.replace(':', ""));
            let digest = digest.and_then(|hex| HEXLOWER_PERMISSIVE.decode(hex.as_bytes()).ok());
            match digest.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok()) {
                Some(digest) => Ok(Trust::Pinned(digest)),
                None => at.refuse(
                    PINNED,
                    format!("{pin:?}"),
                    "\"sha256:\" and the 64 hexadecimal digits of: openssl x509 -fingerprint -sha256",
                ),
            }
        }
    }
}

/// Names of PAM services, by the family whose rules they share.
pub(super) fn services(at: &Place<'_>, key: &str, names: &[String]) -> Result<BTreeSet<String>, ConfigError> {
    names
        .iter()
        .map(|name| {
            // A star would be taken for "all" by whoever writes it, and means nothing.
            let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '@');
            if name.is_empty() || !name.chars().all(plain) {
                return at.refuse(key, format!("{name:?}"), "names of PAM services, such as \"sshd\"");
            }
            Ok(family(name).to_owned())
        })
        .collect()
}

fn host(at: &Place<'_>, written: Option<String>) -> Result<String, ConfigError> {
    let own = || nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
    let name = written.or_else(own).unwrap_or_default();
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty() || name.len() > LONGEST_HOST.min(128) || !name.chars().all(plain) {
        let allowed = "a name of 1 to 128 letters, digits, dots and dashes";
        return at.refuse("[server] host", format!("{name:?}"), allowed);
    }
    Ok(name)
}
