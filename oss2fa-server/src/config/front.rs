//! `[tls]` and `[proxy]`: what stands between the network and the server.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use ipnet::IpNet;

use super::place::Place;
use super::{ConfigError, raw};

/// `[tls]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TlsConfig {
    /// Plain HTTP: the listener is loopback, or a trusted proxy stands in front.
    Off,
    /// A certificate that the server makes itself on first start, into these files.
    SelfSigned(CertificateFiles),
    /// The administrator's certificate, read again when it changes.
    Files(CertificateFiles),
}

/// A certificate chain and its private key, both PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The chain, the server's own certificate first.
    pub certificate: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// `[proxy]` with at least one trusted network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxyConfig {
    /// The peers whose header is believed. Never empty, never the whole Internet.
    pub trusted: Vec<IpNet>,
    /// Which header names the client.
    pub header: ProxyHeader,
}

/// The header that names the client's address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyHeader {
    /// `X-Forwarded-For`.
    XForwardedFor,
    /// `Forwarded` (RFC 7239).
    Forwarded,
}

impl ProxyHeader {
    /// Its name on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::XForwardedFor => "X-Forwarded-For",
            Self::Forwarded => "Forwarded",
        }
    }
}

pub(super) fn proxy(at: &Place<'_>, proxy: &raw::Proxy) -> Result<Option<ProxyConfig>, ConfigError> {
    let headers = [ProxyHeader::XForwardedFor, ProxyHeader::Forwarded].map(|header| (header.name(), header));
    let header = at.choice("[proxy] header", &proxy.header, &headers)?;
    let trusted = at.networks("[proxy] trusted", &proxy.trusted)?;
    Ok((!trusted.is_empty()).then_some(ProxyConfig { trusted, header }))
}

pub(super) fn tls(
    at: &Place<'_>,
    tls: raw::Tls,
    listen: SocketAddr,
    proxy: Option<&ProxyConfig>,
    data_dir: &Path,
) -> Result<TlsConfig, ConfigError> {
    enum Mode {
        On,
        Off,
    }
    let mode = match tls.mode.as_str() {
        "on" => Mode::On,
        "off" => Mode::Off,
        other => return at.refuse("[tls] mode", format!("{other:?}"), "\"on\" or \"off\""),
    };
    let certificate = at.optional_absolute("[tls] certificate", tls.certificate)?;
    let key = at.optional_absolute("[tls] key", tls.key)?;
    match (mode, certificate, key) {
        (Mode::Off, Some(path), _) => {
            at.refuse("[tls] certificate", format!("{path:?}"), "none while mode = \"off\"")
        }
        (Mode::Off, None, Some(path)) => {
            at.refuse("[tls] key", format!("{path:?}"), "none while mode = \"off\"")
        }
        (Mode::Off, None, None) if proxy.is_none() && !listen.ip().to_canonical().is_loopback() => at.refuse(
            "[tls] mode",
            format!("\"off\" with listen = \"{listen}\""),
            "\"on\"; \"off\" only where listen is a loopback address such as 127.0.0.1:8300, or [proxy] trusted names the proxy that does TLS",
        ),
        (Mode::Off, None, None) => Ok(TlsConfig::Off),
        (Mode::On, Some(certificate), Some(key)) => Ok(TlsConfig::Files(CertificateFiles { certificate, key })),
        (Mode::On, None, None) => Ok(TlsConfig::SelfSigned(CertificateFiles {
            certificate: data_dir.join("tls.crt"),
            key: data_dir.join("tls.key"),
        })),
        (Mode::On, Some(_), None) => {
            at.refuse("[tls] key", "(nothing)", "the file of the private key that belongs to certificate")
        }
        (Mode::On, None, Some(_)) => {
            at.refuse("[tls] certificate", "(nothing)", "the file of the certificate that belongs to key")
        }
    }
}
