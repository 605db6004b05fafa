//! Which database holds the server's data, as one URL. Its password is never shown.

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use thiserror::Error;
use tokio_postgres::config::{Host, SslMode};

use super::host_name::{is_host_name, is_loopback};

const SCHEMES: &str = "\"sqlite:PATH\" or \"postgres://USER@HOST/DATABASE?sslmode=require\"";
const SQLITE: &str = "\"sqlite:PATH\" with the absolute path of a file and no options";
const POSTGRES: &str = "\"postgres://USER:PASSWORD@HOST:PORT/DATABASE?sslmode=require\" with at least host and database; write what is no letter or digit in USER and PASSWORD as %XX; options are those of PostgreSQL's URLs, of TLS only sslmode";
const SSLMODE: &str = "sslmode \"disable\", \"require\" or \"verify-full\"; the latter two both check certificate and name, and \"prefer\" would let anybody on the way turn TLS off";

/// Which database holds the data. Its text form has no password in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreUrl {
    /// An SQLite file.
    Sqlite(PathBuf),
    /// A PostgreSQL database.
    Postgres(PostgresUrl),
}

/// A PostgreSQL database and how to log in to it; Debug and Display show no password.
#[derive(Clone, PartialEq, Eq)]
pub struct PostgresUrl {
    // Boxed: many times larger than the path beside it.
    connection: Box<tokio_postgres::Config>,
    shown: String,
}

/// A URL that names no database.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("the store {shown} cannot be used: allowed is {allowed}")]
pub struct StoreUrlError {
    /// What may be shown of the URL.
    pub shown: String,
    /// What it may be.
    pub allowed: &'static str,
}

impl StoreUrl {
    /// The default store of a data directory.
    #[must_use]
    pub fn in_data_dir(data_dir: &Path) -> Self {
        Self::Sqlite(data_dir.join("server.db"))
    }
}

impl PostgresUrl {
    /// All that a connection needs, with its password, and with a TLS mode that is either "disable" or
    /// "require": without `sslmode`, TLS is required unless every host is this machine.
    #[must_use]
    pub fn connection(&self) -> &tokio_postgres::Config {
        &self.connection
    }
}

impl StoreUrl {
    /// The same, with this user where it is a PostgreSQL database and names none.
    #[must_use]
    pub(super) fn or_user(self, user: &str) -> Self {
        match self {
            Self::Postgres(PostgresUrl { mut connection, .. }) if connection.get_user().is_none() => {
                connection.user(user);
                let shown = shown(&connection);
                Self::Postgres(PostgresUrl { connection, shown })
            }
            other => other,
        }
    }
}

impl fmt::Debug for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PostgresUrl({})", self.shown)
    }
}

impl fmt::Display for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Self::Postgres(url) => url.fmt(f),
        }
    }
}

impl FromStr for StoreUrl {
    type Err = StoreUrlError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(path) = text.strip_prefix("sqlite:") {
            let refused = || StoreUrlError { shown: format!("{text:?}"), allowed: SQLITE };
            return sqlite(path).map(Self::Sqlite).ok_or_else(refused);
        }
        let bad = |shown: &str, allowed| Err(StoreUrlError { shown: format!("\"{shown}...\""), allowed });
        match text.split_once("://") {
            Some(("postgres" | "postgresql", rest)) => match postgres(rest) {
                Ok(url) => Ok(Self::Postgres(url)),
                Err(allowed) => bad("postgres://", allowed),
            },
            // A word before a colon may be the scheme, or a user before a password.
            Some((scheme @ ("mysql" | "mariadb" | "sqlite3" | "file" | "http" | "https"), _)) => {
                bad(&format!("{scheme}://"), SCHEMES)
            }
            _ => Err(StoreUrlError { shown: "(not shown)".to_owned(), allowed: SCHEMES }),
        }
    }
}

fn sqlite(path: &str) -> Option<PathBuf> {
    let path = match path.strip_prefix("//") {
        Some(rest) if rest.starts_with('/') => rest,
        Some(_) => return None,
        None => path,
    };
    let plain = !path.ends_with('/') && !path.contains(|c: char| c.is_control() || matches!(c, '?' | '#'));
    (plain && path.starts_with('/')).then(|| PathBuf::from(path))
}

/// `rest` is what follows `postgres://`. No refusal repeats any of it: a password with an unescaped `@`
/// could stand anywhere.
fn postgres(rest: &str) -> Result<PostgresUrl, &'static str> {
    let (base, query) = rest.rsplit_once('?').unwrap_or((rest, ""));
    // An address before "@" may hold the question mark itself.
    let (base, query) = if query.contains('@') { (rest, "") } else { (base, query) };
    // The first one ends the password: with two, part of a password would be taken for a host or a database.
    if base.matches('@').count() > 1 {
        return Err(POSTGRES);
    }
    let mut asked = None;
    let mut options = Vec::new();
    for option in query.split('&').filter(|option| !option.is_empty()) {
        match option.strip_prefix("sslmode=") {
            Some(mode) if asked.is_none() => asked = Some(mode),
            Some(_) => return Err(SSLMODE),
            None => options.push(option),
        }
    }
    let mut connection: tokio_postgres::Config =
        format!("postgres://{base}?{}", options.join("&")).parse().map_err(|_| POSTGRES)?;
    let (hosts, ports) = (connection.get_hosts().len(), connection.get_ports().len());
    if hosts == 0 || !(ports <= 1 || ports == hosts) || connection.get_dbname().is_none_or(str::is_empty) {
        return Err(POSTGRES);
    }
    if connection.get_hosts().iter().any(|host| !is_plain(host)) {
        return Err(POSTGRES);
    }
    let mode = match asked {
        Some("disable") => SslMode::Disable,
        Some("require" | "verify-full") => SslMode::Require,
        Some(_) => return Err(SSLMODE),
        None if stays_on_this_machine(&connection) => SslMode::Disable,
        None => SslMode::Require,
    };
    connection.ssl_mode(mode);
    let shown = shown(&connection);
    Ok(PostgresUrl { connection: Box::new(connection), shown })
}

fn is_plain(host: &Host) -> bool {
    match host {
        Host::Tcp(name) => name.parse::<IpAddr>().is_ok() || is_host_name(name),
        Host::Unix(path) => path.to_str().is_some_and(|path| !path.contains(char::is_control)),
    }
}

fn stays_on_this_machine(connection: &tokio_postgres::Config) -> bool {
    let hosts = connection.get_hosts().iter().all(|host| match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => is_loopback(name),
    });
    // `hostaddr` is where the connection really goes.
    hosts && connection.get_hostaddrs().iter().all(|address| address.to_canonical().is_loopback())
}

fn shown(connection: &tokio_postgres::Config) -> String {
    let ports = connection.get_ports();
    let hosts: Vec<String> = connection
        .get_hosts()
        .iter()
        .enumerate()
        .map(|(at, host)| {
            let port = ports.get(at).or_else(|| ports.first()).map(|port| format!(":{port}"));
            match host {
                Host::Unix(path) => path.to_string_lossy().replace('/', "%2F"),
                Host::Tcp(name) if name.contains(':') => format!("[{name}]{}", port.unwrap_or_default()),
                Host::Tcp(name) => format!("{name}{}", port.unwrap_or_default()),
            }
        })
        .collect();
    let user = connection.get_user().map(|user| format!("{user}@")).unwrap_or_default();
    let mode = if connection.get_ssl_mode() == SslMode::Disable { "disable" } else { "require" };
    format!(
        "postgres://{user}{}/{}?sslmode={mode}",
        hosts.join(","),
        connection.get_dbname().unwrap_or_default()
    )
}
