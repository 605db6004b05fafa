//! TLS towards PostgreSQL: used where the URL says so (`sslmode`), certificate and name verified always.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::error::StoreError;

/// Verifies the server against the authorities of a file and no others, or against those of the system.
pub(super) fn connector(authorities: Option<&Path>) -> Result<MakeRustlsConnect, StoreError> {
    let mut roots = RootCertStore::empty();
    match authorities {
        Some(path) => {
            let refused = |what: String| StoreError::File { path: path.to_owned(), what };
            let found = CertificateDer::pem_file_iter(path)
                .and_then(Iterator::collect::<Result<Vec<_>, _>>)
                .map_err(|error| refused(format!("store_ca_file cannot be read: {error}")))?;
            for certificate in found {
                roots.add(certificate).map_err(|error| {
                    refused(format!("store_ca_file has a certificate of no use: {error}"))
                })?;
            }
            if roots.is_empty() {
                return Err(refused("store_ca_file has no certificate: it must be PEM".to_owned()));
            }
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| StoreError::Database(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}
