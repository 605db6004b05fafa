//! Where a try comes from, as locks count it.

use std::fmt;
use std::net::IpAddr;

use oss2fa_core::wire::Login;

use crate::policy::address_of;

/// One counter for tries from one place.
///
/// A name as remote host is a place of its own for one user's counter, and one place with all other names
/// for the counter of a source: whoever owns the reverse DNS can make as many as they like. A single IPv6
/// address is none: a subscriber has 2^64 of them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Source(String);

const LONGEST: usize = 128;

impl Source {
    /// The source of a login through PAM.
    #[must_use]
    pub fn of_login(login: &Login) -> Self {
        if let Some(address) = login.rhost.as_deref().and_then(address_of) {
            return Self::of_address(address);
        }
        let place = match &login.rhost {
            Some(name) => format!("name:{}", name.to_lowercase()),
            None => "local".to_owned(),
        };
        let who = match (&login.ruser, &login.tty) {
            (Some(ruser), _) if !ruser.is_empty() => format!("{place}:user={ruser}"),
            (_, Some(tty)) if !tty.is_empty() => format!("{place}:tty={tty}"),
            _ => place,
        };
        Self(clean(&who))
    }

    /// The source of a request of the command line.
    #[must_use]
    pub fn of_uid(uid: u32) -> Self {
        Self(format!("cli:uid={uid}"))
    }

    /// The counter that it shares with others for whatever user. Root's own command line has none: a
    /// program may check everybody's codes through it.
    #[must_use]
    pub fn shared(&self) -> Option<&str> {
        match self.0.as_str() {
            "cli:uid=0" => None,
            name if name.starts_with("name:") => Some("name"),
            other => Some(other),
        }
    }

    fn of_address(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(v4) => Self(format!("net:{v4}")),
            IpAddr::V6(v6) => {
                let network = std::net::Ipv6Addr::from(u128::from(v6) & (u128::MAX << 64));
                Self(format!("net:{network}/64"))
            }
        }
    }

    /// As stored and as audited.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Text from outside, fit for one line of a log: no control characters, not too long.
#[must_use]
pub fn clean(text: &str) -> String {
    text.chars().take(LONGEST).map(|c| if c.is_control() || c == '"' { '\u{fffd}' } else { c }).collect()
}
