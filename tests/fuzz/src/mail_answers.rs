//! What a mail server answers while it is handed a mail.
//!
//! The first byte chooses how the conversation is protected and whether there is a login; the rest is all that the mail
//! server says. In it a control character stands for a word that no text about the mail may repeat.

use std::panic::{self, Location};
use std::sync::{Arc, Once, OnceLock};
use std::time::Duration;

use oss2fa_core::secret::SecretText;
use oss2fa_server::message::settings::{MailHost, Sender, SmtpLogin, SmtpSecurity, SmtpSettings};
use oss2fa_server::message::{Delivery, EmailAddress, Mail, Messenger};
use oss2fa_server::outside::System;

use crate::loopback::{Loopback, Sent};

const TO: &str = "john.doe@example.net";
const CODE: &str = "48151623";
const PASSWORD: &str = "hunter2-hunter2";
const SAID: &str = "a word of the mail server";

/// A mail counts as taken only where each step was; without the TLS that is demanded nothing of it is sent; and no text
/// about it repeats what the mail server says, nor what nobody is to read.
///
/// # Panics
/// Where a property does not hold.
pub fn target(data: &[u8]) {
    static KNOWN: Once = Once::new();
    KNOWN.call_once(let_known_panics_pass);
    let [how, script @ ..] = data else { return };
    let script = replaced(script);
    match how % 3 {
        0 => plain(&script, None),
        1 => plain(&script, Some(login())),
        _ => protected(&script),
    }
}

/// What lettre makes of a line of blanks in the answer to EHLO is caught where it is called. libFuzzer's hook would end the
/// run before that.
fn let_known_panics_pass() {
    let every = panic::take_hook();
    let is_known = |at: &Location<'_>| at.file().ends_with("/lettre-0.11.23/src/transport/smtp/extension.rs");
    panic::set_hook(Box::new(move |panic| {
        if !panic.location().is_some_and(is_known) {
            every(panic);
        }
    }));
}

fn plain(script: &[u8], login: Option<SmtpLogin>) {
    let has_login = login.is_some();
    let delivery = delivery(SmtpSecurity::DangerPlain, login);
    // Dropped with the future, so that the mail server hears its end.
    let (sent, heard) = hear(script, async move { delivery.send_mail(mail()).await.map_err(shown) });
    let steps = Replies::read(script).steps(has_login);
    if sent.is_ok() {
        assert_eq!(steps, 4, "not taken: {:?}", String::from_utf8_lossy(script));
        assert!(heard.contains(&format!("RCPT TO:<{TO}>\r\n")) && heard.ends_with("\r\n.\r\n"));
    }
    // A login that was not offered is not left out: what is behind it is not said.
    assert!(!has_login || !heard.contains("MAIL FROM") || heard.contains("\r\nAUTH "));
    // Until the mail server says so it is sent no text (RFC 5321 section 4.1.1.4).
    assert!(!heard.contains(CODE) || steps >= 3, "the mail after a refusal");
}

/// No mail server here has a certificate: whatever it says, it gets neither the password nor the mail.
fn protected(script: &[u8]) {
    static DELIVERY: OnceLock<Delivery> = OnceLock::new();
    // Made once: it reads the authorities of the system. It keeps no connection, for none of them takes a mail.
    let delivery = DELIVERY.get_or_init(|| delivery(SmtpSecurity::StartTls, Some(login())));
    let (sent, heard) = hear(script, async { delivery.send_mail(mail()).await.map_err(shown) });
    assert!(sent.is_err(), "sent without TLS");
    let mut rest = &*heard;
    for harmless in ["EHLO example.org\r\n", "STARTTLS\r\n", "QUIT\r\n"] {
        rest = rest.strip_prefix(harmless).unwrap_or(rest);
    }
    // The type of a handshake and of an alert (RFC 8446 section 5.1).
    assert!(rest.is_empty() || rest.starts_with(['\u{16}', '\u{15}']), "in the clear: {rest:?}");
}

fn hear<T>(script: &[u8], asking: impl Future<Output = T>) -> (T, String) {
    let (came, heard) = Loopback::here().hear(script, Sent::AtOnce, asking);
    (came, String::from_utf8_lossy(&heard).into_owned())
}

/// What an operator reads of it.
fn shown(error: impl std::fmt::Display + std::fmt::Debug) {
    let (words, whole) = (error.to_string(), format!("{error:?}"));
    assert!(words.len() < 700 && !words.chars().any(char::is_control), "{words:?}");
    for hidden in [CODE, PASSWORD, TO, SAID] {
        assert!(!words.contains(hidden) && !whole.contains(hidden), "{hidden} in {whole}");
    }
}

fn delivery(security: SmtpSecurity, login: Option<SmtpLogin>) -> Delivery {
    let settings = SmtpSettings {
        host: MailHost::parse("127.0.0.1").unwrap(),
        port: Loopback::here().port,
        security,
        login,
        from: Sender::parse("codes@example.org").unwrap(),
        timeout: Duration::from_secs(4),
        ca_file: None,
    };
    Delivery::new(Some(settings), None, Arc::new(System), Arc::new(System)).unwrap()
}

fn login() -> SmtpLogin {
    SmtpLogin { username: "oss2fa".to_owned(), password: SecretText::new(PASSWORD.to_owned()) }
}

fn mail() -> Mail {
    Mail {
        to: EmailAddress::parse(TO).unwrap(),
        subject: "Your code".to_owned(),
        text: SecretText::new(CODE.to_owned()),
        html: SecretText::new(CODE.to_owned()),
    }
}

fn replaced(script: &[u8]) -> Vec<u8> {
    let mut whole = Vec::with_capacity(script.len());
    for byte in script {
        match byte {
            1 => whole.extend_from_slice(SAID.as_bytes()),
            other => whole.push(*other),
        }
    }
    whole
}

/// The codes of the replies, in their order (RFC 5321 section 4.2).
struct Replies(Vec<u16>);

impl Replies {
    fn read(script: &[u8]) -> Self {
        let text = String::from_utf8_lossy(script);
        let last = text.split("\r\n").filter(|line| line.as_bytes().get(3) != Some(&b'-'));
        Self(last.filter_map(|line| line.get(..3)?.parse().ok()).collect())
    }

    /// How many of the steps MAIL, RCPT, DATA and the mail itself were taken, one after the other. Greeting and EHLO come
    /// first, and where there is a login AUTH with its questions.
    fn steps(&self, has_login: bool) -> usize {
        let Some((begun, mut rest)) = self.0.split_at_checked(2) else { return 0 };
        if has_login {
            let questions = rest.iter().take_while(|code| **code == 334).count();
            let Some((200..300, behind)) = rest[questions..].split_first() else { return 0 };
            rest = behind;
        }
        let is_begun = begun.iter().all(|code| (200..400).contains(code));
        let taken = rest.iter().zip([2, 2, 3, 2]).take_while(|(code, class)| *code / 100 == *class);
        if is_begun { taken.count() } else { 0 }
    }
}
