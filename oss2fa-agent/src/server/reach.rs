//! Whether a server can be reached at all: a fresh TCP connection, and what its failure proves.
//!
//! Fail-open and offline codes hang on this. What proves that a server is away is a refused connection, no way
//! to it, no answer in time, or a name that nobody knows. Whatever is this host's own trouble (no descriptors,
//! no ports, a sandbox) proves nothing, and neither does anything that happens once a connection is made.

use std::fmt;
use std::io::{self, ErrorKind};

use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use crate::config::ServerUrl;

/// Addresses of one name that are tried.
const MOST_ADDRESSES: usize = 8;

/// A fresh connection to this server failed in a way that proves it away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Away {
    url: String,
    why: String,
}

impl Away {
    /// What happened, for the log.
    pub(super) fn why(&self) -> &str {
        &self.why
    }
}

/// No server could be reached: of every URL, a fresh TCP connection failed.
///
/// It cannot be forged:
///
/// ```compile_fail
/// let forged = oss2fa_agent::server::Unreachable { each: Vec::new() };
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreachable {
    each: Vec<Away>,
}

impl Unreachable {
    /// Takes a failure for each of the URLs, in their order; `None` where one is missing.
    pub(super) fn of<'a>(urls: impl Iterator<Item = &'a ServerUrl>, each: Vec<Away>) -> Option<Self> {
        let urls: Vec<&str> = urls.map(ServerUrl::as_str).collect();
        let proved: Vec<&str> = each.iter().map(|away| away.url.as_str()).collect();
        (!urls.is_empty() && urls == proved).then_some(Self { each })
    }
}

impl fmt::Display for Unreachable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, Away { url, why }) in self.each.iter().enumerate() {
            let between = if number == 0 { "" } else { "; " };
            write!(f, "{between}{url}: {why}")?;
        }
        Ok(())
    }
}

/// What a fresh connection found.
#[derive(Debug)]
pub(super) enum Contact {
    /// Somebody takes connections there.
    Made,
    /// Nobody does.
    None(Away),
    /// It could not be tried, and nothing is proved.
    Untried(String),
}

/// Makes a fresh connection, and lets it go.
pub(super) async fn contact(url: &ServerUrl, until: Instant) -> Contact {
    // A sandbox that lets this process have no network also keeps every name from being resolved.
    if let Err(error) = TcpSocket::new_v4() {
        return Contact::Untried(format!(
            "this process may have no network ({error}). Under systemd the drop-in of \
             /usr/share/oss2fa-agent/systemd/server.conf allows it"
        ));
    }
    let away = |why: String| Contact::None(Away { url: url.as_str().to_owned(), why });
    let addresses = match timeout_at(until, tokio::net::lookup_host(url.target())).await {
        Err(_) => return away("its name was not resolved in time".to_owned()),
        // The system's own failures have numbers; those of the resolver do not.
        Ok(Err(error)) if error.raw_os_error().is_some() => {
            return Contact::Untried(format!("its name could not be looked up: {error}"));
        }
        Ok(Err(error)) => return away(format!("its name is not resolved: {error}")),
        Ok(Ok(addresses)) => addresses.take(MOST_ADDRESSES),
    };
    let mut tries = JoinSet::new();
    for address in addresses {
        tries.spawn(async move { timeout_at(until, TcpStream::connect(address)).await });
    }
    if tries.is_empty() {
        return away("its name has no address".to_owned());
    }
    let (mut why, mut untried) = (String::new(), None);
    while let Some(tried) = tries.join_next().await {
        match tried {
            Ok(Ok(Ok(_connection))) => return Contact::Made,
            Ok(Err(_)) => why = "no answer to a connection in time".to_owned(),
            Ok(Ok(Err(error))) if proves_away(&error) => why = error.to_string(),
            Ok(Ok(Err(error))) => untried = Some(error.to_string()),
            Err(error) => untried = Some(error.to_string()),
        }
    }
    untried.map_or_else(|| away(why), Contact::Untried)
}

fn proves_away(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionRefused
            | ErrorKind::ConnectionReset
            | ErrorKind::HostUnreachable
            | ErrorKind::NetworkUnreachable
            | ErrorKind::NetworkDown
            | ErrorKind::TimedOut
    )
}

#[cfg(test)]
pub(super) fn away_for_tests(url: &ServerUrl) -> Away {
    Away { url: url.as_str().to_owned(), why: "in a test".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> ServerUrl {
        ServerUrl::parse(text).unwrap()
    }

    #[test]
    fn every_url_must_be_proved_away_and_in_its_place() {
        let (a, b) = (url("https://a.example.org"), url("https://b.example.org"));
        let (not_a, not_b) = (away_for_tests(&a), away_for_tests(&b));
        let proof = |urls: &[&ServerUrl], each: &[&Away]| {
            Unreachable::of(urls.iter().copied(), each.iter().map(|&away| away.clone()).collect())
        };
        assert!(proof(&[&a, &b], &[&not_a, &not_b]).is_some());
        for each in [&[][..], &[&not_a], &[&not_b, &not_a], &[&not_a, &not_a], &[&not_a, &not_b, &not_b]] {
            assert_eq!(proof(&[&a, &b], each), None);
        }
        assert_eq!(proof(&[], &[]), None, "a host without servers has proved nothing");
    }

    #[test]
    fn the_hosts_own_trouble_proves_nothing() {
        for (errno, proves) in [
            (nix::errno::Errno::ECONNREFUSED, true),
            (nix::errno::Errno::EHOSTUNREACH, true),
            (nix::errno::Errno::ENETUNREACH, true),
            (nix::errno::Errno::ETIMEDOUT, true),
            (nix::errno::Errno::EMFILE, false),
            (nix::errno::Errno::EADDRNOTAVAIL, false),
            (nix::errno::Errno::EACCES, false),
            (nix::errno::Errno::EPERM, false),
            (nix::errno::Errno::EAFNOSUPPORT, false),
            (nix::errno::Errno::ENOBUFS, false),
        ] {
            assert_eq!(proves_away(&io::Error::from_raw_os_error(errno as i32)), proves, "{errno}");
        }
    }
}
