//! Where a request comes from: the peer of the connection, or what a trusted proxy says of it.

use std::net::IpAddr;

use axum::http::request::Parts;
use ipnet::IpNet;

use crate::config::{ProxyConfig, ProxyHeader};
use crate::listen::ClientSocket;

/// The proxies whose word is taken.
#[derive(Debug, Clone, Default)]
pub struct Proxies {
    trusted: Vec<IpNet>,
    header: Option<ProxyHeader>,
    direct: Direct,
}

/// Whether others than the proxies are talked to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Direct {
    /// Everybody: what they send comes through TLS.
    #[default]
    Taken,
    /// This machine alone: without TLS, whoever is on the way would read tokens and codes.
    FromHere,
}

impl Proxies {
    /// Those of the configuration; without any, no header is believed.
    #[must_use]
    pub fn new(config: Option<&ProxyConfig>) -> Self {
        config.map_or_else(Self::default, |config| Self {
            trusted: config.trusted.clone(),
            header: Some(config.header),
            direct: Direct::Taken,
        })
    }

    /// The same, with this said of others than the proxies.
    #[must_use]
    pub fn direct(self, direct: Direct) -> Self {
        Self { direct, ..self }
    }

    /// Whether the peer of the connection is talked to at all.
    #[must_use]
    pub fn admits(&self, parts: &Parts) -> bool {
        let is_near = |peer: &ClientSocket| {
            let peer = peer.0.ip().to_canonical();
            peer.is_loopback() || self.trusts(peer)
        };
        self.direct == Direct::Taken || parts.extensions.get::<ClientSocket>().is_some_and(is_near)
    }

    /// The address that the request comes from. `None` where the connection has none: refused.
    #[must_use]
    pub fn address(&self, parts: &Parts) -> Option<IpAddr> {
        let peer = parts.extensions.get::<ClientSocket>()?.0.ip().to_canonical();
        let Some(header) = self.header.filter(|_| self.trusts(peer)) else { return Some(peer) };
        // From the right: each trusted proxy vouches for the address before its own, and for no more.
        let written: Vec<&str> = parts
            .headers
            .get_all(header.name())
            .iter()
            .map(|value| value.to_str().unwrap_or("unknown"))
            .flat_map(|value| value.split(','))
            .collect();
        let mut address = peer;
        for hop in written.into_iter().rev() {
            match hop_address(header, hop) {
                Some(hop) => address = hop,
                // What cannot be read ends the chain at whoever wrote it.
                None => return Some(address),
            }
            if !self.trusts(address) {
                return Some(address);
            }
        }
        Some(address)
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.trusted.iter().any(|network| network.contains(&address))
    }
}

fn hop_address(header: ProxyHeader, hop: &str) -> Option<IpAddr> {
    let text = match header {
        ProxyHeader::XForwardedFor => hop.trim(),
        // RFC 7239 section 4: `for=192.0.2.1;proto=https`, with an IPv6 address in quotes and brackets.
        ProxyHeader::Forwarded => hop
            .split(';')
            .filter_map(|pair| pair.trim().split_once('='))
            .find(|(name, _)| name.eq_ignore_ascii_case("for"))
            .map(|(_, value)| value.trim_matches('"'))?,
    };
    let bare = match text.strip_prefix('[') {
        Some(rest) => rest.split(']').next()?,
        None if text.matches(':').count() == 1 => text.split(':').next()?,
        None => text,
    };
    bare.parse::<IpAddr>().ok().map(|address| address.to_canonical())
}
