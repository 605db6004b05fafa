//! Whose word is wanted for a key that is enrolled here: certificates of makers, in files that are root's.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use oss2fa_ctap::verify::{Anchor, Demand};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::{ConfigError, not_understood, owned_by_root};

/// Longest file of certificates, in bytes.
const LARGEST: u64 = 1024 * 1024;

/// Whether the maker of a key must vouch for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attestation {
    /// It need not.
    None,
    /// By a certificate that is one of those at this path, or is signed by one of them.
    Required(PathBuf),
}

impl Attestation {
    /// What is demanded of a key, by the files as they are now.
    ///
    /// # Errors
    /// A [`ConfigError`]: a file that cannot be read, is not root's alone, or has no certificate.
    pub fn demand(&self) -> Result<Demand, ConfigError> {
        match self {
            Self::None => Ok(Demand::Nothing),
            Self::Required(path) => anchors(path).map(Demand::Anchored),
        }
    }
}

fn anchors(path: &Path) -> Result<Vec<Anchor>, ConfigError> {
    let read = |source| ConfigError::Read { path: path.to_owned(), source };
    let mut found = Vec::new();
    if fs::metadata(path).map_err(read)?.is_dir() {
        let mut files = Vec::new();
        for entry in fs::read_dir(path).map_err(read)? {
            let file = entry.map_err(read)?.path();
            let is_certificate = |ending: &str| file.extension().is_some_and(|its| its == ending);
            if is_certificate("pem") || is_certificate("crt") {
                files.push(file);
            }
        }
        files.sort();
        for file in files {
            found.extend(in_file(&file)?);
        }
    } else {
        found = in_file(path)?;
    }
    if found.is_empty() {
        return Err(not_understood(path, "there is no certificate in it, in PEM".to_owned()));
    }
    Ok(found)
}

fn in_file(path: &Path) -> Result<Vec<Anchor>, ConfigError> {
    let read = |source| ConfigError::Read { path: path.to_owned(), source };
    let file = File::open(path).map_err(read)?;
    owned_by_root(path, &file)?;
    let mut text = Vec::new();
    file.take(LARGEST + 1).read_to_end(&mut text).map_err(read)?;
    if text.len() as u64 > LARGEST {
        return Err(not_understood(path, format!("it is longer than {LARGEST} bytes")));
    }
    let mut anchors = Vec::new();
    for certificate in CertificateDer::pem_slice_iter(&text) {
        let certificate = certificate.map_err(|error| not_understood(path, error.to_string()))?;
        let anchor = Anchor::from_der(&certificate)
            .map_err(|_| not_understood(path, "one of its certificates cannot be read".to_owned()))?;
        anchors.push(anchor);
    }
    Ok(anchors)
}
