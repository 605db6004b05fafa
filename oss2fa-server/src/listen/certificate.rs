//! The certificate in force: loaded from two files, and replaced when they change.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use nix::fcntl::OFlag;
use nix::unistd::geteuid;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval};
use zeroize::Zeroizing;

use super::error::ListenError;
use super::expiry::{Ending, Origin, Validity};
use crate::outside::Timestamp;

/// How often the files are looked at.
pub const LOOK_EVERY: Duration = Duration::from_secs(5);

/// More than any chain of certificates holds.
const LARGEST_FILE: u64 = 1024 * 1024;

/// Where a certificate chain and its key lie, both PEM (RFC 7468). Symlinks are followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PairFiles {
    /// The chain, the server's own certificate first.
    pub certificate: PathBuf,
    /// The private key: PKCS #8, PKCS #1 or SEC 1.
    pub key: PathBuf,
}

/// Gives each handshake the certificate in force.
pub struct CertificateResolver {
    files: PairFiles,
    provider: Arc<CryptoProvider>,
    current: RwLock<Arc<CertifiedKey>>,
    seen: Mutex<Seen>,
}

/// What the files were like when they were last loaded, or when that failed.
struct Seen {
    stamp: Stamp,
    failure: Failure,
}

#[derive(PartialEq, Eq)]
enum Failure {
    None,
    /// Perhaps met half-way through a renewal that writes one file after the other.
    Fresh,
    Reported,
}

type Stamp = [Option<FileStamp>; 2];

/// Differs when a file was written, replaced, or (the time of change) when its mode was mended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FileStamp {
    device: u64,
    inode: u64,
    size: u64,
    written: (i64, i64),
    changed: (i64, i64),
}

impl CertificateResolver {
    /// Loads the pair.
    ///
    /// # Errors
    /// [`ListenError`] for a pair that cannot be served: not there, not PEM, a key of another certificate, or a
    /// key that others can read. Group and others may not; a key that belongs to root may be read by its group.
    pub fn open(files: PairFiles, provider: Arc<CryptoProvider>) -> Result<Self, ListenError> {
        let stamp = stamp(&files);
        let current = load(&files, &provider)?;
        tell_end(&current);
        Ok(Self {
            files,
            provider,
            current: RwLock::new(Arc::new(current)),
            seen: Mutex::new(Seen { stamp, failure: Failure::None }),
        })
    }

    /// Loads the pair again, changed or not. New handshakes get the new one; connections go on as they are.
    ///
    /// # Errors
    /// As [`CertificateResolver::open`]; the old pair stays in force.
    pub fn reload(&self) -> Result<(), ListenError> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.stamp = stamp(&self.files);
        let loaded = self.replace();
        seen.failure = if loaded.is_ok() { Failure::None } else { Failure::Reported };
        loaded
    }

    /// Reloads when the files change (looked at each `period`, [`LOOK_EVERY`] in the server) and on SIGHUP.
    /// Never ends; drop it to stop. A pair that cannot be loaded is logged once, as an error with a `code`.
    pub async fn watch(self: Arc<Self>, period: Duration) {
        let mut ticks = interval(period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut hangups = signal(SignalKind::hangup())
            .inspect_err(
                |error| tracing::error!(code = "tls_signal", %error, "SIGHUP reloads no certificate"),
            )
            .ok();
        loop {
            let hangup = async {
                match &mut hangups {
                    Some(hangups) => hangups.recv().await,
                    None => std::future::pending().await,
                }
            };
            let ask: fn(&Self) = tokio::select! {
                _ = ticks.tick() => Self::reload_if_changed,
                _ = hangup => Self::reload_and_log,
            };
            let resolver = Arc::clone(&self);
            // The files may lie on a disk that hangs.
            let _ = tokio::task::spawn_blocking(move || ask(&resolver)).await;
        }
    }

    /// What is to be said of the end of the certificate in force; nothing while it lasts.
    #[must_use]
    pub fn ending(&self, origin: Origin, now: Timestamp) -> Option<Ending> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        Validity::of(current.cert.first()?)?.ending(&self.files.certificate, origin, now)
    }

    fn reload_and_log(&self) {
        match self.reload() {
            Ok(()) => self.log_success(),
            Err(error) => log_failure(&error),
        }
    }

    fn reload_if_changed(&self) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let now = stamp(&self.files);
        if now == seen.stamp && seen.failure != Failure::Fresh {
            return;
        }
        let again = now == seen.stamp;
        seen.stamp = now;
        match self.replace() {
            Ok(()) => {
                seen.failure = Failure::None;
                self.log_success();
            }
            Err(error) if again => {
                seen.failure = Failure::Reported;
                log_failure(&error);
            }
            Err(_) => seen.failure = Failure::Fresh,
        }
    }

    fn replace(&self) -> Result<(), ListenError> {
        let fresh = Arc::new(load(&self.files, &self.provider)?);
        tell_end(&fresh);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }

    fn log_success(&self) {
        tracing::info!(certificate = %self.files.certificate.display(), "the TLS certificate was loaded again");
    }
}

/// For whoever wants to hear of the end before a log says so.
fn tell_end(key: &CertifiedKey) {
    if let Some(validity) = key.cert.first().and_then(Validity::of) {
        metrics::gauge!("oss2fa_certificate_end_timestamp_seconds").set(validity.until_seconds());
    }
}

fn log_failure(error: &ListenError) {
    tracing::error!(
        code = "tls_reload",
        reason = error.code(),
        %error,
        "the new TLS certificate cannot be used: the old one stays in force"
    );
}

impl ResolvesServerCert for CertificateResolver {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

impl std::fmt::Debug for CertificateResolver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CertificateResolver").field("files", &self.files).finish_non_exhaustive()
    }
}

fn load(files: &PairFiles, provider: &CryptoProvider) -> Result<CertifiedKey, ListenError> {
    let refuse = |path: &Path, what: String| {
        Err(ListenError::File { path: path.to_owned(), what: format!("it {what}") })
    };
    let (key, meta) = open(&files.key)?;
    // A key of root's for a group is how distributions share one among several services.
    let others = if meta.uid() == 0 { 0o037 } else { 0o077 };
    if meta.mode() & others != 0 {
        // One of root's, and closed to its group, could not be read by a server that is not root.
        let cure = if meta.uid() == 0 && !geteuid().is_root() { 0o640 } else { 0o600 };
        return Err(ListenError::KeyExposed { path: files.key.clone(), mode: meta.mode() & 0o7777, cure });
    }
    let key = PrivateKeyDer::from_pem_slice(&read(key, &files.key)?);
    let Ok(key) = key else {
        return refuse(&files.key, "holds no private key in PEM that is without a password".to_owned());
    };
    let (certificate, _) = open(&files.certificate)?;
    let text = read(certificate, &files.certificate)?;
    let chain: Vec<_> = match CertificateDer::pem_slice_iter(&text).collect() {
        Ok(chain) => chain,
        Err(error) => return refuse(&files.certificate, format!("is not well-formed PEM: {error}")),
    };
    if chain.is_empty() {
        return refuse(&files.certificate, "holds no certificate in PEM".to_owned());
    }
    CertifiedKey::from_der(chain, key, provider).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => {
            ListenError::Mismatch { certificate: files.certificate.clone(), key: files.key.clone() }
        }
        rustls::Error::InvalidCertificate(_) => ListenError::File {
            path: files.certificate.clone(),
            what: format!("its first certificate cannot be used: {error}"),
        },
        error => {
            ListenError::File { path: files.key.clone(), what: format!("the key cannot be used: {error}") }
        }
    })
}

fn open(path: &Path) -> Result<(File, fs::Metadata), ListenError> {
    let refuse = |what: String| ListenError::File { path: path.to_owned(), what };
    // Without O_NONBLOCK a pipe in its place would hold the server up.
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(OFlag::O_NONBLOCK.bits())
        .open(path)
        .map_err(|error| refuse(format!("it cannot be opened: {error}. {}", advice(&error))))?;
    let meta = file.metadata().map_err(|error| refuse(format!("it cannot be looked at: {error}")))?;
    if !meta.is_file() {
        return Err(refuse("it is not a regular file".to_owned()));
    }
    Ok((file, meta))
}

fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::NotFound => {
            "Put it there, or set certificate and key under [tls] in server.toml to where they lie"
        }
        _ => "The server's user must be able to read it and to pass through the folders above it",
    }
}

fn read(file: File, path: &Path) -> Result<Zeroizing<Vec<u8>>, ListenError> {
    let length = file.metadata().map_or(0, |meta| meta.len()).min(LARGEST_FILE);
    // Never grows, so that no part of a key stays behind in freed memory.
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(length).unwrap_or(0) + 1));
    file.take(length).read_to_end(&mut bytes).map_err(|error| ListenError::File {
        path: path.to_owned(),
        what: format!("it cannot be read: {error}"),
    })?;
    Ok(bytes)
}

fn stamp(files: &PairFiles) -> Stamp {
    [&files.certificate, &files.key].map(|path| {
        let meta = fs::metadata(path).ok()?;
        Some(FileStamp {
            device: meta.dev(),
            inode: meta.ino(),
            size: meta.size(),
            written: (meta.mtime(), meta.mtime_nsec()),
            changed: (meta.ctime(), meta.ctime_nsec()),
        })
    })
}
