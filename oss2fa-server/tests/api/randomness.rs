//! Without random bytes nothing is made: no key, no token, no device, no code.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use oss2fa_core::random::{NoRandomness, Random};
use oss2fa_server::config::{Config, Overrides};
use oss2fa_server::open::open;
use oss2fa_server::outside::System;
use serde_json::{Value, json};

use crate::fixture::{Fixture, world};
use crate::world::{BEGIN, TestClock, World, folder};

/// The system's random bytes, so many times.
struct Dry(AtomicI64);

const PLENTY: i64 = 1_000_000;

impl Dry {
    fn after(draws: i64) -> Arc<Self> {
        Arc::new(Self(AtomicI64::new(draws)))
    }

    fn fill_up(&self, draws: i64) {
        self.0.store(draws, Ordering::SeqCst);
    }

    fn drawn_of(&self, draws: i64) -> i64 {
        draws - self.0.load(Ordering::SeqCst)
    }
}

impl Random for Dry {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), NoRandomness> {
        if self.0.fetch_sub(1, Ordering::SeqCst) <= 0 {
            return Err(NoRandomness);
        }
        System.fill(bytes)
    }
}

#[tokio::test]
async fn row_24_a_first_start_without_random_bytes_makes_no_key_and_no_token() {
    let mut draws = 0;
    loop {
        let folder = folder();
        let overrides = Overrides { data_dir: Some(folder.path().to_owned()), listen: None };
        let file = folder.path().join("server.toml");
        std::fs::write(&file, "# defaults\n").unwrap();
        let config = Config::load(Some(&file), overrides).unwrap();
        let clock = TestClock::at(BEGIN);
        let opened = open(&config, None, &clock, Dry::after(draws)).await;
        if let Ok((store, first)) = opened {
            assert!(first.is_some(), "the first start has made everything");
            store.close().await;
            break;
        }
        assert!(!folder.path().join("master.key").exists(), "{draws}: a key has its name");
        // Whatever was begun is finished by a start that has random bytes.
        let (store, first) = open(&config, None, &clock, Arc::new(System)).await.unwrap();
        assert!(first.is_some(), "{draws}: a token was made and never shown");
        store.close().await;
        draws += 1;
    }
    assert!(draws > 5, "only {draws} draws of random bytes");
}

/// What draws random bytes: who asks, and for what.
fn requests(f: &Fixture) -> Vec<(&'static str, String, Value)> {
    let integration = format!("/tenants/integrations/{}", f.a.integration);
    let administrator = json!({"name": "new", "role": "helpdesk", "tenant": f.a.tenant});
    let prepare = format!("/integrations/enrollments/{}/prepare-device", f.a.enrollment);
    let kind = |name: &str| ("integration", prepare.clone(), json!({"kind": name}));
    let mail = json!({"kind": "EMAIL", "options": {"address": "new@aurora.example"}});
    let challenge = json!({"username": f.a.username, "device_pk": f.a.mail_device});
    let complete = format!("/integrations/challenges/{}/complete", f.a.challenge);
    vec![
        ("owner", "/tenants".to_owned(), json!({"name": "new"})),
        ("owner", "/tenants/integrations".to_owned(), json!({"name": "new", "tenant": f.a.tenant})),
        ("owner", "/tenants/administrators".to_owned(), administrator),
        ("owner", format!("{integration}/rotate-token"), Value::Null),
        ("owner", format!("{integration}/webhooks"), json!({"url": "https://app.example.org/"})),
        kind("TOTP"),
        kind("HOTP"),
        kind("RECOVERY"),
        ("integration", prepare.clone(), mail),
        ("integration", "/integrations/challenges".to_owned(), challenge),
        (
            "integration",
            format!("/integrations/enrollments/{}/complete", f.a.enrollment),
            json!({"token": f.a.proof}),
        ),
        ("integration", complete, json!({"token": f.a.answer, "remember_device": true})),
    ]
}

async fn ask(world: &World, f: &Fixture, n: usize) -> crate::world::Answer {
    let (who, path, body) = requests(f).swap_remove(n);
    let who = if who == "owner" { &f.owner } else { &f.a.token };
    world.ask(who, "POST", &path, &body).await
}

fn devices_of(world: &World) -> i64 {
    let store = rusqlite::Connection::open(world.path().join("server.db")).unwrap();
    store.query_row("SELECT count(*) FROM device", [], |row| row.get(0)).unwrap()
}

async fn dry_world() -> (World, Fixture, Arc<Dry>) {
    let (world, f) = world().await;
    let policy = format!("/tenants/integrations/{}/policy", f.a.integration);
    world.ask(&f.owner, "PUT", &policy, &json!({"trusted_device_days": 30})).await.ok();
    let random = Dry::after(PLENTY);
    let world = world.drawing(random.clone()).await;
    (world, f, random)
}

#[tokio::test]
async fn row_24_without_random_bytes_no_secret_is_made_or_shown() {
    let (_, f, _) = dry_world().await;
    for n in 0..requests(&f).len() {
        let (world, f, random) = dry_world().await;
        let (_, path, body) = requests(&f).swap_remove(n);
        random.fill_up(PLENTY);
        ask(&world, &f, n).await.ok();
        let needed = random.drawn_of(PLENTY);
        assert!(needed > 0, "{path} {body} draws nothing");
        for draws in 0..needed {
            let (world, f, random) = dry_world().await;
            let devices = devices_of(&world);
            random.fill_up(draws);
            let answer = ask(&world, &f, n).await;
            let what = format!("{path} {body} with {draws} of {needed} draws: {answer:?}");
            assert_eq!(answer.refusal(), (500, "internal".to_owned()), "{what}");
            assert_eq!(world.mails(), 0, "{what}");
            assert_eq!(devices_of(&world), devices, "{what}");
            // What was tried without them can be done with them: no code was spent.
            random.fill_up(PLENTY);
            let again = ask(&world, &f, n).await;
            assert!(again.status.is_success(), "{what} and then {again:?}");
        }
    }
}
