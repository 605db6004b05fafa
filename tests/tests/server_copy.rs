//! `store copy` as an operator meets it: a running installation goes from SQLite to PostgreSQL, watched at a
//! terminal, and nobody notices but by a moment without answers.
#![expect(clippy::unwrap_used, reason = "a failure is a panic in tests, in their helpers too")]

use std::process::{Command, Stdio};

use oss2fa_tests::Built;
use oss2fa_tests::server::{PostgresCluster, Server};
use serde_json::{Value, json};

/// `oss2fa-server store copy` of this installation at a terminal of util-linux's `script`: exit status, and all
/// that was drawn.
fn copied_at_a_terminal(server: &Server, to: &str) -> (i32, String) {
    let (program, data) = (Built::server(), server.data());
    let from = format!("sqlite:{}", data.join("server.db").display());
    let command =
        format!("{} store copy --from {from} --to '{to}' --data-dir {}", program.display(), data.display());
    let ran = Command::new("/usr/bin/script")
        .args(["--quiet", "--return", "--command", &command, "/dev/null"])
        .env("TERM", "xterm")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    (ran.status.code().unwrap(), String::from_utf8_lossy(&ran.stdout).into_owned())
}

fn copy_arguments<'a>(from: &'a str, to: &'a str) -> [&'a str; 6] {
    ["store", "copy", "--from", from, "--to", to]
}

#[test]
fn a_running_installation_moves_from_sqlite_to_postgresql() {
    let cluster = PostgresCluster::durable();
    let server = Server::new().start();
    let vpn = server.integration();
    let (mut john, mut jane) = (vpn.enroll("john", "HOTP"), vpn.enroll("jane", "TOTP"));
    let used = john.token.next_code();
    let _right = vpn.verify("john", &used).expect(200);
    let open = vpn.challenge("john", john.device);
    vpn.answer(open, &john.token.wrong_code()).refused(403, "wrong_token");
    let locked = vpn.enroll("locked", "HOTP");
    while vpn.verify("locked", &locked.token.wrong_code()).status != 429 {}
    let web = server.owner("owner").new_integration("web", server.owner("another").new_tenant("second"));
    let mut theirs = web.enroll("john", "HOTP");

    let database = cluster.database();
    let (status, drawn) = copied_at_a_terminal(&server, &database);
    assert_eq!(status, 0, "{drawn}");
    let (_, copied) = drawn.split_once("Copied ").unwrap();
    let rows: u64 = copied.split(' ').next().unwrap().parse().unwrap();
    // Each is written, and read again.
    let all = format!("/{} ", 2 * rows);
    let counted = drawn.split('\r').any(|line| line.contains("rows") && line.contains(&all));
    assert!(counted, "a bar counts the rows up to {all}: {drawn:?}");
    assert!(drawn.contains("both sides have the digest"), "{drawn}");
    assert!(drawn.contains("audits were checked"), "{drawn}");

    // The old server is alive, and takes nothing any more.
    assert_eq!(server.anybody().get("/healthz").status, 200);
    server.anybody().get("/readyz").refused(503, "store_moved");
    let next = john.token.next_code();
    vpn.verify("john", &next).refused(503, "store_moved");
    vpn.answer(open, &next).refused(503, "store_moved");
    vpn.post("/integrations/enrollments", &json!({"username": "late"})).refused(503, "store_moved");
    let state = server.cli_json(&["store", "status"]);
    assert!(state["moved_to"].as_str().unwrap().starts_with("postgres://"), "{state}");

    let moved = Server::new().beside(&server).config(&format!("store = {database:?}")).start();
    server.stop();
    let (here, there) = (moved.integration(), web.at(&moved));
    here.verify("john", &used).refused(403, "wrong_token");
    let left = here.answer(open, &john.token.wrong_code());
    left.refused(403, "wrong_token");
    assert_eq!(left.json()["error"]["attempts_left"], 3, "{left}");
    let _right = here.answer(open, &next).expect(200);
    let _right = here.verify("jane", &jane.token.next_code()).expect(200);
    here.verify("locked", &locked.token.clone().next_code()).refused(429, "locked");
    assert_eq!(there.verify("john", &theirs.token.next_code()).expect(200).json()["client"], theirs.client);
    let fresh = here.enroll("new", "HOTP");
    assert!(fresh.client > theirs.client, "numbers go on");
    for tenant in ["default", "second"] {
        let audit = moved.cli(&["audit", "verify", "--tenant", tenant]);
        assert_eq!(audit.status, 0, "{audit}");
    }
}

#[test]
fn a_second_copy_and_one_onto_something_are_refused() {
    let cluster = PostgresCluster::start();
    let server = Server::new().start();
    let mut john = server.integration().enroll("john", "HOTP");
    server.stop();
    let (from, taken) = (format!("sqlite:{}", server.file("server.db").display()), cluster.database());
    drop(Server::new().config(&format!("store = {taken:?}")).start());
    let refused = server.cli(&[&copy_arguments(&from, &taken)[..], &["--json"]].concat());
    let error: Value = serde_json::from_str(&refused.stderr).unwrap();
    assert!(refused.status != 0 && error["error"] == "still_used", "{refused}");
    assert!(error["message"].as_str().unwrap().contains("not empty"), "{error}");
    // Nothing was changed by that.
    server.start_again();
    let _right = server.integration().verify("john", &john.token.next_code()).expect(200);
    server.stop();
    let empty = cluster.database();
    let copied = server.cli_json(&copy_arguments(&from, &empty));
    assert!(
        copied["rows"].as_u64().unwrap() > 5 && copied["digest"].as_str().unwrap().len() == 64,
        "{copied}"
    );
    assert_eq!(copied["audits"].as_array().unwrap().len(), 2, "{copied}");
    let again = server.cli(&[&copy_arguments(&from, &cluster.database())[..], &["--json"]].concat());
    let error: Value = serde_json::from_str(&again.stderr).unwrap();
    assert_eq!(error["error"], "still_used", "{again}");
    // And back again, by the same command.
    let back = format!("sqlite:{}", server.file("back.db").display());
    let copied = server.cli_json(&copy_arguments(&empty, &back));
    let home = Server::new().beside(&server).config(&format!("store = {back:?}")).start();
    assert!(copied["rows"].as_u64().unwrap() > 5);
    let _right = home.integration().verify("john", &john.token.next_code()).expect(200);
}
