//! One connection to the mail server, step by step, so that a refusal can be told from a fault.
//!
//! Not lettre's own transport: that has no time limit on answers, keeps connections whose mail was given up in
//! the middle, and does not say which step was refused.

use std::error::Error as _;
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt;
use lettre::Address;
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::ClientId;
use lettre::transport::smtp::response::Response;
use tokio::net::TcpStream;

use super::super::not_sent::innermost;
use super::line_stream::LineStream;

/// Where the mail server is and how it is spoken to.
pub(super) struct Peer {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) protection: Protection,
    pub(super) credentials: Option<Credentials>,
    /// What EHLO says this server is called.
    pub(super) hello: String,
}

/// How the conversation is protected.
pub(super) enum Protection {
    StartTls(TlsParameters),
    Tls(TlsParameters),
    DangerPlain,
}

/// The steps of a conversation, as an operator finds them in the mail server's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Connect,
    StartTls,
    Login,
    Sender,
    Recipient,
    Content,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connect => "the greeting",
            Self::StartTls => "STARTTLS",
            Self::Login => "AUTH: look at `username` and `password_file` in [smtp]",
            Self::Sender => "MAIL FROM: may this server send as the address in `from`?",
            Self::Recipient => "RCPT TO",
            Self::Content => "DATA",
        })
    }
}

/// What went wrong. The words of the mail server are not in it: they like to repeat addresses.
pub(super) enum Fault {
    /// A refusal: reply code, and the enhanced status code of RFC 3463 with a blank in front, if it gave one.
    Answer {
        step: Step,
        code: u16,
        detail: String,
    },
    NoStartTls,
    NoLogin,
    Tls(String),
    Network(Step, String),
    Garbled(Step),
}

/// A connection that may be asked to take a mail.
pub(super) struct Connection(AsyncSmtpConnection);

impl Connection {
    pub(super) async fn open(peer: &Peer, limit: Duration) -> Result<Self, Fault> {
        // lettre 0.11.23 panics where the answer to EHLO has a line of blanks. Nothing of it is kept.
        let opened = AssertUnwindSafe(Self::opened(peer, limit)).catch_unwind();
        opened.await.unwrap_or(Err(Fault::Garbled(Step::Connect)))
    }

    async fn opened(peer: &Peer, limit: Duration) -> Result<Self, Fault> {
        let hello = ClientId::Domain(peer.hello.clone());
        let mut connection = match &peer.protection {
            Protection::Tls(tls) => {
                let address = (peer.host.as_str(), peer.port);
                AsyncSmtpConnection::connect_tokio1(address, Some(limit), &hello, Some(tls.clone()), None)
                    .await
                    .map_err(|error| fault(Step::Connect, &error))?
            }
            Protection::StartTls(tls) => {
                let mut connection = plain(peer, &hello).await?;
                if !connection.can_starttls() {
                    return Err(Fault::NoStartTls);
                }
                connection
                    .starttls(tls.clone(), &hello)
                    .await
                    .map_err(|error| fault(Step::StartTls, &error))?;
                connection
            }
            Protection::DangerPlain => plain(peer, &hello).await?,
        };
        if let Some(credentials) = &peer.credentials {
            login(&mut connection, credentials).await?;
        }
        Ok(Self(connection))
    }

    /// Begins a mail.
    pub(super) async fn sender(&mut self, from: &Address) -> Result<(), Fault> {
        let command = Mail::new(Some(from.clone()), Vec::new());
        expect(Step::Sender, 200, self.0.command(command).await)
    }

    /// Names the recipient.
    pub(super) async fn recipient(&mut self, to: &Address) -> Result<(), Fault> {
        expect(Step::Recipient, 200, self.0.command(Rcpt::new(to.clone(), Vec::new())).await)
    }

    /// Hands the message over; with `Ok` the mail server is answerable for it (RFC 5321 section 6.1).
    pub(super) async fn content(&mut self, message: &[u8]) -> Result<(), Fault> {
        expect(Step::Content, 300, self.0.command(Data).await)?;
        expect(Step::Content, 200, self.0.message(message).await)
    }
}

async fn plain(peer: &Peer, hello: &ClientId) -> Result<AsyncSmtpConnection, Fault> {
    let stream = TcpStream::connect((peer.host.as_str(), peer.port))
        .await
        .map_err(|error| Fault::Network(Step::Connect, error.to_string()))?;
    AsyncSmtpConnection::connect_with_transport(Box::new(LineStream::new(stream)), hello)
        .await
        .map_err(|error| fault(Step::Connect, &error))
}

async fn login(connection: &mut AsyncSmtpConnection, credentials: &Credentials) -> Result<(), Fault> {
    if connection.server_info().get_auth_mechanism(DEFAULT_MECHANISMS).is_none() {
        return Err(Fault::NoLogin);
    }
    expect(Step::Login, 200, connection.auth(DEFAULT_MECHANISMS, credentials).await)
}

/// Takes an answer of the class `class` (200, 300); what lettre lets pass is not always what a step demands.
fn expect(step: Step, class: u16, answer: Result<Response, Error>) -> Result<(), Fault> {
    let response = answer.map_err(|error| fault(step, &error))?;
    let code = u16::from(response.code());
    if (class..class + 100).contains(&code) {
        return Ok(());
    }
    Err(Fault::Answer { step, code, detail: String::new() })
}

fn fault(step: Step, error: &Error) -> Fault {
    if let Some(code) = error.status() {
        let words = error.source().map(ToString::to_string).unwrap_or_default();
        return Fault::Answer { step, code: u16::from(code), detail: enhanced_status(&words) };
    }
    // What could not be read may hold anything, addresses and codes, too: its words stay here.
    if error.is_response() || error.is_client() {
        return Fault::Garbled(step);
    }
    let reason = innermost(error);
    if error.is_tls() || is_tls(error) {
        return Fault::Tls(reason);
    }
    Fault::Network(step, reason)
}

/// Whether the TLS library is the reason of an I/O error.
fn is_tls(error: &Error) -> bool {
    let mut reason = error.source();
    while let Some(one) = reason {
        let inner = one.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        if one.is::<rustls::Error>() || inner.is_some_and(|inner| inner.is::<rustls::Error>()) {
            return true;
        }
        reason = one.source();
    }
    false
}

/// RFC 3463 section 2: `5.1.1` at the beginning of an answer's words.
fn enhanced_status(words: &str) -> String {
    let first = words.split_whitespace().next().unwrap_or_default();
    let mut parts = first.split('.');
    let is_class = parts.next().is_some_and(|class| matches!(class, "4" | "5"));
    let is_number = |part: Option<&str>| {
        part.is_some_and(|part| (1..=3).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit()))
    };
    if is_class && is_number(parts.next()) && is_number(parts.next()) && parts.next().is_none() {
        format!(" {first}")
    } else {
        String::new()
    }
}
