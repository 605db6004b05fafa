//! A code that was accepted once, and those before it, on every path that takes codes.

use std::process::Command;

use serde_json::{Value, json};

use crate::fixture::{Fixture, enroll, prepare, world};
use crate::world::{Answer, BEGIN, Credential, World, hotp};

const SECRET: &str = "NZXXIIDBNZ4SA33GEB2GQZJAN52GQZLS";
const WHO: &str = "replayed";
const PERIOD: i64 = 30;

/// Seconds since 1970 in a world of the fixture, whose clock stands.
const NOW: i64 = BEGIN / 1_000_000 + 60;

fn totp(secret: &str, step: u64) -> String {
    let at = format!("@{}", step * PERIOD.unsigned_abs());
    let output = Command::new("oathtool").args(["--totp", "-d", "6", "-N", &at, "-b", secret]).output();
    let output = output.expect("oathtool is needed (apt-get install oathtool)");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Everything that takes a code of the device.
struct Paths<'a> {
    world: &'a World,
    f: &'a Fixture,
    kind: &'static str,
    device: i64,
    code: fn(&str, u64) -> String,
}

impl Paths<'_> {
    async fn post(&self, path: &str, body: Value) -> Answer {
        self.world.ask(&self.f.a.token, "POST", path, &body).await
    }

    async fn verify(&self, body: Value) -> Answer {
        self.post("/integrations/clients/verify", body).await
    }

    async fn challenge(&self, code: &str) -> Answer {
        let asked = json!({"username": WHO, "device_pk": self.device});
        let pk = self.post("/integrations/challenges", asked).await.pk();
        self.post(&format!("/integrations/challenges/{pk}/complete"), json!({"token": code})).await
    }

    async fn enrollment(&self, code: &str) -> Answer {
        let begun = prepare(self.world, &self.f.a.token, WHO, self.kind, json!({"secret": SECRET})).await;
        self.post(&format!("/integrations/enrollments/{begun}/complete"), json!({"token": code})).await
    }

    async fn refuses(&self, position: u64, why: &str) {
        let (code, unlock) = ((self.code)(SECRET, position), "locks are for other tests");
        let one = json!({"username": WHO, "token": code});
        let named = json!({"username": WHO, "token": code, "device_pk": self.device});
        let elsewhere =
            json!({"username": WHO, "token": code, "binding_context": {"address": "198.51.100.9"}});
        for answer in [
            self.verify(one).await,
            self.verify(named).await,
            self.verify(elsewhere).await,
            self.challenge(&code).await,
        ] {
            assert_eq!(answer.refusal(), (403, "wrong_token".to_owned()), "{why}: {position} {answer:?}");
        }
        let again = self.enrollment(&code).await;
        assert!(
            matches!(again.code().as_str(), "used_secret" | "wrong_token"),
            "{why}: {position} {again:?}"
        );
        let client = self.f.a.integration;
        let found = format!("/integrations/clients?username={WHO}&integration={client}");
        let pk = self.world.ask(&self.f.a.token, "GET", &found, &Value::Null).await.ok()["results"][0]["pk"]
            .clone();
        let path = format!("/integrations/clients/{pk}/unlock");
        assert_eq!(self.post(&path, Value::Null).await.status, 204, "{unlock}");
    }
}

async fn paths<'a>(world: &'a World, f: &'a Fixture, kind: &'static str) -> Paths<'a> {
    let code = if kind == "HOTP" { hotp } else { totp };
    Paths { world, f, kind, device: newest(world, &f.a.token).await, code }
}

async fn newest(world: &World, token: &Credential) -> i64 {
    let login = world.ask(token, "POST", "/integrations/clients/auth", &json!({"username": WHO})).await.ok();
    login["devices"][0]["pk"].as_i64().unwrap()
}

#[tokio::test]
async fn row_41_no_path_takes_a_counter_up_to_the_last_accepted_one() {
    let (world, f) = world().await;
    enroll(&world, &f.a.token, WHO, SECRET).await;
    let paths = paths(&world, &f, "HOTP").await;
    paths.refuses(0, "the proof of the enrollment").await;
    paths.challenge(&hotp(SECRET, 2)).await.ok();
    for counter in 0..=2 {
        paths.refuses(counter, "after a challenge").await;
    }
    paths.verify(json!({"username": WHO, "token": hotp(SECRET, 5)})).await.ok();
    for counter in 0..=5 {
        paths.refuses(counter, "after a code in one request").await;
    }
    // The device itself goes on.
    paths.challenge(&hotp(SECRET, 6)).await.ok();
}

#[tokio::test]
async fn row_41_no_path_takes_a_time_step_up_to_the_last_accepted_one() {
    let (world, f) = world().await;
    let step = u64::try_from(NOW / PERIOD).unwrap();
    let begun = prepare(&world, &f.a.token, WHO, "TOTP", json!({"secret": SECRET})).await;
    let path = format!("/integrations/enrollments/{begun}/complete");
    let proof = json!({"token": totp(SECRET, step - 1)});
    world.ask(&f.a.token, "POST", &path, &proof).await.ok();
    let paths = paths(&world, &f, "TOTP").await;
    paths.refuses(step - 1, "the proof of the enrollment").await;
    paths.challenge(&totp(SECRET, step)).await.ok();
    for step in [step - 1, step] {
        paths.refuses(step, "after a challenge").await;
    }
    // From the period to come, which a fast clock shows already.
    paths.verify(json!({"username": WHO, "token": totp(SECRET, step + 1)})).await.ok();
    for step in [step - 1, step, step + 1] {
        paths.refuses(step, "after a code in one request").await;
    }
}

#[tokio::test]
async fn row_18_a_clock_that_was_set_back_gives_no_code_back() {
    let (world, f) = world().await;
    let step = u64::try_from(NOW / PERIOD).unwrap();
    let begun = prepare(&world, &f.a.token, WHO, "TOTP", json!({"secret": SECRET})).await;
    let path = format!("/integrations/enrollments/{begun}/complete");
    world.ask(&f.a.token, "POST", &path, &json!({"token": totp(SECRET, step)})).await.ok();
    // Two minutes earlier.
    let world = world.at((NOW - 120) * 1_000_000).await;
    let paths = paths(&world, &f, "TOTP").await;
    for step in [step - 5, step - 4, step - 3, step] {
        paths.refuses(step, "the clock was set back").await;
    }
}
