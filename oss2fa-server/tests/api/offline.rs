//! Offline credentials: what a host tells of them, and what it learns.

use serde_json::{Value, json};

use crate::fixture::{Place, world};
use crate::world::{Answer, World};

const PATH: &str = "/integrations/offline-credentials";

fn new(place: &Place, host: &str, name: &str) -> Value {
    json!({"username": place.username, "host": host, "name": name})
}

async fn note(world: &World, place: &Place, host: &str, name: &str) -> Answer {
    world.ask(&place.token, "POST", PATH, &new(place, host, name)).await
}

async fn list(world: &World, place: &Place, query: &str) -> Value {
    world.ask(&place.token, "GET", &format!("{PATH}{query}"), &Value::Null).await.ok()
}

#[tokio::test]
async fn a_credential_is_noted_listed_and_revoked() {
    let (world, f) = world().await;
    let made = note(&world, &f.a, "web1", "phone").await;
    assert_eq!(made.status, 201);
    let made = made.ok();
    let pk = made["pk"].as_i64().unwrap();
    let shown = json!({"pk": pk, "username": "ann.aurora", "host": "web1", "name": "phone",
        "created_at": "2026-01-01T00:01:00.000000Z", "status": "active", "revoked_at": null});
    assert_eq!(made, shown);
    assert_eq!(list(&world, &f.a, "?host=web1").await, json!({"results": [shown], "next": null}));
    let by_name = list(&world, &f.a, "?username=ANN.aurora&limit=1").await;
    assert_eq!((&by_name["results"][0]["pk"], &by_name["next"]), (&json!(f.a.offline), &json!(f.a.offline)));
    let next = list(&world, &f.a, &format!("?username=ann.aurora&cursor={}", f.a.offline)).await;
    assert_eq!(next["results"], json!([shown]));
    let path = format!("{PATH}/{pk}");
    for _ in 0..2 {
        assert_eq!(world.ask(&f.a.token, "DELETE", &path, &Value::Null).await.status, 204);
    }
    let found = &list(&world, &f.a, "?host=web1").await["results"][0];
    assert_eq!(
        (&found["status"], &found["revoked_at"]),
        (&json!("revoked"), &json!("2026-01-01T00:01:00.000000Z"))
    );
    let audit = world.audit(f.a.tenant);
    let of = |event: &str| audit.iter().filter(|entry| entry[0] == event).collect::<Vec<_>>();
    let [revoked] = of("offline_credential_revoked")[..] else { panic!("{audit:?}") };
    let detail = format!("credential={pk} host=\"web1\" name=\"phone\"");
    assert_eq!(revoked[1..], ["ann.aurora", "integration", "192.0.2.7", &detail].map(str::to_owned));
    assert_eq!(of("offline_credential_created").last().unwrap()[4], detail);
}

#[tokio::test]
async fn the_helpdesk_revokes_and_is_named() {
    let (world, f) = world().await;
    let path = format!("{PATH}/{}?integration={}", f.a.offline, f.a.integration);
    assert_eq!(world.ask(&f.a.helpdesk, "DELETE", &path, &Value::Null).await.status, 204);
    let audit = world.audit(f.a.tenant);
    let revoked = audit.iter().rfind(|entry| entry[0] == "offline_credential_revoked").unwrap();
    assert_eq!(revoked[2], "admin:aurora helpdesk");
}

#[tokio::test]
async fn what_cannot_be_noted_is_refused() {
    let (world, f) = world().await;
    let before = world.rows();
    let ask = async |body: Value| world.ask(&f.a.token, "POST", PATH, &body).await.refusal();
    let nobody = json!({"username": "nobody", "host": "web1", "name": "phone"});
    assert_eq!(ask(nobody).await, (404, "not_found".to_owned()));
    let bad = (422, "bad_name".to_owned());
    for (host, name) in
        [("", "phone"), ("web\n1", "phone"), ("web1", ""), ("web1", "a\u{202e}b"), (&*"h".repeat(257), "p")]
    {
        assert_eq!(ask(new(&f.a, host, name)).await, bad, "{host:?} {name:?}");
    }
    assert_eq!(
        ask(json!({"username": f.a.username, "host": "web1", "name": "x", "secret": "y"})).await.0,
        400
    );
    let taken = note(&world, &f.a, "aurora.example", "aurora phone").await;
    assert_eq!(taken.refusal(), (409, "name_taken".to_owned()));
    assert_eq!(world.rows(), before);
    for n in 0..4 {
        note(&world, &f.a, "aurora.example", &format!("phone {n}")).await.ok();
    }
    let more = note(&world, &f.a, "aurora.example", "one more").await;
    assert_eq!(more.refusal(), (409, "too_many_credentials".to_owned()));
    let listed = world.ask(&f.a.token, "GET", &format!("{PATH}?host=%00"), &Value::Null).await;
    assert_eq!(listed.refusal(), bad);
}

#[tokio::test]
async fn who_is_inactive_or_gone_has_no_credential_that_works() {
    let (world, f) = world().await;
    let client = format!("/integrations/clients/{}", f.a.client);
    let ask = async |method: &str, body: Value| world.ask(&f.a.token, method, &client, &body).await.ok();
    let status = async || list(&world, &f.a, "?host=aurora.example").await["results"][0].clone();
    assert_eq!(status().await["status"], "active");
    ask("PATCH", json!({"status": "inactive"})).await;
    assert_eq!((&status().await["status"], &status().await["revoked_at"]), (&json!("revoked"), &Value::Null));
    assert_eq!(note(&world, &f.a, "web1", "phone").await.refusal(), (403, "client_inactive".to_owned()));
    ask("PATCH", json!({"status": "active"})).await;
    assert_eq!(status().await["status"], "active");
    ask("DELETE", Value::Null).await;
    let gone = status().await;
    assert_eq!((&gone["status"], gone["revoked_at"].is_string()), (&json!("revoked"), true));
    let audit = world.audit(f.a.tenant);
    assert!(audit.iter().any(|entry| entry[0] == "offline_credential_revoked" && entry[1] == f.a.username));
}

#[tokio::test]
async fn nobody_else_sees_or_revokes_them() {
    let (world, f) = world().await;
    let before = world.rows();
    for stranger in [&f.a.sibling, &f.b.token] {
        for query in ["", "?host=aurora.example", "?username=ann.aurora"] {
            let found = world.ask(stranger, "GET", &format!("{PATH}{query}"), &Value::Null).await.ok();
            assert!(!found.to_string().contains("aurora"), "{found}");
        }
        let path = format!("{PATH}/{}", f.a.offline);
        let refused = world.ask(stranger, "DELETE", &path, &Value::Null).await;
        assert_eq!(refused.refusal(), (404, "not_found".to_owned()));
    }
    assert_eq!(world.rows(), before);
}
