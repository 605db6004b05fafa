//! Looking after clients: what a change ends, at once.

use serde_json::{Value, json};

use crate::fixture::{prepare, world};
use crate::world::hotp;

#[tokio::test]
async fn removing_a_client_ends_all_that_is_open_for_it() {
    let (world, f) = world().await;
    let ask = async |method: &str, path: &str, body: Value| world.ask(&f.a.token, method, path, &body).await;
    let client = format!("/integrations/clients/{}", f.a.client);
    assert_eq!(ask("DELETE", &client, Value::Null).await.status, 204);
    let complete = format!("/integrations/challenges/{}/complete", f.a.challenge);
    assert_eq!(ask("POST", &complete, json!({"token": f.a.answer})).await.refusal().0, 404);
    let resend = format!("/integrations/challenges/{}/resend", f.a.mail_challenge);
    assert_eq!(ask("POST", &resend, Value::Null).await.refusal().0, 404);
    // An enrollment that was under way does not bring the client back.
    let enrollment = format!("/integrations/enrollments/{}/complete", f.a.enrollment);
    let over = (409, "enrollment_over".to_owned());
    assert_eq!(ask("POST", &enrollment, json!({"token": f.a.proof})).await.refusal(), over);
    assert_eq!(ask("GET", &client, Value::Null).await.status, 404);
    assert_eq!(ask("DELETE", &client, Value::Null).await.status, 404);
    let verify = json!({"username": f.a.username, "token": f.a.answer});
    assert_eq!(ask("POST", "/integrations/clients/verify", verify).await.status, 404);
    let login = ask("POST", "/integrations/clients/auth", json!({"username": f.a.username})).await.ok();
    assert_eq!(login["result"], 1);
    // Who comes back is a new client, and the codes that were used stay used.
    let again = prepare(&world, &f.a.token, &f.a.username, "HOTP", json!({"secret": f.a.secret})).await;
    let path = format!("/integrations/enrollments/{again}/complete");
    let used = ask("POST", &path, json!({"token": hotp(&f.a.secret, 0)})).await;
    assert_eq!(used.refusal(), (409, "used_secret".to_owned()));
}

#[tokio::test]
async fn removing_a_device_ends_the_challenges_on_it_and_leaves_the_others() {
    let (world, f) = world().await;
    let ask = async |method: &str, path: &str, body: Value| world.ask(&f.a.token, method, path, &body).await;
    let devices = format!("/integrations/clients/{}/devices", f.a.client);
    let device = format!("{devices}/{}", f.a.device);
    let renamed = ask("PATCH", &device, json!({"name": "  key ring "})).await.ok();
    assert_eq!((&renamed["name"], &renamed["kind"]["name"]), (&json!("key ring"), &json!("HOTP")));
    assert_eq!(ask("DELETE", &device, Value::Null).await.status, 204);
    let complete = format!("/integrations/challenges/{}/complete", f.a.challenge);
    let over = (409, "challenge_over".to_owned());
    assert_eq!(ask("POST", &complete, json!({"token": f.a.answer})).await.refusal(), over);
    let left = ask("GET", &devices, Value::Null).await.ok();
    assert_eq!(left.as_array().unwrap().len(), 1);
    assert_eq!(left[0]["pk"], f.a.mail_device);
    assert_eq!(left[0]["address"].as_str().map(|address| address.contains("ann@")), Some(false), "{left}");
    for (method, body) in [("PATCH", json!({"name": "x"})), ("DELETE", Value::Null)] {
        assert_eq!(ask(method, &device, body).await.refusal(), (404, "not_found".to_owned()));
    }
    // A device is reached through its own client alone.
    let other = crate::fixture::enroll(&world, &f.a.token, "other", "NZXXIIDBNZ4SA33GEB2GQZJAN52GQZLS").await;
    let path = format!("/integrations/clients/{other}/devices/{}", f.a.mail_device);
    assert_eq!(ask("DELETE", &path, Value::Null).await.status, 404);
}

#[tokio::test]
async fn a_locked_client_is_released_by_the_helpdesk() {
    let (world, f) = world().await;
    let verify = async |token: &str| {
        let body = json!({"username": f.a.username, "token": token});
        world.ask(&f.a.token, "POST", "/integrations/clients/verify", &body).await
    };
    let wrong = if f.a.answer == "000000" { "000001" } else { "000000" };
    for _ in 0..60 {
        if verify(wrong).await.code() == "locked" {
            break;
        }
    }
    assert_eq!(verify(&f.a.answer).await.refusal(), (429, "locked".to_owned()));
    let path = format!("/integrations/clients/{}/unlock?integration={}", f.a.client, f.a.integration);
    assert_eq!(world.ask(&f.a.helpdesk, "POST", &path, &Value::Null).await.status, 204);
    verify(&f.a.answer).await.ok();
    let audit = world.audit(f.a.tenant);
    let unlocked = audit.iter().find(|entry| entry[0] == "unlocked").expect("it is in the audit");
    assert_eq!(
        (unlocked[1].as_str(), unlocked[2].as_str()),
        (f.a.username.as_str(), "admin:aurora helpdesk")
    );
}

#[tokio::test]
async fn kinds_are_those_of_the_policy_and_all_for_administrators() {
    let (world, f) = world().await;
    let path = format!("/tenants/integrations/{}/policy", f.a.integration);
    world.ask(&f.a.admin, "PUT", &path, &json!({"device_kinds": ["HOTP"]})).await.ok();
    let kinds = async |who, path: &str| {
        let kinds = world.ask(who, "GET", path, &Value::Null).await.ok();
        kinds
            .as_array()
            .unwrap()
            .iter()
            .map(|kind| kind["name"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(kinds(&f.a.token, "/devices-kind").await, ["HOTP"]);
    let named = format!("/devices-kind?integration={}", f.a.integration);
    assert_eq!(kinds(&f.a.helpdesk, &named).await, ["HOTP"]);
    assert!(kinds(&f.a.helpdesk, "/devices-kind").await.len() > 1);
    assert_eq!(world.ask(&f.b.admin, "GET", &named, &Value::Null).await.status, 404);
}
