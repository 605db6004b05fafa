//! TLS as this server speaks it.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::server::NoServerSessionStorage;
use rustls::version::{TLS12, TLS13};
use tokio_rustls::TlsAcceptor;

use super::certificate::{CertificateResolver, PairFiles};
use super::error::ListenError;

/// What turns an accepted TCP connection into one of TLS.
#[derive(Clone)]
pub struct Tls {
    pub(super) acceptor: TlsAcceptor,
    resolver: Arc<CertificateResolver>,
}

impl Tls {
    /// TLS 1.2 and 1.3 with the pair of these files; HTTP/2 and HTTP/1.1 by ALPN (RFC 7301).
    ///
    /// # Errors
    /// As [`CertificateResolver::open`].
    pub fn open(files: PairFiles) -> Result<Self, ListenError> {
        // Named, for the process's default is whatever some library installed first.
        let provider = Arc::new(ring::default_provider());
        let resolver = Arc::new(CertificateResolver::open(files, Arc::clone(&provider))?);
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13, &TLS12])?
            .with_no_client_auth()
            .with_cert_resolver(Arc::<CertificateResolver>::clone(&resolver));
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        // Resumed sessions cost the server no memory: the client carries them, under keys that rotate.
        config.ticketer = ring::Ticketer::new()?;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        Ok(Self { acceptor: TlsAcceptor::from(Arc::new(config)), resolver })
    }

    /// The certificate in force: its `watch` must run for changed files to be taken up.
    #[must_use]
    pub fn resolver(&self) -> Arc<CertificateResolver> {
        Arc::clone(&self.resolver)
    }
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").field("resolver", &self.resolver).finish_non_exhaustive()
    }
}
