//! Where a login takes place: shown to people, written to the audit, and no part of any decision.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use oss2fa_core::factor::sent_code;
use oss2fa_core::factor::yubico_otp::TypedOtp;
use oss2fa_core::ids::DeviceId;
use oss2fa_core::verdict::Verified;
use oss2fa_server::yubico::{NoAnswer, OtpAuthority};
use serde_json::{Value, json};

use crate::fixture::world;

fn at_a_host() -> Value {
    json!({
        "address": "198.51.100.7",
        "host": "web1",
        "service": "sshd",
        "tty": "ssh",
        "remote_host": "laptop.example.org",
        "program": "sshd: ann [priv]",
    })
}

const IN_THE_AUDIT: &str =
    r#"host="web1" service="sshd" tty="ssh" remote_host="laptop.example.org" program="sshd: ann [priv]""#;

#[tokio::test]
async fn a_challenge_shows_where_its_login_takes_place() {
    let (world, f) = world().await;
    let ask = async |method: &str, path: &str, body: Value| world.ask(&f.a.token, method, path, &body).await;
    let new = json!({"username": f.a.username, "device_pk": f.a.device, "binding_context": at_a_host()});
    let made = ask("POST", "/integrations/challenges", new).await.ok();
    assert_eq!(made["binding_context"], at_a_host());
    let path = format!("/integrations/challenges/{}", made["pk"]);
    assert_eq!(ask("GET", &path, Value::Null).await.ok()["binding_context"], at_a_host());
    // The word that stands for a trusted device is never shown.
    let new = json!({"username": f.a.username, "device_pk": f.a.device,
        "binding_context": {"trusted_device_token": "secret", "fingerprint": "browser"}});
    let made = ask("POST", "/integrations/challenges", new).await.ok();
    assert_eq!(made["binding_context"], Value::Null);
    let before = format!("/integrations/challenges/{}", f.a.challenge);
    assert_eq!(ask("GET", &before, Value::Null).await.ok()["binding_context"], Value::Null);
}

#[tokio::test]
async fn the_audit_says_where_a_login_took_place() {
    let (world, f) = world().await;
    let ask = async |method: &str, path: &str, body: Value| world.ask(&f.a.token, method, path, &body).await;
    let new = json!({"username": f.a.username, "device_pk": f.a.device, "binding_context": at_a_host()});
    let challenge = ask("POST", "/integrations/challenges", new).await.pk();
    let complete = format!("/integrations/challenges/{challenge}/complete");
    let wrong = if f.a.answer == "000000" { "000001" } else { "000000" };
    assert_eq!(ask("POST", &complete, json!({"token": wrong})).await.code(), "wrong_token");
    let cancel = format!("/integrations/challenges/{challenge}");
    assert_eq!(ask("DELETE", &cancel, Value::Null).await.status, 204);
    let verify = json!({"username": f.a.username, "token": f.a.answer, "binding_context": at_a_host()});
    ask("POST", "/integrations/clients/verify", verify).await.ok();
    let client = format!("/integrations/clients/{}", f.a.client);
    ask("PATCH", &client, json!({"status": "inactive"})).await.ok();
    let login = json!({"username": f.a.username, "binding_context": at_a_host()});
    assert_eq!(ask("POST", "/integrations/clients/auth", login).await.ok()["result"], 4);
    let audit = world.audit(f.a.tenant);
    for (event, begin) in [
        ("challenged", "HOTP device="),
        ("refused", "HOTP challenge="),
        ("cancelled", "challenge="),
        ("accepted", "HOTP device="),
        ("denied", "inactive"),
    ] {
        let [_, username, _, source, detail] = audit.iter().rfind(|entry| entry[0] == event).expect(event);
        assert_eq!((username, source.as_str()), (&f.a.username, "198.51.100.7"), "{event}");
        assert!(detail.starts_with(begin) && detail.ends_with(IN_THE_AUDIT), "{event}: {detail}");
    }
    // What is no login has no place.
    let status = audit.iter().rfind(|entry| entry[0] == "client_status").unwrap();
    assert_eq!(status[4], "inactive");
}

/// Vouches for the first password, and for no other.
#[derive(Default)]
struct OnceAlone(AtomicBool);

#[async_trait::async_trait]
impl OtpAuthority for OnceAlone {
    async fn judge(&self, device: DeviceId, _: &TypedOtp) -> Result<Option<Verified>, NoAnswer> {
        let was_asked = self.0.swap(true, Ordering::Relaxed);
        Ok(sent_code::check(device, &[0; 32], &[u8::from(was_asked); 32]))
    }
}

#[tokio::test]
async fn the_audit_says_where_a_key_was_touched_that_others_judge() {
    let (world, f) = world().await;
    let world = world.trusting(Arc::new(OnceAlone::default())).await;
    let ask = async |path: &str, body: Value| world.ask(&f.a.token, "POST", path, &body).await;
    let begun = ask("/integrations/enrollments", json!({"username": "ann.key"})).await.pk();
    let path = format!("/integrations/enrollments/{begun}");
    let servers = json!({"kind": "YUBIKEY", "options": {"judged_by": "servers"}});
    ask(&format!("{path}/prepare-device"), servers).await.ok();
    let touch = format!("cccccccccccb{}", "c".repeat(32));
    let done = ask(&format!("{path}/complete"), json!({"token": touch})).await;
    assert_eq!(done.status, 201, "{done:?}");
    let verify = json!({"username": "ann.key", "token": touch, "binding_context": at_a_host()});
    assert_eq!(ask("/integrations/clients/verify", verify).await.code(), "wrong_token");
    let audit = world.audit(f.a.tenant);
    let [event, _, _, source, detail] = audit.iter().rfind(|entry| entry[1] == "ann.key").unwrap();
    assert_eq!((event.as_str(), source.as_str()), ("refused", "198.51.100.7"));
    assert_eq!(*detail, format!("YUBIKEY {IN_THE_AUDIT}"));
}

#[tokio::test]
async fn a_long_or_hostile_word_fails_no_login() {
    let (world, f) = world().await;
    let context = json!({
        "host": "h".repeat(2000),
        "service": "sshd\" host=\"other",
        "tty": "\u{1b}[2Jpts/0\n\u{202e}\0",
        "remote_host": "  ",
        "program": null,
    });
    let new = json!({"username": f.a.username, "device_pk": f.a.device, "binding_context": context});
    let made = world.ask(&f.a.token, "POST", "/integrations/challenges", &new).await.ok();
    let kept = json!({
        "host": "h".repeat(128),
        "service": "sshd\" host=\"other",
        "tty": "\u{fffd}[2Jpts/0\u{fffd}\u{fffd}\u{fffd}",
    });
    assert_eq!(made["binding_context"], kept);
    let audit = world.audit(f.a.tenant);
    let detail = &audit.iter().rfind(|entry| entry[0] == "challenged").unwrap()[4];
    assert!(detail.contains(r#"service="sshd\" host=\"other" tty="#) && !detail.contains('\n'), "{detail}");
    let verify = json!({"username": f.a.username, "token": f.a.answer, "binding_context": context});
    world.ask(&f.a.token, "POST", "/integrations/clients/verify", &verify).await.ok();
}

#[tokio::test]
async fn locks_and_networks_go_by_the_address_alone() {
    let (world, f) = world().await;
    let verify = async |token: &str, address: &str, n: usize| {
        let context = json!({"address": address, "host": format!("web{n}"), "service": format!("s{n}"),
            "tty": format!("pts/{n}"), "remote_host": format!("192.0.2.{n}"), "program": format!("p{n}")});
        let body = json!({"username": f.a.username, "token": token, "binding_context": context});
        world.ask(&f.a.token, "POST", "/integrations/clients/verify", &body).await
    };
    let wrong = if f.a.answer == "000000" { "000001" } else { "000000" };
    let mut tries = 0;
    while verify(wrong, "198.51.100.7", tries).await.code() != "locked" {
        tries += 1;
        assert!(tries < 10, "whoever changes their words is never locked");
    }
    assert_eq!(verify(&f.a.answer, "198.51.100.7", 99).await.refusal(), (429, "locked".to_owned()));
    // From another address the same words are not locked.
    let policy = format!("/tenants/integrations/{}/policy", f.a.integration);
    let allowed = json!({"client_networks": ["203.0.113.0/24"]});
    world.ask(&f.a.admin, "PUT", &policy, &allowed).await.ok();
    let claims = json!({"address": "198.51.100.8", "remote_host": "203.0.113.5", "host": "203.0.113.5"});
    let body = json!({"username": f.a.username, "token": f.a.answer, "binding_context": claims});
    let refused = world.ask(&f.a.token, "POST", "/integrations/clients/verify", &body).await;
    assert_eq!(refused.refusal(), (403, "network_not_allowed".to_owned()));
    verify(&f.a.answer, "203.0.113.5", 0).await.ok();
}

#[tokio::test]
async fn an_enrolment_says_where_it_took_place() {
    let (world, f) = world().await;
    let ask = async |path: &str, body: Value| world.ask(&f.a.token, "POST", path, &body).await;
    let new = json!({"username": "newcomer", "binding_context": at_a_host()});
    ask("/integrations/enrollments", new).await.ok();
    let complete = format!("/integrations/enrollments/{}/complete", f.a.enrollment);
    for token in ["000000x", &f.a.proof] {
        ask(&complete, json!({"token": token, "binding_context": at_a_host()})).await;
    }
    let audit = world.audit(f.a.tenant);
    for event in ["enrollment_created", "enrollment_refused", "enrolled"] {
        let [.., source, detail] = audit.iter().rfind(|entry| entry[0] == event).expect(event);
        assert_eq!(source, "198.51.100.7", "{event}");
        assert!(detail.contains("enrollment=") && detail.ends_with(IN_THE_AUDIT), "{event}: {detail}");
    }
}

#[tokio::test]
async fn nobody_enrols_from_a_network_that_policy_does_not_allow() {
    let (world, f) = world().await;
    let policy = format!("/tenants/integrations/{}/policy", f.a.integration);
    world.ask(&f.a.admin, "PUT", &policy, &json!({"client_networks": ["203.0.113.0/24"]})).await.ok();
    let before = world.rows();
    let ask = async |path: &str, body: Value| world.ask(&f.a.token, "POST", path, &body).await;
    let complete = format!("/integrations/enrollments/{}/complete", f.a.enrollment);
    let outside = (403, "network_not_allowed".to_owned());
    let new = json!({"username": "newcomer", "binding_context": at_a_host()});
    assert_eq!(ask("/integrations/enrollments", new).await.refusal(), outside);
    let proof = json!({"token": f.a.proof, "binding_context": at_a_host()});
    assert_eq!(ask(&complete, proof).await.refusal(), outside);
    assert_eq!(world.rows(), before);
    let within = json!({"token": f.a.proof, "binding_context": {"address": "203.0.113.9"}});
    assert_eq!(ask(&complete, within).await.status, 201);
}
