//! Text messages, against a gateway in Python that parses what it gets by itself.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use oss2fa_core::secret::SecretText;
use oss2fa_server::message::settings::{
    SmsRequest, SmsSettings, SmsTemplate, SmtpSettings, success_statuses,
};
use oss2fa_server::message::{Delivery, Messenger, NotSent, PhoneNumber, Sms};
use oss2fa_server::outside::System;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::certificates::Certificates;
use crate::mail::{CODE, Fixed};
use crate::peer::Peer;

const SECRET: &str = "s3cr\"et&=%/+\\";
const PHONE: &str = "+491712345612";
/// Everything that means something in some syntax.
const NASTY: &str = "48151623 \"},{\"x\":\"y\"}&text=other&phone=+1#frag?a=b%41;<!--]]>&amp;\\u0041\n\r\n'\u{fc}\u{20ac}\u{1f600}+/";

struct Wanted<'a> {
    method: &'a str,
    url: String,
    headers: &'a [(&'a str, &'a str)],
    body: &'a str,
    content_type: &'a str,
}

impl Wanted<'_> {
    fn settings(&self) -> SmsSettings {
        let headers: BTreeMap<String, SecretText> = self
            .headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), SecretText::new((*value).to_owned())))
            .collect();
        let request = SmsRequest::prove(&SmsTemplate {
            method: self.method,
            url: &self.url,
            headers: &headers,
            body: self.body,
            content_type: self.content_type,
        });
        SmsSettings {
            request: request.unwrap(),
            secret: Some(SecretText::new(SECRET.to_owned())),
            success_status: success_statuses(&[200, 202]).unwrap(),
            success_body: String::new(),
            timeout: Duration::from_secs(60),
            ca_file: None,
        }
    }
}

fn json_settings(scheme: &str, port: u16) -> SmsSettings {
    Wanted {
        method: "POST",
        url: format!("{scheme}://127.0.0.1:{port}/send"),
        headers: &[],
        body: r#"{"to": ["{phone}"], "text": "{text}", "key": "{secret}", "options": {}}"#,
        content_type: "application/json",
    }
    .settings()
}

async fn send(settings: SmsSettings, text: &str) -> Result<(), NotSent> {
    let none: Option<SmtpSettings> = None;
    let delivery = Delivery::new(none, Some(settings), Arc::new(Fixed), Arc::new(System)).unwrap();
    let to = PhoneNumber::parse("+49 (171) 234-5612").unwrap();
    delivery.send_sms(Sms { to, text: SecretText::new(text.to_owned()) }).await
}

/// Sends, demands that it fails, and that nothing secret is in the error.
async fn failure(settings: SmsSettings) -> NotSent {
    let error = send(settings, &format!("{CODE} is your code")).await.expect_err("it was sent");
    for text in [error.to_string(), format!("{error:?}")] {
        for secret in [CODE, SECRET, PHONE, &PHONE[1..], "is your code", "is%20your"] {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
    }
    error
}

#[tokio::test]
async fn a_json_gateway_gets_every_character_as_it_is() {
    let gateway = Peer::gateway(&json!({"status": 202}));
    send(json_settings("http", gateway.port), NASTY).await.unwrap();
    let request = gateway.next("request");
    assert_eq!((&request["method"], &request["path"]), (&json!("POST"), &json!("/send")));
    assert_eq!(request["json"], json!({"to": [PHONE], "text": NASTY, "key": SECRET, "options": {}}));
    assert_eq!(request["headers"]["content-type"], "application/json");
    let agent = request["headers"]["user-agent"].as_str().unwrap();
    assert!(agent.starts_with("oss2fa-server/"), "{agent}");
}

#[tokio::test]
async fn a_form_gateway_gets_every_character_as_it_is() {
    let gateway = Peer::gateway(&json!({}));
    let settings = Wanted {
        method: "POST",
        url: format!("http://127.0.0.1:{}/send", gateway.port),
        headers: &[("Authorization", "Bearer abc"), ("X-To", "{phone}")],
        body: "to={phone}&text={text}&key={secret}&from=Me+Too",
        content_type: "application/x-www-form-urlencoded; charset=utf-8",
    };
    send(settings.settings(), NASTY).await.unwrap();
    let request = gateway.next("request");
    assert_eq!(request["form"], json!({"to": [PHONE], "text": [NASTY], "key": [SECRET], "from": ["Me Too"]}));
    assert_eq!(request["headers"]["authorization"], "Bearer abc");
    assert_eq!(request["headers"]["x-to"], PHONE);
}

#[tokio::test]
async fn a_gateway_of_addresses_gets_every_character_as_it_is() {
    let gateway = Peer::gateway(&json!({}));
    let settings = Wanted {
        method: "GET",
        url: format!("http://127.0.0.1:{}/bot{{secret}}/send?to={{phone}}&text={{text}}&x=1", gateway.port),
        headers: &[],
        body: "",
        content_type: "",
    };
    send(settings.settings(), NASTY).await.unwrap();
    let request = gateway.next("request");
    assert_eq!((&request["method"], &request["body"]), (&json!("GET"), &json!("")));
    assert_eq!(request["path"], format!("/bot{SECRET}/send"));
    assert_eq!(request["query"], json!({"to": [PHONE], "text": [NASTY], "x": ["1"]}));
}

#[tokio::test]
async fn xml_and_plain_bodies_get_the_text() {
    let gateway = Peer::gateway(&json!({}));
    let mut wanted = Wanted {
        method: "PUT",
        url: format!("http://localhost:{}/", gateway.port),
        headers: &[],
        body: "<sms><to>{phone}</to><text>{text}</text></sms>",
        content_type: "text/xml",
    };
    send(wanted.settings(), "<b>&amp;\"'</text><to>+1</to>]]>\u{fc}").await.unwrap();
    let request = gateway.next("request");
    assert_eq!(request["xml"], json!({"to": PHONE, "text": "<b>&amp;\"'</text><to>+1</to>]]>\u{fc}"}));
    (wanted.content_type, wanted.body) = ("text/plain; charset=utf-8", "{phone}: {text}");
    send(wanted.settings(), "48151623 \u{fc}").await.unwrap();
    assert_eq!(gateway.next("request")["body"], format!("{PHONE}: 48151623 \u{fc}"));
}

#[tokio::test]
async fn what_cannot_stand_in_a_header_or_a_path_is_not_sent() {
    let gateway = Peer::gateway(&json!({}));
    let in_header = Wanted {
        method: "POST",
        url: format!("http://127.0.0.1:{}/?to={{phone}}", gateway.port),
        headers: &[("X-Text", "{text}")],
        body: "",
        content_type: "",
    };
    for text in ["48151623\r\nX-Other: 1", "48151623\n", "48151623 \u{fc}", "48151623\0"] {
        let error = send(in_header.settings(), text).await.unwrap_err();
        assert_eq!(error.code(), "refused");
        assert!(error.to_string().contains("cannot stand in the header x-text"), "{error}");
        assert!(!error.to_string().contains(CODE), "{error}");
    }
    let in_path = Wanted {
        url: format!("http://127.0.0.1:{}/a/{{text}}/{{phone}}", gateway.port),
        headers: &[],
        ..in_header
    };
    for text in ["..", "."] {
        let error = send(in_path.settings(), text).await.unwrap_err();
        assert!(error.to_string().contains("changes the path"), "{error}");
    }
    assert_eq!(gateway.told(), [Value::Null; 0]);
    send(in_path.settings(), "../b?c=d#e/%2e%2e").await.unwrap();
    assert_eq!(gateway.next("request")["path"], format!("/a/../b?c=d#e/%2e%2e/{PHONE}"));
}

#[tokio::test]
async fn answers_that_are_no_success_are_refusals() {
    for (plan, words) in [
        (json!({"status": 500, "body": "48151623 +491712345612"}), "it answered 500"),
        (json!({"status": 201}), "it answered 201, which is not in `success_status` in [sms]"),
        (json!({"status": 401}), "it answered 401: look at `headers` and `secret_file` in [sms]"),
    ] {
        let gateway = Peer::gateway(&plan);
        let error = failure(json_settings("http", gateway.port)).await;
        assert_eq!(error.code(), "refused");
        assert!(error.to_string().contains(words), "{error}");
        let name = format!("the SMS gateway http://127.0.0.1:{} ", gateway.port);
        assert!(error.to_string().starts_with(&name), "{error}");
    }
}

#[tokio::test]
async fn a_redirection_is_not_followed() {
    let target = Peer::gateway(&json!({}));
    for status in [301, 302, 303, 307, 308] {
        let plan = json!({"status": status, "location": format!("http://127.0.0.1:{}/", target.port)});
        let gateway = Peer::gateway(&plan);
        let error = failure(json_settings("http", gateway.port)).await;
        assert_eq!(error.code(), "refused");
        assert!(error.to_string().contains("a redirection, which is not followed"), "{error}");
    }
    assert_eq!(target.told(), [Value::Null; 0]);
}

#[tokio::test]
async fn the_answer_must_contain_what_is_demanded_within_64_kib() {
    let cap = 64 * 1024;
    for (padding, body, taken) in [
        (0, "{\"status\": \"OK\"}", true),
        (0, "{\"status\": \"48151623 failed\"}", false),
        (0, "", false),
        (cap - 16, "{\"status\": \"OK\"}", true),
        (cap, "{\"status\": \"OK\"}", false),
        (8 * 1024 * 1024, "{\"status\": \"OK\"}", false),
    ] {
        let gateway = Peer::gateway(&json!({"padding": padding, "body": body}));
        let mut settings = json_settings("http", gateway.port);
        settings.success_body = "\"status\": \"OK\"".to_owned();
        if taken {
            send(settings, CODE).await.unwrap();
        } else {
            let error = failure(settings).await;
            assert_eq!(error.code(), "refused");
            assert!(error.to_string().contains("does not contain what `success_body` in [sms] demands"));
        }
    }
}

#[tokio::test]
async fn the_time_limit_holds_for_the_answer_and_its_body() {
    for plan in [json!({"delay": 30}), json!({"delay_in_body": 30, "padding": 10, "body": "OK"})] {
        let gateway = Peer::gateway(&plan);
        let mut settings = json_settings("http", gateway.port);
        settings.success_body = "OK".to_owned();
        settings.timeout = Duration::from_secs(1);
        let start = Instant::now();
        let error = failure(settings).await;
        assert_eq!(error.code(), "timed_out", "{error}");
        assert!(error.to_string().contains("within 1 s") && error.to_string().contains("`timeout` in [sms]"));
        assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
    }
}

#[tokio::test]
async fn nobody_there_is_unreachable() {
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let settings = Wanted {
        method: "GET",
        url: format!("http://127.0.0.1:{nobody}/{{secret}}?to={{phone}}&text={{text}}"),
        headers: &[],
        body: "",
        content_type: "",
    };
    let error = failure(settings.settings()).await;
    assert_eq!(error.code(), "unreachable");
    assert!(error.to_string().contains("Connection refused"), "{error}");
}

#[tokio::test]
async fn a_certificate_is_always_checked() {
    let (right, other) = (Certificates::new(), Certificates::new());
    let misnamed = Certificates::naming(&["sms.example.org"]);
    for (served, trusted, refused) in [
        (&right, Some(right.ca_file()), None),
        (&right, None, Some("UnknownIssuer")),
        (&right, Some(other.ca_file()), Some("BadSignature")),
        (&misnamed, Some(misnamed.ca_file()), Some("not valid for")),
    ] {
        let gateway =
            Peer::gateway(&json!({"certificate": served.file("tls.crt"), "key": served.file("tls.key")}));
        let mut settings = json_settings("https", gateway.port);
        settings.ca_file = trusted;
        match refused {
            None => {
                send(settings, NASTY).await.unwrap();
                assert_eq!(gateway.next("request")["json"]["text"], NASTY);
            }
            Some(words) => {
                let error = failure(settings).await;
                assert_eq!(error.code(), "unreachable");
                assert!(error.to_string().contains(words), "{error}");
                assert_eq!(gateway.told(), [Value::Null; 0]);
            }
        }
    }
}

/// Runs a test of this file again in an environment that names a proxy where nobody listens.
#[test]
fn the_environment_names_no_proxy() {
    let proxy = "http://127.0.0.1:9";
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "sms::a_json_gateway_gets_every_character_as_it_is"])
        .env("http_proxy", proxy)
        .env("HTTP_PROXY", proxy)
        .env("https_proxy", proxy)
        .env("ALL_PROXY", proxy)
        .env_remove("no_proxy")
        .env_remove("NO_PROXY")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

#[tokio::test]
async fn without_settings_nothing_is_sent() {
    let delivery = Delivery::new(None, None, Arc::new(Fixed), Arc::new(System)).unwrap();
    let to = PhoneNumber::parse(PHONE).unwrap();
    let error = delivery.send_sms(Sms { to, text: SecretText::new(CODE.to_owned()) }).await.unwrap_err();
    assert_eq!(error.code(), "not_configured");
    assert_eq!(error.to_string(), "no SMS gateway is configured: set `url` and `body` in [sms]");
}

#[test]
fn a_secret_that_is_used_must_be_there() {
    let mut settings = json_settings("http", 1);
    settings.secret = None;
    let Err(error) = Delivery::new(None, Some(settings), Arc::new(Fixed), Arc::new(System)) else {
        panic!("taken");
    };
    assert_eq!(error.key, "[sms] secret_file");
}
