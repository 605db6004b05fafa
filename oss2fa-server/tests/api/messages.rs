//! Messages with codes: to whom one goes, and when none does.

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
