//! Each rule of a policy is kept: what it allows goes, what it does not is refused, and nothing is spent by that.

use serde_json::{Value, json};

use crate::fixture::{Fixture, enroll, prepare, world};
use crate::world::{Answer, World, code};

async fn set(world: &World, f: &Fixture, policy: Value) {
    let path = format!("/tenants/integrations/{}/policy", f.a.integration);
    world.ask(&f.a.admin, "PUT", &path, &policy).await.ok();
}

async fn post(world: &World, f: &Fixture, path: &str, body: Value) -> Answer {
    world.ask(&f.a.token, "POST", path, &body).await
}

async fn decided(world: &World, f: &Fixture, username: &str, context: Value) -> Value {
    let body = json!({"username": username, "binding_context": context});
    post(world, f, "/integrations/clients/auth", body).await.ok()
}

/// A try with a code from an address.
async fn verify(world: &World, f: &Fixture, username: &str, token: &str, address: &str) -> (u16, String) {
    let body = json!({"username": username, "token": token, "binding_context": {"address": address}});
    post(world, f, "/integrations/clients/verify", body).await.refusal()
}

const SECRET: &str = "NZXXIIDBNZ4SA33GEB2GQZJAN52GQZLS";
const OTHER: &str = "MFRGGZDFMZTWQ2LKNNWG23TPOBYXE43U";

#[tokio::test]
async fn codes_are_as_long_as_it_says() {
    let (world, f) = world().await;
    for (length, of_apps) in [(7, 7), (8, 8), (10, 8)] {
        set(&world, &f, json!({"code_length": length})).await;
        let name = format!("with.{length}");
        let made = post(&world, &f, "/integrations/enrollments", json!({"username": name})).await.pk();
        let path = format!("/integrations/enrollments/{made}");
        let wish = json!({"kind": "HOTP", "options": {}});
        let shown = post(&world, &f, &format!("{path}/prepare-device"), wish).await.ok();
        let uri = shown["public_details"]["provisioning_uri"].as_str().unwrap().to_owned();
        assert!(uri.contains(&format!("&digits={of_apps}")), "{uri}");
        let secret = uri.split("secret=").nth(1).unwrap().split('&').next().unwrap();
        let complete = format!("{path}/complete");
        let shorter = post(&world, &f, &complete, json!({"token": code(secret, 0, 6)})).await;
        assert_eq!(shorter.refusal(), (403, "wrong_token".to_owned()), "six digits are too few");
        let right = post(&world, &f, &complete, json!({"token": code(secret, 0, of_apps)})).await;
        assert_eq!(right.status, 201, "{right:?}");
        prepare(&world, &f.a.token, &name, "EMAIL", json!({"address": "ann@aurora.example"})).await;
        let mail = world.last_mail();
        let is_code = |line: &&str| line.len() >= 6 && line.bytes().all(|byte| byte.is_ascii_digit());
        let code = mail.lines().map(str::trim).find(is_code).unwrap_or_else(|| panic!("no code: {mail}"));
        assert_eq!(code.len(), length, "{mail}");
    }
    // A device that was enrolled before goes on as it is.
    assert_eq!(verify(&world, &f, &f.a.username, &f.a.answer, "192.0.2.1").await.0, 200);
}

#[tokio::test]
async fn who_is_unknown_or_without_a_device_may_enroll_or_may_not() {
    let (world, f) = world().await;
    let client = enroll(&world, &f.a.token, "without.device", SECRET).await;
    let devices = format!("/integrations/clients/{client}/devices");
    let device = world.ask(&f.a.token, "GET", &devices, &Value::Null).await.ok()[0]["pk"].clone();
    world.ask(&f.a.token, "DELETE", &format!("{devices}/{device}"), &Value::Null).await;
    for (rule, result) in [("enroll", 1), ("deny", 4), ("enroll", 1)] {
        set(&world, &f, json!({"unknown_clients": rule})).await;
        for name in ["nobody.here", "without.device"] {
            let decision = decided(&world, &f, name, json!({})).await;
            assert_eq!(decision, json!({"result": result, "devices": []}), "{name} under {rule}");
        }
        assert_eq!(decided(&world, &f, &f.a.username, json!({})).await["result"], 2, "who has a device");
    }
}

#[tokio::test]
async fn nobody_has_more_devices_than_it_says() {
    let (world, f) = world().await;
    // Ann has two: a token and a mailbox.
    set(&world, &f, json!({"max_devices": 2})).await;
    let complete = format!("/integrations/enrollments/{}/complete", f.a.enrollment);
    let proof = json!({"token": f.a.proof});
    let refused = post(&world, &f, &complete, proof.clone()).await;
    assert_eq!(refused.refusal(), (409, "too_many_devices".to_owned()));
    let mail = format!("/integrations/clients/{}/devices/{}", f.a.client, f.a.mail_device);
    assert_eq!(world.ask(&f.a.token, "DELETE", &mail, &Value::Null).await.status, 204);
    let done = post(&world, &f, &complete, proof).await;
    assert_eq!(done.status, 201, "one was removed, and the refusal has spent nothing: {done:?}");
}

#[tokio::test]
async fn clients_come_from_its_networks_or_not_at_all() {
    let (world, f) = world().await;
    set(&world, &f, json!({"client_networks": ["203.0.113.0/24", "2001:db8::/32"]})).await;
    for address in ["192.0.2.1", "203.0.114.1", "2001:db9::1", "::ffff:192.0.2.1"] {
        let context = json!({"address": address});
        let decision = decided(&world, &f, &f.a.username, context.clone()).await;
        assert_eq!(decision, json!({"result": 4, "devices": []}), "{address}");
        let refused = (403, "network_not_allowed".to_owned());
        assert_eq!(verify(&world, &f, &f.a.username, &f.a.answer, address).await, refused, "{address}");
        let ask = json!({"username": f.a.username, "device_pk": f.a.device, "binding_context": context});
        assert_eq!(post(&world, &f, "/integrations/challenges", ask).await.refusal(), refused, "{address}");
    }
    let nowhere = decided(&world, &f, &f.a.username, json!({})).await;
    assert_eq!(nowhere["result"], 4, "an application that names no address");
    let denied = world
        .audit(f.a.tenant)
        .iter()
        .filter(|[what, _, _, _, why]| what == "denied" && why == "network")
        .count();
    assert_eq!(denied, 5, "each of them is in the audit");
    for address in ["203.0.113.9", "2001:db8::1", "::ffff:203.0.113.9"] {
        let decision = decided(&world, &f, &f.a.username, json!({"address": address})).await;
        assert_eq!(decision["result"], 2, "{address}");
    }
    assert_eq!(verify(&world, &f, &f.a.username, &f.a.answer, "203.0.113.9").await.0, 200);
}

#[tokio::test]
async fn each_of_its_three_locks_closes_where_it_says() {
    let (world, f) = world().await;
    enroll(&world, &f.a.token, "somebody.else", OTHER).await;
    let rule = |own: u32, source: u32, client: u32| {
        json!({"locks": {"free_attempts": own, "free_attempts_per_source": source,
            "free_attempts_per_client": client, "first_pause": 7, "longest_pause": 7}})
    };
    let (wrong, locked) = ((403, "wrong_token".to_owned()), (429, "locked".to_owned()));
    // Of one client from one address.
    set(&world, &f, rule(2, 100, 100)).await;
    let tries = async |name: &str, address: &str| verify(&world, &f, name, "000000", address).await;
    assert_eq!(tries(&f.a.username, "192.0.2.1").await, wrong);
    assert_eq!(tries(&f.a.username, "192.0.2.1").await, wrong);
    assert_eq!(tries(&f.a.username, "192.0.2.1").await, locked);
    assert_eq!(tries(&f.a.username, "192.0.2.2").await, wrong, "from elsewhere it is open");
    // Of one address, whoever is tried.
    set(&world, &f, rule(100, 3, 100)).await;
    for name in ["somebody.else", f.a.username.as_str(), "somebody.else"] {
        assert_eq!(tries(name, "192.0.2.3").await, wrong);
    }
    assert_eq!(tries(&f.a.username, "192.0.2.3").await, locked);
    assert_eq!(tries("somebody.else", "192.0.2.3").await, locked);
    // Of one client from anywhere.
    set(&world, &f, rule(100, 100, 5)).await;
    assert_eq!(tries("somebody.else", "192.0.2.4").await, wrong);
    assert_eq!(tries("somebody.else", "192.0.2.5").await, wrong);
    assert_eq!(tries("somebody.else", "192.0.2.6").await, wrong);
    assert_eq!(tries("somebody.else", "192.0.2.7").await, locked);
    assert_eq!(tries(&f.a.username, "192.0.2.7").await, wrong, "somebody else is open");
    // For as long as it says.
    let world = world.at(crate::world::BEGIN + 68_000_000).await;
    let free = verify(&world, &f, "somebody.else", &code(OTHER, 1, 6), "192.0.2.7").await;
    assert_eq!(free.0, 200, "{free:?}");
}

#[tokio::test]
async fn its_domains_are_domains() {
    let (world, f) = world().await;
    let path = format!("/tenants/integrations/{}/policy", f.a.integration);
    let put = async |domain: &str| {
        world.ask(&f.a.admin, "PUT", &path, &json!({"email_domains": ["example.org", domain]})).await
    };
    for bad in [
        "",
        "a\0b",
        "a b",
        "a@b.example",
        "*.example.org",
        ".example.org",
        "a..example",
        "b\u{fc}cher.example",
    ] {
        let refused = put(bad).await;
        assert_eq!(refused.refusal(), (422, "bad_policy".to_owned()), "{bad:?}");
        assert!(refused.text.contains("email_domains"), "{refused:?}");
    }
    for good in ["example.com", "Mail.Example.ORG", "xn--bcher-kva.example", "localhost"] {
        assert_eq!(put(good).await.ok()["email_domains"][1], good);
    }
}

#[tokio::test]
async fn its_domains_hold_for_enrollments_from_before_it() {
    let (world, f) = world().await;
    let begun = post(&world, &f, "/integrations/enrollments", json!({"username": "new.person"})).await.pk();
    let path = format!("/integrations/enrollments/{begun}");
    let prepare = json!({"kind": "EMAIL", "options": {"address": "new@aurora.example"}});
    post(&world, &f, &format!("{path}/prepare-device"), prepare).await.ok();
    set(&world, &f, json!({"email_domains": ["example.org"]})).await;
    let (complete, code) = (format!("{path}/complete"), json!({"token": world.mailed_code()}));
    let refused = post(&world, &f, &complete, code.clone()).await;
    assert_eq!(refused.refusal(), (422, "bad_options".to_owned()));
    set(&world, &f, json!({"email_domains": ["Aurora.example"]})).await;
    assert_eq!(post(&world, &f, &complete, code).await.status, 201);
}

#[tokio::test]
async fn new_recovery_codes_take_the_place_of_the_old_also_where_no_more_devices_may_be() {
    let (world, f) = world().await;
    let complete = async || {
        let begun =
            post(&world, &f, "/integrations/enrollments", json!({"username": f.a.username})).await.pk();
        let path = format!("/integrations/enrollments/{begun}");
        let prepare = json!({"kind": "RECOVERY"});
        let shown = post(&world, &f, &format!("{path}/prepare-device"), prepare).await.ok();
        let proof = json!({"token": shown["public_details"]["codes"][0]});
        post(&world, &f, &format!("{path}/complete"), proof).await
    };
    // Ann has two, and a list is one more.
    set(&world, &f, json!({"max_devices": 3})).await;
    assert_eq!(complete().await.status, 201);
    assert_eq!(complete().await.status, 201);
    set(&world, &f, json!({"max_devices": 2})).await;
    assert_eq!(complete().await.refusal(), (409, "too_many_devices".to_owned()), "two besides it");
}

#[tokio::test]
async fn a_network_that_has_nobody_in_it_is_none_of_its_networks() {
    let (world, f) = world().await;
    let path = format!("/tenants/integrations/{}/policy", f.a.integration);
    for key in ["api_networks", "client_networks"] {
        for bad in ["::ffff:10.0.0.0/104", "::ffff:192.0.2.1/128"] {
            let refused = world.ask(&f.a.admin, "PUT", &path, &json!({key: ["2001:db8::/32", bad]})).await;
            assert_eq!(refused.refusal(), (422, "bad_policy".to_owned()), "{key} {bad}");
            assert!(refused.text.contains(key) && refused.text.contains("::ffff:"), "{refused:?}");
        }
        // All of IPv6, and what has more in it than those.
        for good in ["::/0", "10.0.0.0/8"] {
            world.ask(&f.a.admin, "PUT", &path, &json!({key: [good, "0.0.0.0/0"]})).await.ok();
        }
    }
}
