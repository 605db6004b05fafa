//! The certificate that the server makes for itself, so that it never starts without TLS.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, SanType,
};
use rustls::pki_types::ServerName;
use sha2::{Digest, Sha256};
use time::{Duration, OffsetDateTime};
use zeroize::Zeroizing;

use super::certificate::PairFiles;
use super::error::ListenError;

/// How long the certificate lasts. Several systems trust no server certificate that lasts longer.
const LIFETIME: Duration = Duration::days(825);

/// A client whose clock is behind by less than this accepts a certificate that was just made.
const SKEW: Duration = Duration::days(1);

/// The pair `tls.crt` and `tls.key` in `folder`, made when neither is there: ECDSA on P-256, for `localhost`,
/// `127.0.0.1`, `::1` and `host` (a DNS name or an address; left out when it is neither).
///
/// # Errors
/// [`ListenError::HalfPair`] where one of the two is gone, [`ListenError::File`] where they cannot be made.
pub fn pair(folder: &Path, host: &str, now: OffsetDateTime) -> Result<PairFiles, ListenError> {
    let files = PairFiles { certificate: folder.join("tls.crt"), key: folder.join("tls.key") };
    match (there(&files.certificate)?, there(&files.key)?) {
        (true, true) => {}
        (false, false) => make(&files, host, now)?,
        // A first start that was cut short between its two renames.
        (false, true) if there(&beside(&files.certificate))? => {
            put_in_place(&files.certificate).map_err(|error| cannot_make(&files.certificate, error))?;
        }
        (true, false) => {
            return Err(ListenError::HalfPair { present: files.certificate, missing: files.key });
        }
        (false, true) => {
            return Err(ListenError::HalfPair { present: files.key, missing: files.certificate });
        }
    }
    Ok(files)
}

fn make(files: &PairFiles, host: &str, now: OffsetDateTime) -> Result<(), ListenError> {
    let cannot = |error: rcgen::Error| cannot_make(&files.certificate, error);
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(cannot)?;
    let certificate = parameters(host, now).map_err(cannot)?.self_signed(&key).map_err(cannot)?;
    let secret = Zeroizing::new(key.serialize_pem());
    write(&files.key, 0o600, secret.as_bytes()).map_err(|error| cannot_make(&files.key, error))?;
    write(&files.certificate, 0o644, certificate.pem().as_bytes())
        .map_err(|error| cannot_make(&files.certificate, error))?;
    // The certificate last: where it stands under its name, the key does too.
    put_in_place(&files.key).map_err(|error| cannot_make(&files.key, error))?;
    put_in_place(&files.certificate).map_err(|error| cannot_make(&files.certificate, error))?;
    let digest = HEXLOWER.encode(&Sha256::digest(certificate.der()));
    tracing::info!(
        code = "tls_made",
        certificate = %files.certificate.display(),
        sha256 = digest,
        "a certificate was made: clients must be given it, or hosts its SHA-256 as pinned_certificate"
    );
    Ok(())
}

fn parameters(host: &str, now: OffsetDateTime) -> Result<CertificateParams, rcgen::Error> {
    let mut names = vec![
        SanType::DnsName("localhost".try_into()?),
        SanType::IpAddress(Ipv4Addr::LOCALHOST.into()),
        SanType::IpAddress(Ipv6Addr::LOCALHOST.into()),
    ];
    // Some clients refuse a certificate that holds a malformed name, whatever they look for in it.
    let own = match ServerName::try_from(host) {
        Ok(ServerName::DnsName(name)) => Some(SanType::DnsName(name.as_ref().try_into()?)),
        Ok(ServerName::IpAddress(address)) => Some(SanType::IpAddress(IpAddr::from(address))),
        _ => None,
    };
    names.extend(own.filter(|own| !names.contains(own)));

    let mut parameters = CertificateParams::default();
    parameters.not_before = now - SKEW;
    // RFC 5280 section 4.1.2.5: the last second belongs to the time.
    parameters.not_after = parameters.not_before + LIFETIME - Duration::SECOND;
    parameters.subject_alt_names = names;
    parameters.distinguished_name = DistinguishedName::new();
    parameters.distinguished_name.push(DnType::CommonName, "OSS2FA server, self-signed");
    parameters.is_ca = IsCa::ExplicitNoCa;
    parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    Ok(parameters)
}

fn there(path: &Path) -> Result<bool, ListenError> {
    // A symlink that leads nowhere counts: it is not ours to replace.
    match path.symlink_metadata() {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => {
            Err(ListenError::File { path: path.to_owned(), what: format!("it cannot be looked at: {error}") })
        }
    }
}

fn write(path: &Path, mode: u32, bytes: &[u8]) -> io::Result<()> {
    let fresh = beside(path);
    // What a start left behind that did not come to its end.
    match fs::remove_file(&fresh) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&fresh)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn put_in_place(path: &Path) -> io::Result<()> {
    fs::rename(beside(path), path)?;
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    PathBuf::from(name)
}

fn cannot_make(path: &Path, error: impl std::fmt::Display) -> ListenError {
    ListenError::File {
        path: path.to_owned(),
        what: format!(
            "the server's own certificate cannot be made: {error}. The data directory must be there and belong \
             to the server's user; or name a pair of yours under [tls] in server.toml"
        ),
    }
}
