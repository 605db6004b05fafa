//! Mail that does not arrive: what the operator is told, and what must not leave this server.

use std::sync::Arc;
use std::time::{Duration, Instant};

use oss2fa_server::message::settings::{SmtpSecurity, SmtpSettings};
use oss2fa_server::message::{Delivery, Messenger, NotSent};
use oss2fa_server::outside::System;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::certificates::Certificates;
use crate::mail::{CODE, Fixed, PASSWORD, delivery, login, mail, plan, settings};
use crate::peer::Peer;

/// Sends, demands that it fails, and that nothing secret is in the error.
async fn failure(settings: SmtpSettings) -> NotSent {
    failure_of(&delivery(settings)).await
}

async fn failure_of(delivery: &Delivery) -> NotSent {
    let error = delivery.send_mail(mail()).await.expect_err("it was sent");
    for text in [error.to_string(), format!("{error:?}")] {
        for secret in [CODE, PASSWORD, "john.doe", "B\u{fc}cher"] {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
    }
    error
}

#[tokio::test]
async fn a_wrong_password_is_refused_and_said_so() {
    let certificates = Certificates::new();
    let mut plan = plan("starttls", &certificates);
    plan["login"] = json!(["oss2fa", "another"]);
    let server = Peer::mail_server(&plan);
    let mut settings = settings(server.port, SmtpSecurity::StartTls, Some(certificates.ca_file()));
    settings.login = login(PASSWORD);
    let error = failure(settings).await;
    assert_eq!(error.code(), "refused");
    assert_eq!(
        error.to_string(),
        format!(
            "the mail server 127.0.0.1:{} did not take the message: it answered 535 5.7.8 to AUTH: look at \
             `username` and `password_file` in [smtp]",
            server.port
        )
    );
}

#[tokio::test]
async fn a_login_that_is_not_offered_is_not_left_out() {
    let server = Peer::mail_server(&json!({"security": "plain"}));
    let mut settings = settings(server.port, SmtpSecurity::DangerPlain, None);
    settings.login = login(PASSWORD);
    let error = failure(settings).await;
    assert_eq!(error.code(), "refused");
    assert!(error.to_string().contains("offers no login"), "{error}");
    assert!(server.told().iter().all(|event| event["event"] == "connection"));
}

#[tokio::test]
async fn an_unknown_recipient_is_told_from_other_refusals() {
    for (plan, code, words) in [
        (
            json!({"security": "plain", "recipient": "550 5.1.1 <ADDRESS>: no such user 48151623"}),
            "rejected_recipient",
            "does not take mail for j***@example.net: it answered 550 5.1.1 to RCPT TO",
        ),
        (
            json!({"security": "plain", "recipient": "451 4.7.1 <ADDRESS> greylisted"}),
            "refused",
            "it answered 451 4.7.1 to RCPT TO",
        ),
        (
            json!({"security": "plain", "refuse_sender": true}),
            "refused",
            "it answered 553 5.7.1 to MAIL FROM",
        ),
        (
            json!({"security": "plain", "content": "554 5.7.1 Looks like spam: 48151623 for <john.doe@example.net>"}),
            "refused",
            "it answered 554 5.7.1 to DATA",
        ),
        (
            json!({"security": "plain", "recipient": "550 john.doe@example.net.5.1 is unknown"}),
            "rejected_recipient",
            "it answered 550 to RCPT TO",
        ),
    ] {
        let server = Peer::mail_server(&plan);
        let error = failure(settings(server.port, SmtpSecurity::DangerPlain, None)).await;
        assert_eq!(error.code(), code, "{error}");
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[tokio::test]
async fn a_connection_that_breaks_is_a_failure_at_every_step() {
    for step in ["recipient", "content"] {
        let server = Peer::mail_server(&json!({"security": "plain", "drop": step}));
        let error = failure(settings(server.port, SmtpSecurity::DangerPlain, None)).await;
        assert_eq!(error.code(), "unreachable", "{error}");
    }
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    for security in [SmtpSecurity::Tls, SmtpSecurity::StartTls] {
        let error = failure(settings(nobody, security, None)).await;
        assert_eq!(error.code(), "unreachable");
        assert!(error.to_string().contains("Connection refused"), "{error}");
    }
}

#[tokio::test]
async fn the_time_limit_holds_for_the_whole_conversation() {
    let server = Peer::mail_server(&json!({"security": "plain", "slow": 30}));
    let mut slow = settings(server.port, SmtpSecurity::DangerPlain, None);
    slow.timeout = Duration::from_secs(1);
    let start = Instant::now();
    let error = failure(slow).await;
    assert_eq!(error.code(), "timed_out");
    assert!(error.to_string().contains("within 1 s"), "{error}");
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
    // One that takes the connection and never says a word, with and without TLS.
    let deaf = TcpListener::bind("127.0.0.1:0").await.unwrap();
    for security in [SmtpSecurity::DangerPlain, SmtpSecurity::StartTls, SmtpSecurity::Tls] {
        let mut settings = settings(deaf.local_addr().unwrap().port(), security, None);
        settings.timeout = Duration::from_millis(300);
        assert_eq!(failure(settings).await.code(), "timed_out");
    }
}

/// The answer that came too late for the first mail must not be taken for one to the second.
#[tokio::test]
async fn a_mail_that_was_given_up_takes_its_connection_with_it() {
    let server = Peer::mail_server(&json!({"security": "plain", "slow": 6, "content": "554 no"}));
    let mut settings = settings(server.port, SmtpSecurity::DangerPlain, None);
    settings.timeout = Duration::from_secs(3);
    let delivery = delivery(settings);
    assert_eq!(failure_of(&delivery).await.code(), "timed_out");
    tokio::time::sleep(Duration::from_millis(4500)).await;
    assert_eq!(failure_of(&delivery).await.code(), "timed_out");
    let connections = server.told().iter().filter(|event| event["event"] == "connection").count();
    assert_eq!(connections, 2);
}

#[tokio::test]
async fn without_starttls_nothing_is_sent() {
    let server = Peer::mail_server(&json!({"security": "plain", "login": ["oss2fa", PASSWORD]}));
    let mut settings = settings(server.port, SmtpSecurity::StartTls, None);
    settings.login = login(PASSWORD);
    let error = failure(settings).await;
    assert_eq!(error.code(), "unreachable");
    assert!(error.to_string().contains("it offers no STARTTLS, and without it nothing is sent"), "{error}");
    let told = server.told();
    assert!(told.iter().all(|event| event["event"] == "connection"), "{told:?}");
}

#[tokio::test]
async fn a_certificate_of_an_unknown_authority_or_another_name_is_not_trusted() {
    let right = Certificates::new();
    let other = Certificates::new();
    let misnamed = Certificates::naming(&["mail.example.org"]);
    for (kind, security) in [("starttls", SmtpSecurity::StartTls), ("tls", SmtpSecurity::Tls)] {
        for (served, trusted, words) in [
            (&right, None, "UnknownIssuer"),
            (&right, Some(other.ca_file()), "BadSignature"),
            (&misnamed, Some(misnamed.ca_file()), "not valid for"),
        ] {
            let mut plan = plan(kind, served);
            plan["login"] = json!(["oss2fa", PASSWORD]);
            let server = Peer::mail_server(&plan);
            let mut settings = settings(server.port, security, trusted);
            settings.login = login(PASSWORD);
            let error = failure(settings).await;
            assert_eq!(error.code(), "unreachable", "{error}");
            assert!(error.to_string().contains(words), "{error}");
            assert!(error.to_string().contains("`ca_file` in [smtp]"), "{error}");
            assert!(server.told().iter().all(|event| event["event"] == "connection"));
        }
    }
}

/// The port of somebody who says this to everybody, and hears nothing.
async fn saying(words: &'static [u8]) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.write_all(words).await;
        }
    });
    port
}

#[tokio::test]
async fn what_is_no_mail_server_is_told_so() {
    let port = saying(b"HTTP/1.1 400 for john.doe\r\n\r\n").await;
    let error = failure(settings(port, SmtpSecurity::DangerPlain, None)).await;
    assert_eq!(error.code(), "unreachable", "{error}");
    assert!(error.to_string().contains("what it answered to the greeting is not SMTP"), "{error}");
}

/// lettre panics there, in whichever task sends the mail.
#[tokio::test]
async fn a_line_of_blanks_is_no_answer_to_ehlo() {
    let port = saying(b"220 mail.test\r\n250-mail.test\r\n250-  \r\n250 STARTTLS\r\n").await;
    for security in [SmtpSecurity::DangerPlain, SmtpSecurity::StartTls] {
        let error = failure(settings(port, security, None)).await;
        assert_eq!(error.code(), "unreachable", "{error}");
        assert!(error.to_string().contains("what it answered to the greeting is not SMTP"), "{error}");
    }
}

#[tokio::test]
async fn a_line_without_an_end_is_not_read_for_ever() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let sent = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut sent = 0;
        while stream.write_all(&[b'2'; 8192]).await.is_ok() {
            sent += 8192;
        }
        sent
    });
    let error = failure(settings(port, SmtpSecurity::StartTls, None)).await;
    assert_eq!(error.code(), "unreachable", "{error}");
    assert!(error.to_string().contains("a line without an end"), "{error}");
    // What the kernel's buffers of both ends take is not read.
    let sent = sent.await.unwrap();
    assert!(sent < 32 * 1024 * 1024, "{sent}");
}

#[test]
fn a_ca_file_that_cannot_be_used_is_an_error_of_the_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let no_pem = folder.path().join("no.pem");
    std::fs::write(&no_pem, "hello").unwrap();
    for (path, words) in
        [(folder.path().join("missing.pem"), "cannot be read"), (no_pem, "holds no certificate in PEM form")]
    {
        let settings = settings(25, SmtpSecurity::StartTls, Some(path));
        let Err(error) = Delivery::new(Some(settings), None, Arc::new(Fixed), Arc::new(System)) else {
            panic!("{words}: taken");
        };
        assert_eq!(error.key, "[smtp] ca_file");
        assert!(error.to_string().contains(words), "{error}");
    }
}

/// Somebody on the way puts answers behind the one to STARTTLS: to EHLO, MAIL, RCPT, DATA and the mail. A client
/// that keeps what it read too much of believes them, and takes the mail for sent.
#[tokio::test]
async fn answers_put_in_before_tls_are_not_believed() {
    let certificates = Certificates::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let chain = vec![CertificateDer::from_pem_slice(certificates.certificate_pem.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(certificates.key.serialize_pem().as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let put_in = "220 go\r\n250 mail.test\r\n250 OK\r\n250 OK\r\n354 go\r\n250 taken\r\n";
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut heard = [0; 512];
        for answer in ["220 mail.test ESMTP\r\n", "250-mail.test\r\n250 STARTTLS\r\n", put_in] {
            stream.write_all(answer.as_bytes()).await.unwrap();
            if answer != put_in {
                assert!(stream.read(&mut heard).await.unwrap() > 0);
            }
        }
        if let Ok(mut stream) = acceptor.accept(stream).await {
            while stream.read(&mut heard).await.is_ok_and(|count| count > 0) {}
        }
    });
    let error = failure(settings(port, SmtpSecurity::StartTls, Some(certificates.ca_file()))).await;
    assert_eq!(error.code(), "unreachable", "{error}");
    assert!(error.to_string().contains("no trusted TLS"), "{error}");
}
