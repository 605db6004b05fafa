//! SIGTERM and SIGHUP.

use std::io::Write;
use std::os::unix::net::UnixDatagram;
use std::thread::sleep;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::json;

use crate::program::{Answer, Program, read_all};

#[test]
fn a_stop_lets_requests_end_and_closes_the_store() {
    let mut server = Program::start("");
    let body = r#"{"username":"ferris"}"#;
    let mut stream = server.connect();
    let head = format!(
        "POST /integrations/enrollments HTTP/1.1\r\nHost: localhost\r\nX-Integration-Token: {}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        server.token,
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(&body.as_bytes()[..10]).unwrap();
    // The request is under way: the server waits for the rest of it.
    sleep(Duration::from_secs(2));
    server.signal(Signal::SIGTERM);
    server.logged("code=\"stopping\"");
    stream.write_all(&body.as_bytes()[10..]).unwrap();
    let made = Answer::of(&read_all(&mut stream)).expect(201);
    assert_eq!(server.wait(), 0, "{}", server.log());
    server.logged("code=\"stopped\"");
    // SQLite removes its log of changes when the last connection closes in order.
    assert!(server.file("server.db").exists() && !server.file("server.db-wal").exists());
    let database = server.database();
    let kept: i64 = database.query_row("SELECT pk FROM enrollment", [], |row| row.get(0)).unwrap();
    assert_eq!(made.json()["pk"], kept);
}

#[test]
fn what_outlasts_the_grace_is_cut_and_the_end_is_in_order_all_the_same() {
    let mut server = Program::start("[limits]\nstop_grace = 1");
    let mut stream = server.connect();
    stream.write_all(b"POST /integrations/clients/auth HTTP/1.1\r\nHost: localhost\r\n").unwrap();
    let rest = format!("X-Integration-Token: {}\r\nContent-Length: 100\r\n\r\n", server.token);
    stream.write_all(rest.as_bytes()).unwrap();
    sleep(Duration::from_secs(2));
    server.signal(Signal::SIGTERM);
    assert_eq!(server.wait(), 0, "{}", server.log());
    assert!(server.logged("code=\"stopped\"").contains("cut=1"), "{}", server.log());
    assert!(!server.file("server.db-wal").exists());
}

#[test]
fn systemd_is_told_that_it_is_ready_and_that_it_stops() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let systemd = UnixDatagram::bind(&path).unwrap();
    systemd.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let told = || {
        let mut bytes = [0; 200];
        let length = systemd.recv(&mut bytes).unwrap();
        String::from_utf8(bytes[..length].to_vec()).unwrap()
    };
    let limits = "[limits]\nstop_grace = 120";
    let mut server = Program::with_environment(limits, &[("NOTIFY_SOCKET", &path)]);
    assert_eq!(told().trim(), "READY=1");
    server.get("/readyz").expect(200);
    server.signal(Signal::SIGTERM);
    // And for how long it may: else it would be killed after the 45 seconds of its unit.
    assert_eq!(told().trim(), "STOPPING=1\nEXTEND_TIMEOUT_USEC=135000000");
    assert_eq!(server.wait(), 0);
}

#[test]
fn a_hangup_reads_the_master_keys_again() {
    let server = Program::start("");
    let path = server.file("master.key");
    let keys = std::fs::read(&path).unwrap();
    std::fs::write(&path, "no key at all\n").unwrap();
    server.signal(Signal::SIGHUP);
    let line = server.logged("code=\"keys_reload\"");
    assert!(
        line.contains("ERROR") && line.contains("master.key") && !line.contains("no key at all"),
        "{line}"
    );
    // The old ones stay.
    server.post("/integrations/enrollments", &json!({"username": "ferris"})).expect(201);
    std::fs::write(&path, keys).unwrap();
    server.signal(Signal::SIGHUP);
    server.logged("code=\"keys_loaded\"");
    server.post("/integrations/enrollments", &json!({"username": "gopher"})).expect(201);
}
