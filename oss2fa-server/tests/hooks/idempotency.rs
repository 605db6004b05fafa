//! A request that is sent again gets the same answer and spends nothing.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use oss2fa_server::store::verbs::administrators::Role;
use serde_json::{Value, json};

use crate::world::{World, answer, code, post};

const VERIFY: &str = "/integrations/clients/verify";

fn right(position: u64) -> Value {
    json!({ "username": "ferris", "token": code(position) })
}

fn next_position(world: &World) -> i64 {
    world.number("SELECT next_position FROM device_use")
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_tries_at_once_spend_one_code() {
    let world = World::new().await;
    world.hotp("ferris").await;
    let (token, body) = (world.token.clone(), right(1));
    let tries = (0..50).map(|_| {
        let (router, request) = (world.router.clone(), post(&token, VERIFY, &body, Some("login-1")));
        tokio::spawn(async move { answer(&router, request).await })
    });
    let tries: Vec<_> = tries.collect();
    let mut first = 0;
    for one in tries {
        let reply = one.await.unwrap();
        match reply.status {
            StatusCode::OK => first += i32::from(reply.header("idempotency-replayed").is_none()),
            StatusCode::CONFLICT => assert_eq!(reply.code(), "idempotency_in_progress"),
            _ => panic!("{reply:?}"),
        }
    }
    assert_eq!(first, 1, "one alone ran, and was answered 200");
    assert_eq!(next_position(&world), 2);
    assert_eq!(world.number("SELECT count(*) FROM audit WHERE event = 'accepted'"), 1);
    let later = world.keyed("login-1", VERIFY, &right(1)).await;
    assert_eq!((later.status, later.header("idempotency-replayed")), (StatusCode::OK, Some("true")));
    // Without the key the code is spent.
    assert_eq!(world.post(VERIFY, &right(1)).await.code(), "wrong_token");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_the_same_after_a_restart() {
    let world = World::new().await;
    let made = world.post("/integrations/enrollments", &json!({ "username": "ferris" })).await.json();
    let path = format!("/integrations/enrollments/{}/prepare-device", made["pk"]);
    let body = json!({ "kind": "TOTP", "options": { "generate_qr_code": true } });
    let first = world.keyed("k", &path, &body).await;
    assert_eq!((first.status, first.header("idempotency-replayed")), (StatusCode::OK, None));
    let world = world.restarted().await;
    let again = world.keyed("k", &path, &body).await;
    assert_eq!((again.status, again.header("idempotency-replayed")), (StatusCode::OK, Some("true")));
    assert_eq!(first.body, again.body, "the same secret, not a new one");
    assert_eq!(first.header("content-type"), again.header("content-type"));
    // Without the key the device is prepared anew.
    assert_ne!(world.post(&path, &body).await.body, first.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_header_with_the_client_comes_again() {
    let world = World::new().await;
    let made = world.post("/integrations/enrollments", &json!({ "username": "ferris" })).await.json();
    let at = format!("/integrations/enrollments/{}", made["pk"]);
    let options = json!({ "kind": "HOTP", "options": { "secret": crate::world::SECRET } });
    world.post(&format!("{at}/prepare-device"), &options).await;
    let complete = format!("{at}/complete");
    let first = world.keyed("done", &complete, &json!({ "token": code(0) })).await;
    let again = world.keyed("done", &complete, &json!({ "token": code(0) })).await;
    assert_eq!((first.status, again.status), (StatusCode::CREATED, StatusCode::CREATED));
    assert!(first.header("x-client-id").is_some());
    assert_eq!(first.header("x-client-id"), again.header("x-client-id"));
    assert_eq!((first.header("x-device-id"), again.header("x-device-id")), (Some("1"), Some("1")));
    // What every answer has, this has once.
    assert_eq!(again.headers.get_all("allow").iter().count(), 1);
    assert_eq!(world.number("SELECT count(*) FROM device"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_kept_and_counts_once() {
    let world = World::new().await;
    world.hotp("ferris").await;
    let wrong = json!({ "username": "ferris", "token": "000000" });
    for _ in 0..30 {
        let reply = world.keyed("wrong", VERIFY, &wrong).await;
        assert_eq!((reply.status, reply.code().as_str()), (StatusCode::FORBIDDEN, "wrong_token"));
    }
    assert_eq!(world.number("SELECT max(failures) FROM lock"), 1);
    assert_eq!(world.post(VERIFY, &right(1)).await.status, StatusCode::OK, "not locked");
}

#[tokio::test(flavor = "multi_thread")]
async fn row_38_a_key_is_of_one_request_and_one_principal() {
    let world = World::new().await;
    world.hotp("ferris").await;
    assert_eq!(world.keyed("k", VERIFY, &right(1)).await.status, StatusCode::OK);
    let spent = next_position(&world);
    for (path, body) in [
        (VERIFY, right(2)),
        ("/integrations/clients/auth", right(1)),
        ("/integrations/clients/verify?x=1", right(1)),
    ] {
        let reply = world.keyed("k", path, &body).await;
        assert_eq!(reply.status, StatusCode::UNPROCESSABLE_ENTITY, "{path} {reply:?}");
        assert_eq!(reply.code(), "idempotency_key_reused");
    }
    assert_eq!(next_position(&world), spent);
    // Another tenant's request with the same key, to the same path, with the same body, is one of its own.
    let (_, _, other) = world.tenant("other").await;
    let reply = world.send(post(&other, VERIFY, &right(1), Some("k"))).await;
    assert_eq!((reply.code().as_str(), reply.header("idempotency-replayed")), ("not_found", None));
    // So is another integration's of the same tenant.
    let (_, sister) = world.integration(oss2fa_server::ids::TenantId(1), "sister").await;
    let reply = world.send(post(&sister, VERIFY, &right(1), Some("k"))).await;
    assert_eq!((reply.code().as_str(), reply.header("idempotency-replayed")), ("not_found", None));
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_and_the_careless_leave_no_row() {
    let world = World::new().await;
    let body = json!({ "username": "ferris" });
    let path = "/integrations/enrollments";
    let reply = world.send(post(&"0".repeat(40), path, &body, Some("k"))).await;
    assert_eq!(reply.code(), "unauthorized");
    for bad in ["", " ", "two words", "gr\u{fc}n", &"x".repeat(256)] {
        let mut request = post(&world.token, path, &body, None);
        request.headers_mut().insert("idempotency-key", bad.as_bytes().try_into().unwrap());
        assert_eq!(world.send(request).await.status, StatusCode::BAD_REQUEST, "{bad:?}");
    }
    let mut twice = post(&world.token, path, &body, Some("a"));
    twice.headers_mut().append("idempotency-key", "b".parse().unwrap());
    assert_eq!(world.send(twice).await.status, StatusCode::BAD_REQUEST);
    let big = json!({ "username": "x".repeat(100_000) });
    assert_eq!(world.keyed("k", path, &big).await.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(world.post(path, &body).await.status, StatusCode::CREATED);
    assert_eq!(world.number("SELECT count(*) FROM idempotency"), 0);
    // Visible ASCII up to the limit is taken; reading needs no key and takes none.
    assert_eq!(world.keyed(&"~".repeat(255), path, &body).await.status, StatusCode::CREATED);
    let get = Request::get("/devices-kind").header("X-Integration-Token", &world.token);
    let get = get.header("Idempotency-Key", "k").body(Body::empty()).unwrap();
    assert_eq!(world.send(get).await.status, StatusCode::OK);
    assert_eq!(world.number("SELECT count(*) FROM idempotency"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_never_answered_is_said_to_be_unknown() {
    let world = World::new().await;
    world.hotp("ferris").await;
    assert_eq!(world.keyed("k", VERIFY, &right(1)).await.status, StatusCode::OK);
    // As a server leaves it that dies between the work and the answer.
    world.database().execute("UPDATE idempotency SET status = NULL, sealed = NULL", []).unwrap();
    let reply = world.keyed("k", VERIFY, &right(1)).await;
    assert_eq!((reply.status, reply.code().as_str()), (StatusCode::CONFLICT, "idempotency_in_progress"));
    assert_eq!(reply.header("retry-after"), Some("1"));
    world.clock.by(61);
    let reply = world.keyed("k", VERIFY, &right(1)).await;
    assert_eq!((reply.status, reply.code().as_str()), (StatusCode::CONFLICT, "idempotency_in_progress"));
    let words = reply.json()["error"]["message"].as_str().unwrap().to_owned();
    assert!(words.contains("unknown") && words.contains("new key"), "{words}");
    assert_eq!(next_position(&world), 2);
    assert_eq!(world.keyed("k2", VERIFY, &right(2)).await.status, StatusCode::OK, "a new key begins anew");
    // After a day the key is free, though nobody has swept it away.
    world.clock.by(24 * 3600);
    assert_eq!(world.keyed("k", VERIFY, &right(3)).await.status, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_did_not_happen_is_not_kept() {
    let world = World::new().await;
    world.hotp("ferris").await;
    let wrong = json!({ "username": "ferris", "token": "000000" });
    let mut tries = 0;
    while world.post(VERIFY, &wrong).await.status != StatusCode::TOO_MANY_REQUESTS {
        tries += 1;
        assert!(tries < 50, "never locked");
    }
    let reply = world.keyed("k", VERIFY, &right(1)).await;
    assert_eq!(reply.status, StatusCode::TOO_MANY_REQUESTS, "{reply:?}");
    assert_eq!(world.number("SELECT count(*) FROM idempotency"), 0);
}

/// The step is kept and its message counted, whatever became of that.
#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_did_not_go_out_is_sent_again_by_no_retry() {
    let world = World::new().await;
    // No mail is configured: the code cannot be sent.
    let made = world.post("/integrations/enrollments", &json!({ "username": "ferris" })).await.json();
    let path = format!("/integrations/enrollments/{}/prepare-device", made["pk"]);
    let body = json!({ "kind": "EMAIL", "options": { "address": "ferris@example.org" } });
    let first = world.keyed("k", &path, &body).await;
    assert_eq!(first.status, StatusCode::BAD_GATEWAY, "{first:?}");
    let again = world.keyed("k", &path, &body).await;
    assert_eq!((again.status, again.json()), (first.status, first.json()));
    assert_eq!(world.number("SELECT count(*) FROM idempotency"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_was_shown_once_can_be_read_in_the_files() {
    let world = World::new().await;
    let made = world.post("/integrations/enrollments", &json!({ "username": "ferris" })).await.json();
    let path = format!("/integrations/enrollments/{}/prepare-device", made["pk"]);
    let reply = world.keyed("a-key-to-search-for", &path, &json!({ "kind": "TOTP" })).await.json();
    let uri = reply["public_details"]["provisioning_uri"].as_str().unwrap().to_owned();
    let secret = uri.split("secret=").nth(1).unwrap().split('&').next().unwrap().to_owned();
    let world = world.restarted().await;
    assert_eq!(world.number("SELECT count(*) FROM idempotency WHERE sealed IS NOT NULL"), 1);
    for entry in std::fs::read_dir(world.folder.path()).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        for word in [secret.as_str(), "otpauth://", "a-key-to-search-for"] {
            assert!(!bytes.windows(word.len()).any(|part| part == word.as_bytes()), "{word}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kept_answer_does_not_open_in_another_row() {
    let world = World::new().await;
    world.hotp("ferris").await;
    assert_eq!(world.keyed("good", VERIFY, &right(1)).await.status, StatusCode::OK);
    let wrong = json!({ "username": "ferris", "token": "000000" });
    assert_eq!(world.keyed("bad", VERIFY, &wrong).await.status, StatusCode::FORBIDDEN);
    // Whoever can write to the database puts the good answer in the place of the bad one.
    let sql = "UPDATE idempotency SET status = 200,
        sealed = (SELECT sealed FROM idempotency WHERE status = 200) WHERE status = 403";
    assert_eq!(world.database().execute(sql, []).unwrap(), 1);
    let reply = world.keyed("bad", VERIFY, &wrong).await;
    assert_eq!(reply.status, StatusCode::CONFLICT, "{reply:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_goes_away_finds_the_answer_when_it_comes_back() {
    let world = World::new().await;
    world.hotp("ferris").await;
    for (n, position) in (1..20).enumerate() {
        let (router, request) =
            (world.router.clone(), post(&world.token, VERIFY, &right(position), Some(&n.to_string())));
        let gone = tokio::spawn(async move { answer(&router, request).await });
        tokio::time::sleep(std::time::Duration::from_micros(300 * n as u64)).await;
        gone.abort();
        let _ = gone.await;
        let mut reply = world.keyed(&n.to_string(), VERIFY, &right(position)).await;
        for _ in 0..10_000 {
            if reply.status != StatusCode::CONFLICT {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            reply = world.keyed(&n.to_string(), VERIFY, &right(position)).await;
        }
        assert_eq!(reply.status, StatusCode::OK, "try {n}: {reply:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn administrators_have_keys_of_their_own() {
    let world = World::new().await;
    world.hotp("ferris").await;
    let admin = world.admin(None, Role::Owner, "root").await;
    // A path of integrations, with the token of an administrator: refused, and nothing is kept.
    let reply = world.send(post(&admin, VERIFY, &right(1), Some("k"))).await;
    assert_eq!(reply.code(), "unauthorized");
    assert_eq!(world.number("SELECT count(*) FROM idempotency"), 0);
    assert_eq!(world.keyed("k", VERIFY, &right(1)).await.status, StatusCode::OK);
    // What is made once is made once, and its token is shown again.
    let (path, new) = ("/tenants/integrations?tenant=1", json!({ "name": "VPN" }));
    let first = world.send(post(&admin, path, &new, Some("k"))).await;
    let again = world.send(post(&admin, path, &new, Some("k"))).await;
    assert_eq!((first.status, again.status), (StatusCode::CREATED, StatusCode::CREATED));
    assert_eq!(first.json()["token"], again.json()["token"]);
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert_eq!(world.send(post(&admin, path, &new, Some("k2"))).await.code(), "name_taken");
    // In the place of an integration: the key is the administrator's.
    let unlock = "/integrations/clients/1/unlock?integration=1";
    for replayed in [None, Some("true")] {
        let request = Request::post(unlock).header("X-Admin-Token", &admin).header("Idempotency-Key", "u");
        let reply = world.send(request.body(Body::empty()).unwrap()).await;
        assert!(reply.status.is_success(), "{reply:?}");
        assert_eq!(reply.header("idempotency-replayed"), replayed);
    }
    assert_eq!(world.number("SELECT count(DISTINCT principal) FROM idempotency"), 2);
}

#[test]
fn the_documentation_names_the_header_at_every_change() {
    let api = serde_json::to_value(oss2fa_server::http::router::documentation()).unwrap();
    for (path, item) in api["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
            let named = parameters.iter().any(|parameter| parameter["name"] == "Idempotency-Key");
            assert_eq!(named, method != "get", "{method} {path}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_where_none_is_taken_changes_no_answer() {
    let world = World::new().await;
    for (method, path, status) in [
        ("PUT", VERIFY, StatusCode::METHOD_NOT_ALLOWED),
        ("POST", "/nothing/here", StatusCode::NOT_FOUND),
        ("GET", "/healthz", StatusCode::OK),
        ("OPTIONS", VERIFY, StatusCode::OK),
    ] {
        let asked = |key: Option<&str>| {
            let request = Request::builder().method(method).uri(path);
            let request =
                key.into_iter().fold(request, |request, key| request.header("Idempotency-Key", key));
            answer(&world.router, request.body(Body::empty()).unwrap())
        };
        let (without, with) = (asked(None).await, asked(Some("k")).await);
        assert_eq!((without.status, with.status), (status, status), "{method} {path}");
        assert_eq!(without.header("allow"), with.header("allow"), "{method} {path}");
        assert_eq!(without.body, with.body, "{method} {path}");
    }
    assert_eq!(world.number("SELECT count(*) FROM idempotency"), 0);
}
