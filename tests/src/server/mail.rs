//! A real SMTP server (aiosmtpd) that keeps each mail, or misbehaves.

use std::path::Path;

use serde_json::Value;

use crate::server::authority::Authority;
use crate::server::script::{Script, text};

/// How the sink is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MailSecurity {
    /// Nothing is encrypted; no login.
    Plain,
    /// STARTTLS is demanded, then a login.
    StartTls,
    /// TLS from the first byte, then a login.
    Tls,
}

/// What the sink does with a mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MailMode {
    /// Takes and keeps it.
    Accept,
    /// 550 at the recipient.
    Refuse,
    /// 451 at the end of the text: come again later.
    Busy,
    /// Takes it after so many seconds.
    Slow(u32),
    /// Closes the connection in the middle of the text.
    Drop,
}

/// A mail that was taken.
#[derive(Debug, Clone)]
pub struct Mail {
    /// Recipient of the envelope.
    pub to: String,
    /// Sender of the envelope.
    pub from: String,
    /// Subject, decoded.
    pub subject: String,
    /// The part in plain text.
    pub text: String,
    /// The part in HTML.
    pub html: String,
    /// The whole, as it came.
    pub raw: String,
    /// Was the connection encrypted?
    pub encrypted: bool,
    /// Who logged in; empty for nobody.
    pub user: String,
}

/// A running sink.
#[derive(Debug)]
pub struct MailSink {
    script: Script,
    security: MailSecurity,
    authority: Authority,
}

const USER: &str = "oss2fa";
/// Not a word that stands anywhere by accident: tests look for it in logs.
const PASSWORD: &str = "correct-horse-mail-staple";

impl MailSink {
    /// Starts it on a free port.
    #[must_use]
    pub fn start(security: MailSecurity) -> Self {
        let authority = Authority::new();
        let word = match security {
            MailSecurity::Plain => "plain",
            MailSecurity::StartTls => "starttls",
            MailSecurity::Tls => "tls",
        };
        let path = |path: &Path| path.display().to_string();
        let (certificate, key) = (path(&authority.certificate()), path(&authority.key()));
        let words = [word, &certificate, &key, USER, PASSWORD];
        let script = Script::start("mail", include_str!("mail.py"), &words);
        script.keep_secret(PASSWORD);
        Self { script, security, authority }
    }

    /// From now on.
    pub fn mode(&self, mode: MailMode) {
        self.script.set_mode(&match mode {
            MailMode::Accept => "accept".to_owned(),
            MailMode::Refuse => "refuse".to_owned(),
            MailMode::Busy => "busy".to_owned(),
            MailMode::Slow(seconds) => format!("slow {seconds}"),
            MailMode::Drop => "drop".to_owned(),
        });
    }

    /// The lines of `server.toml` that send mail here.
    #[must_use]
    pub fn config(&self) -> String {
        let mut lines = format!(
            "[smtp]\nhost = '127.0.0.1'\nport = {}\nfrom = 'OSS2FA <codes@example.org>'\ntimeout = 30\n",
            self.script.port
        );
        let security = match self.security {
            MailSecurity::Plain => "danger_plain",
            MailSecurity::StartTls => "starttls",
            MailSecurity::Tls => "tls",
        };
        lines.push_str(&format!("security = '{security}'\n"));
        if self.security != MailSecurity::Plain {
            let file = self.script.secret_file();
            lines.push_str(&format!("username = '{USER}'\npassword_file = '{}'\n", file.display()));
            lines.push_str(&format!("ca_file = '{}'\n", self.authority.ca().display()));
        }
        lines
    }

    /// The password with which the server logs in here.
    #[must_use]
    pub fn password(&self) -> &'static str {
        PASSWORD
    }

    /// All that was taken, the oldest first.
    #[must_use]
    pub fn mails(&self) -> Vec<Mail> {
        self.script.received().iter().map(Mail::of).collect()
    }

    /// The `count`th mail, from 1, as soon as it is there.
    ///
    /// # Panics
    /// Where it does not come within a minute.
    #[must_use]
    pub fn wait_for(&self, count: usize) -> Mail {
        Mail::of(&self.script.wait_for(count)[count - 1])
    }
}

impl Mail {
    fn of(value: &Value) -> Self {
        Self {
            to: text(value, "to"),
            from: text(value, "from"),
            subject: text(value, "subject"),
            text: text(value, "text"),
            html: text(value, "html"),
            raw: text(value, "raw"),
            encrypted: value["encrypted"] == true,
            user: text(value, "user"),
        }
    }

    /// The code in it.
    #[must_use]
    pub fn code(&self) -> String {
        code_in(&self.text)
    }
}

/// The first word of six to ten digits.
///
/// # Panics
/// Where there is none.
pub(crate) fn code_in(text: &str) -> String {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric());
    let mut codes = words.filter(|word| (6..=10).contains(&word.len()));
    let code = codes.find(|word| word.bytes().all(|byte| byte.is_ascii_digit()));
    code.unwrap_or_else(|| panic!("no code in {text:?}")).to_owned()
}
