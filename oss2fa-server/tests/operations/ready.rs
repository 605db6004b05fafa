//! `/healthz` and `/readyz`.

use crate::program::Program;

#[test]
fn it_is_ready_while_its_store_takes_writes_and_says_why_it_is_not() {
    let server = Program::start("");
    assert_eq!(server.get("/healthz").expect(200).body, "ok\n");
    assert_eq!(server.get("/readyz").expect(200).body, "ready\n");

    // Another program has the database to itself: it can be read, and not written.
    let other = server.database();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let busy = server.get("/readyz").expect(503);
    assert_eq!(busy.code(), "store_unavailable");
    assert_eq!(server.get("/healthz").expect(200).body, "ok\n");
    other.execute_batch("ROLLBACK").unwrap();
    assert_eq!(server.get("/readyz").expect(200).body, "ready\n");

    other.execute("UPDATE store_state SET moved_to = 'postgres://elsewhere'", []).unwrap();
    let moved = server.get("/readyz").expect(503);
    assert_eq!(moved.code(), "store_moved");
    assert!(!moved.body.contains("elsewhere"), "where to is not for everybody: {moved:?}");
    other.execute("UPDATE store_state SET moved_to = NULL", []).unwrap();
    assert_eq!(server.get("/readyz").expect(200).body, "ready\n");
}

#[test]
fn a_probe_may_ask_for_whatever_type_it_likes() {
    let server = Program::start("");
    for path in ["/healthz", "/readyz", "/metrics"] {
        for accept in ["text/html", "text/plain;version=0.0.4", "application/openmetrics-text; version=1.0.0"]
        {
            server.ask("GET", path, &["-H", &format!("Accept: {accept}")], "").expect(200);
        }
    }
    let other = server.ask("GET", "/openapi.json", &["-H", "Accept: application/json; version=7"], "");
    assert_eq!(other.expect(406).code(), "not_acceptable");
}

#[test]
fn the_document_is_the_one_in_the_tree() {
    let server = Program::start("");
    let served = server.get("/openapi.json").expect(200);
    assert_eq!(served.header("Content-Type"), Some("application/json"));
    assert_eq!(served.body, include_str!("../../openapi.json"));
}
