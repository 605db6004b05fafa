//! The line that each request leaves in the log.

use serde_json::{Value, json};

use crate::program::Program;

#[test]
fn at_debug_each_request_has_a_line_that_its_header_names() {
    let server = Program::start("[log]\nlevel = 'debug'\nformat = 'json'");
    let made = server.post("/integrations/enrollments", &json!({"username": "ferris"})).expect(201);
    let id = made.header("X-Request-Id").unwrap().to_owned();
    assert!(id.len() == 16 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
    let line: Value = serde_json::from_str(&server.logged(&id)).unwrap();
    assert_eq!(line["level"], "DEBUG");
    let fields = &line["fields"];
    assert_eq!(fields["code"], "request");
    assert_eq!(fields["method"], "POST");
    assert_eq!(fields["path"], "/integrations/enrollments");
    assert_eq!(fields["status"], 201);
    assert_eq!(fields["integration"], 1);
    assert_eq!(fields["address"], "127.0.0.1");
    assert!(fields["ms"].as_f64().unwrap() > 0.0);

    let next = server.get("/nothing/here?secret=canary").expect(404);
    let line: Value = serde_json::from_str(&server.logged(next.header("X-Request-Id").unwrap())).unwrap();
    assert_eq!(line["fields"]["path"], "none");
    assert_eq!(line["fields"]["integration"], Value::Null);
    assert_ne!(next.header("X-Request-Id").unwrap(), id);
    assert!(!server.log().contains("canary"));
}

#[test]
fn at_info_only_what_the_server_could_not_do_has_one() {
    let server = Program::start("");
    server.post("/integrations/enrollments", &json!({"username": "ferris"})).expect(201);
    server.get("/nothing").expect(404);
    server.database().execute("UPDATE store_state SET moved_to = 'elsewhere'", []).unwrap();
    let failed = server.post("/integrations/enrollments", &json!({"username": "gopher"})).expect(503);
    let line = server.logged(failed.header("X-Request-Id").unwrap());
    assert!(
        line.contains("WARN") && line.contains("status=503") && line.contains("request_failed"),
        "{line}"
    );
    let lines = server.log().lines().filter(|line| line.contains("path=")).count();
    assert_eq!(lines, 1, "{}", server.log());
}
