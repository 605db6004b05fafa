//! Where a webhook may send to: what administrators of a tenant name must not lead to the server's own services.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::config::PlainHttp;

/// Longest URL, in bytes.
const LONGEST: usize = 2000;

/// A URL that events may be sent to.
#[derive(Clone, PartialEq, Eq)]
pub struct Target(Url);

// Path and query can hold a token.
impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Target({})", self.origin())
    }
}

/// Why a URL is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadTarget {
    /// Not a URL, or too long.
    #[error("the URL of a webhook has at most 2000 bytes, such as https://app.example.org/oss2fa")]
    NoUrl,
    /// Not encrypted.
    #[error(
        "the URL of a webhook begins with https://; plain http is for tests (danger_plain_http in [webhooks])"
    )]
    NotHttps,
    /// With a user or a fragment.
    #[error("the URL of a webhook has no user, no password and no fragment: deliveries are signed instead")]
    Decorated,
    /// To this machine or its nearest surroundings.
    #[error(
        "webhooks are not sent to loopback, link-local or multicast addresses: name the receiver's own address"
    )]
    Near,
}

impl Target {
    /// Takes a URL as it was written.
    ///
    /// # Errors
    /// [`BadTarget`].
    pub fn parse(written: &str, plain: PlainHttp) -> Result<Self, BadTarget> {
        let url = Url::parse(written).map_err(|_| BadTarget::NoUrl)?;
        if url.as_str().len() > LONGEST || url.host_str().is_none_or(str::is_empty) {
            return Err(BadTarget::NoUrl);
        }
        match url.scheme() {
            "https" => {}
            "http" if plain == PlainHttp::Danger => {}
            _ => return Err(BadTarget::NotHttps),
        }
        if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
            return Err(BadTarget::Decorated);
        }
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
        let literal = host.parse::<IpAddr>().ok();
        if plain == PlainHttp::Refused && literal.is_some_and(is_near) {
            return Err(BadTarget::Near);
        }
        Ok(Self(url))
    }

    /// Scheme, host and port: what may be written down.
    #[must_use]
    pub fn origin(&self) -> String {
        self.0.origin().ascii_serialization()
    }

    /// The whole URL.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.0
    }
}

/// Whether an address is of this machine, or one that no receiver has: those of cloud metadata among them.
fn is_near(address: IpAddr) -> bool {
    // What clouds answer at where it is no link-local address.
    const ALIBABA: Ipv4Addr = Ipv4Addr::new(100, 100, 100, 200);
    const AMAZON: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);
    // RFC 6052: IPv4 behind a translator. RFC 3056: IPv4 in the bits behind the first 16.
    const TRANSLATED: u128 = 0x0064_ff9b << 96;
    let near_v4 = |v4: Ipv4Addr| {
        v4.is_loopback()
            || v4.is_link_local()
            || v4.is_multicast()
            || v4.is_broadcast()
            || v4.octets().first() == Some(&0)
            || v4 == ALIBABA
    };
    match address.to_canonical() {
        IpAddr::V4(v4) => near_v4(v4),
        IpAddr::V6(v6) => {
            let embedded = v6.to_bits().checked_sub(TRANSLATED).and_then(|low| u32::try_from(low).ok());
            let [first, high, low, ..] = v6.segments();
            let tunnelled =
                (first == 0x2002).then(|| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low)));
            v6.is_loopback()
                || v6 == Ipv6Addr::UNSPECIFIED
                || v6 == AMAZON
                || v6.is_unicast_link_local()
                || v6.is_multicast()
                || v6.to_ipv4().is_some_and(near_v4)
                || embedded.is_some_and(|low| near_v4(low.into()))
                || tunnelled.is_some_and(near_v4)
        }
    }
}

/// Looks names up, and leaves out what is too near: a name can be made to point anywhere at any time.
pub(super) struct FarOnly;

impl Resolve for FarOnly {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let far: Vec<SocketAddr> = found.filter(|address| !is_near(address.ip())).collect();
            if far.is_empty() {
                return Err(io::Error::other(BadTarget::Near).into());
            }
            Ok(Box::new(far.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{BadTarget, Target};
    use crate::config::PlainHttp;

    #[test]
    fn what_leads_to_this_machine_is_no_target() {
        for near in [
            "https://127.0.0.1/",
            "https://127.1/",
            "https://2130706433/",
            "https://0x7f.1/",
            "https://[::1]/",
            "https://[::]/",
            "https://[::ffff:127.0.0.1]/",
            "https://[::127.0.0.1]/",
            "https://[64:ff9b::7f00:1]/",
            "https://[fe80::1]/",
            "https://[2002:7f00:1::1]/",
            "https://[2002:a9fe:a9fe::1]/",
            "https://169.254.169.254/latest/meta-data/",
            "https://100.100.100.200/latest/meta-data/",
            "https://[fd00:ec2::254]/latest/meta-data/",
            "https://0.0.0.0/",
            "https://224.0.0.1/",
            "https://255.255.255.255/",
        ] {
            assert_eq!(Target::parse(near, PlainHttp::Refused), Err(BadTarget::Near), "{near}");
        }
        for far in
            ["https://app.example.org/hook?token=1", "https://192.0.2.1:8443/", "https://[2001:db8::1]/"]
        {
            assert!(Target::parse(far, PlainHttp::Refused).is_ok(), "{far}");
        }
    }

    #[test]
    fn plain_http_and_loopback_have_to_be_allowed() {
        let http = "http://127.0.0.1:8080/hook";
        assert_eq!(Target::parse(http, PlainHttp::Refused), Err(BadTarget::NotHttps));
        assert!(Target::parse(http, PlainHttp::Danger).is_ok());
        for (bad, why) in [
            ("ftp://example.org/", BadTarget::NotHttps),
            ("file:///etc/passwd", BadTarget::NoUrl),
            ("example.org", BadTarget::NoUrl),
            ("", BadTarget::NoUrl),
            ("https://", BadTarget::NoUrl),
            ("https://user:pass@example.org/", BadTarget::Decorated),
            ("https://example.org/#part", BadTarget::Decorated),
        ] {
            assert_eq!(Target::parse(bad, PlainHttp::Danger), Err(why), "{bad}");
        }
        let long = format!("https://example.org/{}", "x".repeat(2000));
        assert_eq!(Target::parse(&long, PlainHttp::Danger), Err(BadTarget::NoUrl));
    }

    #[test]
    fn a_token_in_the_url_is_not_shown() {
        let target = Target::parse("https://hooks.example.org/T123?key=abc", PlainHttp::Refused).unwrap();
        assert_eq!(format!("{target:?}"), "Target(https://hooks.example.org)");
    }
}
