//! Where policy hides who exists, tries do not tell it either.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::fixture::{Fixture, enroll, world};
use crate::world::World;

const SECRET: &str = "NZXXIIDBNZ4SA33GEB2GQZJAN52GQZLS";

async fn put_policy(world: &World, f: &Fixture, policy: Value) {
    let path = format!("/tenants/integrations/{}/policy", f.a.integration);
    world.ask(&f.a.admin, "PUT", &path, &policy).await.ok();
}

/// All that a caller sees of one try after another: of codes, of what is none, and from another address.
async fn tries(world: &World, f: &Fixture, username: &str, network: u8) -> Vec<String> {
    let mut seen = Vec::new();
    for (host, token) in [(1, "000000"), (1, "no code"), (2, "000001")] {
        for _ in 0..6 {
            let address = format!("198.51.{network}.{host}");
            let body = json!({"username": username, "token": token, "binding_context": {"address": address}});
            let answer = world.ask(&f.a.token, "POST", "/integrations/clients/verify", &body).await;
            let wait = answer.headers.get("retry-after").map(|value| value.to_str().unwrap().to_owned());
            let mut shown = answer.json();
            // The clock of the answer is the system's, that of the test stands.
            shown["error"]["retry_after"] = json!(shown["error"]["retry_after"].is_number());
            seen.push(format!("{} {} {shown}", answer.status, wait.is_some()));
        }
    }
    seen
}

#[tokio::test]
async fn row_52_tries_do_not_tell_who_exists_where_policy_hides_it() {
    let (world, f) = world().await;
    let secret = "MFRGGZDFMZTWQ2LKNNWG23TPOBYXE43U";
    enroll(&world, &f.a.token, "with.device", SECRET).await;
    let client = enroll(&world, &f.a.token, "without.device", secret).await;
    let devices = format!("/integrations/clients/{client}/devices");
    let device = world.ask(&f.a.token, "GET", &devices, &Value::Null).await.ok()[0]["pk"].clone();
    let removed = world.ask(&f.a.token, "DELETE", &format!("{devices}/{device}"), &Value::Null).await;
    assert_eq!(removed.status, 204);
    let locks = json!({"free_attempts": 3});
    put_policy(&world, &f, json!({"disclosure": "hidden", "locks": locks})).await;

    let known = tries(&world, &f, "with.device", 100).await;
    assert!(known.iter().any(|line| line.contains("\"locked\"")), "{known:#?}");
    assert!(known.iter().any(|line| line.contains("\"wrong_token\"")), "{known:#?}");
    assert_eq!(tries(&world, &f, "nobody.here", 101).await, known, "a name that nobody has");
    assert_eq!(tries(&world, &f, "without.device", 102).await, known, "a client without a device");
    // Each of them has left as much in the audit: they took the same way.
    let audit = world.audit(f.a.tenant);
    let left =
        |name: &str| audit.iter().filter(|entry| entry[1] == name && entry[3].starts_with("198.51.")).count();
    assert_eq!([left("with.device"), left("nobody.here"), left("without.device")], [18; 3]);
    // A challenge is refused alike.
    let asked = |username: &str| json!({"username": username, "device_pk": f.b.device});
    let mut refusals = Vec::new();
    for username in ["with.device", "nobody.here", "without.device"] {
        refusals.push(world.ask(&f.a.token, "POST", "/integrations/challenges", &asked(username)).await.text);
    }
    assert!(
        refusals[0].contains("not_found") && refusals.iter().all(|text| *text == refusals[0]),
        "{refusals:?}"
    );

    // Where policy does not hide it, callers are told.
    put_policy(&world, &f, json!({"disclosure": "told"})).await;
    let told = tries(&world, &f, "nobody.else", 103).await;
    assert!(told.iter().all(|line| line.contains("\"not_found\"")), "{told:#?}");
}

#[tokio::test]
async fn row_52_nor_do_tries_with_a_device_that_is_not_theirs() {
    let (world, f) = world().await;
    enroll(&world, &f.a.token, "with.device", SECRET).await;
    put_policy(&world, &f, json!({"disclosure": "hidden", "locks": {"free_attempts": 3}})).await;
    let mut seen = Vec::new();
    for username in ["with.device", "nobody.here"] {
        let mut answers = Vec::new();
        for device in [json!(f.b.device), json!(null)] {
            for _ in 0..4 {
                let body = json!({"username": username, "token": "000000", "device_pk": device});
                let answer = world.ask(&f.a.token, "POST", "/integrations/clients/verify", &body).await;
                answers.push(answer.refusal());
            }
        }
        seen.push(answers);
    }
    assert_eq!(seen[0], seen[1]);
    let locked = seen[0].iter().filter(|(status, _)| *status == 429).count();
    assert_eq!(locked, 2, "each of the two counters closed once: {seen:?}");
}

/// Answers to a name that nobody has, and to a client without a device, in turns: half of each took at most this.
async fn medians(
    world: &World,
    f: &Fixture,
    path: &str,
    body: impl Fn(&str, usize) -> Value,
) -> [Duration; 2] {
    let mut took = [Vec::new(), Vec::new()];
    for turn in 0..400 {
        for (username, took) in ["nobody.here", "without.device"].iter().zip(&mut took) {
            let body = body(username, turn);
            let begun = Instant::now();
            let answer = world.ask(&f.a.token, "POST", path, &body).await;
            took.push(begun.elapsed());
            assert_ne!(answer.status, 429, "{answer:?}");
        }
    }
    took.map(|mut all| {
        all.sort_unstable();
        all[all.len() / 2]
    })
}

#[tokio::test]
async fn row_52_nor_does_the_time_of_an_answer() {
    let (world, f) = world().await;
    let client = enroll(&world, &f.a.token, "without.device", SECRET).await;
    let devices = format!("/integrations/clients/{client}/devices");
    let device = world.ask(&f.a.token, "GET", &devices, &Value::Null).await.ok()[0]["pk"].clone();
    world.ask(&f.a.token, "DELETE", &format!("{devices}/{device}"), &Value::Null).await;
    let locks = json!({"free_attempts_per_client": 1000, "free_attempts_per_source": 1000});
    put_policy(&world, &f, json!({"disclosure": "hidden", "unknown_clients": "deny", "locks": locks})).await;
    // An address for each turn: nobody is locked.
    let context = |turn: usize| json!({"address": format!("198.51.{}.{}", turn / 200, turn % 200)});
    for path in ["/integrations/clients/auth", "/integrations/challenges", "/integrations/clients/verify"] {
        let body = |username: &str, turn: usize| match path {
            "/integrations/clients/auth" => json!({"username": username, "binding_context": context(turn)}),
            "/integrations/challenges" => json!({"username": username, "device_pk": f.b.device}),
            _ => json!({"username": username, "token": "000000", "binding_context": context(turn)}),
        };
        // One of a few tries, for this machine has other work, too.
        let mut apart = Vec::new();
        loop {
            let [unknown, known] = medians(&world, &f, path, body).await;
            let ratio = known.as_secs_f64() / unknown.as_secs_f64();
            if (0.8..1.25).contains(&ratio) {
                break;
            }
            apart.push(format!("{unknown:?} for nobody, {known:?} for a client"));
            assert!(apart.len() < 4, "{path}: {apart:#?}");
        }
    }
}
