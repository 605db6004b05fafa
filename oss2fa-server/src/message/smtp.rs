//! Mail over SMTP (RFC 5321, RFC 6409): one conversation per mail within one time limit, connections reused.

mod compose;
mod connection;
mod line_stream;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lettre::Address;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, TlsParameters};
use oss2fa_core::random::Random;
use tokio::time::{Instant, timeout};

use super::not_sent::innermost;
use super::settings::{SettingError, SmtpSecurity, SmtpSettings, read_ca_file};
use super::{EmailAddress, Mail, NotSent};
use crate::outside::Clock;
use connection::{Connection, Fault, Peer, Protection, Step};

/// Connections kept for the next mail.
const KEPT: usize = 4;

/// How long a connection is kept. Mail servers wait 5 minutes (RFC 5321 section 4.5.3.2.7), firewalls less.
const KEPT_FOR: Duration = Duration::from_secs(60);

/// The mail server of the configuration.
pub(super) struct MailServer {
    peer: Peer,
    from: lettre::message::Mailbox,
    timeout: Duration,
    // A connection is in here only between two mails: one whose mail was given up in the middle is dropped
    // with it, so that no answer is ever taken for the answer to another mail.
    idle: Mutex<Vec<(Connection, Instant)>>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
}

impl MailServer {
    pub(super) fn new(
        settings: SmtpSettings,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Result<Self, SettingError> {
        let protection = match settings.security {
            SmtpSecurity::StartTls => Protection::StartTls(tls(&settings)?),
            SmtpSecurity::Tls => Protection::Tls(tls(&settings)?),
            SmtpSecurity::DangerPlain => Protection::DangerPlain,
        };
        let credentials =
            settings.login.map(|login| Credentials::new(login.username, login.password.expose().to_owned()));
        let from = settings.from.mailbox().clone();
        let peer = Peer {
            host: settings.host.as_str().to_owned(),
            port: settings.port,
            protection,
            credentials,
            hello: from.email.domain().to_owned(),
        };
        Ok(Self { peer, from, timeout: settings.timeout, idle: Mutex::default(), clock, random })
    }

    pub(super) async fn send(&self, mail: &Mail) -> Result<(), NotSent> {
        let message = compose::message(mail, &self.from, &*self.clock, &*self.random)
            .map_err(|why| NotSent::Refused { by: "this server".to_owned(), why })?;
        match timeout(self.timeout, self.converse(mail.to.address(), &message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(fault)) => Err(self.explain(fault, &mail.to)),
            Err(_) => Err(NotSent::TimedOut { by: self.name(), after: self.timeout, section: "[smtp]" }),
        }
    }

    async fn converse(&self, to: &Address, message: &[u8]) -> Result<(), Fault> {
        let mut connection = self.begin().await?;
        connection.recipient(to).await?;
        connection.content(message).await?;
        self.keep(connection);
        Ok(())
    }

    /// A connection that has taken the sender: a kept one if there is one that still answers.
    async fn begin(&self) -> Result<Connection, Fault> {
        if let Some(mut kept) = self.take()
            // A firewall that forgot the connection answers nothing: leave time for a new one.
            && let Ok(Ok(())) = timeout(self.timeout / 4, kept.sender(&self.from.email)).await
        {
            return Ok(kept);
        }
        let mut connection = Connection::open(&self.peer, self.timeout).await?;
        connection.sender(&self.from.email).await?;
        Ok(connection)
    }

    fn take(&self) -> Option<Connection> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|(_, since)| since.elapsed() < KEPT_FOR);
        idle.pop().map(|(connection, _)| connection)
    }

    fn keep(&self, connection: Connection) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < KEPT {
            idle.push((connection, Instant::now()));
        }
    }

    fn name(&self) -> String {
        format!("the mail server {}:{}", self.peer.host, self.peer.port)
    }

    fn explain(&self, fault: Fault, to: &EmailAddress) -> NotSent {
        let by = self.name();
        match fault {
            Fault::Answer { step: Step::Recipient, code, detail } if (500..600).contains(&code) => {
                let why = format!("it answered {code}{detail} to RCPT TO");
                NotSent::RejectedRecipient { by, to: to.masked(), why }
            }
            Fault::Answer { step, code, detail } => {
                NotSent::Refused { by, why: format!("it answered {code}{detail} to {step}") }
            }
            Fault::NoLogin => NotSent::Refused {
                by,
                why: "it offers no login by PLAIN or LOGIN, but `username` is set in [smtp]".to_owned(),
            },
            Fault::NoStartTls => NotSent::Unreachable {
                by,
                why:
                    "it offers no STARTTLS, and without it nothing is sent; if it speaks TLS from the first \
                      byte (often on port 465), set `security = \"tls\"` in [smtp]"
                        .to_owned(),
            },
            Fault::Tls(reason) => NotSent::Unreachable {
                by,
                why: format!(
                    "no trusted TLS: {reason}; if its certificate comes from an authority of your own, name \
                     that in `ca_file` in [smtp]"
                ),
            },
            Fault::Network(step, reason) => {
                NotSent::Unreachable { by, why: format!("the connection failed at {step}: {reason}") }
            }
            Fault::Garbled(step) => NotSent::Unreachable {
                by,
                why: format!("what it answered to {step} is not SMTP; look at `host`, `port` and `security`"),
            },
        }
    }
}

fn tls(settings: &SmtpSettings) -> Result<TlsParameters, SettingError> {
    const KEY: &str = "[smtp] ca_file";
    let unusable = |error: &lettre::transport::smtp::Error| {
        SettingError::new(KEY, format!("TLS cannot be set up: {}", innermost(error)))
    };
    let mut builder = TlsParameters::builder(settings.host.as_str().to_owned());
    if let Some(path) = &settings.ca_file {
        for certificate in read_ca_file(KEY, path)? {
            let certificate =
                Certificate::from_der(certificate.to_vec()).map_err(|error| unusable(&error))?;
            builder = builder.add_root_certificate(certificate);
        }
    }
    builder.build_rustls().map_err(|error| unusable(&error))
}
