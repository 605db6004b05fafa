//! Where the load goes, and the one certificate that is trusted there.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ClientConfig, ClientConnection, Resumption};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, SignatureScheme};

use super::connection::Wire;

// A server on the same machine that takes longer does not answer at all.
const CONNECT: Duration = Duration::from_secs(10);

/// A server.
#[derive(Debug, Clone)]
pub struct Target {
    address: SocketAddr,
    tls: Option<Arc<ClientConfig>>,
}

/// The certificate that the server is known by: this one, whatever name and dates are in it.
#[derive(Debug, Clone)]
pub struct TrustedCertificate(CertificateDer<'static>);

impl TrustedCertificate {
    /// The first certificate of a PEM file.
    ///
    /// # Errors
    /// Where the file cannot be read, or has none.
    pub fn from_file(path: &Path) -> io::Result<Self> {
        let read = CertificateDer::from_pem_file(path);
        read.map(Self).map_err(|error| io::Error::other(format!("{}: {error}", path.display())))
    }
}

impl Target {
    /// A server that speaks HTTP in the clear.
    #[must_use]
    pub fn plain(address: SocketAddr) -> Self {
        Self { address, tls: None }
    }

    /// A server that speaks HTTPS, with full handshakes only.
    ///
    /// # Panics
    /// Never, with the cryptography that this is built with.
    #[must_use]
    pub fn tls(address: SocketAddr, certificate: TrustedCertificate) -> Self {
        let provider = Arc::new(ring::default_provider());
        let verifier = OnlyThisOne { certificate: certificate.0, provider: Arc::clone(&provider) };
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("ring speaks both versions")
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth();
        config.resumption = Resumption::disabled();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Self { address, tls: Some(Arc::new(config)) }
    }

    /// What goes into the header `Host`.
    #[must_use]
    pub fn authority(&self) -> String {
        self.address.to_string()
    }

    pub(super) fn open(&self) -> io::Result<Wire> {
        let socket = TcpStream::connect_timeout(&self.address, CONNECT)?;
        socket.set_nodelay(true)?;
        socket.set_nonblocking(true)?;
        let Some(config) = &self.tls else { return Ok(Wire::Plain(socket)) };
        let name = ServerName::IpAddress(self.address.ip().into());
        let session = ClientConnection::new(Arc::clone(config), name).map_err(io::Error::other)?;
        Ok(Wire::Tls(socket, Box::new(session)))
    }
}

#[derive(Debug)]
struct OnlyThisOne {
    certificate: CertificateDer<'static>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for OnlyThisOne {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if *end_entity == self.certificate {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(CertificateError::ApplicationVerificationFailure.into())
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
