//! What fails in the middle of a check is a refusal: no error lets anybody pass, and none spends a code.

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::fixture::{Fixture, world};
use crate::world::{Answer, World};

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
