//! Bodies.

use axum::http::Method;
use axum::http::request::Builder;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

use crate::world::{EVERYBODY, Who, World, numbered, operations};

fn asked(method: &Method, path: &str) -> Builder {
    Builder::new().method(method).uri(path).header("Content-Type", "application/json")
}

/// Where a value may stand in the bodies of this API.
const FIELDS: [&str; 22] = [
    "username",
    "token",
    "kind",
    "options",
    "reference",
    "device_pk",
    "binding_context",
    "remember_device",
    "name",
    "status",
    "role",
    "tenant",
    "address",
    "fingerprint",
    "trusted_device_token",
    "secret",
    "issuer",
    "locks",
    "code_length",
    "url",
    "events",
    "generate_qr_code",
];

fn corpus() -> Vec<Vec<u8>> {
    let deep = 20_000;
    let digits = "9".repeat(5000);
    let mut bodies: Vec<Vec<u8>> = vec![
        "[".repeat(deep).into_bytes(),
        format!("{}{}", "[".repeat(deep), "]".repeat(deep)).into_bytes(),
        r#"{"a":"#.repeat(10_000).into_bytes(),
        format!(r#"{{"username":"a","token":{}1{}}}"#, "[".repeat(200), "]".repeat(200)).into_bytes(),
        format!(r#"{{"username":"a","token":{}1{}}}"#, r#"{"a":"#.repeat(120), "}".repeat(120)).into_bytes(),
        format!(r#"{{"username":"a","device_pk":{digits}}}"#).into_bytes(),
        br#"{"username":"a","device_pk":1e400,"token":"1"}"#.to_vec(),
        br#"{"username":"a","device_pk":-9223372036854775808,"token":"1"}"#.to_vec(),
        br#"{"username":"a","device_pk":9223372036854775807,"token":"1"}"#.to_vec(),
        br#"{"username":"a","device_pk":9223372036854775808,"token":"1"}"#.to_vec(),
        br#"{"username":"a","device_pk":0.5,"token":"1"}"#.to_vec(),
        br#"{"username":"a","username":"b"}"#.to_vec(),
        br#"{"username":"a","token":"1","token":"2"}"#.to_vec(),
        br#"{"username":"a\u0000b","token":"1"}"#.to_vec(),
        br#"{"username":"a","token":"\u0000"}"#.to_vec(),
        br#"{"username":"\ud800","token":"\udfff"}"#.to_vec(),
        b"{\"username\":\"\xff\xfe\",\"token\":\"\xc0\x80\"}".to_vec(),
        b"{\"username\":\"a\x00\"}".to_vec(),
        b"\xef\xbb\xbf{\"username\":\"a\"}".to_vec(),
        b"{\x00\"\x00u\x00\"\x00".to_vec(),
        br#"{"username":"a"} {"username":"b"}"#.to_vec(),
        br#"{"username":"a"}]"#.to_vec(),
        br#"{"username":null,"token":null}"#.to_vec(),
        b"null".to_vec(),
        b"true".to_vec(),
        b"\"text\"".to_vec(),
        b"[]".to_vec(),
        b"{}".to_vec(),
        Vec::new(),
        b" ".to_vec(),
        vec![b' '; 65_000],
        vec![b'1'; 65_000],
        vec![b'{'; 70_000],
        format!(r#"{{"username":"{}"}}"#, "\u{301}".repeat(20_000)).into_bytes(),
        format!(r#"{{"username":"{}","token":"{}"}}"#, "a".repeat(30_000), "1".repeat(30_000)).into_bytes(),
        // One character that becomes eighteen when it is normalised.
        format!(r#"{{"username":"{}","token":"1"}}"#, "\u{fdfa}".repeat(85)).into_bytes(),
        br#"{"username":"a","binding_context":{"address":"fe80::1%eth0"},"token":"1"}"#.to_vec(),
        br#"{"username":"a","binding_context":{"address":"999.1.1.1"},"token":"1"}"#.to_vec(),
        br#"{"username":"a","binding_context":{"fingerprint":"\u0000\u001b[2J"},"token":"1"}"#.to_vec(),
        br#"{"username":"a","device_pk":1,"reference":"\u0000"}"#.to_vec(),
        br#"{"kind":"SMS","options":{"address":"+49151\u0000"}}"#.to_vec(),
        br#"{"kind":"EMAIL","options":{"address":"a@b\r\nBcc: c@d"}}"#.to_vec(),
        br#"{"kind":"TOTP","options":{"secret":"=====","digits":4294967296,"period":-1}}"#.to_vec(),
        br#"{"kind":"TOTP\u0000","options":[]}"#.to_vec(),
        br#"{"name":"\u0000"}"#.to_vec(),
        br#"{"name":"\u202etxt.exe"}"#.to_vec(),
        br#"{"name":"x","role":"owner","tenant":9223372036854775807}"#.to_vec(),
        br#"{"status":"\u0000"}"#.to_vec(),
        br#"{"locks":{"first_pause":4294967295,"longest_pause":4294967295}}"#.to_vec(),
        br#"{"api_networks":["0.0.0.0/33"],"code_length":256}"#.to_vec(),
        br#"{"issuer":"\u0000","email_domains":["\u0000"]}"#.to_vec(),
    ];
    for field in FIELDS {
        for value in
            [json!(null), json!([]), json!({}), json!(true), json!(-1), json!(1e308), json!(""), json!("\0")]
        {
            bodies.push(json!({field: value, "username": "a", "token": "1"}).to_string().into_bytes());
            bodies.push(json!({ field: value }).to_string().into_bytes());
        }
    }
    bodies
}

#[test]
fn row_40_no_body_is_a_fault_of_the_server() {
    let world = World::new();
    let mut refused = 0;
    for (method, path) in operations().into_iter().filter(|(method, _)| *method != Method::GET) {
        for who in EVERYBODY {
            let path = numbered(&path, who);
            for body in corpus() {
                // No client is removed, nor its devices: what follows shall meet them.
                if who == Who::Integration && method == Method::DELETE {
                    continue;
                }
                let answer = world.ask(who, asked(&method, &path), body);
                refused += u32::from(answer.status.is_client_error());
            }
        }
    }
    assert!(refused > 10_000, "{refused}");
    // It works as before.
    let made = world.ask(
        Who::Integration,
        asked(&Method::POST, "/integrations/enrollments"),
        br#"{"username":"ferris"}"#.to_vec(),
    );
    assert_eq!(made.status, 201);
}

#[test]
fn a_body_must_be_json_of_a_size_that_is_allowed() {
    let world = World::new();
    let post = |kind: &str, body: Vec<u8>| {
        let request =
            Builder::new().method("POST").uri("/integrations/enrollments").header("Content-Type", kind);
        let answer = world.ask(Who::Integration, request, body);
        (answer.status.as_u16(), answer.code())
    };
    let good = || br#"{"username":"ferris"}"#.to_vec();
    for kind in ["application/json", "Application/JSON; charset=utf-8", "application/json;"] {
        assert_eq!(post(kind, good()).0, 201, "{kind}");
    }
    let unsupported = (415, "unsupported_media_type".to_owned());
    for kind in ["text/plain", "application/jsonx", "multipart/form-data", ""] {
        assert_eq!(post(kind, good()), unsupported, "{kind}");
    }
    // What curl calls it that is told nothing else. Of a browser's page, which has no token, it is not taken.
    let form = "application/x-www-form-urlencoded";
    assert_eq!(post(form, good()).0, 201);
    assert_eq!(post(form, b"username=ferris".to_vec()), (400, "bad_request".to_owned()));
    let path = "/integrations/enrollments";
    let with_pair = Builder::new().method("POST").uri(path).header("Content-Type", form);
    let answer = world.ask(Who::Pair, with_pair, good());
    assert_eq!((answer.status.as_u16(), answer.code()), unsupported);
    assert_eq!(post("application/json", vec![b' '; 65_537]), (413, "body_too_large".to_owned()));
    assert_eq!(post("application/json", vec![b' '; 65_536]), (400, "bad_request".to_owned()));
}

/// What can stand for a value: text of any characters, numbers of any size, and both in one another.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        "[0-9]{6,8}".prop_map(Value::from),
        prop::sample::select(vec![
            "TOTP", "HOTP", "EMAIL", "SMS", "RECOVERY", "ferris", "1", "active", "owner"
        ])
        .prop_map(Value::from),
        prop::sample::select(vec!["a@example.org", "+491701234567", "JBSWY3DPEHPK3PXP", "::1", "10.0.0.0/8"])
            .prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from), object(inner.clone()),]
    })
}

fn object(value: impl Strategy<Value = Value>) -> impl Strategy<Value = Value> {
    let key =
        prop_oneof![4 => prop::sample::select(FIELDS.to_vec()).prop_map(str::to_owned), 1 => any::<String>()];
    prop::collection::vec((key, value), 0..5).prop_map(|pairs| Value::Object(pairs.into_iter().collect()))
}

#[test]
fn values_of_any_shape_are_answered_in_order() {
    let world = World::new();
    let made = world.ask(
        Who::Integration,
        asked(&Method::POST, "/integrations/enrollments"),
        br#"{"username":"ferris"}"#.to_vec(),
    );
    assert_eq!(made.status, 201);
    let changing: Vec<_> = operations().into_iter().filter(|(method, _)| *method != Method::GET).collect();
    let mut runner = TestRunner::new(Config { cases: 1500, failure_persistence: None, ..Config::default() });
    let requests = (
        prop::sample::select(changing),
        prop::sample::select(vec![Who::Integration, Who::Owner]),
        prop_oneof![8 => object(value()).prop_map(|body| body.to_string().into_bytes()),
                    1 => value().prop_map(|body| body.to_string().into_bytes()),
                    1 => prop::collection::vec(any::<u8>(), 0..200)],
    );
    runner
        .run(&requests, |((method, path), who, body)| {
            let path = numbered(&path, who);
            world.ask(who, asked(&method, &path), body);
            Ok(())
        })
        .unwrap();
}
