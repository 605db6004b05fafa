//! TLS towards the server: always verified, by exactly one kind of trust.

use std::path::Path;
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use super::pin::Pin;
use crate::config::Trust;

/// The settings of every connection to the server.
///
/// # Errors
/// What is wrong with the authorities, and with which file.
pub fn settings(trust: &Trust) -> Result<ClientConfig, String> {
    settings_of(trust, "[server]")
}

/// The same for another section of the configuration.
///
/// # Errors
/// As [`settings`].
pub fn settings_of(trust: &Trust, section: &str) -> Result<ClientConfig, String> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS cannot be set up: {error}"))?;
    let mut config = match trust {
        Trust::System => builder.with_root_certificates(system(section)?).with_no_client_auth(),
        Trust::Authorities(path) => {
            builder.with_root_certificates(of_file(path, section)?).with_no_client_auth()
        }
        Trust::Pinned(digest) => pinned(builder, *digest, provider),
    };
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// Settings for what is never encrypted: no certificate would be believed.
///
/// # Errors
/// What TLS lacks.
pub fn trusting_nobody() -> Result<ClientConfig, String> {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS cannot be set up: {error}"))?;
    Ok(builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth())
}

fn pinned(
    builder: rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>,
    digest: [u8; 32],
    provider: Arc<CryptoProvider>,
) -> ClientConfig {
    builder
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Pin::new(digest, provider)))
        .with_no_client_auth()
}

fn system(section: &str) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        let or_pinned = if section == "[server]" { " or pinned_certificate" } else { "" };
        return Err(format!(
            "this host has no authorities, so no server can be verified: install ca-certificates, or name \
             {section} ca_file{or_pinned}"
        ));
    }
    Ok(roots)
}

fn of_file(path: &Path, section: &str) -> Result<RootCertStore, String> {
    let refused = |problem: String| format!("{section} ca_file: {} {problem}", path.display());
    let found = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| refused(format!("cannot be read: {error}")))?;
    let mut roots = RootCertStore::empty();
    for certificate in found {
        roots.add(certificate).map_err(|error| refused(format!("has a certificate of no use: {error}")))?;
    }
    if roots.is_empty() {
        return Err(refused("holds no certificate in PEM form".to_owned()));
    }
    Ok(roots)
}
