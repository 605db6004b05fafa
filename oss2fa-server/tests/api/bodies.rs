//! Mass assignment: nobody sets what the server sets.

use serde_json::{Value, json};

use crate::fixture::world;
use crate::operations::{Admits, OPERATIONS};
use crate::world::Credential;

/// What somebody could want to slip in.
const SLIPPED_IN: [&str; 14] = [
    "pk",
    "tenant",
    "status",
    "integration",
    "client",
    "device",
    "role",
    "policy",
    "public_id",
    "access_key",
    "token_digest",
    "attempts_left",
    "created_at",
    "__proto__",
];

#[tokio::test]
async fn row_51_unknown_fields_are_refused_everywhere_and_change_nothing() {
    let mut tried = 0;
    for operation in OPERATIONS {
        let (world, f) = world().await;
        let (path, body) = (operation.request)(&f);
        let Some(fields) = body.as_object() else { continue };
        let who: Credential = match operation.admits {
            Admits::Administrators(_) | Admits::AnyAdministrators(_) => f.owner.clone(),
            _ => f.a.token.clone(),
        };
        let before = world.rows();
        for field in SLIPPED_IN.iter().filter(|field| !fields.contains_key(**field)) {
            let mut body = body.clone();
            body[*field] = json!(1);
            let answer = world.ask(&who, operation.method(), &path, &body).await;
            assert_eq!(answer.refusal(), (400, "bad_request".to_owned()), "{} with {field}", operation.route);
            assert_eq!(world.rows(), before, "{} with {field}", operation.route);
            tried += 1;
        }
    }
    assert!(tried > 100, "only {tried} fields were tried");
}

#[tokio::test]
async fn row_51_a_field_that_stands_twice_is_refused() {
    let (world, f) = world().await;
    let before = world.rows();
    let twice = Value::String(r#"{"name": "one", "name": "two"}"#.to_owned());
    assert_eq!(world.ask(&f.owner, "POST", "/tenants", &twice).await.status, 400);
    let path = format!("/integrations/clients/{}", f.a.client);
    let twice = Value::String(r#"{"status": "active", "status": "bypass"}"#.to_owned());
    assert_eq!(world.ask(&f.a.token, "PATCH", &path, &twice).await.status, 400);
    assert_eq!(world.rows(), before);
}

#[tokio::test]
async fn what_is_no_tenant_role_or_status_is_refused() {
    let (world, f) = world().await;
    let before = world.rows();
    let ask = async |method: &str, path: &str, body: Value| {
        world.ask(&f.owner, method, path, &body).await.refusal()
    };
    let bad = (400, "bad_request".to_owned());
    let client = format!("/integrations/clients/{}?integration={}", f.a.client, f.a.integration);
    assert_eq!(ask("PATCH", &client, json!({"status": "admin"})).await, bad);
    assert_eq!(ask("PATCH", &client, json!({"status": null})).await, bad);
    let new = json!({"name": "x", "role": "root", "tenant": f.a.tenant});
    assert_eq!(ask("POST", "/tenants/administrators", new).await, bad);
    let elsewhere = format!("/tenants/integrations?tenant={}", f.b.tenant);
    assert_eq!(ask("POST", &elsewhere, json!({"name": "x", "tenant": f.a.tenant})).await, bad);
    let policy = format!("/tenants/integrations/{}/policy", f.a.integration);
    assert_eq!(ask("PUT", &policy, json!({"code_lenght": 8})).await, bad);
    let (status, code) = ask("PUT", &policy, json!({"attempts": 0})).await;
    assert_eq!((status, code.as_str()), (422, "bad_policy"));
    let (status, code) = ask("PUT", &policy, json!({"device_kinds": ["CARRIER PIGEON"]})).await;
    assert_eq!((status, code.as_str()), (422, "bad_policy"));
    // The server itself is no tenant that anything could be made in, nor is one that is not there.
    for tenant in [0, -1, 999_999] {
        let new = json!({"name": "x", "tenant": tenant});
        assert_eq!(
            ask("POST", "/tenants/integrations", new).await,
            (404, "not_found".to_owned()),
            "{tenant}"
        );
        let new = json!({"name": "x", "role": "helpdesk", "tenant": tenant});
        assert_eq!(
            ask("POST", "/tenants/administrators", new).await,
            (404, "not_found".to_owned()),
            "{tenant}"
        );
        assert_eq!(ask("DELETE", &format!("/tenants/{tenant}"), Value::Null).await.0, 404, "{tenant}");
    }
    assert_eq!(world.rows(), before);
}

#[tokio::test]
async fn what_is_no_token_is_nobodys_try() {
    let (world, f) = world().await;
    let before = world.rows();
    let not_text = "the token must be text";
    for token in [json!(123_456), json!(1.5), Value::Null, json!(true), json!(["123456"])] {
        for (path, mut body) in [
            (format!("/integrations/challenges/{}/complete", f.a.challenge), json!({})),
            (format!("/integrations/challenges/{}/complete", f.a.mail_challenge), json!({})),
            (format!("/integrations/enrollments/{}/complete", f.a.enrollment), json!({})),
            ("/integrations/clients/verify".to_owned(), json!({"username": f.a.username})),
        ] {
            body["token"] = token.clone();
            let refused = world.ask(&f.a.token, "POST", &path, &body).await;
            assert_eq!(refused.refusal(), (422, "bad_options".to_owned()), "{path} {body}");
            assert!(refused.text.contains(not_text), "{refused:?}");
        }
    }
    // Also where the number has the digits of the code.
    let complete = format!("/integrations/challenges/{}/complete", f.a.challenge);
    let number = json!({"token": f.a.answer.parse::<u32>().unwrap()});
    assert_eq!(world.ask(&f.a.token, "POST", &complete, &number).await.status, 422);
    // No device that is tried without a challenge takes an object.
    let object = json!({"username": f.a.username, "token": {"id": "x"}});
    let refused = world.ask(&f.a.token, "POST", "/integrations/clients/verify", &object).await;
    assert_eq!(refused.refusal(), (422, "bad_options".to_owned()));
    assert_eq!(world.rows(), before, "a try was counted");
    world.ask(&f.a.token, "POST", &complete, &json!({"token": f.a.answer})).await.ok();
}

#[tokio::test]
async fn a_text_that_is_refused_is_refused_for_what_it_has() {
    let (world, f) = world().await;
    let with = |field: &str, text: &str| {
        let mut body = json!({"username": f.a.username, "device_pk": f.a.device, "binding_context": {}});
        let place = if field == "reference" { &mut body } else { &mut body["binding_context"] };
        place[field] = json!(text);
        body
    };
    for (field, text, why) in [
        ("reference", "a\0b", "U+0000"),
        ("reference", &*"x".repeat(257), "256 bytes"),
        ("fingerprint", "a\nb", "control characters"),
        ("fingerprint", &*"x".repeat(257), "256 bytes"),
    ] {
        let refused = world.ask(&f.a.token, "POST", "/integrations/challenges", &with(field, text)).await;
        assert_eq!(refused.refusal(), (422, "bad_options".to_owned()), "{field} {text:?}");
        assert!(refused.text.contains(why), "{refused:?}");
    }
}

/// Values without names would be those of the fields in the order in which these happen to stand in the source.
#[tokio::test]
async fn row_51_a_list_of_values_is_no_body() {
    let (world, f) = world().await;
    let before = world.rows();
    let client = format!("/integrations/clients/{}", f.a.client);
    for (who, method, path, values) in [
        (&f.owner, "POST", "/tenants", json!(["another"])),
        (&f.a.token, "PATCH", &*client, json!(["bypass"])),
        (&f.a.token, "POST", "/integrations/enrollments", json!(["another"])),
    ] {
        let answer = world.ask(who, method, path, &values).await;
        assert_eq!(answer.refusal(), (400, "bad_request".to_owned()), "{method} {path}");
    }
    assert_eq!(world.rows(), before);
}

#[tokio::test]
async fn row_51_a_list_of_values_is_no_object_within_a_body() {
    let (world, f) = world().await;
    let before = world.rows();
    let context = json!(["192.0.2.1", null, null, null, null, null, null, null]);
    let prepare = format!("/integrations/enrollments/{}/prepare-device", f.a.enrollment);
    let policy = format!("/tenants/integrations/{}/policy", f.a.integration);
    let event = json!(["1", "2026-01-01T00:00:00Z", "fail_open", "ann", "sshd", "", null]);
    for (who, method, path, body, refusal) in [
        (
            &f.a.token,
            "POST",
            "/integrations/clients/auth",
            json!({"username": f.a.username, "binding_context": context}),
            (400, "bad_request"),
        ),
        (
            &f.a.token,
            "POST",
            "/integrations/host-events",
            json!({"host": "web1", "events": [event]}),
            (400, "bad_request"),
        ),
        (&f.a.admin, "PUT", &policy, json!({"locks": [7, 50, 50, 30, 3600]}), (400, "bad_request")),
        (
            &f.a.token,
            "POST",
            &prepare,
            json!({"kind": "TOTP", "options": [false, "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ", null]}),
            (422, "bad_options"),
        ),
        (
            &f.a.token,
            "POST",
            &prepare,
            json!({"kind": "EMAIL", "options": ["eve@aurora.example"]}),
            (422, "bad_options"),
        ),
    ] {
        let answer = world.ask(who, method, path, &body).await;
        assert_eq!(answer.refusal(), (refusal.0, refusal.1.to_owned()), "{method} {path} {body}");
    }
    assert_eq!(world.rows(), before);
    assert_eq!(world.mails(), 0);
}

#[tokio::test]
async fn row_51_a_field_that_stands_twice_is_refused_however_deep_it_is() {
    let (world, f) = world().await;
    let before = world.rows();
    let prepare = format!("/integrations/enrollments/{}/prepare-device", f.a.enrollment);
    let complete = format!("/integrations/challenges/{}/complete", f.a.challenge);
    for (path, body) in [
        (&prepare, r#"{"kind": "HOTP", "options": {"counter": 1, "counter": 5}}"#),
        (&complete, r#"{"token": {"id": "a", "response": {"x": 1, "x": 2}}}"#),
    ] {
        let answer = world.ask(&f.a.token, "POST", path, &Value::String(body.to_owned())).await;
        assert_eq!(answer.refusal(), (400, "bad_request".to_owned()), "{body}");
    }
    assert_eq!(world.rows(), before);
}

#[tokio::test]
async fn what_is_refused_does_not_come_back_in_the_answer() {
    let (world, f) = world().await;
    let prepare = format!("/integrations/enrollments/{}/prepare-device", f.a.enrollment);
    let secret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
    for options in
        [json!({"counter": secret}), json!({"generate_qr_code": secret}), json!({secret: 1}), json!(secret)]
    {
        for kind in ["TOTP", "HOTP", "EMAIL", "YUBIKEY", "RECOVERY"] {
            let body = json!({"kind": kind, "options": options});
            let refused = world.ask(&f.a.token, "POST", &prepare, &body).await;
            assert_eq!(refused.refusal(), (422, "bad_options".to_owned()), "{body}");
            assert!(!refused.text.contains(secret), "{refused:?}");
        }
    }
}
