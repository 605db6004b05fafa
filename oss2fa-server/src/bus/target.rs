//! Where the broker is, and whom it must be vouched for by.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use lapin::tcp::RustlsConnector;
use lapin::uri::{AMQPScheme, AMQPUri};
use reqwest::Url;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use crate::config::BusConfig;

/// The broker, as `bus_url` and `bus_ca_file` say.
#[derive(Clone)]
pub struct Target {
    /// With the password.
    pub(super) uri: AMQPUri,
    /// How TLS is spoken; `None`: it is not.
    pub(super) tls: Option<RustlsConnector>,
}

/// Why there can be no connection, whatever the broker does.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// The URL is none.
    #[error("[ungleich_otp] bus_url is no URL of a broker")]
    Url,
    /// The file with the authorities is of no use.
    #[error("[ungleich_otp] bus_ca_file: {} {problem}", path.display())]
    Authorities {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// TLS cannot be set up.
    #[error("TLS towards the broker cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
}

impl Target {
    /// As the configuration says. Reads the file with the authorities.
    ///
    /// # Errors
    /// [`TargetError`]. None of them shows anything of the URL.
    pub fn new(config: &BusConfig) -> Result<Self, TargetError> {
        let uri = uri(config.url.expose()).ok_or(TargetError::Url)?;
        let tls = match uri.scheme {
            AMQPScheme::AMQP => None,
            AMQPScheme::AMQPS => Some(connector(config.ca_file.as_deref())?),
        };
        Ok(Self { uri, tls })
    }
}

fn uri(text: &str) -> Option<AMQPUri> {
    let mut uri: AMQPUri = text.parse().ok()?;
    let url = Url::parse(text).ok()?;
    // The library takes "localhost" where the host is an IPv6 address.
    uri.authority.host = url.host_str()?.trim_matches(['[', ']']).to_owned();
    if uri.vhost.is_empty() {
        // As nameko has it: "amqp://host/" is the default virtual host and not the one without a name.
        uri.vhost = "/".to_owned();
    }
    Some(uri)
}

/// Verifies the broker against the authorities of a file and no others, or against those of the system.
fn connector(authorities: Option<&Path>) -> Result<RustlsConnector, TargetError> {
    let mut roots = RootCertStore::empty();
    match authorities {
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
        Some(path) => {
            let refused = |problem: String| TargetError::Authorities { path: path.to_owned(), problem };
            let found = CertificateDer::pem_file_iter(path)
                .and_then(Iterator::collect::<Result<Vec<_>, _>>)
                .map_err(|error| refused(format!("cannot be read: {error}")))?;
            for certificate in found {
                roots
                    .add(certificate)
                    .map_err(|error| refused(format!("has a certificate of no use: {error}")))?;
            }
            if roots.is_empty() {
                return Err(refused("holds no certificate in PEM form".to_owned()));
            }
        }
    }
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(RustlsConnector::from(Arc::new(config)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_mean_what_they_mean_to_nameko() {
        let cases = [
            ("amqp://u:p@h", "h", 5672, "/"),
            ("amqp://u:p@h/", "h", 5672, "/"),
            ("amqp://u:p@h//", "h", 5672, "/"),
            ("amqp://u:p@h/%2F", "h", 5672, "/"),
            ("amqp://u:p@127.0.0.1:99/v", "127.0.0.1", 99, "v"),
            ("amqps://u:p@[::1]/v%20w", "::1", 5671, "v w"),
        ];
        for (text, host, port, vhost) in cases {
            let uri = uri(text).unwrap();
            assert_eq!(
                (&*uri.authority.host, uri.authority.port, &*uri.vhost),
                (host, port, vhost),
                "{text}"
            );
        }
        assert_eq!(uri("amqp://u%40x:p%2Fq@h").unwrap().authority.userinfo.password, "p/q");
        assert!(uri("amqp://").is_none() && uri("no url").is_none());
    }
}
