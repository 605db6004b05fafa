//! `/metrics`.

use serde_json::json;

use crate::program::Program;

/// The value of a series, by its name and labels as they stand in the text.
fn value(text: &str, series: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {series} in:\n{text}")).parse().unwrap()
}

#[test]
fn what_has_happened_is_counted_and_nobody_is_named() {
    let server = Program::start("");
    for _ in 0..3 {
        server.get("/healthz").expect(200);
    }
    let enrollment = |name: &str| {
        let made = server.post("/integrations/enrollments", &json!({"username": name})).expect(201);
        made.json()["pk"].as_i64().unwrap()
    };
    let pk = enrollment("canary.user");
    server.get(&format!("/integrations/enrollments/{pk}")).expect(401);
    server.get("/canary/path").expect(404);
    server.ask("CANARY", "/healthz", &[], "").expect(405);
    server
        .post("/integrations/clients/verify", &json!({"username": "nobody", "token": "123456"}))
        .expect(404);
    let answer = server.get("/metrics").expect(200);
    assert_eq!(answer.header("Content-Type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let text = answer.body;

    let requests = |path: &str, method: &str, status: &str| {
        let series =
            format!("oss2fa_requests_total{{path=\"{path}\",method=\"{method}\",status=\"{status}\"}}");
        value(&text, &series)
    };
    assert_eq!(requests("/healthz", "GET", "200"), 3.0);
    assert_eq!(requests("/healthz", "other", "405"), 1.0);
    assert_eq!(requests("/integrations/enrollments", "POST", "201"), 1.0);
    assert_eq!(requests("/integrations/enrollments/{pk}", "GET", "401"), 1.0);
    assert_eq!(requests("none", "GET", "404"), 1.0);
    assert_eq!(value(&text, "oss2fa_request_seconds_count{path=\"/healthz\",method=\"GET\"}"), 3.0);
    assert_eq!(
        value(&text, "oss2fa_request_seconds_bucket{path=\"/healthz\",method=\"GET\",le=\"+Inf\"}"),
        3.0
    );
    assert_eq!(value(&text, "oss2fa_verdicts_total{kind=\"none\",verdict=\"nobody\"}"), 1.0);
    assert!(value(&text, "oss2fa_store_group_size_count") >= 2.0);
    assert!(value(&text, "oss2fa_connections") >= 1.0, "the one that reads them is open:\n{text}");
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(value(&text, &format!("oss2fa_build_info{{version=\"{version}\"}}")), 1.0);
    for name in ["canary", "CANARY", &server.token] {
        assert!(!text.contains(name), "{name} is in:\n{text}");
    }
    // Each family says what it is, in the text format of Prometheus.
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let name = line.split(['{', ' ']).next().unwrap();
        let family =
            ["_bucket", "_count", "_sum"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
        assert!(text.contains(&format!("# HELP {family} ")), "{family} has no HELP");
        assert!(text.contains(&format!("# TYPE {family} ")), "{family} has no TYPE");
    }
}

#[test]
fn figures_are_for_the_networks_that_may_read_them() {
    let nobody = Program::start("[metrics]\nallowed = []");
    assert_eq!(nobody.get("/metrics").expect(403).code(), "forbidden");
    let elsewhere = Program::start("[metrics]\nallowed = ['192.0.2.0/24']");
    assert_eq!(elsewhere.get("/metrics").expect(403).code(), "forbidden");
    // Whoever comes through the proxy is not the proxy, and nobody else is believed.
    let behind = Program::start("[proxy]\ntrusted = ['127.0.0.1/32']");
    let by = |header: &str| behind.ask("GET", "/metrics", &["-H", header], "");
    by("X-Forwarded-For: 127.0.0.1").expect(200);
    assert_eq!(by("X-Forwarded-For: 192.0.2.7").expect(403).code(), "forbidden");
    assert_eq!(by("X-Forwarded-For: 127.0.0.1, 192.0.2.7").expect(403).code(), "forbidden");
    let told = elsewhere.ask("GET", "/metrics", &["-H", "X-Forwarded-For: 192.0.2.7"], "");
    assert_eq!(told.expect(403).code(), "forbidden");
}
