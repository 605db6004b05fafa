//! SQLite's log: brought into the database while verbs keep coming, and written over again.

use std::path::PathBuf;
use std::sync::Arc;

use oss2fa_server::store::error::StoreError;
use oss2fa_server::store::verbs::ready::Nothing;
use oss2fa_server::store::{Place, Store};
use rusqlite::{Connection, OpenFlags};

use crate::raw::{change, number};
use crate::world::World;

/// A page of 4 KiB with its head.
const PAGE: u64 = 4096 + 24;
/// Pages that each change writes.
const PAGES: u64 = 300;
/// At 16,000 pages the writer waits; one more change may be under way.
const MOST: u64 = 17_000;

fn path(world: &World) -> PathBuf {
    let Place::Sqlite(path) = world.place() else { panic!("SQLite alone has such a log") };
    path.clone()
}

fn log(world: &World) -> PathBuf {
    let mut log = path(world).into_os_string();
    log.push("-wal");
    log.into()
}

/// Length of the log's file in pages: it never gets shorter.
fn length(world: &World) -> u64 {
    std::fs::metadata(log(world)).unwrap().len() / PAGE
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
    let changed = 150;
    changes(&store, changed).await;
    let length = length(&world);
    assert!(length < MOST && MOST < changed * PAGES / 2, "{length} pages: it was not written over");
}

#[tokio::test]
async fn what_is_closed_is_whole_in_one_file() {
    let world = World::sqlite();
    drop(world.begun().await);
    for n in 0..100 {
        let store = world.node().await;
        change(&store, format!("UPDATE tenant SET name = 'tenant {n}'")).await;
        store.close().await;
        assert!(!log(&world).exists(), "close number {n} left the log");
    }
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
    assert!(length < MOST && MOST < with_reader + 60 * PAGES, "{length} pages after {with_reader}");
}

#[tokio::test]
async fn nothing_is_accepted_once_a_part_of_the_store_has_lost_its_name_and_a_close_in_order_keeps_the_rest()
{
    for end in ["-wal", "-shm"] {
        let world = World::sqlite();
        let store = world.begun().await;
        change(&store, "UPDATE tenant SET name = 'written before'").await;
        let mut gone = path(&world).into_os_string();
        gone.push(end);
        std::fs::remove_file(&gone).unwrap();
        let refused = store.write(Nothing).await;
        assert!(
            matches!(&refused, Err(StoreError::File { path, what }) if *path == gone && what.contains("SIGTERM")),
            "{end}: {refused:?}"
        );
        store.ready().await.unwrap_err();
        store.close().await;
        let again = world.node().await;
        assert_eq!(
            number(&again, "SELECT count(*) FROM tenant WHERE name = 'written before'").await,
            1,
            "{end}"
        );
        again.ready().await.unwrap();
    }
}
