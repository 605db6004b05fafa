//! SQLite's log: brought into the database while verbs keep coming, and written over again.

use std::path::PathBuf;
use std::sync::Arc;

use oss2fa_server::store::{Place, Store};
use rusqlite::{Connection, OpenFlags};

use crate::raw::change;
use crate::world::World;

/// A page of 4 KiB with its head.
const PAGE: u64 = 4096 + 24;
/// Pages that each change writes.
const PAGES: u64 = 300;

fn path(world: &World) -> PathBuf {
    let Place::Sqlite(path) = world.place() else { panic!("SQLite alone has such a log") };
    path.clone()
}

/// Length of the log's file in pages: it never gets shorter.
fn length(world: &World) -> u64 {
    let mut log = path(world).into_os_string();
    log.push("-wal");
    std::fs::metadata(log).unwrap().len() / PAGE
}

async fn filled(world: &World) -> Arc<Store> {
    let store = world.begun().await;
    change(&store, "CREATE TABLE filler (pk INTEGER PRIMARY KEY, bytes BLOB)").await;
    let rows = format!(
        "WITH RECURSIVE n(pk) AS (SELECT 1 UNION ALL SELECT pk + 1 FROM n WHERE pk < {PAGES})
         INSERT INTO filler SELECT pk, zeroblob(3500) FROM n"
    );
    change(&store, rows).await;
    Arc::new(store)
}

/// So many changes, one right after the other.
async fn changes(store: &Store, count: u64) {
    for n in 0..count {
        change(store, format!("UPDATE filler SET bytes = CAST('{n}' || zeroblob(3500) AS BLOB)")).await;
    }
}

#[tokio::test]
async fn it_stays_short_while_verbs_keep_coming() {
    let world = World::sqlite();
    let store = filled(&world).await;
    let changed = 120;
    changes(&store, changed).await;
    let length = length(&world);
    assert!(length < changed * PAGES / 4, "{length} pages: it was not written over");
    store.close().await;
    let mut log = path(&world).into_os_string();
    log.push("-wal");
    assert!(!PathBuf::from(log).exists(), "what is closed is whole in one file");
}

#[tokio::test]
async fn it_gets_short_again_when_a_reader_has_gone() {
    let world = World::sqlite();
    let store = filled(&world).await;
    let reader = Connection::open_with_flags(path(&world), OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    reader.execute_batch("BEGIN; SELECT count(*) FROM filler").unwrap();
    changes(&store, 30).await;
    let with_reader = length(&world);
    assert!(with_reader >= 30 * PAGES, "{with_reader} pages: what the reader sees was written over");
    reader.execute_batch("COMMIT").unwrap();
    changes(&store, 90).await;
    let length = length(&world);
    assert!(length < with_reader + 45 * PAGES, "{length} pages after {with_reader}");
}
