//! What fails in the middle of a check is a refusal: no error lets anybody pass, and none spends a code.

use oss2fa_core::secret::SecretBytes;
use oss2fa_server::ids::{IntegrationId, TenantId};
use oss2fa_server::outside::Timestamp;
use oss2fa_server::store::verbs::Doer;
use oss2fa_server::store::verbs::yubico_clients::{CreateYubicoClient, CreatedYubicoClient};
use rusqlite::Connection;
use serde_json::{Value, json};

use crate::fixture::{Fixture, world};
use crate::world::{Answer, BEGIN, Credential, World};

/// How a table fails.
#[derive(Debug, Clone, Copy)]
enum Fault {
    /// It cannot be read.
    Gone,
    /// It can be read, and not be written.
    Unwritable,
}

fn database(world: &World) -> Connection {
    Connection::open(world.path().join("server.db")).unwrap()
}

fn tables(world: &World) -> Vec<String> {
    let store = database(world);
    let sql = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'";
    let mut statement = store.prepare(sql).unwrap();
    let names = statement.query_map([], |row| row.get(0)).unwrap();
    names.map(Result::unwrap).collect()
}

impl Fault {
    fn begin(self, store: &Connection, table: &str) {
        let sql = match self {
            Self::Gone => format!("ALTER TABLE {table} RENAME TO away"),
            Self::Unwritable => ["INSERT", "UPDATE", "DELETE"]
                .map(|what| {
                    format!(
                        "CREATE TRIGGER no_{what} BEFORE {what} ON {table} BEGIN SELECT RAISE(ABORT, 'bad'); END;"
                    )
                })
                .concat(),
        };
        store.execute_batch(&sql).unwrap();
    }

    fn end(self, store: &Connection, table: &str) {
        let sql = match self {
            Self::Gone => format!("ALTER TABLE away RENAME TO {table}"),
            Self::Unwritable => {
                "DROP TRIGGER no_INSERT; DROP TRIGGER no_UPDATE; DROP TRIGGER no_DELETE;".to_owned()
            }
        };
        store.execute_batch(&sql).unwrap();
    }
}

async fn post(world: &World, f: &Fixture, path: &str, body: Value) -> Answer {
    world.ask(&f.a.token, "POST", path, &body).await
}

fn written(world: &World, f: &Fixture, event: &str) -> usize {
    world.audit(f.a.tenant).iter().filter(|entry| entry[0] == event).count()
}

/// An answer under a fault is that of a healthy server, or an error that says that nothing was accepted.
fn is_whole(answer: &Answer, what: &str) -> bool {
    let status = answer.status.as_u16();
    assert!(matches!(status, 200 | 401 | 403 | 500 | 503), "{what}: {answer:?}");
    assert!(!answer.text.contains("bad") && !answer.text.contains("away"), "{what}: {answer:?}");
    status == 200
}

#[tokio::test]
async fn row_46_a_table_that_fails_accepts_no_code_and_spends_none() {
    let (first, _) = world().await;
    let mut refused = 0;
    for table in tables(&first) {
        for fault in [Fault::Gone, Fault::Unwritable] {
            for path in ["/integrations/clients/verify", "challenge"] {
                let what = format!("{table} {fault:?} {path}");
                let (world, f) = world().await;
                let path = match path {
                    "challenge" => format!("/integrations/challenges/{}/complete", f.a.challenge),
                    other => other.to_owned(),
                };
                let body = |token: &str| match path.as_str() {
                    "/integrations/clients/verify" => json!({"username": f.a.username, "token": token}),
                    _ => json!({"token": token}),
                };
                let wrong = if f.a.answer == "000000" { "000001" } else { "000000" };
                let store = database(&world);
                fault.begin(&store, &table);
                assert!(!is_whole(&post(&world, &f, &path, body(wrong)).await, &what), "{what}");
                let accepted = is_whole(&post(&world, &f, &path, body(&f.a.answer)).await, &what);
                fault.end(&store, &table);
                refused += u32::from(!accepted);
                assert_eq!(written(&world, &f, "accepted"), usize::from(accepted), "{what}");
                let again = post(&world, &f, &path, body(&f.a.answer)).await;
                assert_eq!(again.status == 200, !accepted, "{what}: afterwards {again:?}");
            }
        }
    }
    assert!(refused >= 10, "only {refused} faults were met at all");
}

#[tokio::test]
async fn row_46_a_table_that_fails_lets_nobody_pass_unasked_and_unwritten() {
    let (first, _) = world().await;
    let mut refused = 0;
    for table in tables(&first) {
        for fault in [Fault::Gone, Fault::Unwritable] {
            for status in ["inactive", "active", "bypass"] {
                let what = format!("{table} {fault:?} {status}");
                let (world, f) = world().await;
                let client = format!("/integrations/clients/{}", f.a.client);
                world.ask(&f.a.token, "PATCH", &client, &json!({"status": status})).await.ok();
                let store = database(&world);
                fault.begin(&store, &table);
                let login =
                    json!({"username": f.a.username, "binding_context": {"trusted_device_token": "x"}});
                let answer = post(&world, &f, "/integrations/clients/auth", login).await;
                fault.end(&store, &table);
                let result = is_whole(&answer, &what).then(|| answer.json()["result"].as_i64().unwrap());
                refused += u32::from(result.is_none());
                let healthy = match status {
                    "inactive" => 4,
                    "active" => 2,
                    _ => 3,
                };
                assert!(result.is_none_or(|result| result == healthy), "{what}: {answer:?}");
                let passed = usize::from(result == Some(3));
                assert_eq!(
                    written(&world, &f, "allowed"),
                    passed,
                    "{what}: who passes unasked is in the audit"
                );
            }
        }
    }
    assert!(refused >= 10, "only {refused} faults were met at all");
}

/// A client of the validation protocol, of the first tenant's integration.
async fn yubico_client(world: &World, f: &Fixture) -> i64 {
    let doer = Doer {
        tenant: TenantId(f.a.tenant),
        integration: None,
        actor: "cli".into(),
        source: String::new(),
        whereabouts: Default::default(),
        now: Timestamp(BEGIN),
    };
    let (name, key) = ("login".to_owned(), SecretBytes::new(vec![3; 20]));
    let create = CreateYubicoClient { doer, integration: IntegrationId(f.a.integration), name, key };
    match world.store.write(create).await.unwrap() {
        CreatedYubicoClient::New(made) => made.id.0,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_client_that_cannot_be_looked_up_is_answered_in_the_words_of_its_protocol() {
    for table in ["yubico_client", "integration"] {
        let (world, f) = world().await;
        let id = yubico_client(&world, &f).await;
        let path =
            format!("/wsapi/2.0/verify?id={id}&nonce=aef3a7835277a28da831&otp=vvcccccccccb&h=bm9uZQ==");
        let ask = async || world.ask(&Credential::Nothing, "GET", &path, &Value::Null).await;
        let store = database(&world);
        Fault::Gone.begin(&store, table);
        let failed = ask().await;
        Fault::Gone.end(&store, table);
        assert_eq!(
            (failed.status.as_u16(), &failed.headers["content-type"]),
            (200, &"text/plain".parse().unwrap())
        );
        let lines: Vec<&str> = failed.text.lines().filter(|line| !line.starts_with("t=")).collect();
        let expected = ["otp=vvcccccccccb", "nonce=aef3a7835277a28da831", "status=BACKEND_ERROR", ""];
        assert_eq!(lines, expected, "{table}");
        // It was not remembered as nobody.
        let healthy = ask().await;
        assert!(healthy.text.contains("status=BAD_SIGNATURE"), "{table}: {healthy:?}");
    }
}

/// The path where an enrollment of a new client is prepared.
async fn begun(world: &World, token: &Credential, username: &str) -> String {
    let body = json!({ "username": username });
    let made = world.ask(token, "POST", "/integrations/enrollments", &body).await.json();
    format!("/integrations/enrollments/{}/prepare-device", made["pk"])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_is_a_refusal_and_ends_nothing_else() {
    let (world, Fixture { a, .. }) = world().await;
    let (gopher, ferris) = (begun(&world, &a.token, "gopher").await, begun(&world, &a.token, "ferris").await);
    // The messenger of these tests panics where a text message is to be sent.
    let sms = json!({ "kind": "SMS", "options": { "address": "+4915112345678" } });
    let answer = world.ask(&a.token, "POST", &gopher, &sms).await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (500, "internal"), "{answer:?}");
    assert!(answer.headers.contains_key("x-request-id"), "{answer:?}");
    // What became of a request with a key is not known then, and it is not run again.
    let key = Credential::SentBefore("k".into());
    for (status, code) in [(500, "internal"), (409, "idempotency_in_progress")] {
        let answer = world.ask_with(&[&a.token, &key], "POST", &ferris, &sms).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (status, code), "{answer:?}");
    }
    let totp = world.ask(&a.token, "POST", &gopher, &json!({ "kind": "TOTP" })).await;
    assert_eq!(totp.status.as_u16(), 200, "{totp:?}");
}
