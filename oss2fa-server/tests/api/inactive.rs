//! A client that may not pass, on every path; and one that passes without being asked.

use serde_json::{Value, json};

use crate::fixture::{Fixture, prepare, world};
use crate::world::{World, hotp};

async fn set(world: &World, f: &Fixture, status: &str) {
    let path = format!("/integrations/clients/{}", f.a.client);
    let client = world.ask(&f.a.token, "PATCH", &path, &json!({"status": status})).await.ok();
    assert_eq!(client["status"], status);
}

#[tokio::test]
async fn row_47_an_inactive_client_passes_on_no_path() {
    let (world, f) = world().await;
    let post = async |path: &str, body: Value| world.ask(&f.a.token, "POST", path, &body).await;
    // Trusted, so that it could pass unasked.
    let policy = format!("/tenants/integrations/{}/policy", f.a.integration);
    world.ask(&f.a.admin, "PUT", &policy, &json!({"trusted_device_days": 30})).await.ok();
    let answer = json!({"token": f.a.answer, "remember_device": true});
    let complete = format!("/integrations/challenges/{}/complete", f.a.challenge);
    let trusted = post(&complete, answer).await.ok()["trusted_device_token"].as_str().unwrap().to_owned();
    let login = json!({"username": f.a.username, "binding_context": {"trusted_device_token": trusted}});
    let auth = "/integrations/clients/auth";
    assert_eq!(post(auth, login.clone()).await.ok()["result"], 3);
    let asked = json!({"username": f.a.username, "device_pk": f.a.device});
    let challenge = post("/integrations/challenges", asked.clone()).await.pk();
    let complete = format!("/integrations/challenges/{challenge}/complete");
    let answer = json!({"token": hotp(&f.a.secret, 2)});

    set(&world, &f, "inactive").await;
    let before = world.rows();
    let barred = (403, "client_inactive".to_owned());
    assert_eq!(post(auth, login.clone()).await.ok(), json!({"result": 4, "devices": []}));
    assert_eq!(post(auth, json!({"username": f.a.username})).await.ok()["result"], 4);
    assert_eq!(post("/integrations/challenges", asked.clone()).await.refusal(), barred);
    let mailed = json!({"username": f.a.username, "device_pk": f.a.mail_device});
    assert_eq!(post("/integrations/challenges", mailed).await.refusal(), barred);
    assert_eq!(post(&complete, answer.clone()).await.refusal(), barred);
    let resend = format!("/integrations/challenges/{}/resend", f.a.mail_challenge);
    assert_eq!(post(&resend, Value::Null).await.refusal(), barred);
    let verify = json!({"username": f.a.username, "token": hotp(&f.a.secret, 2)});
    assert_eq!(post("/integrations/clients/verify", verify.clone()).await.refusal(), barred);
    let enrollment = format!("/integrations/enrollments/{}/complete", f.a.enrollment);
    assert_eq!(post(&enrollment, json!({"token": f.a.proof})).await.refusal(), barred);
    assert_eq!(world.rows(), before, "what was refused has changed something");
    // An enrollment that is begun now comes to no end either.
    let secret = "NZXXIIDBNZ4SA33GEB2GQZJAN52GQZLS";
    let begun = prepare(&world, &f.a.token, &f.a.username, "HOTP", json!({"secret": secret})).await;
    let path = format!("/integrations/enrollments/{begun}/complete");
    assert_eq!(post(&path, json!({"token": hotp(secret, 0)})).await.refusal(), barred);

    // It was the status and nothing else: the same code passes afterwards, once.
    set(&world, &f, "active").await;
    post(&complete, answer).await.ok();
    assert_eq!(post("/integrations/clients/verify", verify).await.status, 403);
    assert_eq!(post(auth, login.clone()).await.ok()["result"], 3);
    let forget = format!("/integrations/clients/{}/trusted-devices", f.a.client);
    world.ask(&f.a.token, "DELETE", &forget, &Value::Null).await.ok();
    assert_eq!(post(auth, login).await.ok()["result"], 2);
}

#[tokio::test]
async fn whoever_passes_without_a_factor_is_in_the_audit() {
    let (world, f) = world().await;
    let path = format!("/integrations/clients/{}?integration={}", f.a.client, f.a.integration);
    world.ask(&f.a.admin, "PATCH", &path, &json!({"status": "bypass"})).await.ok();
    let login = json!({"username": "ANN.aurora", "binding_context": {"address": "198.51.100.9"}});
    let needed = world.ask(&f.a.token, "POST", "/integrations/clients/auth", &login).await.ok();
    assert_eq!(needed, json!({"result": 3, "devices": []}));
    let audit = world.audit(f.a.tenant);
    let [changed, passed] = audit.last_chunk().unwrap();
    let name = f.a.username.as_str();
    assert_eq!(changed, &["client_status", name, "admin:aurora administrator", "192.0.2.7", "bypass"]);
    assert_eq!(passed, &["allowed", name, "integration", "198.51.100.9", "bypass"]);
    assert!(world.audit(f.b.tenant).iter().all(|entry| entry.iter().all(|cell| !cell.contains("aurora"))));
}
