//! Security keys at hosts: the same record for pages and hosts, its public half, and what hosts tell of it.

use serde_json::{Value, json};

use crate::security_keys::{Desk, Enrolled};

const HOST: &str = "oss2fa:host";

/// A desk whose policy lets hosts in, too.
async fn with_hosts() -> Desk {
    let desk = Desk::new().await;
    desk.policy(json!({"origins": ["https://www.example.org", HOST]})).await;
    desk
}

async fn listed(desk: &Desk, username: &str) -> Value {
    let path = format!("/integrations/security-keys?username={username}");
    desk.world.ask(&desk.f.a.token, "GET", &path, &Value::Null).await.ok()
}

/// What a host tells of a touch, which the key has signed with something wrong about it or not.
async fn told(desk: &Desk, id: &str, username: &str, who: Enrolled, wrong: Value) -> Value {
    let (challenge, options) = desk.challenge(username, who.device).await;
    let mut about = json!({"origin": HOST});
    about.as_object_mut().unwrap().extend(wrong.as_object().unwrap().clone());
    let response = desk.keys.get(who.key, &options, &about)["response"].clone();
    let path = format!("/integrations/challenges/{challenge}");
    desk.world.ask(&desk.f.a.token, "DELETE", &path, &Value::Null).await;
    json!({"id": id, "at": "2026-01-01T00:00:00Z", "event": "offline_touch", "username": username,
    "service": "sudo", "assertion": {
        "device": who.device, "client_data": response["clientDataJSON"],
        "authenticator_data": response["authenticatorData"], "signature": response["signature"],
    }})
}

async fn tell(desk: &Desk, event: Value) -> crate::world::Answer {
    desk.post("/integrations/host-events", json!({"host": "web1", "events": [event]})).await
}

async fn count(desk: &Desk, username: &str) -> Value {
    listed(desk, username).await[0]["sign_count"].clone()
}

#[tokio::test]
async fn one_record_serves_pages_and_hosts() {
    let desk = with_hosts().await;
    // Made at a page, used at a host, and at a page again; and the other way round.
    let by_page = desk.enroll("ferris", json!({})).await;
    for origin in [HOST, "https://www.example.org", HOST] {
        assert_eq!(desk.login("ferris", by_page, json!({"origin": origin})).await.status, 200, "{origin}");
    }
    let by_host = desk.enroll("ferris", json!({"origin": HOST})).await;
    assert_eq!(desk.login("ferris", by_host, json!({})).await.status, 200);
    for origin in ["oss2fa:hosts", "oss2fa:host/", "OSS2FA:host", "https://oss2fa:host", ""] {
        let refused = desk.login("ferris", by_page, json!({"origin": origin})).await;
        assert_eq!(refused.refusal(), (403, "wrong_token".to_owned()), "{origin}");
    }
}

#[tokio::test]
async fn hosts_alone_need_no_page() {
    let desk = Desk::new().await;
    desk.policy(json!({"origins": [HOST]})).await;
    let key = desk.enroll("ferris", json!({"origin": HOST})).await;
    assert_eq!(desk.login("ferris", key, json!({"origin": HOST})).await.status, 200);
    // Whatever the library takes for a page of this relying party.
    let page = desk.login("ferris", key, json!({"origin": "https://example.org"})).await;
    assert_eq!(page.refusal(), (403, "wrong_token".to_owned()));
}

#[tokio::test]
async fn a_host_is_let_in_by_policy_alone() {
    let desk = Desk::new().await;
    let key = desk.enroll("ferris", json!({})).await;
    let refused = desk.login("ferris", key, json!({"origin": HOST})).await;
    assert_eq!(refused.refusal(), (403, "wrong_token".to_owned()));
    assert_eq!(listed(&desk, "ferris").await, json!([]));
}

#[tokio::test]
async fn a_host_learns_public_halves_and_nothing_else() {
    let desk = with_hosts().await;
    let key = desk.enroll("ferris", json!({})).await;
    assert_eq!(desk.login("ferris", key, json!({})).await.status, 200);
    let keys = listed(&desk, "FERRIS").await;
    let [shown] = &keys.as_array().unwrap()[..] else { panic!("{keys}") };
    let mut fields: Vec<_> = shown.as_object().unwrap().keys().map(String::as_str).collect();
    fields.sort_unstable();
    assert_eq!(
        fields,
        ["asks", "credential_id", "device", "kind", "name", "public_key", "rp_id", "sign_count"],
        "a field that is added here goes to every host: is it public?"
    );
    assert_eq!(
        (&shown["device"], &shown["kind"], &shown["rp_id"], &shown["asks"]),
        (&json!(key.device), &json!("FIDO2"), &json!("example.org"), &json!("touch"))
    );
    assert!(shown["sign_count"].as_u64().unwrap() > 0, "{shown}");
    // Of somebody with secrets besides: none of their kinds is in it.
    let with_codes = desk.f.a.username.clone();
    assert_eq!(listed(&desk, &with_codes).await, json!([]));
    assert_eq!(listed(&desk, "nobody").await, json!([]));
}

#[tokio::test]
async fn a_key_that_verified_its_user_must_do_so_at_hosts() {
    let desk = with_hosts().await;
    desk.enroll("ferris", json!({"verified": true})).await;
    assert_eq!(listed(&desk, "ferris").await[0]["asks"], "user");
    desk.policy(json!({"origins": [HOST], "user_verification": "discouraged"})).await;
    assert_eq!(listed(&desk, "ferris").await[0]["asks"], "touch");
}

#[tokio::test]
async fn what_does_not_count_any_more_is_not_listed() {
    let desk = with_hosts().await;
    let key = desk.enroll("ferris", json!({})).await;
    let client =
        desk.world.ask(&desk.f.a.token, "GET", "/integrations/clients?username=ferris", &Value::Null);
    let client = client.await.ok()["results"][0]["pk"].as_i64().unwrap();
    let of_client = format!("/integrations/clients/{client}");
    for (status, shown) in [("inactive", 0), ("bypass", 1), ("active", 1)] {
        desk.world.ask(&desk.f.a.token, "PATCH", &of_client, &json!({"status": status})).await;
        assert_eq!(listed(&desk, "ferris").await.as_array().unwrap().len(), shown, "{status}");
    }
    let other = json!({"rp_id": "www.example.org", "origins": ["https://www.example.org", HOST]});
    desk.policy(other).await;
    assert_eq!(listed(&desk, "ferris").await, json!([]), "made for another domain");
    desk.policy(json!({"origins": ["https://www.example.org", HOST]})).await;
    let device = format!("{of_client}/devices/{}", key.device);
    desk.world.ask(&desk.f.a.token, "DELETE", &device, &Value::Null).await;
    assert_eq!(listed(&desk, "ferris").await, json!([]), "removed");
}

#[tokio::test]
async fn a_counter_that_was_spent_at_a_host_is_spent_here() {
    let desk = with_hosts().await;
    let key = desk.enroll("ferris", json!({})).await;
    assert_eq!(desk.login("ferris", key, json!({"counter": 10})).await.status, 200);
    let event = told(&desk, "1", "ferris", key, json!({"counter": 20})).await;
    assert_eq!(tell(&desk, event.clone()).await.ok(), json!({"recorded": 1}));
    assert_eq!(count(&desk, "ferris").await, 20);
    // Told again, and of a touch before: nothing goes back, and nobody is accused.
    assert_eq!(tell(&desk, event).await.ok(), json!({"recorded": 0}));
    let late = told(&desk, "2", "ferris", key, json!({"counter": 15})).await;
    assert_eq!(tell(&desk, late).await.ok(), json!({"recorded": 1}));
    assert_eq!(count(&desk, "ferris").await, 20);
    assert_eq!(desk.events("key_copied"), Vec::<String>::new());
    assert_eq!(desk.login("ferris", key, json!({"counter": 20})).await.status, 403, "spent");
    assert_eq!(desk.login("ferris", key, json!({"counter": 21})).await.status, 200);
    let written = desk.events("host_event");
    assert!(written[0].contains(r#"event="offline_touch""#), "{written:?}");
}

#[tokio::test]
async fn a_host_is_believed_what_the_key_has_signed_for_hosts_and_no_more() {
    let desk = with_hosts().await;
    let key = desk.enroll("ferris", json!({})).await;
    let other = desk.enroll("corro", json!({})).await;
    assert_eq!(desk.login("ferris", key, json!({"counter": 10})).await.status, 200);
    let mut wrong = Vec::new();
    for (number, about) in [
        json!({"origin": "https://www.example.org"}),
        json!({"type": "webauthn.create"}),
        json!({"rp_id": "example.com"}),
        json!({"present": false}),
        json!({"signature": "another"}),
    ]
    .into_iter()
    .enumerate()
    {
        let mut about = about;
        about["counter"] = json!(900);
        wrong.push(told(&desk, &format!("w{number}"), "ferris", key, about).await);
    }
    let mut of_another = told(&desk, "a1", "corro", other, json!({"counter": 900})).await;
    of_another["assertion"]["device"] = json!(key.device);
    wrong.push(of_another.clone());
    of_another["id"] = json!("a2");
    of_another["username"] = json!("ferris");
    wrong.push(of_another.clone());
    of_another["id"] = json!("a3");
    of_another["username"] = json!("no\nname");
    wrong.push(of_another);
    for event in wrong {
        let words = event.to_string();
        assert_eq!(tell(&desk, event).await.ok(), json!({"recorded": 1}), "it is in the audit: {words}");
        assert_eq!(count(&desk, "ferris").await, 10, "{words}");
    }
    // By another tenant's token.
    let event = told(&desk, "b1", "ferris", key, json!({"counter": 900})).await;
    let report = json!({"host": "web1", "events": [event]});
    desk.world.ask(&desk.f.b.token, "POST", "/integrations/host-events", &report).await.ok();
    assert_eq!(count(&desk, "ferris").await, 10);
    let mut broken = told(&desk, "c1", "ferris", key, json!({})).await;
    for nonsense in [json!("+"), json!("A".repeat(2049))] {
        broken["assertion"]["signature"] = nonsense;
        assert_eq!(tell(&desk, broken.clone()).await.refusal(), (422, "bad_options".to_owned()));
    }
}
