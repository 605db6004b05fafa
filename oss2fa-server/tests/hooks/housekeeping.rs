//! What is too old is swept away, and nothing else.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use oss2fa_server::housekeeping::sweep;
use serde_json::json;

use crate::world::{World, code};

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;

async fn swept(world: &World) -> u64 {
    sweep(&world.store, &*world.clock).await.unwrap()
}

fn rows(world: &World, table: &str) -> i64 {
    world.number(&format!("SELECT count(*) FROM {table}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn each_thing_goes_in_its_time() {
    let world = World::new().await;
    world.hotp("ferris").await;
    let context = json!({ "address": "198.51.100.7" });
    let right = json!({ "username": "ferris", "token": code(1), "binding_context": context });
    assert_eq!(world.keyed("k", "/integrations/clients/verify", &right).await.status, StatusCode::OK);
    let wrong = json!({ "username": "ferris", "token": "000000", "binding_context": context });
    assert_eq!(world.post("/integrations/clients/verify", &wrong).await.code(), "wrong_token");
    let asked = json!({ "username": "ferris", "device_pk": 1 });
    assert_eq!(world.post("/integrations/challenges", &asked).await.status, StatusCode::CREATED);
    let now = world.clock.by(0);
    world
        .database()
        .execute(
            "INSERT INTO trusted_device (tenant, client, digest, fingerprint, created_at, expires_at)
             VALUES (1, 1, x'00', NULL, ?1, ?1 + 1000000)",
            [now],
        )
        .unwrap();
    let counters = rows(&world, "lock");
    assert!(counters >= 2);
    assert_eq!(swept(&world).await, 0, "nothing is old yet");

    world.clock.by(2);
    assert_eq!((swept(&world).await, rows(&world, "trusted_device")), (1, 0));
    world.clock.by(DAY - 3);
    assert_eq!(swept(&world).await, 0, "a day is not over");
    world.clock.by(2);
    assert_eq!(swept(&world).await, counters as u64 + 1);
    assert_eq!((rows(&world, "lock"), rows(&world, "idempotency")), (0, 0));
    // Enrollments and challenges expire after five minutes, and stay for a day.
    assert_eq!((rows(&world, "enrollment"), rows(&world, "challenge")), (1, 1));
    world.clock.by(301);
    assert_eq!(swept(&world).await, 2);
    assert_eq!((rows(&world, "enrollment"), rows(&world, "challenge")), (0, 0));
    world.clock.by(29 * DAY - 600);
    assert_eq!(swept(&world).await, 0);
    world.clock.by(600);
    assert_eq!((swept(&world).await, rows(&world, "known_source")), (1, 0));
    // What is no litter is there, and works.
    assert_eq!((rows(&world, "device"), rows(&world, "client")), (1, 1));
    let right = json!({ "username": "ferris", "token": code(2) });
    assert_eq!(world.post("/integrations/clients/verify", &right).await.status, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_hosts_reported_is_remembered_for_90_days_and_a_revoked_credential_for_a_year() {
    let world = World::new().await;
    world.hotp("ferris").await;
    let report = json!({ "host": "web1", "events": [{ "id": "1", "at": "2026-01-01T00:00:00Z", "event": "fail_open" }] });
    let recorded = async || world.post("/integrations/host-events", &report).await.json();
    assert_eq!(recorded().await, json!({ "recorded": 1 }));
    let note = async |name: &str| {
        let body = json!({ "username": "ferris", "host": "web1", "name": name });
        world.post("/integrations/offline-credentials", &body).await.json()["pk"].as_i64().unwrap()
    };
    let (kept, revoked) = (note("phone").await, note("lost phone").await);
    let delete = Request::delete(format!("/integrations/offline-credentials/{revoked}"));
    let delete = delete.header("X-Integration-Token", &world.token).body(Body::empty()).unwrap();
    assert_eq!(world.send(delete).await.status, StatusCode::NO_CONTENT);
    world.clock.by(90 * DAY);
    swept(&world).await;
    assert_eq!((rows(&world, "host_event"), recorded().await), (1, json!({ "recorded": 0 })));
    world.clock.by(1);
    assert_eq!((swept(&world).await, rows(&world, "host_event")), (1, 0));
    assert_eq!(recorded().await, json!({ "recorded": 1 }), "nobody remembers it any more");
    world.clock.by(275 * DAY - 1);
    swept(&world).await;
    assert_eq!(rows(&world, "offline_credential"), 2);
    world.clock.by(1);
    swept(&world).await;
    assert_eq!(world.number("SELECT pk FROM offline_credential"), kept, "the active one alone is left");
    assert_eq!(rows(&world, "offline_credential"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_of_enrollments_stay_as_long_as_any_policy_counts_them() {
    let world = World::new().await;
    let sent =
        "INSERT INTO enrollment_message (tenant, integration, address, sent_at) VALUES (1, 1, x'00', ?1)";
    world.database().execute(sent, [world.clock.by(0)]).unwrap();
    world.clock.by(DAY);
    assert_eq!(swept(&world).await, 0);
    world.clock.by(1);
    assert_eq!((swept(&world).await, rows(&world, "enrollment_message")), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_that_holds_stays() {
    let world = World::new().await;
    world.hotp("ferris").await;
    let wrong = json!({ "username": "ferris", "token": "000000" });
    while world.post("/integrations/clients/verify", &wrong).await.code() != "locked" {}
    let day = DAY * 1_000_000;
    // As after a clock that was set forward and back again.
    world.database().execute("UPDATE lock SET locked_until = locked_until + ?1", [2 * day]).unwrap();
    world.clock.by(DAY + HOUR);
    swept(&world).await;
    assert!(rows(&world, "lock") > 0);
    world.clock.by(3 * DAY);
    swept(&world).await;
    assert_eq!(rows(&world, "lock"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_are_swept_in_small_steps_while_logins_go_on() {
    // The quickest of a few: this machine has other work, too.
    let mut slow = Vec::new();
    loop {
        let slowest = slowest_login_while_many_are_swept().await;
        if slowest < std::time::Duration::from_secs(1) {
            return;
        }
        slow.push(slowest);
        assert!(slow.len() < 3, "{slow:?}");
    }
}

async fn slowest_login_while_many_are_swept() -> std::time::Duration {
    let world = World::new().await;
    world.hotp("ferris").await;
    let now = world.clock.by(0);
    world
        .database()
        .execute(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50000)
             INSERT INTO challenge (tenant, integration, client, device, status, source, attempts_left,
                sends_left, created_at, expires_at)
             SELECT 1, 1, 1, 1, 1, '', 3, 3, ?1, ?1 FROM n",
            [now - 2 * DAY * 1_000_000],
        )
        .unwrap();
    let (store, clock) = (world.store.clone(), world.clock.clone());
    // Two at once, as of two nodes.
    let sweeping = [0, 1].map(|_| {
        let (store, clock) = (store.clone(), clock.clone());
        tokio::spawn(async move { sweep(&store, &*clock).await.unwrap() })
    });
    let mut position = 1;
    let mut slowest = std::time::Duration::ZERO;
    while !sweeping.iter().all(tokio::task::JoinHandle::is_finished) && position < 50 {
        let right = json!({ "username": "ferris", "token": code(position) });
        let begun = std::time::Instant::now();
        let reply = world.post("/integrations/clients/verify", &right).await;
        slowest = slowest.max(begun.elapsed());
        assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
        position += 1;
    }
    let mut all = 0;
    for one in sweeping {
        all += one.await.unwrap();
    }
    assert_eq!((all, rows(&world, "challenge")), (50_000, 0));
    // One that went on all the while is none that shows anything.
    if position > 2 { slowest } else { std::time::Duration::MAX }
}
