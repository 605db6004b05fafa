//! Commands beside a running server: what they change holds there, and logins go on.

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::cluster::Cluster;
use crate::host::{Host, Server, hotp};

#[test]
fn a_token_that_was_replaced_stops_working_within_two_seconds() {
    let host = Host::empty();
    let server = host.serve();
    let ask =
        |token: &str| server.post("/integrations/clients/auth", token, &json!({ "username": "ferris" })).0;
    assert_eq!(ask(&server.token), 200);
    let mut token = server.token.clone();
    // The quickest of a few: this machine has other work, too.
    let in_time = (0..3).any(|_| {
        let rotated = host.json(&["integration", "rotate-token", "oss2fa"]);
        let begun = Instant::now();
        let new = rotated["token"].as_str().unwrap().to_owned();
        assert_eq!(ask(&new), 200, "the new one works at once");
        let mut last = begun.elapsed();
        while ask(&token) != 401 {
            assert!(last < Duration::from_secs(60), "the old one still works");
            std::thread::sleep(Duration::from_millis(100));
            last = begun.elapsed();
        }
        token = new;
        last < Duration::from_secs(2)
    });
    assert!(in_time, "the old one still works after two seconds");
}

#[test]
fn clients_are_looked_after() {
    let host = Host::empty();
    let server = host.serve();
    let secret = server.enroll("Ferris");
    let list = host.json(&["client", "list"]);
    assert_eq!((&list[0]["username"], &list[0]["status"]), (&json!("ferris"), &json!("active")));
    let devices = host.json(&["client", "devices", "FERRIS"]);
    assert_eq!((&devices[0]["kind"], &devices[0]["pk"]), (&json!("HOTP"), &json!(1)));

    for _ in 0..5 {
        assert_eq!(server.verify("ferris", "000000"), 403);
    }
    assert_eq!(server.verify("ferris", &hotp(&secret, 1)), 429);
    let shown = host.json(&["client", "show", "ferris"]);
    assert_eq!((&shown["locks"][0]["kind"], &shown["locks"][0]["failures"]), (&json!("HOTP"), &json!(5)));
    let words = host.done(&["client", "show", "ferris"]);
    assert!(words.contains("locked until") && words.contains("5 failed tries with HOTP"), "{words}");
    host.done(&["client", "unlock", "ferris"]);
    assert_eq!(host.json(&["client", "show", "ferris"])["locks"], json!([]));
    assert_eq!(server.verify("ferris", &hotp(&secret, 1)), 200);

    host.done(&["client", "status", "ferris", "inactive"]);
    assert_eq!(server.verify("ferris", &hotp(&secret, 2)), 403);
    host.done(&["client", "status", "ferris", "active"]);
    host.refused(&["client", "remove-device", "ferris", "99"], 1, "not_there");
    host.done(&["client", "remove-device", "ferris", "1"]);
    assert_eq!(host.json(&["client", "devices", "ferris"]), json!([]));
    assert!(host.done(&["client", "devices", "ferris"]).contains("No device"));
    host.done(&["client", "remove", "ferris"]);
    assert!(host.done(&["client", "list"]).contains("has no client yet"));
}

#[test]
fn enrolments_and_logins_go_on_while_keys_are_rotated() {
    let host = Host::empty();
    go_on_while_keys_are_rotated(&host, vec![host.serve()], |statement| host.sql(statement));
}

#[test]
fn on_postgresql_they_go_on_at_two_nodes_while_keys_are_rotated() {
    let (cluster, host) = (Cluster::start(), Host::empty());
    let url = cluster.database();
    let config = fs::read_to_string(host.path("server.toml")).unwrap();
    fs::write(host.path("server.toml"), format!("store = \"{url}\"\n{config}")).unwrap();
    let first = host.serve();
    let mut second = host.serve();
    // The first start alone has shown it.
    second.token.clone_from(&first.token);
    let (_, database) = url.rsplit_once('/').unwrap();
    go_on_while_keys_are_rotated(&host, vec![first, second], |statement| cluster.sql(database, statement));
}

/// People enrol at one node and log in at the next, while an administrator rotates all keys again and again.
fn go_on_while_keys_are_rotated(host: &Host, nodes: Vec<Server>, sql: impl Fn(&str) -> String) {
    let old = nodes[0].enroll("old");
    let (stop, done) = (AtomicBool::new(false), AtomicU32::new(0));
    let rounds = std::thread::scope(|scope| {
        let people = scope.spawn(|| {
            for n in 0.. {
                if stop.load(Ordering::Relaxed) {
                    return n;
                }
                let name = format!("client{n}");
                let at = usize::try_from(n).unwrap();
                let (here, there) = (&nodes[at % nodes.len()], &nodes[(at + 1) % nodes.len()]);
                let secret = here.enroll(&name);
                assert_eq!(there.verify(&name, &hotp(&secret, 1)), 200, "{name}");
                // A device of before all rotations.
                assert_eq!(here.verify("old", &hotp(&old, n + 1)), 200, "round {n}");
                done.fetch_add(1, Ordering::Relaxed);
            }
            unreachable!("there are enough numbers")
        });
        let mut resealed = 0;
        for round in 0..4 {
            let before = done.load(Ordering::Relaxed);
            while done.load(Ordering::Relaxed) < before + 2 && !people.is_finished() {
                std::thread::sleep(Duration::from_millis(10));
            }
            let rotated = host.json(&["tenant", "rotate-key", "default"]);
            assert_eq!((&rotated["version"], &rotated["unreadable"]), (&json!(round + 2), &json!(0)));
            resealed += rotated["resealed"].as_u64().unwrap();
            let master = host.json(&["key", "rotate-master"]);
            assert_eq!((&master["dropped"], &master["kept"]), (&json!(1), &json!(0)));
        }
        stop.store(true, Ordering::Relaxed);
        assert!(resealed >= 8, "{resealed}");
        people.join().unwrap()
    });
    assert!(rounds >= 8);
    // Tenants are made by the newest master key, by the server too.
    let admin = host.json(&["admin", "create", "root", "--role", "owner"]);
    let made = std::process::Command::new("curl")
        .args(["-sS", "-o", "/dev/null", "-w", "%{http_code}", "-H", "Content-Type: application/json"])
        .args(["-H", &format!("X-Admin-Token: {}", admin["token"].as_str().unwrap())])
        .args(["-d", "{\"name\": \"acme\"}", &format!("{}/tenants", nodes[0].url)])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8(made.stdout).unwrap(), "201");
    drop(nodes);
    let keys = host.json(&["key", "list"]);
    assert_eq!(keys["master_keys"].as_array().unwrap().len(), 1);
    assert_eq!(keys["master_keys"][0]["wraps"], keys["keys"].as_array().unwrap().len());
    host.done(&["audit", "verify"]);
    // After ten minutes the old keys go.
    sql("UPDATE tenant_key SET created_at = created_at - 601000000");
    let tidied = host.json(&["key", "tidy", "--tenant", "default"]);
    assert_eq!(tidied[0]["dropped"], json!([1, 2, 3, 4]), "{tidied}");
    let rotated = host.json(&["integration", "rotate-token", "oss2fa", "--tenant", "default"]);
    let again = host.serve();
    assert_eq!(again.verify_with(rotated["token"].as_str().unwrap(), "old", &hotp(&old, rounds + 1)), 200);
}

#[test]
fn a_removed_tenant_has_no_keys() {
    let (host, _) = Host::begun();
    host.done(&["tenant", "create", "acme"]);
    host.done(&["tenant", "rotate-key", "acme"]);
    assert_eq!(host.sql("SELECT count(*) FROM tenant_key WHERE tenant = 2"), "3");
    host.done(&["tenant", "remove", "acme", "--yes"]);
    assert_eq!(host.sql("SELECT count(*) FROM tenant_key WHERE tenant = 2"), "0");
    assert_eq!(host.sql("SELECT count(*) FROM audit WHERE tenant = 2"), "0");
    host.done(&["audit", "verify"]);
}
