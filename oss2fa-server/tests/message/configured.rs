//! From server.toml to a mail and a text message.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use oss2fa_core::secret::SecretText;
use oss2fa_server::config::{Config, Overrides};
use oss2fa_server::message::{Delivery, Messenger, NotReady, PhoneNumber, Sms};
use oss2fa_server::outside::System;
use serde_json::json;

use crate::certificates::Certificates;
use crate::mail::{CODE, Fixed, PASSWORD, mail, plan};
use crate::peer::Peer;

fn delivery(text: &str) -> Result<Delivery, NotReady> {
    let config = Config::parse(Path::new("/etc/oss2fa/server.toml"), text, Overrides::default()).unwrap();
    Delivery::configured(&config, Arc::new(Fixed), Arc::new(System))
}

fn secret_file(folder: &Path, name: &str, secret: &str) -> String {
    let path = folder.join(name);
    std::fs::write(&path, format!("{secret}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    path.display().to_string()
}

#[tokio::test]
async fn the_file_alone_makes_both_ways_work() {
    let certificates = Certificates::new();
    let folder = tempfile::tempdir().unwrap();
    let mut plan = plan("starttls", &certificates);
    plan["login"] = json!(["oss2fa", PASSWORD]);
    let server = Peer::mail_server(&plan);
    let gateway = Peer::gateway(&json!({"body": "status: OK"}));
    let text = format!(
        r#"
        [smtp]
        host = "127.0.0.1"
        port = {}
        username = "oss2fa"
        password_file = {:?}
        from = "Example <codes@example.org>"
        ca_file = {:?}
        [sms]
        url = "http://127.0.0.1:{}/send"
        headers = {{ Authorization = "Basic {{secret}}" }}
        body = "to={{phone}}&text={{text}}"
        content_type = "application/x-www-form-urlencoded"
        secret_file = {:?}
        success_body = "OK"
        "#,
        server.port,
        secret_file(folder.path(), "smtp", PASSWORD),
        certificates.ca_file(),
        gateway.port,
        secret_file(folder.path(), "sms", "YTpi"),
    );
    let delivery = delivery(&text).unwrap();
    delivery.send_mail(mail()).await.unwrap();
    let got = server.next("mail");
    assert_eq!((&got["user"], &got["tls"]), (&json!("oss2fa"), &json!(true)));
    let to = PhoneNumber::parse("+491712345612").unwrap();
    delivery.send_sms(Sms { to, text: SecretText::new(CODE.to_owned()) }).await.unwrap();
    let asked = gateway.next("request");
    assert_eq!(asked["headers"]["authorization"], "Basic YTpi");
    assert_eq!(asked["form"], json!({"to": ["+491712345612"], "text": [CODE]}));
}

#[tokio::test]
async fn without_sections_nothing_is_sent() {
    let error = delivery("").unwrap().send_mail(mail()).await.unwrap_err();
    assert_eq!(error.code(), "not_configured");
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let base = "[smtp]\nhost = \"mail.example.org\"\nfrom = \"codes@example.org\"\n";
    for (more, words) in [
        (
            "ca_file = \"/nowhere/ca.pem\"",
            "server.toml cannot be used to send codes: [smtp] ca_file: /nowhere/ca.pem cannot be read",
        ),
        (
            "username = \"a\"\npassword_file = \"/nowhere/p\"",
            "the file /nowhere/p, named by [smtp] password_file",
        ),
    ] {
        let Err(error) = delivery(&format!("{base}{more}\n")) else { panic!("{more}: taken") };
        assert!(error.to_string().contains(words), "{error}");
    }
}
