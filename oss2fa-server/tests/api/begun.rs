//! Enrollments and challenges that were begun: how they are shown, and for how long they wait.

use serde_json::{Value, json};

use crate::fixture::world;

#[tokio::test]
async fn a_kind_that_there_is_not_is_told_from_one_that_policy_does_not_allow() {
    let (world, f) = world().await;
    let policy = format!("/tenants/integrations/{}/policy", f.a.integration);
    world.ask(&f.a.admin, "PUT", &policy, &json!({"device_kinds": ["HOTP"]})).await.ok();
    let before = world.rows();
    let path = format!("/integrations/enrollments/{}/prepare-device", f.a.enrollment);
    for (kind, refusal) in [
        ("CARRIER PIGEON", (422, "unknown_kind")),
        ("", (422, "unknown_kind")),
        ("TOTP", (403, "kind_not_allowed")),
    ] {
        let refused = world.ask(&f.a.token, "POST", &path, &json!({"kind": kind})).await;
        assert_eq!(refused.refusal(), (refusal.0, refusal.1.to_owned()), "{kind:?}");
    }
    assert_eq!(world.rows(), before);
}

#[tokio::test]
async fn a_challenge_is_shown_as_it_was_begun() {
    let (world, f) = world().await;
    let shown = async |pk: i64| {
        world.ask(&f.a.token, "GET", &format!("/integrations/challenges/{pk}"), &Value::Null).await.ok()
    };
    // One that has sent its code is in progress; one that needs nothing from the server is new.
    for (pk, device, status) in [(f.a.challenge, f.a.device, 1), (f.a.mail_challenge, f.a.mail_device, 2)] {
        let challenge = shown(pk).await;
        assert_eq!(challenge["reference"], "aurora login", "{challenge}");
        assert_eq!((&challenge["status"], &challenge["device_pk"]), (&json!(status), &json!(device)));
    }
    let asked = json!({"username": f.a.username, "device_pk": f.a.device});
    let begun = world.ask(&f.a.token, "POST", "/integrations/challenges", &asked).await.pk();
    assert_eq!(shown(begun).await["reference"], Value::Null);
}

#[tokio::test]
async fn a_challenge_waits_for_five_minutes_where_policy_says_nothing_else() {
    let (world, f) = world().await;
    let asked = json!({"username": f.a.username, "device_pk": f.a.device});
    let begun = world.ask(&f.a.token, "POST", "/integrations/challenges", &asked).await.ok();
    let times = [&begun["created_at"], &begun["expires_at"]];
    assert_eq!(times, ["2026-01-01T00:01:00.000000Z", "2026-01-01T00:06:00.000000Z"], "{begun}");
    let complete = format!("/integrations/challenges/{}/complete", begun["pk"]);
    let answer = async |world: &crate::world::World, token: &str| {
        world.ask(&f.a.token, "POST", &complete, &json!({"token": token})).await.refusal()
    };
    let world = world.at(crate::world::BEGIN + 359_999_999).await;
    assert_eq!(answer(&world, "wrong").await, (403, "wrong_token".to_owned()));
    let world = world.at(crate::world::BEGIN + 360_000_000).await;
    assert_eq!(answer(&world, &f.a.answer).await, (410, "challenge_expired".to_owned()));
}
