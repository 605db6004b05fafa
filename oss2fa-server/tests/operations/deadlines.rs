//! Bodies that do not arrive, operations that take too long.

use std::io::Write;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::program::{Answer, Program, read_all};

fn head(server: &Program, length: usize) -> String {
    format!(
        "POST /integrations/enrollments HTTP/1.1\r\nHost: localhost\r\nX-Integration-Token: {}\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n",
        server.token
    )
}

#[test]
fn a_body_that_comes_in_drops_is_cut_off() {
    let server = Program::start("[limits]\nrequest_timeout = 1");
    let begun = Instant::now();
    let mut stream = server.connect();
    stream.write_all(head(&server, 1000).as_bytes()).unwrap();
    let mut drops = stream.try_clone().unwrap();
    let dropping = std::thread::spawn(move || {
        // Until the server has closed.
        while drops.write_all(b" ").is_ok() && begun.elapsed() < Duration::from_secs(20) {
            std::thread::sleep(Duration::from_millis(100));
        }
    });
    let answer = Answer::of(&read_all(&mut stream)).expect(408);
    let took = begun.elapsed();
    assert_eq!(answer.code(), "request_timeout");
    assert_eq!(answer.header("Connection"), Some("close"));
    assert!(took >= Duration::from_secs(1) && took < Duration::from_secs(15), "{took:?}");
    dropping.join().unwrap();
    server.post("/integrations/enrollments", &json!({"username": "ferris"})).expect(201);
}

#[test]
fn one_stream_of_http_2_that_is_slow_ends_alone() {
    let server = Program::start("[limits]\nrequest_timeout = 2");
    // curl reads its answer when the pipe with the body ends: after the deadline, before the quiet connection
    // is closed.
    let script = format!(
        "(printf '{{'; sleep 3) | curl -q -sS -i --http2-prior-knowledge -X POST -T - -H 'Expect:' \
         -H 'X-Integration-Token: {}' -H 'Content-Type: application/json' http://{}/integrations/enrollments",
        server.token, server.address
    );
    let output = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
    let answer = Answer::of(&String::from_utf8_lossy(&output.stdout));
    assert_eq!(answer.status, 408, "{answer:?}");
    assert_eq!(answer.header("Connection"), None);
    assert_eq!(answer.code(), "request_timeout");
}

#[test]
fn an_operation_that_takes_too_long_is_answered() {
    let server = Program::start("[limits]\nrequest_timeout = 1");
    let other = server.database();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let begun = Instant::now();
    let late = server.post("/integrations/enrollments", &json!({"username": "ferris"})).expect(503);
    assert_eq!(late.code(), "operation_timeout");
    assert_eq!(late.header("Retry-After"), Some("1"));
    assert!(begun.elapsed() < Duration::from_secs(15));
    other.execute_batch("ROLLBACK").unwrap();
    server.post("/integrations/enrollments", &json!({"username": "ferris"})).expect(201);
}
