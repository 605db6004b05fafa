//! What hosts tell of the time when they could not ask: in the audit, once.

use serde_json::{Value, json};

use crate::fixture::{Fixture, world};
use crate::world::{Answer, World};

const PATH: &str = "/integrations/host-events";

async fn report(world: &World, f: &Fixture, host: &str, events: Value) -> Answer {
    world.ask(&f.a.token, "POST", PATH, &json!({"host": host, "events": events})).await
}

fn event(id: &str) -> Value {
    json!({"id": id, "at": "2025-12-31T23:00:00+01:00", "event": "fail_open", "username": "Ann.AURORA",
        "service": "sshd", "detail": "no server for 5 s"})
}

fn told(world: &World, f: &Fixture) -> Vec<[String; 5]> {
    world.audit(f.a.tenant).into_iter().filter(|entry| entry[0] == "host_event").collect()
}

#[tokio::test]
async fn each_event_of_a_host_is_in_the_audit_once() {
    let (world, f) = world().await;
    let first = report(&world, &f, "web1", json!([event("1"), event("2"), event("1")])).await.ok();
    assert_eq!(first, json!({"recorded": 2}));
    let again = report(&world, &f, "web1", json!([event("2"), event("3")])).await.ok();
    assert_eq!(again, json!({"recorded": 1}));
    assert_eq!(report(&world, &f, "web2", json!([event("1")])).await.ok(), json!({"recorded": 1}));
    assert_eq!(report(&world, &f, "web1", json!([])).await.ok(), json!({"recorded": 0}));
    let entries = told(&world, &f);
    assert_eq!(entries.len(), 4);
    // The name as the client has it, the address of the host, and the host's own time.
    let detail = r#"host="web1" event="fail_open" at=2025-12-31T22:00:00.000000Z service="sshd" detail="no server for 5 s""#;
    let entry = ["host_event", "ann.aurora", "integration", "192.0.2.7", detail].map(str::to_owned);
    assert_eq!(entries[0], entry);
    assert!(entries[3][4].starts_with("host=\"web2\""), "{entries:?}");
    let search = format!("/tenants/audit?tenant={}&event=host_event&username=ann.aurora", f.a.tenant);
    let found = world.ask(&f.a.helpdesk, "GET", &search, &Value::Null).await.ok();
    assert_eq!(found["results"].as_array().unwrap().len(), 4);
}

#[tokio::test]
async fn long_texts_are_cut_and_two_that_are_cut_alike_are_two_events() {
    let (world, f) = world().await;
    let long = |last: &str| format!("{}{last}", "i".repeat(300));
    let odd = json!({"id": long("a"), "at": "2026-01-01T00:00:00Z", "event": format!("odd\n{}", "e".repeat(300)),
        "username": "no such\u{202e}name", "detail": "x\" service=\"sudo"});
    let mut other = odd.clone();
    other["id"] = json!(long("b"));
    let host = long("h");
    assert_eq!(report(&world, &f, &host, json!([odd, other])).await.ok(), json!({"recorded": 2}));
    let [_, username, _, _, detail] = &told(&world, &f)[0];
    assert_eq!(username, "no such\u{fffd}name");
    let event = format!("odd\u{fffd}{}", "e".repeat(252));
    let line = format!(
        r#"host="{}" event="{event}" at=2026-01-01T00:00:00.000000Z detail="x\" service=\"sudo""#,
        "i".repeat(256)
    );
    assert_eq!(*detail, line);
}

#[tokio::test]
async fn a_report_that_cannot_be_is_refused_as_a_whole() {
    let (world, f) = world().await;
    let before = world.rows();
    let many: Vec<Value> = (0..101).map(|n| event(&n.to_string())).collect();
    let mut late = event("2");
    late["at"] = json!("yesterday");
    let bad = (422, "bad_options".to_owned());
    for (host, events) in [
        ("web1", json!(many)),
        ("web1", json!([event("1"), late])),
        ("web1", json!([event("1"), event("")])),
        ("", json!([event("1")])),
        (" ", json!([event("1")])),
    ] {
        assert_eq!(report(&world, &f, host, events).await.refusal(), bad);
    }
    let mut more = event("1");
    more["tenant"] = json!(1);
    assert_eq!(report(&world, &f, "web1", json!([more])).await.refusal().0, 400);
    assert_eq!((world.rows(), told(&world, &f)), (before, Vec::new()));
    let most: Vec<Value> = (0..100).map(|n| event(&n.to_string())).collect();
    assert_eq!(report(&world, &f, "web1", json!(most)).await.ok(), json!({"recorded": 100}));
}
