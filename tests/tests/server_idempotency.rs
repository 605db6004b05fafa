//! The same request again, with the same `Idempotency-Key`: the same answer, and nothing spent.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failure is a panic in tests, in their helpers too"
)]

use std::thread;

use oss2fa_tests::server::{Caller, DEFAULT_TENANT, PostgresCluster, Reply, Server, Store};
use serde_json::{Value, json};

fn keyed<'s>(caller: &Caller<'s>, key: &str) -> Caller<'s> {
    caller.clone().header(&format!("Idempotency-Key: {key}"))
}

fn same(one: &Reply, other: &Reply) {
    assert_eq!((one.status, one.text()), (other.status, other.text()), "{one}\n{other}");
    assert_eq!(one.header("X-Client-Id"), other.header("X-Client-Id"), "{one}\n{other}");
}

#[test]
fn a_retry_makes_nothing_twice() {
    let server = Server::new().start();
    let vpn = server.integration();
    let (path, body) = ("/integrations/enrollments", json!({"username": "john.doe"}));
    let first = keyed(&vpn, "one").post(path, &body).expect(201);
    same(&first, &keyed(&vpn, "one").post(path, &body));
    let other = keyed(&vpn, "two").post(path, &body).expect(201);
    assert_ne!(first.json()["pk"], other.json()["pk"], "another key is another request");
    let unkeyed = vpn.post(path, &body).expect(201);
    assert_ne!(unkeyed.json()["pk"], other.json()["pk"]);
}

#[test]
fn a_retry_spends_nothing() {
    let server = Server::new().start();
    let vpn = server.integration();
    // An enrolment whose answer was lost.
    let enrollment = vpn.enrollment("john.doe");
    let prepare = |caller: &Caller<'_>| caller.prepare(enrollment, "HOTP", &json!({}));
    let prepared = prepare(&keyed(&vpn, "prepare")).expect(200);
    same(&prepared, &prepare(&keyed(&vpn, "prepare")));
    let mut phone = oss2fa_tests::server::phone(&prepared.json()["public_details"]);
    let code = phone.next_code();
    let done = keyed(&vpn, "complete").complete(enrollment, &code).expect(201);
    same(&done, &keyed(&vpn, "complete").complete(enrollment, &code));
    // A login whose answer was lost.
    let login = phone.next_code();
    let right = keyed(&vpn, "login").verify("john.doe", &login).expect(200);
    same(&right, &keyed(&vpn, "login").verify("john.doe", &login));
    keyed(&vpn, "theft").verify("john.doe", &login).refused(403, "wrong_token");
    // A wrong answer counts once.
    let device = vpn.decide("john.doe")["devices"][0]["pk"].as_i64().unwrap();
    let challenge = vpn.challenge("john.doe", device);
    let wrong = phone.wrong_code();
    for _again in 0..4 {
        let refused = keyed(&vpn, "wrong").answer(challenge, &wrong);
        refused.refused(403, "wrong_token");
        assert_eq!(refused.json()["error"]["attempts_left"], 4);
    }
    let _right = keyed(&vpn, "right").answer(challenge, &phone.next_code()).expect(200);
}

#[test]
fn a_key_is_for_one_request_of_one_caller() {
    let server = Server::new().start();
    let vpn = server.integration();
    let path = "/integrations/enrollments";
    let first = keyed(&vpn, "one").post(path, &json!({"username": "john.doe"})).expect(201);
    let other = keyed(&vpn, "one").post(path, &json!({"username": "jane"}));
    assert!(matches!(other.status, 409 | 422) && !other.code().is_empty(), "{other}");
    let elsewhere = keyed(&vpn, "one").post("/integrations/clients/auth", &json!({"username": "john.doe"}));
    assert!(matches!(elsewhere.status, 409 | 422), "{elsewhere}");
    let web = server.owner("owner").new_integration("web", DEFAULT_TENANT);
    let theirs = keyed(&web, "one").post(path, &json!({"username": "john.doe"})).expect(201);
    assert_ne!(theirs.json()["pk"], first.json()["pk"], "another caller's keys are its own");
    for bad in ["", &"x".repeat(256), "tab\there"] {
        let refused = keyed(&vpn, bad).post(path, &json!({"username": "john.doe"}));
        // An empty header is one that curl does not send.
        let expected = if bad.is_empty() { 201 } else { 400 };
        assert_eq!(refused.status, expected, "{bad:?}: {refused}");
    }
}

fn at_once(servers: &[&Server], token: &str, body: &Value) -> Vec<Reply> {
    thread::scope(|scope| {
        let run = |number: usize| {
            let caller = servers[number % servers.len()].with_token(token);
            scope.spawn(move || keyed(&caller, "one").post("/integrations/enrollments", body))
        };
        let running: Vec<_> = (0..20).map(run).collect();
        running.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

fn all_the_same(replies: &[Reply]) -> i64 {
    let made: Vec<&Reply> = replies.iter().filter(|reply| reply.status == 201).collect();
    assert!(!made.is_empty());
    for reply in &made {
        same(made[0], reply);
    }
    for reply in replies.iter().filter(|reply| reply.status != 201) {
        assert_eq!(reply.status, 409, "the first one is still under way: {reply}");
    }
    made[0].json()["pk"].as_i64().unwrap()
}

#[test]
fn twenty_at_once_make_one() {
    let server = Server::new().start();
    let replies = at_once(&[&server], &server.token, &json!({"username": "john.doe"}));
    let made = all_the_same(&replies);
    assert_eq!(server.integration().enrollment("jane"), made + 1, "one was made");
}

#[test]
fn a_retry_at_another_node_and_after_a_kill() {
    let cluster = PostgresCluster::start();
    let one = Server::new().on(Store::Postgres(&cluster)).start();
    let other = Server::new().beside(&one).start();
    let replies = at_once(&[&one, &other], &one.token, &json!({"username": "john.doe"}));
    let _made = all_the_same(&replies);
    assert_eq!(cluster.sql("oss2fa_0", "SELECT count(*) FROM enrollment"), "1");
    let mut john = one.integration().enroll("jane", "HOTP");
    let code = john.token.next_code();
    let right = keyed(&one.integration(), "login").verify("jane", &code).expect(200);
    one.kill_9();
    same(&right, &keyed(&other.integration(), "login").verify("jane", &code));
    keyed(&other.integration(), "theft").verify("jane", &code).refused(403, "wrong_token");
}
