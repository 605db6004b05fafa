//! Decisions and challenges, over HTTPS with an authenticator's codes.
#![expect(
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failure is a panic in tests, in their helpers too"
)]

use std::thread;
use std::time::Duration;

use oss2fa_tests::server::{Caller, Reply, Server};
use serde_json::{Value, json};

const NEW: i64 = 1;
const COMPLETE: i64 = 3;
const FAILED: i64 = 4;
const EXPIRED: i64 = 5;

fn status(caller: &Caller<'_>, challenge: i64) -> Value {
    caller.get(&format!("/integrations/challenges/{challenge}")).expect(200).json()["status"].clone()
}

fn attempts_left(reply: &Reply) -> i64 {
    reply.refused(403, "wrong_token");
    reply.json()["error"]["attempts_left"].as_i64().unwrap_or_else(|| panic!("attempts_left: {reply}"))
}

fn patch_status(caller: &Caller<'_>, client: i64, status: &str) {
    let path = format!("/integrations/clients/{client}");
    let changed = caller.patch(&path, &json!({"status": status})).expect(200).json();
    assert_eq!(changed["status"], status);
}

#[test]
fn the_four_decisions() {
    let server = Server::new().start();
    let vpn = server.integration();
    assert_eq!(vpn.decide("john.doe")["result"], 1, "enroll: nobody is called that");
    let john = vpn.enroll("john.doe", "TOTP");
    let decision = vpn.decide("john.doe");
    assert_eq!(decision["result"], 2, "challenge: {decision}");
    let device = &decision["devices"][0];
    assert_eq!((&device["pk"], &device["kind"]["name"]), (&json!(john.device), &json!("TOTP")), "{decision}");
    assert!(device["kind"]["pk"].is_i64() && device["kind"]["description"].is_string(), "{decision}");
    assert!(device["name"].is_string(), "{decision}");
    patch_status(&vpn, john.client, "bypass");
    assert_eq!(vpn.decide("john.doe")["result"], 3, "allow");
    patch_status(&vpn, john.client, "inactive");
    let denied = vpn.decide("john.doe");
    assert_eq!(denied["result"], 4, "deny");
    assert!(!denied.to_string().contains("TOTP"), "who is denied is not asked either: {denied}");
    patch_status(&vpn, john.client, "active");
    assert_eq!(vpn.decide("john.doe")["result"], 2);
    let removed = vpn.delete(&format!("/integrations/clients/{}/devices/{}", john.client, john.device));
    assert_eq!(removed.status, 204, "{removed}");
    assert_eq!(vpn.decide("john.doe")["result"], 1, "enroll: the last device is gone");
}

#[test]
fn row_53_only_the_right_answer_gets_a_200_and_only_once() {
    let server = Server::new().start();
    let vpn = server.integration();
    let mut john = vpn.enroll("john.doe", "HOTP");
    let made = vpn.challenge_reply("john.doe", john.device).expect(201).json();
    let challenge = made["pk"].as_i64().unwrap();
    assert_eq!((&made["status"], &made["reference"]), (&json!(NEW), &json!("a login")), "{made}");
    let wrong = john.token.wrong_code();
    assert_eq!(attempts_left(&vpn.answer(challenge, &wrong)), 4);
    assert_eq!(attempts_left(&vpn.answer(challenge, "")), 3, "an empty answer is a wrong one");
    let code = john.token.next_code();
    let right = vpn.answer(challenge, &code).expect(200);
    assert_eq!(status(&vpn, challenge), COMPLETE, "{right}");
    for again in [&code, &john.token.next_code(), &wrong] {
        vpn.answer(challenge, again).refused(409, "challenge_over");
    }
    let other = vpn.challenge("john.doe", john.device);
    assert_eq!(attempts_left(&vpn.answer(other, &code)), 4, "a code works once, whatever it answers");
    let _right = vpn.answer(other, &john.token.next_code()).expect(200);
}

#[test]
fn a_challenge_that_was_answered_wrongly_too_often_is_over() {
    let server = Server::new().start();
    let vpn = server.integration();
    let mut john = vpn.enroll("john.doe", "HOTP");
    // Fewer than lock the client.
    server.set_policy(&json!({"attempts": 3}));
    let challenge = vpn.challenge("john.doe", john.device);
    let wrong = john.token.wrong_code();
    let left: Vec<i64> = (0..3).map(|_| attempts_left(&vpn.answer(challenge, &wrong))).collect();
    assert_eq!(left, [2, 1, 0]);
    assert_eq!(status(&vpn, challenge), FAILED);
    let code = john.token.next_code();
    vpn.answer(challenge, &code).refused(409, "challenge_over");
    let other = vpn.challenge("john.doe", john.device);
    let _spent_nothing = vpn.answer(other, &code).expect(200);
}

#[test]
fn a_challenge_that_was_given_up_is_over() {
    let server = Server::new().start();
    let vpn = server.integration();
    let mut john = vpn.enroll("john.doe", "HOTP");
    let challenge = vpn.challenge("john.doe", john.device);
    let path = format!("/integrations/challenges/{challenge}");
    assert_eq!(vpn.delete(&path).status, 204);
    let code = john.token.next_code();
    vpn.answer(challenge, &code).refused(409, "challenge_over");
    assert_eq!(status(&vpn, challenge), FAILED);
    vpn.delete("/integrations/challenges/99").refused(404, "not_found");
}

#[test]
fn enrollments_and_challenges_expire() {
    let server = Server::new().start();
    let vpn = server.integration();
    let mut john = vpn.enroll("john.doe", "HOTP");
    server.set_policy(&json!({"challenge_expiry": 30, "enrollment_expiry": 30}));
    let (challenge, enrollment) = (vpn.challenge("john.doe", john.device), vpn.enrollment("jane"));
    let prepared = vpn.prepare(enrollment, "TOTP", &json!({})).expect(200).json();
    // The shortest that a policy may say.
    thread::sleep(Duration::from_secs(31));
    let code = john.token.next_code();
    vpn.answer(challenge, &code).refused(410, "challenge_expired");
    assert_eq!(status(&vpn, challenge), EXPIRED);
    let phone = oss2fa_tests::server::phone(&prepared["public_details"]);
    let late = vpn.complete(enrollment, &phone.code_at(phone.step_now()));
    late.refused(410, "enrollment_expired");
    let seen = vpn.get(&format!("/integrations/enrollments/{enrollment}")).expect(200).json();
    assert_eq!(seen["status"], EXPIRED, "{seen}");
    assert_eq!(vpn.decide("jane")["result"], 1, "nobody was enrolled");
    let fresh = vpn.challenge("john.doe", john.device);
    let _right = vpn.answer(fresh, &code).expect(200);
}

#[test]
fn row_54_wrong_codes_lock_until_somebody_unlocks() {
    let server = Server::new().start();
    let vpn = server.integration();
    let mut john = vpn.enroll("john.doe", "HOTP");
    let wrong = john.token.wrong_code();
    let mut answers = Vec::new();
    // Each challenge is fresh: what counts is who is tried, not what is asked.
    while answers.last() != Some(&429) {
        assert!(answers.len() < 250, "250 wrong codes: {answers:?}");
        let challenge = vpn.challenge_reply("john.doe", john.device);
        if challenge.status == 201 {
            let pk = challenge.json()["pk"].as_i64().unwrap();
            answers.push(vpn.answer(pk, &wrong).status);
        } else {
            answers.push(challenge.status);
        }
    }
    assert!(answers.len() <= 12, "{answers:?}");
    let code = john.token.next_code();
    let locked = vpn.verify("john.doe", &code);
    locked.refused(429, "locked");
    let seconds = locked.json()["error"]["retry_after"].as_i64().unwrap();
    assert!((1..=3600).contains(&seconds), "{locked}");
    assert_eq!(locked.header("Retry-After"), Some(seconds.to_string().as_str()), "{locked}");
    let other = vpn.enroll("jane", "HOTP");
    assert_eq!(vpn.verify("jane", &other.token.clone().next_code()).status, 200, "nobody else is locked");
    let unlocked = vpn.post(&format!("/integrations/clients/{}/unlock", john.client), &Value::Null);
    assert!(matches!(unlocked.status, 200 | 204), "{unlocked}");
    let _right = vpn.verify("john.doe", &code).expect(200);
}

#[test]
fn one_request_can_do_it_all() {
    let server = Server::new().start();
    let vpn = server.integration();
    let mut john = vpn.enroll("john.doe", "TOTP");
    vpn.verify("john.doe", &john.token.wrong_code()).refused(403, "wrong_token");
    let code = john.token.next_code();
    let right = vpn.verify("john.doe", &code).expect(200).json();
    assert_eq!((&right["client"], &right["device"]), (&json!(john.client), &json!(john.device)), "{right}");
    vpn.verify("john.doe", &code).refused(403, "wrong_token");
    let unknown = vpn.verify("nobody", &code);
    assert!((400..500).contains(&unknown.status) && unknown.status != 401, "{unknown}");
}

#[test]
fn row_47_an_inactive_client_passes_nowhere() {
    let server = Server::new().start();
    let vpn = server.integration();
    let mut john = vpn.enroll("john.doe", "HOTP");
    let open = vpn.challenge("john.doe", john.device);
    patch_status(&vpn, john.client, "inactive");
    let code = john.token.next_code();
    for reply in
        [vpn.answer(open, &code), vpn.verify("john.doe", &code), vpn.challenge_reply("john.doe", john.device)]
    {
        assert!((400..500).contains(&reply.status), "{reply}");
    }
    patch_status(&vpn, john.client, "active");
    let _right = vpn.verify("john.doe", &code).expect(200);
}

#[test]
fn row_43_a_removed_device_passes_nowhere() {
    let server = Server::new().start();
    let vpn = server.integration();
    let mut john = vpn.enroll("john.doe", "HOTP");
    let kept = vpn.enroll("john.doe", "TOTP");
    assert_eq!(kept.client, john.client);
    let open = vpn.challenge("john.doe", john.device);
    let path = format!("/integrations/clients/{}/devices/{}", john.client, john.device);
    let renamed = vpn.patch(&path, &json!({"name": "old token"})).expect(200).json();
    assert_eq!(renamed["name"], "old token");
    assert_eq!(vpn.delete(&path).status, 204);
    let code = john.token.next_code();
    for reply in [
        vpn.answer(open, &code),
        vpn.verify("john.doe", &code),
        vpn.challenge_reply("john.doe", john.device),
        vpn.patch(&path, &json!({"name": "again"})),
        vpn.delete(&path),
    ] {
        assert!((400..500).contains(&reply.status), "{reply}");
    }
    let list = vpn.get(&format!("/integrations/clients/{}/devices", john.client)).expect(200).json();
    assert_eq!(list.as_array().unwrap().len(), 1, "{list}");
}

#[test]
fn recovery_codes_work_once_each() {
    let server = Server::new().start();
    let vpn = server.integration();
    let john = vpn.enroll("john.doe", "TOTP");
    let enrollment = vpn.enrollment("john.doe");
    let prepared = vpn.prepare(enrollment, "RECOVERY", &Value::Null).expect(200).json();
    let codes: Vec<String> = serde_json::from_value(prepared["public_details"]["codes"].clone()).unwrap();
    assert!(codes.len() >= 8, "{prepared}");
    let done = vpn.complete(enrollment, &codes[0]).expect(201);
    assert_eq!(done.header("X-Client-Id"), Some(john.client.to_string().as_str()));
    let device = vpn.newest_device("john.doe");
    let challenge = vpn.challenge("john.doe", device);
    vpn.answer(challenge, &codes[0]).refused(403, "wrong_token");
    let _right = vpn.answer(challenge, &codes[1]).expect(200);
    vpn.verify("john.doe", &codes[1]).refused(403, "wrong_token");
    // As people type them from paper.
    let typed = codes[2].replace('-', " ").to_uppercase();
    let _right = vpn.verify("john.doe", &typed).expect(200);
}

#[test]
fn bodies_that_are_none() {
    let server = Server::new().start();
    let vpn = server.integration();
    for body in [
        json!({}),
        json!([]),
        json!({"username": 7}),
        json!({"username": ""}),
        json!({"username": "a\u{0}b"}),
        json!({"username": "john", "tenant": 2}),
        json!({"username": "x".repeat(5000)}),
    ] {
        let reply = vpn.post("/integrations/enrollments", &body);
        assert!(matches!(reply.status, 400 | 422), "{body}: {reply}");
        assert!(matches!(reply.code().as_str(), "bad_request" | "bad_name"), "{body}: {reply}");
    }
    let large = json!({"username": "x".repeat(70_000)});
    assert_eq!(vpn.post("/integrations/enrollments", &large).status, 413);
    for path in ["/integrations/enrollments/99", "/integrations/challenges/99"] {
        vpn.get(path).refused(404, "not_found");
    }
    vpn.get("/integrations/nothing").refused(404, "no_such_path");
}
