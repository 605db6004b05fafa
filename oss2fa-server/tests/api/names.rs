//! Names: markup is text, and what cannot be seen is refused.

use serde_json::{Value, json};

use crate::fixture::{Fixture, world};
use crate::world::{Answer, World};

const MARKUP: &str = "<img src=x onerror=alert(1)>&\"'";

/// What nobody should have in a name.
const UNSEEN: [&str; 12] = [
    "",
    " ",
    "a\u{0}b",
    "a\r\nSubject: b",
    "a\u{1b}[2Jb",
    "a\u{7f}b",
    "a\u{85}b",
    "a\u{202e}b",
    "a\u{200b}b",
    "a\u{2028}b",
    "a\u{3164}b",
    "\u{2800}",
];

/// Gives this name to each thing that can have one.
async fn name_all(world: &World, f: &Fixture, name: &str) -> Vec<(&'static str, Answer)> {
    let owner = async |method: &str, path: &str, body: Value| world.ask(&f.owner, method, path, &body).await;
    let device = format!(
        "/integrations/clients/{}/devices/{}?integration={}",
        f.a.client, f.a.device, f.a.integration
    );
    let policy = format!("/tenants/integrations/{}/policy", f.a.integration);
    let administrator = json!({"name": name, "role": "helpdesk", "tenant": f.a.tenant});
    vec![
        ("tenant", owner("POST", "/tenants", json!({"name": name})).await),
        (
            "integration",
            owner("POST", "/tenants/integrations", json!({"name": name, "tenant": f.a.tenant})).await,
        ),
        ("administrator", owner("POST", "/tenants/administrators", administrator).await),
        ("device", owner("PATCH", &device, json!({"name": name})).await),
        ("issuer", owner("PUT", &policy, json!({"issuer": name})).await),
    ]
}

#[tokio::test]
async fn row_40_markup_in_a_name_is_text_and_comes_back_as_it_was() {
    let (world, f) = world().await;
    for (what, answer) in name_all(&world, &f, MARKUP).await {
        let shown = answer.ok();
        assert_eq!(shown[if what == "issuer" { "issuer" } else { "name" }], MARKUP, "{what}");
        // A browser that is led here makes no page of it.
        assert_eq!(answer.headers["content-type"], "application/json", "{what}");
        assert_eq!(answer.headers["x-content-type-options"], "nosniff", "{what}");
    }
    // In a provisioning URI it is escaped.
    let enrollment = crate::fixture::prepare(&world, &f.a.token, "marked", "TOTP", json!({})).await;
    let path = format!("/integrations/enrollments/{enrollment}");
    let shown = world.ask(&f.a.token, "GET", &path, &Value::Null).await.ok();
    let uri = shown["public_details"]["provisioning_uri"].as_str().unwrap().to_owned();
    assert!(uri.contains("&issuer=%3Cimg%20src%3Dx"), "{uri}");
}

#[tokio::test]
async fn row_36_what_cannot_be_seen_is_in_no_name() {
    let (world, f) = world().await;
    let before = world.rows();
    let long = "x".repeat(65);
    for name in UNSEEN.into_iter().chain([long.as_str()]) {
        for (what, answer) in name_all(&world, &f, name).await {
            let code = if what == "issuer" { "bad_policy" } else { "bad_name" };
            assert_eq!(answer.refusal(), (422, code.to_owned()), "{what} {name:?}");
        }
    }
    assert_eq!(world.rows(), before);
    // Authenticator apps take what stands before a colon for the issuer.
    for (what, answer) in name_all(&world, &f, "bank: aurora").await {
        assert_eq!(answer.status.as_u16(), if what == "device" { 200 } else { 422 }, "{what}");
    }
}

#[tokio::test]
async fn row_36_markup_and_control_characters_are_in_no_name_of_a_client() {
    let (world, f) = world().await;
    let before = world.rows();
    for name in UNSEEN.into_iter().chain([MARKUP, "a b", "../x", "a%00b"]) {
        for path in ["/integrations/enrollments", "/integrations/clients/auth"] {
            let answer = world.ask(&f.a.token, "POST", path, &json!({"username": name})).await;
            assert_eq!(answer.refusal(), (422, "bad_name".to_owned()), "{path} {name:?}");
        }
    }
    let answer =
        world.ask(&f.a.token, "GET", "/integrations/clients?username=%3Cscript%3E", &Value::Null).await;
    assert_eq!(answer.refusal(), (422, "bad_name".to_owned()));
    assert_eq!(world.rows(), before);
}

#[tokio::test]
async fn a_name_that_is_taken_is_said_to_be() {
    let (world, f) = world().await;
    let taken = (409, "name_taken".to_owned());
    let ask = async |path: &str, body: Value| world.ask(&f.owner, "POST", path, &body).await.refusal();
    assert_eq!(ask("/tenants", json!({"name": " aurora "})).await, taken);
    let new = json!({"name": "aurora vpn", "tenant": f.a.tenant});
    assert_eq!(ask("/tenants/integrations", new).await, taken);
    let new = json!({"name": "aurora helpdesk", "role": "helpdesk", "tenant": f.a.tenant});
    assert_eq!(ask("/tenants/administrators", new).await, taken);
    // Tenants do not share the names of their integrations: nobody finds out what another has.
    let new = json!({"name": "aurora vpn", "tenant": f.b.tenant});
    assert_eq!(ask("/tenants/integrations", new).await.0, 201);
}
