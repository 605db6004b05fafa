//! Webhooks, against a receiver that is not ours.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use oss2fa_server::ids::TenantId;
use oss2fa_server::outside::Clock;
use oss2fa_server::store::verbs::administrators::Role;
use oss2fa_server::webhook::{Timing, Worker};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::receiver::Receiver;
use crate::world::{Reply, World, code, post};

const TENANT: TenantId = TenantId(1);
const HOOKS: &str = "/tenants/integrations/1/webhooks";
const VERIFY: &str = "/integrations/clients/verify";

async fn plain() -> (World, String) {
    waiting_for("45").await
}

/// That waits so many seconds for a receiver.
async fn waiting_for(timeout: &str) -> (World, String) {
    let world = World::with(&format!("[webhooks]\ndanger_plain_http = true\ntimeout = {timeout}\n")).await;
    let admin = world.admin(Some(TENANT), Role::Administrator, "ada").await;
    (world, admin)
}

/// A worker as each node has one.
fn node(world: &World) -> JoinHandle<()> {
    let timing = Timing { look_every: Duration::from_millis(20), ..Timing::default() };
    let clock = Arc::clone(&world.clock) as Arc<dyn Clock>;
    tokio::spawn(Arc::new(Worker::new(Arc::clone(&world.store), clock, world.config.webhooks, timing)).run())
}

async fn create(world: &World, admin: &str, url: &str) -> Reply {
    world.send(post(admin, HOOKS, &json!({ "url": url }), None)).await
}

/// Makes a webhook that the receiver knows.
async fn hook(world: &World, admin: &str, receiver: &mut Receiver) -> Value {
    let made = create(world, admin, &receiver.url()).await;
    assert_eq!(made.status, StatusCode::CREATED, "{made:?}");
    receiver.knows(made.json()["secret"].as_str().unwrap());
    made.json()
}

async fn settled(world: &World) {
    for _ in 0..6000 {
        if world.number("SELECT count(*) FROM webhook_delivery") == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("deliveries are left");
}

/// Waits until a try that failed was written down: the next one is so many seconds away, or it was the last.
async fn again_in(world: &World, seconds: i64) {
    for _ in 0..6000 {
        let next = world.number("SELECT coalesce(min(next_at), 0) FROM webhook_delivery");
        if next == 0 || next == world.clock.now().0 + seconds * 1_000_000 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it is not tried again in {seconds} s");
}

async fn failure(world: &World, admin: &str) -> String {
    for _ in 0..6000 {
        let listed = world.look(admin, HOOKS).await.json();
        if let Some(failure) = listed["results"][0]["failure"].as_str() {
            return failure.to_owned();
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it does not fail");
}

#[tokio::test(flavor = "multi_thread")]
async fn events_arrive_signed_and_nobody_elses() {
    let (world, admin) = plain().await;
    let mut receiver = Receiver::start();
    let made = hook(&world, &admin, &mut receiver).await;
    let _node = node(&world);
    let first = receiver.delivery();
    assert_eq!((&first["signed"], &first["body"]["event"]), (&true.into(), &"webhook_created".into()));
    assert_eq!(first["path"], "/hook?for=tests");
    assert_eq!(first["headers"]["content-type"], "application/json");
    let at = first["headers"]["x-oss2fa-signature"].as_str().unwrap();
    assert!(at.starts_with(&format!("t={},v1=", world.clock.now().seconds())), "{at}");

    world.hotp("ferris").await;
    let right = json!({ "username": "ferris", "token": code(1) });
    assert_eq!(world.post(VERIFY, &right).await.status, StatusCode::OK);
    let (_, sister) = world.integration(TENANT, "sister").await;
    world.send(post(&sister, VERIFY, &json!({ "username": "corro", "token": "000000" }), None)).await;
    let (_, _, other) = world.tenant("other").await;
    world.send(post(&other, VERIFY, &json!({ "username": "corro", "token": "000000" }), None)).await;
    settled(&world).await;
    let all = receiver.all();
    let events: Vec<_> = all.iter().map(|delivery| delivery["body"]["event"].as_str().unwrap()).collect();
    assert!(events.contains(&"accepted"), "{events:?}");
    let sql = "SELECT count(*) FROM audit WHERE tenant = 1 AND integration = 1";
    // The integration itself was made before.
    assert_eq!(all.len() as i64 + 1, world.number(sql) - 1, "{events:?}");
    for delivery in &all {
        assert_eq!(delivery["signed"], true, "{delivery}");
        assert_eq!((&delivery["body"]["tenant"], &delivery["body"]["integration"]), (&1.into(), &1.into()));
        let text = delivery.to_string();
        for secret in [crate::world::SECRET, &code(1), made["secret"].as_str().unwrap(), &world.token] {
            assert!(!text.contains(secret), "{text}");
        }
    }
    // What is delivered is what the audit says.
    let accepted = all.iter().find(|delivery| delivery["body"]["event"] == "accepted").unwrap();
    let mut body = accepted["body"].clone();
    body.as_object_mut().unwrap().remove("tenant");
    let page = world.look(&admin, "/tenants/audit?event=accepted").await.json();
    assert_eq!(page["results"][0], body);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_shown_once_and_kept_sealed() {
    let (world, admin) = plain().await;
    let made = create(&world, &admin, "http://192.0.2.1/").await.json();
    let secret = made["secret"].as_str().unwrap().to_owned();
    assert_eq!(secret.len(), 40);
    let listed = world.look(&admin, HOOKS).await;
    assert!(!String::from_utf8_lossy(&listed.body).contains(&secret));
    assert_eq!(listed.json()["results"][0]["waiting"], 1);
    world.store.close().await;
    for entry in std::fs::read_dir(world.folder.path()).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        assert!(!bytes.windows(secret.len()).any(|part| part == secret.as_bytes()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_taken_is_tried_again_with_growing_pauses() {
    let (world, admin) = plain().await;
    let mut receiver = Receiver::start();
    hook(&world, &admin, &mut receiver).await;
    receiver.tell(&json!({ "status": 500 }));
    let node = node(&world);
    let first = receiver.delivery();
    assert!(failure(&world, &admin).await.contains("answered 500"));
    for pause in [10, 30, 90] {
        again_in(&world, pause).await;
        world.clock.by(pause - 1);
        assert!(receiver.all().is_empty(), "not before {pause} s are over");
        world.clock.by(1);
        let again = receiver.delivery();
        assert_eq!((&again["delivery"], &again["body"]), (&first["delivery"], &first["body"]));
        // Signed anew each time, so that its age does not count against it.
        assert_eq!(again["signed"], true);
        assert_ne!(again["headers"]["x-oss2fa-signature"], first["headers"]["x-oss2fa-signature"]);
        failure(&world, &admin).await;
    }
    again_in(&world, 270).await;
    receiver.tell(&json!({ "status": 204 }));
    world.clock.by(270);
    assert_eq!(receiver.delivery()["delivery"], first["delivery"]);
    settled(&world).await;
    let listed = world.look(&admin, HOOKS).await.json();
    assert_eq!(
        (&listed["results"][0]["failure"], &listed["results"][0]["waiting"]),
        (&Value::Null, &0.into())
    );
    node.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_day_it_is_given_up_and_the_audit_says_so() {
    let (world, admin) = plain().await;
    let mut receiver = Receiver::start();
    hook(&world, &admin, &mut receiver).await;
    receiver.tell(&json!({ "status": 503 }));
    let _node = node(&world);
    let mut tries = 0;
    let begun = world.clock.now();
    while world.number("SELECT count(*) FROM webhook_delivery") > 0 {
        receiver.delivery();
        tries += 1;
        assert!(tries < 30, "given up some time");
        again_in(&world, (10 * 3_i64.pow(tries.min(9) - 1)).min(3 * 3600)).await;
        world.clock.by(3 * 3600);
    }
    assert!(world.clock.now() >= begun.after(20 * 3600), "not before a day is nearly over");
    let page = world.look(&admin, "/tenants/audit?event=webhook_given_up").await.json();
    let detail = page["results"][0]["detail"].as_str().unwrap();
    assert!(detail.contains("webhook=1") && detail.contains("answered 503"), "{detail}");
    // Which is not delivered itself: that would never end.
    assert!(receiver.all().is_empty());
    assert_eq!(world.number("SELECT count(*) FROM webhook_delivery"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirection_is_not_followed() {
    let (world, admin) = plain().await;
    let (mut receiver, elsewhere) = (Receiver::start(), Receiver::start());
    hook(&world, &admin, &mut receiver).await;
    receiver.tell(&json!({ "status": 307, "location": elsewhere.url() }));
    let _node = node(&world);
    receiver.delivery();
    assert!(failure(&world, &admin).await.contains("307, a redirection, which is not followed"));
    receiver.tell(&json!({ "status": 302 }));
    world.clock.by(10);
    receiver.delivery();
    assert!(elsewhere.all().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_receiver_holds_up_nobody_else() {
    let (world, admin) = waiting_for("8").await;
    let (mut slow, mut quick) = (Receiver::start(), Receiver::start());
    hook(&world, &admin, &mut slow).await;
    slow.tell(&json!({ "delay": 60 }));
    hook(&world, &admin, &mut quick).await;
    let _node = node(&world);
    slow.delivery();
    let begun = std::time::Instant::now();
    world.hotp("ferris").await;
    while quick.delivery()["body"]["event"] != "enrolled" {}
    assert!(begun.elapsed() < Duration::from_secs(7), "{:?}", begun.elapsed());
    assert_eq!(failure(&world, &admin).await, "the receiver did not answer within 8 s");
    // A login does not wait for any of it.
    let begun = std::time::Instant::now();
    let right = json!({ "username": "ferris", "token": code(1) });
    assert_eq!(world.post(VERIFY, &right).await.status, StatusCode::OK);
    assert!(begun.elapsed() < Duration::from_secs(7));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_outlives_a_restart_of_both_ends() {
    let (world, admin) = plain().await;
    let mut receiver = Receiver::start();
    let made = hook(&world, &admin, &mut receiver).await;
    let port = receiver.port;
    drop(receiver);
    let node_before = node(&world);
    world.hotp("ferris").await;
    assert!(failure(&world, &admin).await.contains("cannot be reached"));
    // While a try is under way, or between two.
    node_before.abort();
    let _ = node_before.await;
    let waiting = world.number("SELECT count(*) FROM webhook_delivery");
    assert!(waiting >= 3);
    let world = world.restarted().await;
    let mut receiver = Receiver::at(port);
    receiver.knows(made["secret"].as_str().unwrap());
    world.clock.by(600);
    let _node = node(&world);
    let came: HashSet<i64> =
        (0..waiting).map(|_| receiver.delivery()["delivery"].as_i64().unwrap()).collect();
    assert_eq!(came.len() as i64, waiting, "each of them");
    settled(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_send_each_delivery_once() {
    let (world, admin) = plain().await;
    let mut receiver = Receiver::start();
    hook(&world, &admin, &mut receiver).await;
    for n in 0..200 {
        let body = json!({ "username": format!("person{n}") });
        assert_eq!(world.post("/integrations/enrollments", &body).await.status, StatusCode::CREATED);
    }
    let waiting = world.number("SELECT count(*) FROM webhook_delivery");
    assert!(waiting > 200);
    let _nodes = [node(&world), node(&world), node(&world)];
    settled(&world).await;
    let all = receiver.all();
    let numbers: HashSet<_> = all.iter().map(|delivery| delivery["delivery"].as_i64().unwrap()).collect();
    assert_eq!((all.len() as i64, numbers.len() as i64), (waiting, waiting));
    assert!(all.iter().all(|delivery| delivery["signed"] == true));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_outbox_of_a_dead_receiver_does_not_grow_for_ever() {
    let (world, admin) = plain().await;
    create(&world, &admin, "http://192.0.2.1/").await;
    world
        .database()
        .execute(
            "WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < 10000)
             INSERT INTO webhook_delivery (tenant, webhook, body, attempts, next_at, created_at)
             SELECT 1, 1, '{}', 0, 0, 0 FROM n",
            [],
        )
        .unwrap();
    let before = world.number("SELECT count(*) FROM audit");
    assert_eq!(world.post("/integrations/enrollments", &json!({ "username": "ferris" })).await.status, 201);
    assert!(world.number("SELECT count(*) FROM audit") > before);
    assert_eq!(world.number("SELECT count(*) FROM webhook_delivery"), 10_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_administrators_of_the_tenant_have_webhooks() {
    let (world, admin) = plain().await;
    let (other, ..) = world.tenant("other").await;
    let desk = world.admin(Some(TENANT), Role::Helpdesk, "desk").await;
    let foreign = world.admin(Some(other), Role::Administrator, "otto").await;
    create(&world, &admin, "http://192.0.2.1/").await;
    let url = "http://192.0.2.1/";
    for (who, status) in [(&desk, 403), (&foreign, 404), (&world.token, 401)] {
        assert_eq!(world.look(who, HOOKS).await.status, status);
        assert_eq!(create(&world, who, url).await.status, status);
        let delete = Request::delete(format!("{HOOKS}/1")).header("X-Admin-Token", who);
        assert_eq!(world.send(delete.body(Body::empty()).unwrap()).await.status, status);
    }
    assert_eq!(world.number("SELECT count(*) FROM webhook"), 1);
    for _ in 0..9 {
        assert_eq!(create(&world, &admin, url).await.status, StatusCode::CREATED);
    }
    assert_eq!(create(&world, &admin, url).await.status, StatusCode::UNPROCESSABLE_ENTITY);
    // With a webhook goes what waits for it, and not what waits for others.
    let before = world.number("SELECT count(*) FROM webhook_delivery WHERE webhook != 1");
    let delete = || {
        let request = Request::delete(format!("{HOOKS}/1")).header("X-Admin-Token", &admin);
        request.body(Body::empty()).unwrap()
    };
    assert_eq!(world.send(delete()).await.status, StatusCode::NO_CONTENT);
    assert_eq!(world.number("SELECT count(*) FROM webhook_delivery WHERE webhook = 1"), 0);
    assert!(world.number("SELECT count(*) FROM webhook_delivery WHERE webhook != 1") >= before);
    assert_eq!(world.send(delete()).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_leave_nothing_is_sent_in_the_clear_or_to_this_machine() {
    let world = World::new().await;
    let admin = world.admin(Some(TENANT), Role::Administrator, "ada").await;
    for url in
        ["http://app.example.org/", "https://127.0.0.1/", "https://[::1]:8300/", "https://169.254.169.254/"]
    {
        let reply = create(&world, &admin, url).await;
        assert_eq!((reply.status.as_u16(), reply.code().as_str()), (422, "bad_webhook_url"), "{url}");
    }
    // A name can lead anywhere: it is looked at when it is used.
    let receiver = Receiver::start();
    let named = format!("https://localhost:{}/", receiver.port);
    assert_eq!(create(&world, &admin, &named).await.status, StatusCode::CREATED);
    let _node = node(&world);
    let failure = failure(&world, &admin).await;
    assert!(failure.contains("not sent to loopback"), "{failure}");
    assert!(receiver.all().is_empty());
}
