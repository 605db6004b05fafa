//! Messages with codes: to whom one goes, and when none does.

use oss2fa_server::outside::{Clock, System};
use serde_json::{Value, json};

use crate::fixture::{Fixture, world};
use crate::world::{Answer, World};

async fn post(world: &World, f: &Fixture, path: &str, body: Value) -> Answer {
    world.ask(&f.a.token, "POST", path, &body).await
}

/// Begins a challenge of the first tenant's client.
async fn challenge(world: &World, f: &Fixture, device: i64) -> Answer {
    let body = json!({"username": f.a.username, "device_pk": device});
    post(world, f, "/integrations/challenges", body).await
}

fn may_come_back(answer: &Answer) -> bool {
    answer.headers.contains_key("retry-after") && answer.json()["error"]["retry_after"].is_u64()
}

#[tokio::test]
async fn nobody_gets_a_code_that_cannot_pass() {
    let (world, f) = world().await;
    let open = challenge(&world, &f, f.a.mail_device).await.pk();
    let complete = format!("/integrations/challenges/{}/complete", f.a.mail_challenge);
    for _ in 0..5 {
        let wrong = post(&world, &f, &complete, json!({"token": "wrong"})).await;
        assert_eq!(wrong.refusal(), (403, "wrong_token".to_owned()));
    }
    let world = world.at(crate::world::BEGIN + 80_000_000).await;
    let resend = format!("/integrations/challenges/{open}/resend");
    for refused in
        [challenge(&world, &f, f.a.mail_device).await, post(&world, &f, &resend, Value::Null).await]
    {
        assert_eq!(refused.refusal(), (429, "locked".to_owned()));
        assert!(may_come_back(&refused), "{refused:?}");
    }
    assert_eq!(world.mails(), 0);
    // What sends nothing is not locked, and who has no such device is told what they were told before.
    assert_eq!(challenge(&world, &f, f.a.device).await.status, 201);
    assert_eq!(challenge(&world, &f, 999_999).await.refusal(), (404, "not_found".to_owned()));
    let world = world.at(crate::world::BEGIN + 91_000_000).await;
    assert_eq!(challenge(&world, &f, f.a.mail_device).await.status, 201, "the pause is over");
    assert_eq!(world.mails(), 1);
}

/// Begins an enrollment by mail; what `prepare-device` answers.
async fn enroll_by_mail(world: &World, f: &Fixture, username: &str, address: &str) -> Answer {
    let begun = post(world, f, "/integrations/enrollments", json!({"username": username})).await.pk();
    let path = format!("/integrations/enrollments/{begun}/prepare-device");
    post(world, f, &path, json!({"kind": "EMAIL", "options": {"address": address}})).await
}

#[tokio::test]
async fn an_address_gets_no_messages_without_end_by_enrollments() {
    let (world, f) = world().await;
    let spellings = ["eve@aurora.example", "Eve@Aurora.example", "EVE@aurora.EXAMPLE"];
    for (n, address) in spellings.iter().cycle().take(6).enumerate() {
        enroll_by_mail(&world, &f, &format!("person.{n}"), address).await.ok();
    }
    let refused = enroll_by_mail(&world, &f, "person.7", spellings[0]).await;
    assert_eq!(refused.refusal(), (429, "no_more_messages".to_owned()));
    assert!(may_come_back(&refused), "{refused:?}");
    assert_eq!(world.mails(), 6);
    enroll_by_mail(&world, &f, "person.7", "adam@aurora.example").await.ok();
    assert!(!world.rows().to_ascii_lowercase().contains("eve@"), "an address is stored that can be read");
    let world = world.at(crate::world::BEGIN + 361_000_000).await;
    enroll_by_mail(&world, &f, "person.7", spellings[0]).await.ok();
}

#[tokio::test]
async fn whoever_is_told_to_wait_is_told_how_long() {
    let (world, f) = world().await;
    // `Retry-After` is counted by the clock of the machine.
    let now = System.now().0;
    let world = world.at(now).await;
    let mut opened = Vec::new();
    for _ in 0..6 {
        opened.push(challenge(&world, &f, f.a.mail_device).await.pk());
    }
    let resend = format!("/integrations/challenges/{}/resend", opened[0]);
    let wait = async |world: &World| {
        let refused = post(world, &f, &resend, Value::Null).await;
        assert_eq!(refused.refusal(), (429, "no_more_messages".to_owned()));
        refused.json()["error"]["retry_after"].as_u64().unwrap()
    };
    let spaced = wait(&world).await;
    assert!((1..=31).contains(&spaced), "{spaced}");
    let world = world.at(now + 31_000_000).await;
    let used_up = wait(&world).await;
    assert!((250..=332).contains(&used_up), "its device has had what it may get: {used_up}");
}

#[tokio::test]
async fn an_enrollment_sends_another_message_not_too_soon_and_not_too_often() {
    let (world, f) = world().await;
    let begun = post(&world, &f, "/integrations/enrollments", json!({"username": "new.person"})).await.pk();
    let path = format!("/integrations/enrollments/{begun}");
    let prepare = json!({"kind": "EMAIL", "options": {"address": "new@aurora.example"}});
    let prepared =
        async |world: &World| post(world, &f, &format!("{path}/prepare-device"), prepare.clone()).await;
    prepared(&world).await.ok();
    let mut codes = vec![world.mailed_code()];
    let mut world = world;
    for later in [30_000_000, 60_000_000] {
        let soon = prepared(&world).await;
        assert_eq!(soon.refusal(), (429, "no_more_messages".to_owned()));
        assert!(may_come_back(&soon), "{soon:?}");
        world = world.at(crate::world::BEGIN + 60_000_000 + later).await;
        prepared(&world).await.ok();
        assert_eq!(world.mails(), 1);
        codes.push(world.mailed_code());
    }
    // Three are the most, and the last is the one that counts.
    let world = world.at(crate::world::BEGIN + 200_000_000).await;
    let over = prepared(&world).await;
    assert_eq!(over.refusal(), (429, "no_more_messages".to_owned()));
    assert!(!may_come_back(&over), "it sends no other: {over:?}");
    let complete = format!("{path}/complete");
    let wrong = post(&world, &f, &complete, json!({"token": codes[0]})).await;
    assert_eq!(wrong.refusal(), (403, "wrong_token".to_owned()));
    let done = post(&world, &f, &complete, json!({"token": codes.last().unwrap()})).await;
    assert_eq!(done.status, 201, "{done:?}");
}

#[tokio::test]
async fn what_has_sent_nothing_sends_nothing_again() {
    let (world, f) = world().await;
    let resend = format!("/integrations/challenges/{}/resend", f.a.challenge);
    let refused = post(&world, &f, &resend, Value::Null).await;
    assert_eq!(refused.refusal(), (409, "nothing_to_send".to_owned()));
    assert_eq!(world.mails(), 0);
}

#[tokio::test]
async fn fewer_messages_are_fewer_at_once() {
    let (world, f) = world().await;
    let path = format!("/tenants/integrations/{}/policy", f.a.integration);
    let send = async |sends: u32| {
        world.ask(&f.a.admin, "PUT", &path, &json!({"sends": sends})).await.ok();
    };
    send(10).await;
    for _ in 0..3 {
        assert_eq!(challenge(&world, &f, f.a.mail_device).await.status, 201);
    }
    // Two challenges of one message each: its device has had more.
    send(1).await;
    let refused = challenge(&world, &f, f.a.mail_device).await;
    assert_eq!(refused.refusal(), (429, "no_more_messages".to_owned()));
    assert_eq!(world.mails(), 3);
}
