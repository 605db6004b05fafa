//! `[smtp]`: how codes go out by mail.

use std::path::PathBuf;
use std::time::Duration;

use lettre::message::Mailbox;
use oss2fa_core::secret::SecretText;
use rustls::pki_types::ServerName;

use super::host_name::is_loopback;
use super::password_file::PasswordFile;
use super::place::Place;
use super::{ConfigError, raw};

/// `[smtp]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SmtpConfig {
    /// The mail server: a name of the DNS, or an address without brackets.
    pub host: String,
    /// Its port; never 0.
    pub port: u16,
    /// How the connection is protected.
    pub security: SmtpSecurity,
    /// How the server logs in, if the mail server asks for it.
    pub login: Option<SmtpLogin>,
    /// The sender.
    pub from: Mailbox,
    /// The subject; without line ends.
    pub subject: String,
    /// For the whole of one message.
    pub timeout: Duration,
    /// Certificates (PEM) that are trusted besides the system's.
    pub ca_file: Option<PathBuf>,
}

/// How the connection to the mail server is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SmtpSecurity {
    /// STARTTLS (RFC 3207), and nothing is sent without it.
    StartTls,
    /// TLS from the first byte (RFC 8314).
    Tls,
    /// None: codes can be read on the way.
    DangerPlain,
}

impl SmtpSecurity {
    /// As the configuration spells it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::StartTls => "starttls",
            Self::Tls => "tls",
            Self::DangerPlain => "danger_plain",
        }
    }

    fn usual_port(self) -> i64 {
        match self {
            Self::StartTls => 587,
            Self::Tls => 465,
            Self::DangerPlain => 25,
        }
    }
}

/// Name and password for the mail server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SmtpLogin {
    /// The name.
    pub username: String,
    /// Where the password is.
    pub password: PasswordFile,
}

impl SmtpConfig {
    /// The password, read now; `None` where the mail server asks for none.
    ///
    /// # Errors
    /// As [`PasswordFile::read`].
    pub fn read_password(&self) -> Result<Option<SecretText>, ConfigError> {
        self.login.as_ref().map(|login| login.password.read()).transpose()
    }
}

pub(super) fn smtp(at: &Place<'_>, smtp: raw::Smtp) -> Result<SmtpConfig, ConfigError> {
    // What a certificate can name.
    if ServerName::try_from(smtp.host.as_str()).is_err() {
        return at.refuse(
            "[smtp] host",
            format!("{:?}", smtp.host),
            "a name such as \"mail.example.org\" or an address, without port",
        );
    }
    let securities = [SmtpSecurity::StartTls, SmtpSecurity::Tls, SmtpSecurity::DangerPlain];
    let security = at.choice("[smtp] security", &smtp.security, &securities.map(|one| (one.name(), one)))?;
    let port = at.whole("[smtp] port", smtp.port.unwrap_or(security.usual_port()), 1, 65_535)?;
    let login = login(at, smtp.username, smtp.password_file)?;
    if let Some(login) = &login
        && security == SmtpSecurity::DangerPlain
        && !is_loopback(&smtp.host)
    {
        return at.refuse(
            "[smtp] username",
            format!("{:?} with security = \"danger_plain\"", login.username),
            "a login over \"starttls\" or \"tls\" only, unless host is this machine: anybody on the way could read the password",
        );
    }
    let sender = smtp.from.parse().ok().filter(|from: &Mailbox| {
        !smtp.from.contains(char::is_control) && AsRef::<str>::as_ref(&from.email).is_ascii()
    });
    let Some(from) = sender else {
        return at.refuse(
            "[smtp] from",
            format!("{:?}", smtp.from),
            "an address such as \"codes@example.org\" or \"Example <codes@example.org>\"",
        );
    };
    if smtp.subject.trim().is_empty()
        || smtp.subject.chars().count() > 200
        || smtp.subject.contains(char::is_control)
    {
        return at.refuse("[smtp] subject", format!("{:?}", smtp.subject), "one line of 1 to 200 characters");
    }
    Ok(SmtpConfig {
        host: smtp.host,
        port,
        security,
        login,
        from,
        subject: smtp.subject,
        timeout: at.seconds("[smtp] timeout", smtp.timeout, 1, 60)?,
        ca_file: at.optional_absolute("[smtp] ca_file", smtp.ca_file)?,
    })
}

fn login(
    at: &Place<'_>,
    username: Option<String>,
    file: Option<PathBuf>,
) -> Result<Option<SmtpLogin>, ConfigError> {
    const FILE: &str = "[smtp] password_file";
    match (username, at.optional_absolute(FILE, file)?) {
        (None, None) => Ok(None),
        (Some(name), _) if name.is_empty() || name.contains(char::is_control) => {
            at.refuse("[smtp] username", format!("{name:?}"), "a name without control characters")
        }
        (Some(username), Some(path)) => {
            Ok(Some(SmtpLogin { username, password: PasswordFile::new(path, FILE) }))
        }
        (Some(_), None) => at.refuse(FILE, "(nothing)", "the file with the password of username"),
        (None, Some(_)) => {
            at.refuse("[smtp] username", "(nothing)", "the name that the password in password_file is for")
        }
    }
}
