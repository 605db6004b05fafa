//! The document that the server's API was promised by, followed from top to bottom with curl, zbarimg and
//! oathtool, on a machine where the server was just installed and nothing was configured.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failure is a panic in tests, in their helpers too"
)]

use std::process::Command;

use oss2fa_tests::server::{Reply, Server, phone, qr_text};
use serde_json::Value;

/// As `docker` shows it; the two values stand for what is made on the first start.
const BANNER: &str = r#"oss2fa    |               Listener 1: tcp (addr: "0.0.0.0:8300", tls: "enabled")
oss2fa    |                   Tenant: TENANT
oss2fa    |              Integration: TOKEN
oss2fa    |                  Version: OSS2FA v1.0
oss2fa    | 
oss2fa    | ==> OSS2FA server started
"#;

const COMPLETE: &str = "/integrations/enrollments/1/complete";
const ACCEPT: &str = "Accept: application/json; version=1.0";

/// What the document sends, and nothing else: no `Content-Type`, which curl would add.
fn as_shown(server: &Server, path: &str, body: &str) -> Reply {
    let token = format!("X-Integration-Token: {}", server.token);
    server.curl("POST", path, &[ACCEPT, &token, "Content-Type:"], body)
}

fn banner(tenant: &str, integration: &str) -> String {
    let inner = BANNER.replace("oss2fa    | ", "").replace("TENANT", tenant);
    inner.replace("TOKEN", integration)
}

fn line<'b>(banner: &'b str, label: &str) -> &'b str {
    banner.lines().find_map(|line| line.trim_start().strip_prefix(label)).unwrap()
}

fn is_forty_hex(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Seconds and microseconds since 1970 of a time as the document writes them, by Python.
fn microseconds(time: &str) -> i64 {
    let shape: String = time.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    assert_eq!(shape, "0000-00-00T00:00:00.000000Z", "{time}");
    let script = "import sys; from datetime import datetime, timezone, timedelta\n\
        t = datetime.strptime(sys.argv[1], '%Y-%m-%dT%H:%M:%S.%fZ').replace(tzinfo=timezone.utc)\n\
        print((t - datetime(1970, 1, 1, tzinfo=timezone.utc)) // timedelta(microseconds=1))";
    let python = Command::new("/usr/bin/python3").args(["-c", script, time]).output().unwrap();
    String::from_utf8(python.stdout).unwrap().trim().parse().unwrap()
}

/// The body with its values put into the bytes of the document.
fn shown(reply: &Reply, selection: &str, username: &str, status: u8, details: &str) -> String {
    let body = reply.json();
    let time = |key: &str| body[key].as_str().unwrap_or_else(|| panic!("{key}: {reply}")).to_owned();
    let (created, expires) = (time("created_at"), time("expires_at"));
    let lifetime = microseconds(&expires) - microseconds(&created);
    assert_eq!(lifetime, 300_000_000, "five minutes: {reply}");
    format!(r#"{{"pk":1,"device_selection":{selection},"username":"{username}","status":{status},"#)
        + &format!(r#""created_at":"{created}","expires_at":"{expires}","public_details":{details}}}"#)
}

#[test]
fn the_whole_document() {
    let server = Server::new().without_configuration().start();
    let started = server.banner();
    let tenant = line(&started, "Tenant: ").to_owned();
    assert_eq!(started, banner(&tenant, &server.token));
    assert!(is_forty_hex(&tenant) && is_forty_hex(&server.token), "{started}");
    assert_eq!(server.url, "https://127.0.0.1:8300");

    // Creating an enrollment.
    let created = as_shown(&server, "/integrations/enrollments", "{\n  \"username\": \"john.doe\"\n}\n");
    assert_eq!(created.status, 201, "{created}");
    assert_eq!(created.text(), shown(&created, "null", "john.doe", 1, "null"));
    assert_eq!(created.header("Content-Type"), Some("application/json"));
    let now = i64::try_from(oss2fa_tests::unix_time()).unwrap();
    let made = microseconds(created.json()["created_at"].as_str().unwrap()) / 1_000_000;
    assert!((now - 60..=now).contains(&made), "made at {made}, it is {now}");

    let read = server.integration().get("/integrations/enrollments/1").expect(200);
    assert_eq!(read.text(), created.text(), "what is read is what was made");

    // Choosing to enroll a TOTP device.
    let wish = "{\n  \"kind\": \"TOTP\",\n  \"options\": {\n    \"generate_qr_code\": true\n  }\n}\n";
    let prepared = as_shown(&server, "/integrations/enrollments/1/prepare-device", wish);
    assert_eq!(prepared.status, 200, "{prepared}");
    let details = prepared.json()["public_details"].clone();
    let text = |key: &str| details[key].as_str().unwrap_or_else(|| panic!("{key}: {prepared}")).to_owned();
    let (uri, qr) = (text("provisioning_uri"), text("qr_code"));
    let inner = format!(r#"{{"provisioning_uri":"{uri}","qr_code":"{qr}"}}"#);
    assert_eq!(prepared.text(), shown(&prepared, "1", "john.doe", 2, &inner));
    let issuer = uri.strip_prefix("otpauth://totp/").and_then(|rest| rest.split(':').next()).unwrap();
    let secret = uri.split("secret=").nth(1).and_then(|rest| rest.split('&').next()).unwrap();
    assert_eq!(uri, format!("otpauth://totp/{issuer}:john.doe?secret={secret}&issuer={issuer}"));
    assert_eq!(secret.len(), 32, "160 bits, as RFC 4226 recommends");
    assert_eq!(qr_text(&qr), uri, "what the camera reads");

    // Finalizing the enrollment: first with the five digits that the document shows.
    let phone = phone(&details);
    for wrong in ["12345", &phone.wrong_code()] {
        let refused = as_shown(&server, COMPLETE, &format!("{{\n  \"token\": \"{wrong}\"\n}}\n"));
        refused.refused(403, "wrong_token");
    }
    let code = phone.code_at(phone.step_now());
    let done = as_shown(&server, COMPLETE, &format!("{{\n  \"token\": \"{code}\"\n}}\n"));
    assert_eq!((done.status, done.body.len()), (201, 0), "{done}");
    for header in [
        "Content-Length: 0",
        "Vary: Accept",
        "X-Client-Id: 1",
        "Allow: POST, OPTIONS",
        "X-Frame-Options: SAMEORIGIN",
    ] {
        let times = done.head.iter().filter(|line| *line == header).count();
        assert_eq!(times, 1, "{header} in\n{done}");
    }
    let after = server.integration().get("/integrations/enrollments/1").expect(200).json();
    assert_eq!(after["status"], 3, "{after}");
    assert!(!after.to_string().contains(secret), "the secret was shown once: {after}");
    server.stop();
}

#[test]
fn the_token_is_shown_once_and_kept_hashed() {
    let server = Server::new().start();
    let first = server.banner();
    let tenant = line(&first, "Tenant: ").to_owned();
    let _john = server.integration().enroll("john.doe", "HOTP");
    server.stop();
    for entry in std::fs::read_dir(server.file("")).unwrap() {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap_or_default();
        let found = bytes.windows(40).any(|window| window == server.token.as_bytes());
        assert!(!found, "{} has the token", path.display());
    }
    server.start_again();
    let second = server.banner();
    assert_eq!(line(&second, "Tenant: "), tenant);
    assert_eq!(
        line(&second, "Integration: "),
        "oss2fa (token shown on first start; replace it with: oss2fa-server integration rotate-token oss2fa)"
    );
    assert_eq!(server.integration().decide("john.doe")["result"], 2, "who was enrolled still is");
}

#[test]
fn options_answer_what_allow_says_and_need_no_token() {
    let server = Server::new().start();
    let anybody = server.anybody();
    for (path, methods) in [
        ("/integrations/enrollments", "POST, OPTIONS"),
        ("/integrations/enrollments/1", "GET, HEAD, OPTIONS"),
        ("/integrations/enrollments/1/prepare-device", "POST, OPTIONS"),
        (COMPLETE, "POST, OPTIONS"),
        ("/integrations/clients/auth", "POST, OPTIONS"),
        ("/integrations/challenges", "POST, OPTIONS"),
        ("/integrations/challenges/1/complete", "POST, OPTIONS"),
        ("/devices-kind", "GET, HEAD, OPTIONS"),
    ] {
        let options = anybody.send("OPTIONS", path, &Value::Null).expect(200);
        assert_eq!(options.header("Allow"), Some(methods), "{path}");
        let other = if methods.starts_with("GET") { "POST" } else { "GET" };
        let refused = anybody.send(other, path, &Value::Null);
        refused.refused(405, "method_not_allowed");
        assert_eq!(refused.header("Allow"), Some(methods), "{path}");
        for reply in [&options, &refused] {
            assert_eq!(reply.header("Vary"), Some("Accept"), "{path}: {reply}");
            assert_eq!(reply.header("X-Frame-Options"), Some("SAMEORIGIN"), "{path}: {reply}");
            assert_eq!(reply.header("Cache-Control"), Some("no-store"), "{path}: {reply}");
        }
    }
}

#[test]
fn versions_and_tokens() {
    let server = Server::new().start();
    let token = format!("X-Integration-Token: {}", server.token);
    let kinds = |headers: &[&str]| server.curl("GET", "/devices-kind", headers, "");
    for accept in ["Accept:", "Accept: */*", "Accept: application/json", ACCEPT] {
        assert_eq!(kinds(&[accept, &token]).status, 200, "{accept}");
    }
    for accept in
        ["Accept: application/json; version=2.0", "Accept: application/json; version=", "Accept: text/html"]
    {
        kinds(&[accept, &token]).refused(406, "not_acceptable");
    }
    let mut other = server.token.clone().into_bytes();
    other[0] = if other[0] == b'0' { b'1' } else { b'0' };
    let other = String::from_utf8(other).unwrap();
    for wrong in [String::new(), other, server.token.to_uppercase() + "0", "x".repeat(4000)] {
        let reply = kinds(&[ACCEPT, &format!("X-Integration-Token: {wrong}")]);
        reply.refused(401, "unauthorized");
    }
    kinds(&[ACCEPT]).refused(401, "unauthorized");
    assert_eq!(kinds(&[ACCEPT, &token]).status, 200, "the right one still works");
}

#[test]
fn kinds_are_listed() {
    let server = Server::new().start();
    let kinds = server.integration().get("/devices-kind").expect(200).json();
    let kinds = kinds.get("results").unwrap_or(&kinds).as_array().unwrap().clone();
    let names: Vec<&str> = kinds.iter().map(|kind| kind["name"].as_str().unwrap()).collect();
    for name in ["TOTP", "HOTP", "EMAIL", "SMS", "RECOVERY"] {
        assert!(names.contains(&name), "{names:?}");
    }
    for kind in &kinds {
        assert!(kind["pk"].is_i64() && !kind["description"].as_str().unwrap().is_empty(), "{kind}");
    }
}
