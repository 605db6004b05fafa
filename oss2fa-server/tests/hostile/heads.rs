//! Paths, queries and headers.

use axum::body::Body;
use axum::http::request::Builder;
use axum::http::{HeaderValue, Method, Uri};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::world::{EVERYBODY, Who, World, operations};

const NUMBERS: [&str; 14] = [
    "0",
    "-1",
    "1.0",
    "1e3",
    "9223372036854775807",
    "9223372036854775808",
    "99999999999999999999999999",
    "%00",
    "%ff",
    "%2e%2e",
    "..",
    "%F0%9F%A6%80",
    "%C0%80",
    "1%20",
];

#[test]
fn a_number_that_is_none_is_nothing_that_is_there() {
    let world = World::new();
    for (method, path) in operations() {
        for number in NUMBERS {
            let path = path.replace("{pk}", number).replace("{device_pk}", number);
            for who in EVERYBODY {
                world.ask(who, Builder::new().method(&method).uri(&path), b"{}".to_vec());
            }
        }
    }
    for number in NUMBERS {
        let path = format!("/integrations/enrollments/{number}");
        let answer = world.ask(Who::Integration, Builder::new().uri(path), Vec::new());
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (404, "not_found"), "{number}");
    }
}

#[test]
fn row_46_other_paths_and_methods_are_refused_in_the_same_shape() {
    let world = World::new();
    for path in [
        "/",
        "//",
        "/integrations",
        "/integrations/",
        "/integrations/enrollments/",
        "/Integrations/enrollments",
        "/integrations/enrollments/1/complete/",
        "/integrations/clients/verify/..",
        "/%69ntegrations/enrollments",
        "/healthz/",
        "/../etc/passwd",
        "/integrations/enrollments%2F1",
        "/;/healthz",
        "/healthz%00",
    ] {
        let answer = world.ask(Who::Integration, Builder::new().uri(path), Vec::new());
        assert_eq!(answer.status, 404, "{path}: {answer:?}");
    }
    for method in ["TRACE", "CONNECT", "PROPFIND", "GETT", "get"] {
        let answer = world.ask(
            Who::Integration,
            Builder::new().method(method).uri("/integrations/enrollments"),
            Vec::new(),
        );
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (405, "method_not_allowed"), "{method}");
    }
    // What begins with a slash too many is the path of another server to some proxies: never one of ours.
    let absolute = Builder::new().uri("http://elsewhere.example/healthz");
    assert_eq!(world.ask(Who::Nobody, absolute, Vec::new()).status, 200);
}

#[test]
fn headers_that_make_no_sense_are_no_credentials() {
    let world = World::new();
    let long = "a".repeat(8000);
    for value in [
        "",
        " ",
        "Basic",
        "Basic ",
        "Basic =",
        "Basic Og==",
        "Basic YTpi",
        "basic YQ==",
        "Basic /////w==",
        "Bearer 1",
        "Basic YTpi YTpi",
        "Digest username=\"a\"",
        long.as_str(),
    ] {
        let request = Builder::new().uri("/integrations/enrollments/1").header("Authorization", value);
        let answer = world.ask(Who::Nobody, request, Vec::new());
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (401, "unauthorized"), "{value:?}");
    }
    for bytes in
        [&b"\xff\xfe"[..], b"\xc3\xa4", b"\t", &[b'0'; 8000], b"0000000000000000000000000000000000000000 "]
    {
        for name in ["X-Integration-Token", "X-Admin-Token", "Authorization"] {
            for path in ["/integrations/enrollments/1", "/tenants", "/integrations/clients?integration=1"] {
                let value = HeaderValue::from_bytes(bytes).unwrap();
                let request = Builder::new().uri(path).header(name, value);
                let answer = world.ask(Who::Nobody, request, Vec::new());
                assert_eq!(answer.status, 401, "{name} {bytes:?}");
            }
        }
    }
}

#[test]
fn anything_may_stand_in_queries_and_headers() {
    let world = World::new();
    let names = vec![
        "accept",
        "authorization",
        "x-integration-token",
        "x-admin-token",
        "idempotency-key",
        "content-type",
        "content-length",
        "x-forwarded-for",
        "forwarded",
        "host",
        "expect",
        "origin",
        "x-request-id",
        "range",
        "if-none-match",
        "accept-encoding",
        "te",
        "cookie",
    ];
    let value = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..64)
            .prop_filter_map("no header", |bytes| HeaderValue::from_bytes(&bytes).ok()),
        "[ -~]{0,80}".prop_filter_map("no header", |text| HeaderValue::from_str(&text).ok()),
        prop::sample::select(vec!["application/json", "application/json; version=1.0", "Basic YTpi", "1"])
            .prop_map(HeaderValue::from_static),
    ];
    let query = prop_oneof![
        "[!-~&&[^#]]{0,60}",
        "(cursor|limit|integration|tenant|username|from|to|name|status)=[!-~&&[^#]]{0,30}",
        "((cursor|limit|integration|tenant|since|until)=(-?[0-9]{1,25}|%[0-9a-f]{2}|)&){0,4}",
    ];
    let requests = (
        prop::sample::select(operations()),
        prop::sample::select(vec![Who::Nobody, Who::Integration, Who::Owner]),
        query,
        prop::collection::vec((prop::sample::select(names), value), 0..4),
    );
    let mut runner = TestRunner::new(Config { cases: 2000, failure_persistence: None, ..Config::default() });
    runner
        .run(&requests, |((method, path), who, query, headers)| {
            // Removing and replacing is for other tests: here the world stays.
            let method = if who == Who::Owner { Method::GET } else { method };
            let target = format!("{}?{query}", path.replace("{pk}", "1").replace("{device_pk}", "1"));
            let Ok(uri) = target.parse::<Uri>() else { return Ok(()) };
            let mut request = Builder::new().method(method).uri(uri);
            for (name, value) in headers {
                request = request.header(name, value);
            }
            world.ask(who, request, b"{}".to_vec());
            Ok(())
        })
        .unwrap();
}

#[test]
fn a_request_without_the_address_of_its_connection_is_refused() {
    // It cannot come from the listener; should it ever, it must not pass as anybody's.
    let world = World::new();
    let request = Builder::new().uri("/devices-kind").body(Body::empty()).unwrap();
    let answer = world.ask_nowhere(request);
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (403, "forbidden"));
}
