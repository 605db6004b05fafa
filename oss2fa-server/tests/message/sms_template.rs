//! Templates: what is proved when they are read.

use std::collections::BTreeMap;

use oss2fa_core::secret::SecretText;
use oss2fa_server::message::settings::{SettingError, SmsRequest, SmsTemplate, success_statuses};

struct Template {
    method: &'static str,
    url: &'static str,
    headers: &'static [(&'static str, &'static str)],
    body: &'static str,
    content_type: &'static str,
}

const GOOD: Template = Template {
    method: "POST",
    url: "https://sms.example.org/send",
    headers: &[],
    body: r#"{"to": "{phone}", "text": "{text}"}"#,
    content_type: "application/json",
};

fn prove(template: &Template) -> Result<SmsRequest, SettingError> {
    let headers: BTreeMap<String, SecretText> = template
        .headers
        .iter()
        .map(|(name, value)| ((*name).to_owned(), SecretText::new((*value).to_owned())))
        .collect();
    SmsRequest::prove(&SmsTemplate {
        method: template.method,
        url: template.url,
        headers: &headers,
        body: template.body,
        content_type: template.content_type,
    })
}

fn refused(template: &Template) -> SettingError {
    prove(template).expect_err("it was taken")
}

#[test]
fn a_placeholder_that_is_unknown_is_an_error_wherever_it_stands() {
    let unknown = "{code} is unknown: there are {phone}, {text} and {secret}";
    let body = Template { body: r#"{"to": "{phone}", "text": "{text} {code}"}"#, ..GOOD };
    assert_eq!(refused(&body).to_string(), format!("[sms] body: {unknown}"));
    let url = Template { url: "https://sms.example.org/?c={code}", ..GOOD };
    assert_eq!(refused(&url).to_string(), format!("[sms] url: {unknown}"));
    let headers = Template { headers: &[("X-Code", "{code}")], ..GOOD };
    assert_eq!(refused(&headers).to_string(), format!("[sms] headers: {unknown}"));
    for body in ["{phone}{text}{Text}", "{phone}{text}{ text }", "{phone}{text}{user-id}", "{phone}{text}{0}"]
    {
        let template = Template { body, content_type: "text/plain", ..GOOD };
        assert_eq!(refused(&template).key, "[sms] body", "{body}");
    }
}

#[test]
fn a_key_in_a_template_is_never_shown() {
    let template = Template {
        url: "https://sms.example.org/k3y/send",
        headers: &[("Authorization", "Bearer k3y")],
        body: r#"{"to": "{phone}", "text": "{text}", "key": "k3y"}"#,
        ..GOOD
    };
    let shown = format!("{:?}", prove(&template).unwrap());
    assert!(shown.contains("https://sms.example.org") && !shown.contains("k3y"), "{shown}");
}

#[test]
fn other_braces_are_themselves() {
    for body in [
        r#"{"a":{"b":{}},"to":"{phone}","text":"{text}"}"#,
        r#"[{"to":"{phone}{phone}","text":"{ {text} }"}]"#,
        r#"{"to":"{phone}","text":"}{{text}{"}"#,
    ] {
        prove(&Template { body, ..GOOD }).expect(body);
    }
}

#[test]
fn a_json_placeholder_stands_in_a_string_or_nowhere() {
    for body in [
        r#"{"to": {phone}, "text": "{text}"}"#,
        r#"{"to": "{phone}", "text": {text}}"#,
        r#"{"to": "{phone}", {text}: 1}"#,
        r#"{"to": "{phone}", "text": "{text}""#,
        r#"to={phone}&text={text}"#,
    ] {
        assert_eq!(refused(&Template { body, ..GOOD }).key, "[sms] body", "{body}");
    }
}

#[test]
fn number_and_text_must_be_sent() {
    for body in [r#"{"text": "{text}"}"#, r#"{"to": "{phone}"}"#, ""] {
        let error = refused(&Template { body, ..GOOD });
        assert_eq!(
            error.to_string(),
            "[sms] body: {phone} and {text} must stand in it, or in `url` or `headers`"
        );
    }
}

#[test]
fn a_url_keeps_its_host_and_its_protection() {
    for url in [
        "http://sms.example.org/send",
        "http://192.0.2.1/",
        "http://127.0.0.1.example.org/",
        "http://localhost.example.org/",
        "ftp://127.0.0.1/",
        "file:///etc/passwd",
        "sms.example.org/send",
        "https://{text}.example.org/",
        "https://sms.example.org:{phone}/",
        "https://sms.example.org{text}/",
        "{text}://sms.example.org/",
        "https://sms.example.org?{text}#",
        "https://sms.example.org\\@evil.example.org/",
        "https://user:pass@sms.example.org/",
        "https://{secret}@sms.example.org/",
        "https://sms.example.org/#{text}",
        "https://sms.example.org/a b",
        "https:///",
        "",
    ] {
        assert_eq!(refused(&Template { url, ..GOOD }).key, "[sms] url", "{url}");
    }
    for url in [
        "http://127.0.0.1:8080/",
        "http://[::1]/send",
        "http://localhost/",
        "https://sms.example.org",
        "https://sms.example.org/?to={phone}@example",
    ] {
        prove(&Template { url, ..GOOD }).expect(url);
    }
}

#[test]
fn methods_types_headers_and_statuses_are_checked() {
    for method in ["DELETE", "post", "CONNECT", "", "POST "] {
        assert_eq!(refused(&Template { method, ..GOOD }).key, "[sms] method");
    }
    assert_eq!(refused(&Template { method: "GET", ..GOOD }).key, "[sms] body");
    for content_type in ["", "application/octet-stream", "json", "application/json\r\nX: y"] {
        assert_eq!(refused(&Template { content_type, ..GOOD }).key, "[sms] content_type");
    }
    for headers in [
        &[("Content-Type", "text/plain")],
        &[("Host", "other.example.org")],
        &[("content-length", "1")],
        &[("Transfer-Encoding", "chunked")],
        &[("X Y", "1")],
        &[("X-Key", "abc\r\nX-Other: 1")],
        &[("X-Key", "\u{fc}")],
    ] {
        let error = refused(&Template { headers, ..GOOD });
        assert_eq!(error.key, "[sms] headers");
        assert!(!error.to_string().contains("abc"), "{error}");
    }
    for numbers in [&[][..], &[302], &[200, 500], &[0], &[1000]] {
        assert_eq!(success_statuses(numbers).unwrap_err().key, "[sms] success_status");
    }
}
