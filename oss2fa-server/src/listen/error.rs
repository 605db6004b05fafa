//! What can keep the server from listening.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use thiserror::Error;

/// Why the server cannot listen, or not with this certificate.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ListenError {
    /// The address cannot be bound.
    #[error("cannot listen on {address}: {}", bind_advice(.error))]
    Bind {
        /// Which.
        address: SocketAddr,
        /// What the system said.
        error: io::Error,
    },
    /// A certificate or key cannot be read, made or understood.
    #[error("{path}: {what}")]
    File {
        /// Which.
        path: PathBuf,
        /// What is wrong, and the cure.
        what: String,
    },
    /// Others than the server could read the private key.
    #[error(
        "the TLS key {path} has mode {mode:04o}, so others than the server could read it. \
         Mend it with: chmod {cure:04o} {path}"
    )]
    KeyExposed {
        /// Which.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
        /// The permission bits that it should have.
        cure: u32,
    },
    /// The private key is that of another certificate.
    #[error(
        "the TLS key {key} does not belong to the certificate {certificate}. Put the key that the certificate \
         was asked for in its place; the server's own certificate comes first in its file, before the chain"
    )]
    Mismatch {
        /// The file of the certificate.
        certificate: PathBuf,
        /// The file of the key.
        key: PathBuf,
    },
    /// Of the self-signed pair one file is gone.
    #[error(
        "{present} is there, but {missing} is not. Put the missing file back; or remove {present} to have a new \
         pair made, and give the new certificate to the clients that trust the old one"
    )]
    HalfPair {
        /// What is there.
        present: PathBuf,
        /// What is not.
        missing: PathBuf,
    },
    /// The TLS library refused what this program always gives it.
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
}

impl ListenError {
    /// What an operator can search for; it does not change between releases.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Bind { .. } => "listen_address",
            Self::File { .. } => "tls_file",
            Self::KeyExposed { .. } => "tls_key_exposed",
            Self::Mismatch { .. } => "tls_key_mismatch",
            Self::HalfPair { .. } => "tls_half_pair",
            Self::Tls(_) => "tls_setup",
        }
    }
}

fn bind_advice(error: &io::Error) -> String {
    let advice = match error.kind() {
        io::ErrorKind::AddrInUse => {
            "Another program listens there: stop it (ss -ltnp shows which), or set listen"
        }
        io::ErrorKind::AddrNotAvailable => "This machine does not have the address: set listen",
        io::ErrorKind::PermissionDenied => {
            "Ports below 1024 need the capability CAP_NET_BIND_SERVICE: give it, or set listen"
        }
        _ => "Set listen",
    };
    format!("{error}. {advice} in server.toml to another address")
}
