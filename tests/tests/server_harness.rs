//! The peers of the server's tests themselves: each does what its name says, without the server.
#![expect(clippy::unwrap_used, reason = "a failure is a panic in tests, in their helpers too")]

use std::process::{Command, Output};

use oss2fa_tests::server::{
    Authority, Gateway, GatewayMode, MailMode, MailSecurity, MailSink, PostgresCluster, phone, qr_text,
};
use serde_json::json;

fn python(script: &str, words: &[&str]) -> Output {
    Command::new("/usr/bin/python3").args(["-c", script]).args(words).output().unwrap()
}

#[test]
fn a_phone_scans_what_another_program_drew() {
    let uri = "otpauth://totp/pymfa:test_1?secret=DNHT6VK4J7AP2CBEZARS6EIQDODKULK7&issuer=pymfa";
    let draw = format!("set -e; qrencode -o - '{uri}' | base64 --wrap=0");
    let drawn = Command::new("/bin/sh").args(["-c", &draw]).output().unwrap();
    assert_eq!(qr_text(&String::from_utf8(drawn.stdout).unwrap()), uri, "Debian's qrencode");
    let phone = phone(&json!({"provisioning_uri": uri, "qr_code": null}));
    assert_eq!((phone.kind.as_str(), phone.digits, phone.period), ("totp", 6, 30));
    assert_eq!(phone.secret, "DNHT6VK4J7AP2CBEZARS6EIQDODKULK7");
}

#[test]
fn a_cluster_keeps_its_databases_over_a_restart_and_over_a_kill() {
    let cluster = PostgresCluster::durable();
    let (one, other) = (cluster.database(), cluster.database());
    assert_ne!(one, other);
    assert!(one.ends_with("/oss2fa_0?sslmode=disable"), "{one}");
    let _made = cluster.sql("oss2fa_0", "CREATE TABLE kept (n int); INSERT INTO kept VALUES (1)");
    cluster.restart();
    let _made = cluster.sql("oss2fa_0", "INSERT INTO kept VALUES (2)");
    cluster.kill();
    cluster.start_again();
    assert_eq!(cluster.sql("oss2fa_0", "SELECT n FROM kept ORDER BY n"), "1\n2");
    assert_eq!(cluster.sql("oss2fa_1", "SELECT to_regclass('kept')"), "", "databases are apart");
    assert_eq!(cluster.sql("oss2fa_1", "SHOW fsync"), "on");
    let version: u32 = cluster.sql("oss2fa_1", "SHOW server_version_num").parse().unwrap();
    assert!(version >= 150_000, "{version}");
}

/// Python's own client, so that a mistake in the server's cannot hide one of the sink.
const SEND: &str = r#"
import smtplib, ssl, sys
from email.message import EmailMessage
security, port, ca, password, patience = sys.argv[1:]
context = ssl.create_default_context(cafile=ca) if ca else None
if security == "tls":
    smtp = smtplib.SMTP_SSL("127.0.0.1", int(port), context=context, timeout=float(patience))
else:
    smtp = smtplib.SMTP("127.0.0.1", int(port), timeout=float(patience))
if security == "starttls":
    smtp.starttls(context=context)
if password:
    smtp.login("oss2fa", password)
m = EmailMessage()
m["From"], m["To"], m["Subject"] = "a@example.org", "b@example.org", "Grüße"
m.set_content("Your code is 123456.")
m.add_alternative("<p>123456</p>", subtype="html")
smtp.send_message(m)
"#;

/// Seconds that a peer which does what it should is waited for, and one that is late on purpose.
const LONG: &str = "60";
const SHORT: &str = "1";

fn send(sink: &MailSink, password: &str) -> Result<(), String> {
    send_within(sink, password, LONG)
}

fn send_within(sink: &MailSink, password: &str, patience: &str) -> Result<(), String> {
    let config: toml::Table = sink.config().parse().unwrap();
    let smtp = config.get("smtp").unwrap();
    let word = |key: &str| smtp.get(key).map(|value| value.as_str().unwrap().to_owned());
    let port = smtp.get("port").unwrap().to_string();
    let ca = word("ca_file").unwrap_or_default();
    let output = python(SEND, &[&word("security").unwrap(), &port, &ca, password, patience]);
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() { Ok(()) } else { Err(words) }
}

#[test]
fn the_mail_sink_keeps_mail_in_every_security() {
    for security in [MailSecurity::Plain, MailSecurity::StartTls, MailSecurity::Tls] {
        let sink = MailSink::start(security);
        let encrypted = security != MailSecurity::Plain;
        let password = if encrypted { sink.password() } else { "" };
        send(&sink, password).unwrap();
        let mail = sink.wait_for(1);
        assert_eq!((mail.to.as_str(), mail.subject.as_str()), ("b@example.org", "Grüße"));
        assert_eq!((mail.code().as_str(), mail.html.trim()), ("123456", "<p>123456</p>"));
        assert_eq!((mail.encrypted, mail.user == "oss2fa"), (encrypted, encrypted), "{security:?}");
        if encrypted {
            let wrong = send(&sink, "wrong").unwrap_err();
            assert!(wrong.contains("Authentication"), "{wrong}");
            let nobody = send(&sink, "").unwrap_err();
            assert!(nobody.contains("530"), "{nobody}");
        }
        assert_eq!(sink.mails().len(), 1);
    }
}

#[test]
fn the_mail_sink_misbehaves_as_told() {
    let sink = MailSink::start(MailSecurity::Plain);
    for (mode, words) in [
        (MailMode::Refuse, "550"),
        (MailMode::Busy, "451"),
        (MailMode::Drop, "Disconnected"),
        (MailMode::Slow(60), "timed out"),
    ] {
        sink.mode(mode);
        let patience = if matches!(mode, MailMode::Slow(_)) { SHORT } else { LONG };
        let error = send_within(&sink, "", patience).unwrap_err();
        assert!(error.contains(words), "{mode:?}: {error}");
    }
    sink.mode(MailMode::Accept);
    send(&sink, "").unwrap();
}

fn post(url: &str, ca: &str) -> (i32, String) {
    post_within(url, ca, LONG)
}

fn post_within(url: &str, ca: &str, patience: &str) -> (i32, String) {
    let mut curl = Command::new("/usr/bin/curl");
    curl.args(["-q", "-s", "--max-time", patience, "-w", "%{http_code}", "-d", r#"{"text":"Code: 654321"}"#]);
    if !ca.is_empty() {
        curl.args(["--cacert", ca]);
    }
    let output = curl.arg(url).output().unwrap();
    (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
}

#[test]
fn the_gateway_keeps_requests_and_answers_as_told() {
    let gateway = Gateway::start();
    let url = format!("{}/send?x=%20", gateway.url());
    assert_eq!(post(&url, ""), (0, r#"{"status":"OK"}200"#.to_owned()));
    let sent = gateway.wait_for(1);
    assert_eq!((sent.method.as_str(), sent.path.as_str()), ("POST", "/send?x=%20"));
    assert_eq!((sent.code().as_str(), &sent.headers["accept"]), ("654321", &json!("*/*")));
    gateway.mode(GatewayMode::AcceptInVain);
    assert_eq!(post(&url, "").1, r#"{"status":"FAIL"}200"#);
    gateway.mode(GatewayMode::Refuse(503));
    assert_eq!(post(&url, "").1, r#"{"status":"FAIL"}503"#);
    gateway.mode(GatewayMode::Redirect);
    assert!(post(&url, "").1.ends_with("307"));
    gateway.mode(GatewayMode::Drop);
    assert_eq!(post(&url, "").0, 52, "curl's word for an empty answer");
    gateway.mode(GatewayMode::Slow(60));
    assert_eq!(post_within(&url, "", SHORT).0, 28, "curl's word for a time-out");
    let _sixth = gateway.wait_for(6);
    assert_eq!(gateway.received().len(), 6);
}

#[test]
fn the_gateway_speaks_tls_with_a_certificate_of_its_authority() {
    let gateway = Gateway::start_tls();
    let config: toml::Table = gateway.config().parse().unwrap();
    let ca = config.get("sms").unwrap().get("ca_file").unwrap().as_str().unwrap();
    assert!(post(&gateway.url(), ca).1.ends_with("200"));
    let other = Authority::new();
    assert_eq!(post(&gateway.url(), &other.ca().display().to_string()).0, 60, "curl's word for no trust");
}
