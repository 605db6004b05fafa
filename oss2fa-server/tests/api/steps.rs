//! Each step is passed by doing it: not by submitting it, not by what belongs to another step, client or time.

use serde_json::{Value, json};

use crate::fixture::{Fixture, enroll, prepare, world};
use crate::world::{Answer, Credential, World, hotp};

/// What somebody submits who has no code.
fn nothing() -> Vec<Value> {
    let tokens = [
        json!(""),
        json!(" "),
        json!(null),
        json!(true),
        json!(0),
        json!([]),
        json!({}),
        json!({"result": true, "status": 3}),
        json!("null"),
        json!("000000"),
        json!("000000000"),
        json!("\u{0}"),
    ];
    let with = tokens.into_iter().map(|token| json!({"token": token}));
    with.chain([json!({}), Value::Null, json!({"remember_device": true})]).collect()
}

#[tokio::test]
async fn row_48_a_step_that_was_submitted_and_not_done_passes_nothing() {
    let (world, f) = world().await;
    let post = async |path: &str, body: &Value| world.ask(&f.a.token, "POST", path, body).await;
    let policy = format!("/tenants/integrations/{}/policy", f.a.integration);
    // So many, that it is never the count which refuses.
    let many = json!({"attempts": 20, "locks": {"free_attempts": 100}, "trusted_device_days": 30});
    world.ask(&f.a.admin, "PUT", &policy, &many).await.ok();
    let begun = post("/integrations/enrollments", &json!({"username": "new.person"})).await.pk();
    let mailed = prepare(&world, &f.a.token, "new.person", "EMAIL", json!({"address": "new@aurora.example"}));
    let mailed = mailed.await;
    let asked = json!({"username": f.a.username, "device_pk": f.a.mail_device});
    let challenges = [
        post("/integrations/challenges", &asked).await.pk(),
        post("/integrations/challenges", &json!({"username": f.a.username, "device_pk": f.a.device}))
            .await
            .pk(),
    ];
    let mut steps: Vec<String> =
        [begun, mailed, f.a.enrollment].map(|pk| format!("/integrations/enrollments/{pk}/complete")).to_vec();
    steps.extend(challenges.map(|pk| format!("/integrations/challenges/{pk}/complete")));
    for path in &steps {
        for body in nothing() {
            let answer = post(path, &body).await;
            assert!(answer.status.is_client_error(), "{path} {body}: {answer:?}");
            assert!(!answer.text.contains("trusted_device_token"), "{path} {body}: {answer:?}");
        }
    }
    for body in nothing() {
        let mut body = body;
        if let Some(fields) = body.as_object_mut() {
            fields.remove("remember_device");
            fields.insert("username".to_owned(), json!(f.a.username));
        }
        for device in [f.a.device, f.a.mail_device] {
            if let Some(fields) = body.as_object_mut() {
                fields.insert("device_pk".to_owned(), json!(device));
            }
            let answer = post("/integrations/clients/verify", &body).await;
            assert!(answer.status.is_client_error(), "{body}: {answer:?}");
        }
    }
    let login = post("/integrations/clients/auth", &json!({"username": "new.person"})).await.ok();
    assert_eq!(login["result"], 1, "nobody was enrolled");
    for challenge in challenges {
        let path = format!("/integrations/challenges/{challenge}");
        let shown = world.ask(&f.a.token, "GET", &path, &Value::Null).await.ok();
        assert_ne!((&shown["status"], &shown["completed_at"].is_null()), (&json!(3), &false), "{shown}");
    }
    assert!(world.rows().contains("trusted_device: []"), "a device is trusted");
}

#[tokio::test]
async fn row_52_a_code_is_for_what_it_was_sent_for() {
    let (world, f) = world().await;
    let post = async |path: String, body: Value| world.ask(&f.a.token, "POST", &path, &body).await;
    let complete = async |what: &str, pk: i64, code: &str| {
        post(format!("/integrations/{what}/{pk}/complete"), json!({"token": code})).await
    };
    let wrong = (403, "wrong_token".to_owned());
    let address = json!({"address": "ann.other@aurora.example"});
    let enrollment = prepare(&world, &f.a.token, &f.a.username, "EMAIL", address.clone()).await;
    let for_enrollment = world.mailed_code();
    let asked = json!({"username": f.a.username, "device_pk": f.a.mail_device});
    let challenge = post("/integrations/challenges".to_owned(), asked).await.pk();
    let for_challenge = world.mailed_code();
    let another = prepare(&world, &f.a.token, "somebody.else", "EMAIL", address).await;
    assert_ne!(for_enrollment, for_challenge);
    assert_eq!(complete("challenges", challenge, &for_enrollment).await.refusal(), wrong);
    assert_eq!(complete("challenges", f.a.mail_challenge, &for_challenge).await.refusal(), wrong);
    assert_eq!(complete("enrollments", enrollment, &for_challenge).await.refusal(), wrong);
    assert_eq!(complete("enrollments", another, &for_enrollment).await.refusal(), wrong);
    let alone = json!({"username": f.a.username, "token": for_challenge});
    assert_eq!(post("/integrations/clients/verify".to_owned(), alone).await.refusal(), wrong);
    complete("enrollments", enrollment, &for_enrollment).await.ok();
    complete("challenges", challenge, &for_challenge).await.ok();
    assert_eq!(complete("challenges", challenge, &for_challenge).await.status, 409);
}

/// Completes a challenge of the first tenant's client, and has its device remembered.
async fn trusted(world: &World, f: &Fixture, counter: u64, context: Value) -> Answer {
    let asked = json!({"username": f.a.username, "device_pk": f.a.device, "binding_context": context});
    let pk = world.ask(&f.a.token, "POST", "/integrations/challenges", &asked).await.pk();
    let path = format!("/integrations/challenges/{pk}/complete");
    let answer = json!({"token": hotp(&f.a.secret, counter), "remember_device": true});
    world.ask(&f.a.token, "POST", &path, &answer).await
}

async fn decision(world: &World, who: &Credential, username: &str, context: &Value) -> i64 {
    let body = json!({"username": username, "binding_context": context});
    let decided = world.ask(who, "POST", "/integrations/clients/auth", &body).await.ok();
    decided["result"].as_i64().unwrap()
}

async fn put_policy(world: &World, f: &Fixture, policy: Value) {
    let path = format!("/tenants/integrations/{}/policy", f.a.integration);
    world.ask(&f.a.admin, "PUT", &path, &policy).await.ok();
}

#[tokio::test]
async fn row_49_a_trusted_device_is_one_of_one_client_of_one_integration() {
    let (world, f) = world().await;
    put_policy(&world, &f, json!({"trusted_device_days": 30})).await;
    let other = format!("/tenants/integrations/{}/policy", f.b.integration);
    world.ask(&f.owner, "PUT", &other, &json!({"trusted_device_days": 30})).await.ok();
    let made = trusted(&world, &f, 1, json!({"fingerprint": "firefox"})).await.ok();
    let token = made["trusted_device_token"].as_str().unwrap().to_owned();
    let context = json!({"trusted_device_token": token, "fingerprint": "firefox"});
    assert_eq!(decision(&world, &f.a.token, &f.a.username, &context).await, 3, "it is trusted at all");
    for browser in [json!("chromium"), json!("firefo"), json!("FIREFOX"), json!(""), Value::Null] {
        let context = json!({"trusted_device_token": token, "fingerprint": browser});
        assert_eq!(decision(&world, &f.a.token, &f.a.username, &context).await, 2, "{browser}");
    }
    // Somebody else there, the same name elsewhere in the tenant, and in another tenant.
    let secret = "NZXXIIDBNZ4SA33GEB2GQZJAN52GQZLS";
    enroll(&world, &f.a.token, "somebody.else", secret).await;
    enroll(&world, &f.a.sibling, &f.a.username, "MFRGGZDFMZTWQ2LKNNWG23TPOBYXE43U").await;
    enroll(&world, &f.b.token, &f.a.username, secret).await;
    for (who, username) in [
        (&f.a.token, "somebody.else"),
        (&f.a.sibling, &f.a.username),
        (&f.b.token, &f.a.username),
        (&f.b.token, &f.b.username),
    ] {
        assert_eq!(decision(&world, who, username, &context).await, 2, "{username} by {who:?}");
    }
    // It stands for a device, and for no code and no credential.
    let verify = json!({"username": f.a.username, "token": token});
    let answer = world.ask(&f.a.token, "POST", "/integrations/clients/verify", &verify).await;
    assert_eq!(answer.refusal(), (403, "wrong_token".to_owned()));
    for who in [Credential::Integration(token.clone()), Credential::Admin(token)] {
        let answer = world.ask(&who, "GET", "/devices-kind", &Value::Null).await;
        assert_eq!(answer.refusal(), (401, "unauthorized".to_owned()));
    }
}

#[tokio::test]
async fn row_38_what_a_weaker_policy_remembered_does_not_pass_a_stricter_one() {
    let (world, f) = world().await;
    put_policy(&world, &f, json!({"trusted_device_days": 30})).await;
    let made = trusted(&world, &f, 1, json!({})).await.ok();
    let context = json!({"trusted_device_token": made["trusted_device_token"]});
    assert_eq!(decision(&world, &f.a.token, &f.a.username, &context).await, 3);
    // Each takes hold with the very next login.
    for stricter in [json!({}), json!({"trusted_device_days": 30, "client_networks": ["203.0.113.0/24"]})] {
        put_policy(&world, &f, stricter.clone()).await;
        let decided = decision(&world, &f.a.token, &f.a.username, &context).await;
        assert_ne!(decided, 3, "{stricter}");
    }
    put_policy(&world, &f, json!({})).await;
    let refused = trusted(&world, &f, 2, json!({})).await.ok();
    assert!(refused.get("trusted_device_token").is_none(), "policy trusts no device: {refused}");
    // What was trusted for thirty days is not trusted on the second, once policy says one.
    put_policy(&world, &f, json!({"trusted_device_days": 1})).await;
    assert_eq!(decision(&world, &f.a.token, &f.a.username, &context).await, 3);
    let world = world.at(crate::world::BEGIN + 2 * 86_400 * 1_000_000).await;
    assert_eq!(decision(&world, &f.a.token, &f.a.username, &context).await, 2);
}

#[tokio::test]
async fn row_56_a_right_code_does_not_pass_where_the_account_may_not() {
    // A status is for `inactive.rs`, a lock for `clients.rs`.
    for bar in ["kind", "network", "device", "client", "challenge"] {
        let (world, f) = world().await;
        let client = format!("/integrations/clients/{}", f.a.client);
        let delete = async |path: String| {
            let answer = world.ask(&f.a.token, "DELETE", &path, &Value::Null).await;
            assert_eq!(answer.status, 204, "{bar}: {answer:?}");
        };
        let mut world_then = None;
        match bar {
            "kind" => put_policy(&world, &f, json!({"device_kinds": ["EMAIL"]})).await,
            "network" => put_policy(&world, &f, json!({"client_networks": ["203.0.113.0/24"]})).await,
            "device" => delete(format!("{client}/devices/{}", f.a.device)).await,
            "client" => delete(client).await,
            _ => world_then = Some(crate::world::BEGIN + 3600 * 1_000_000),
        }
        let world = match world_then {
            Some(later) => world.at(later).await,
            None => world,
        };
        let complete = format!("/integrations/challenges/{}/complete", f.a.challenge);
        let answer = world.ask(&f.a.token, "POST", &complete, &json!({"token": f.a.answer})).await;
        assert!(answer.status.is_client_error(), "{bar}: {answer:?}");
        let resend = format!("/integrations/challenges/{}/resend", f.a.mail_challenge);
        if matches!(bar, "network" | "client" | "challenge") {
            let answer = world.ask(&f.a.token, "POST", &resend, &Value::Null).await;
            assert!(answer.status.is_client_error(), "{bar}: {answer:?}");
        }
        if bar != "challenge" {
            let verify = json!({"username": f.a.username, "token": f.a.answer});
            let answer = world.ask(&f.a.token, "POST", "/integrations/clients/verify", &verify).await;
            assert!(answer.status.is_client_error(), "{bar}: {answer:?}");
        }
    }
}

const TARDY: &str = "NZXXIIDBNZ4SA33GEB2GQZJAN52GQZLS";

/// The time of a try is when it is there as a whole: a head may be sent long before its body.
#[tokio::test]
async fn a_body_that_comes_after_the_end_comes_too_late() {
    let (world, f) = world().await;
    let answer = json!({"token": f.a.answer});
    let complete = format!("/integrations/challenges/{}/complete", f.a.challenge);
    let late = world.ask_slowly(&f.a.token, &complete, &answer, 301).await;
    assert_eq!(late.refusal(), (410, "challenge_expired".to_owned()));

    let begun = prepare(&world, &f.a.token, "tardy", "HOTP", json!({"secret": TARDY})).await;
    let complete = format!("/integrations/enrollments/{begun}/complete");
    let late = world.ask_slowly(&f.a.token, &complete, &json!({"token": hotp(TARDY, 0)}), 301).await;
    assert_eq!(late.refusal(), (410, "enrollment_expired".to_owned()));
}
