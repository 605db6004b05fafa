//! How messages are sent, in types that cannot hold nonsense: what [smtp] and [sms] become.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use lettre::message::Mailbox;
use oss2fa_core::secret::SecretText;
use reqwest::StatusCode;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use thiserror::Error;

use super::EmailAddress;
pub use super::sms::template::{SmsRequest, SmsTemplate};

/// A setting that cannot be used: which, and what is allowed instead. The value of a header or a password
/// is never in it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{key}: {problem}")]
pub struct SettingError {
    /// The key as it stands in the file, its section in front: `[sms] url`.
    pub key: &'static str,
    /// What is wrong, and what is allowed.
    pub problem: String,
}

impl SettingError {
    pub(super) fn new(key: &'static str, problem: impl Into<String>) -> Self {
        Self { key, problem: problem.into() }
    }
}

/// How the conversation with the mail server is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SmtpSecurity {
    /// STARTTLS (RFC 3207), demanded: without it nothing is sent, neither password nor mail.
    StartTls,
    /// TLS from the first byte (RFC 8314 section 3).
    Tls,
    /// None: everybody on the way reads the codes, and the password. For a relay on the same machine.
    DangerPlain,
}

/// The mail server: a host name or an address, as a certificate can name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailHost(String);

impl MailHost {
    /// Reads a host name or an IP address; a port or a scheme is not part of it.
    ///
    /// # Errors
    /// [`SettingError`] for `[smtp] host`.
    pub fn parse(text: &str) -> Result<Self, SettingError> {
        match ServerName::try_from(text) {
            Ok(_) => Ok(Self(text.to_owned())),
            Err(_) => Err(SettingError::new("[smtp] host", "a host name or an address, without a port")),
        }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Who mails come from: an address, with or without a name in front.
#[derive(Clone, PartialEq, Eq)]
pub struct Sender(Mailbox);

impl Sender {
    /// Reads `noreply@example.org` or `Example <noreply@example.org>`.
    ///
    /// # Errors
    /// [`SettingError`] for `[smtp] from`.
    pub fn parse(text: &str) -> Result<Self, SettingError> {
        // The parser takes a folded line for one line.
        if text.chars().any(char::is_control) {
            return Err(Self::refused());
        }
        text.trim().parse().map_err(|_| Self::refused()).and_then(Self::new)
    }

    /// Takes a name and an address that were read elsewhere.
    ///
    /// # Errors
    /// As [`Sender::parse`].
    pub fn new(mailbox: Mailbox) -> Result<Self, SettingError> {
        let address = EmailAddress::parse(mailbox.email.as_ref()).map_err(|_| Self::refused())?;
        if mailbox.name.as_ref().is_some_and(|name| name.chars().any(char::is_control)) {
            return Err(Self::refused());
        }
        Ok(Self(Mailbox::new(mailbox.name, address.address().clone())))
    }

    fn refused() -> SettingError {
        SettingError::new("[smtp] from", "an address such as \"Example <noreply@example.org>\", on one line")
    }

    pub(super) fn mailbox(&self) -> &Mailbox {
        &self.0
    }
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sender({})", self.0)
    }
}

/// Who the server is to the mail server.
#[derive(Debug, Clone)]
pub struct SmtpLogin {
    /// The user's name.
    pub username: String,
    /// The password.
    pub password: SecretText,
}

/// The section [smtp].
#[derive(Debug, Clone)]
pub struct SmtpSettings {
    /// The mail server.
    pub host: MailHost,
    /// Its port.
    pub port: u16,
    /// How the conversation is protected.
    pub security: SmtpSecurity,
    /// Without it the server sends without a login.
    pub login: Option<SmtpLogin>,
    /// Who mails come from.
    pub from: Sender,
    /// How long one mail may take, the connection and all.
    pub timeout: Duration,
    /// PEM certificates that are trusted beside the system's.
    pub ca_file: Option<PathBuf>,
}

/// The section [sms].
#[derive(Debug, Clone)]
pub struct SmsSettings {
    /// What is asked of the gateway.
    pub request: SmsRequest,
    /// What stands for `{secret}`.
    pub secret: Option<SecretText>,
    /// The statuses that mean "taken".
    pub success_status: Vec<StatusCode>,
    /// What the answer's body must contain; empty demands nothing.
    pub success_body: String,
    /// How long one message may take, the connection and all.
    pub timeout: Duration,
    /// PEM certificates that are trusted beside the system's.
    pub ca_file: Option<PathBuf>,
}

/// Reads `[sms] success_status`: a redirection or an error cannot mean success.
///
/// # Errors
/// [`SettingError`] for an empty list and for numbers outside 200 to 299.
pub fn success_statuses(numbers: &[u16]) -> Result<Vec<StatusCode>, SettingError> {
    let refused = || SettingError::new("[sms] success_status", "at least one status, each from 200 to 299");
    if numbers.is_empty() {
        return Err(refused());
    }
    numbers
        .iter()
        .map(|number| StatusCode::from_u16(*number).ok().filter(StatusCode::is_success).ok_or_else(refused))
        .collect()
}

/// The certificates of a `ca_file`: at least one.
pub(super) fn read_ca_file(
    key: &'static str,
    path: &Path,
) -> Result<Vec<CertificateDer<'static>>, SettingError> {
    let refused = |problem: &str| SettingError::new(key, format!("{} {problem}", path.display()));
    let pem = std::fs::read(path).map_err(|error| refused(&format!("cannot be read: {error}")))?;
    let certificates = CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>();
    match certificates {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err(refused("holds no certificate in PEM form")),
    }
}
