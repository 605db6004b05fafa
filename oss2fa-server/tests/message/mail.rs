//! Mail that arrives: what a real mail server and Python's own parser make of it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use oss2fa_core::secret::SecretText;
use oss2fa_server::message::settings::{MailHost, Sender, SmtpLogin, SmtpSecurity, SmtpSettings};
use oss2fa_server::message::text::{Occasion, Words};
use oss2fa_server::message::{Delivery, EmailAddress, Mail, Messenger, NotSent};
use oss2fa_server::outside::{Clock, System, Timestamp};
use serde_json::{Value, json};

use crate::certificates::Certificates;
use crate::peer::Peer;

pub(crate) const CODE: &str = "48151623";
pub(crate) const PASSWORD: &str = "pass-w\u{f6}rd \"42\"";

pub(crate) struct Fixed;

impl Clock for Fixed {
    fn now(&self) -> Timestamp {
        Timestamp(1_503_877_651_544_021)
    }
}

pub(crate) fn settings(port: u16, security: SmtpSecurity, ca_file: Option<PathBuf>) -> SmtpSettings {
    SmtpSettings {
        host: MailHost::parse("127.0.0.1").unwrap(),
        port,
        security,
        login: None,
        from: Sender::parse("B\u{fc}cher & Co <codes@example.org>").unwrap(),
        timeout: Duration::from_secs(60),
        ca_file,
    }
}

pub(crate) fn login(password: &str) -> Option<SmtpLogin> {
    Some(SmtpLogin { username: "oss2fa".to_owned(), password: SecretText::new(password.to_owned()) })
}

pub(crate) fn delivery(settings: SmtpSettings) -> Delivery {
    Delivery::new(Some(settings), None, Arc::new(Fixed), Arc::new(System)).unwrap()
}

pub(crate) fn mail() -> Mail {
    let code = SecretText::new(CODE.to_owned());
    let words = Words { issuer: "B\u{fc}cher <Co>", code: &code, minutes: 5, occasion: Occasion::Login };
    words.mail(EmailAddress::parse("john.doe@example.net").unwrap(), "Your code")
}

pub(crate) fn plan(security: &str, certificates: &Certificates) -> Value {
    json!({
        "security": security,
        "certificate": certificates.file("tls.crt"),
        "key": certificates.file("tls.key"),
    })
}

fn header<'a>(mail: &'a Value, name: &str) -> Vec<&'a str> {
    let headers = mail["headers"].as_array().unwrap();
    headers
        .iter()
        .filter(|header| header[0].as_str().unwrap().eq_ignore_ascii_case(name))
        .map(|header| header[1].as_str().unwrap())
        .collect()
}

fn assert_is_the_mail(mail: &Value) {
    assert_eq!(mail["sender"], "codes@example.org");
    assert_eq!(mail["recipients"], json!(["john.doe@example.net"]));
    assert_eq!(mail["defects"], json!([]), "{mail}");
    assert_eq!(header(mail, "To"), ["john.doe@example.net"]);
    assert_eq!(header(mail, "From"), ["B\u{fc}cher & Co <codes@example.org>"]);
    assert_eq!(header(mail, "Subject"), ["Your code"]);
    assert_eq!(header(mail, "Auto-Submitted"), ["auto-generated"]);
    assert_eq!(header(mail, "Date"), ["Sun, 27 Aug 2017 23:47:31 +0000"]);
    assert_eq!(mail["type"], "multipart/alternative");
    let parts = mail["parts"].as_array().unwrap();
    assert_eq!(parts.len(), 2);
    assert_eq!((&parts[0][0], &parts[1][0]), (&json!("text/plain"), &json!("text/html")));
    let text = parts[0][1].as_str().unwrap().replace("\r\n", "\n");
    assert!(text.contains(&format!("\n    {CODE}\n")), "{text}");
    assert!(text.contains("Your code for B\u{fc}cher <Co> is:"), "{text}");
    let html = parts[1][1].as_str().unwrap();
    assert!(html.contains(&format!("<strong>{CODE}</strong>")), "{html}");
    assert!(html.contains("B\u{fc}cher &lt;Co&gt;"), "{html}");
    let raw = mail["raw"].as_str().unwrap();
    assert!(raw.is_ascii(), "no part may need 8BITMIME: {raw}");
}

#[tokio::test]
async fn a_mail_goes_out_under_starttls_with_a_login() {
    let certificates = Certificates::new();
    let mut plan = plan("starttls", &certificates);
    plan["login"] = json!(["oss2fa", PASSWORD]);
    let server = Peer::mail_server(&plan);
    let mut settings = settings(server.port, SmtpSecurity::StartTls, Some(certificates.ca_file()));
    settings.login = login(PASSWORD);
    delivery(settings).send_mail(mail()).await.unwrap();
    let mail = server.next("mail");
    assert_is_the_mail(&mail);
    assert_eq!((&mail["tls"], &mail["user"]), (&json!(true), &json!("oss2fa")));
}

#[tokio::test]
async fn a_mail_goes_out_under_tls_with_the_login_mechanism() {
    let certificates = Certificates::new();
    let mut plan = plan("tls", &certificates);
    plan["login"] = json!(["oss2fa", PASSWORD]);
    plan["exclude"] = json!(["PLAIN"]);
    let server = Peer::mail_server(&plan);
    let mut settings = settings(server.port, SmtpSecurity::Tls, Some(certificates.ca_file()));
    settings.login = login(PASSWORD);
    delivery(settings).send_mail(mail()).await.unwrap();
    assert_eq!(server.next("login")["mechanism"], "LOGIN");
    let mail = server.next("mail");
    assert_is_the_mail(&mail);
    assert_eq!((&mail["tls"], &mail["user"]), (&json!(true), &json!("oss2fa")));
}

#[tokio::test]
async fn a_mail_goes_out_plain_where_that_is_said() {
    let server = Peer::mail_server(&json!({"security": "plain"}));
    delivery(settings(server.port, SmtpSecurity::DangerPlain, None)).send_mail(mail()).await.unwrap();
    let mail = server.next("mail");
    assert_is_the_mail(&mail);
    assert_eq!(mail["tls"], false);
}

#[tokio::test]
async fn one_connection_takes_many_mails_and_each_has_its_own_id() {
    let certificates = Certificates::new();
    let server = Peer::mail_server(&plan("starttls", &certificates));
    let delivery = delivery(settings(server.port, SmtpSecurity::StartTls, Some(certificates.ca_file())));
    for _ in 0..3 {
        delivery.send_mail(mail()).await.unwrap();
    }
    let told = server.told();
    assert_eq!(told.iter().filter(|event| event["event"] == "connection").count(), 1, "{told:?}");
    let mails: Vec<_> = told.iter().filter(|event| event["event"] == "mail").collect();
    let mut ids: Vec<_> = mails.iter().flat_map(|mail| header(mail, "Message-ID")).collect();
    assert!(ids.iter().all(|id| id.starts_with('<') && id.ends_with("@example.org>")), "{ids:?}");
    ids.sort_unstable();
    ids.dedup();
    assert_eq!((mails.len(), ids.len()), (3, 3));
}

#[tokio::test]
async fn a_connection_that_the_server_closed_is_replaced() {
    let server = Peer::mail_server(&json!({"security": "plain", "close_after_mail": true}));
    let delivery = delivery(settings(server.port, SmtpSecurity::DangerPlain, None));
    for _ in 0..3 {
        delivery.send_mail(mail()).await.unwrap();
        server.next("mail");
        tokio::time::sleep(Duration::from_millis(1500)).await;
    }
}

#[tokio::test]
async fn a_subject_cannot_add_headers() {
    let server = Peer::mail_server(&json!({"security": "plain"}));
    let mut mail = mail();
    mail.subject = "Your code\r\nBcc: eve@example.org\r\n\r\nhello\0 gr\u{fc}n".to_owned();
    let delivery = delivery(settings(server.port, SmtpSecurity::DangerPlain, None));
    delivery.send_mail(mail).await.unwrap();
    let got = server.next("mail");
    assert_eq!(got["recipients"], json!(["john.doe@example.net"]));
    assert_eq!(header(&got, "Bcc"), [""; 0]);
    assert_eq!(header(&got, "Subject"), ["Your code  Bcc: eve@example.org    hello  gr\u{fc}n"]);
    assert_eq!(got["parts"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_text_cannot_end_the_mail() {
    let server = Peer::mail_server(&json!({"security": "plain"}));
    let mut mail = mail();
    let text = "one\r\n.\r\nMAIL FROM:<eve@example.org>\r\n..two\n.\nthree\n";
    mail.text = SecretText::new(text.to_owned());
    let delivery = delivery(settings(server.port, SmtpSecurity::DangerPlain, None));
    delivery.send_mail(mail).await.unwrap();
    let got = server.next("mail");
    let text = got["parts"][0][1].as_str().unwrap().replace("\r\n", "\n");
    assert_eq!(text.trim_end(), "one\n.\nMAIL FROM:<eve@example.org>\n..two\n.\nthree");
    assert_eq!(got["sender"], "codes@example.org");
}

#[tokio::test]
async fn without_settings_nothing_is_sent() {
    let delivery = Delivery::new(None, None, Arc::new(Fixed), Arc::new(System)).unwrap();
    let error = delivery.send_mail(mail()).await.unwrap_err();
    assert!(matches!(error, NotSent::NotConfigured(_)));
    assert_eq!(error.code(), "not_configured");
    assert_eq!(error.to_string(), "no mail server is configured: set `host` and `from` in [smtp]");
}

#[test]
fn what_mails_come_from_is_one_address() {
    for text in ["a@example.org", "OSS2FA <a@example.org>", "\"A, B\" <a@example.org>"] {
        Sender::parse(text).expect(text);
    }
    for text in
        ["", "OSS2FA", "a@example.org, b@example.org", "A\r\nBcc: b@example.org <a@example.org>", "a@[::1]"]
    {
        assert!(Sender::parse(text).is_err(), "{text:?}");
    }
    for text in ["", "mail.example.org:25", "smtp://mail", "mail example", "a/b"] {
        assert!(MailHost::parse(text).is_err(), "{text:?}");
    }
    MailHost::parse("::1").unwrap();
}
