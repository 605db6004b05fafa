//! The schema: the same on both databases, applied once, and no other is taken.

use std::collections::BTreeSet;
use std::path::Path;

use oss2fa_server::device::NewDevice;
use oss2fa_server::store::copy_tables::TABLES;
use oss2fa_server::store::error::StoreError;
use oss2fa_server::store::schema::{POSTGRES, SQLITE};
use oss2fa_server::store::verbs::apps::{RegisterApp, Registered};
use oss2fa_server::store::verbs::challenges::FindChallenge;
use oss2fa_server::store::verbs::clients::{ChangeClient, ClientChange, DevicesOf};
use oss2fa_server::store::verbs::enrollments::Completed;
use oss2fa_server::store::{Place, Store};
use oss2fa_server::whereabouts::Whereabouts;

use crate::cluster::Cluster;
use crate::everything::app;
use crate::raw::{altered, change, number, tables};
use crate::sealed::bytes;
use crate::sow::{
    RFC_CODES, RFC_SECRET, challenge, complete, counting, enrolled, is_admitted, prepared, right, tenant,
};
use crate::world::{World, place};

clauses!(
    a_migration_is_applied_once,
    an_edited_migration_is_refused,
    a_newer_database_is_refused,
    numbers_are_never_given_twice,
    a_store_from_before_hosts_is_brought_up_with_what_is_in_it,
    a_store_from_before_device_use_keeps_what_was_spent,
    a_store_from_before_use_by_client_keeps_what_was_spent,
    a_device_whose_use_is_missing_lets_nobody_in,
);

fn files(database: &str) -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations").join(database);
    let mut names: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn both_databases_have_the_same_migrations() {
    assert_eq!(files("sqlite"), files("postgres"));
    let of = |list: &[(&str, &str)]| list.iter().map(|(name, _)| format!("{name}.sql")).collect::<Vec<_>>();
    assert_eq!(of(SQLITE), files("sqlite"), "each is in the program");
    assert_eq!(of(POSTGRES), files("postgres"), "each is in the program");
}

#[test]
fn both_databases_have_the_same_tables() {
    for ((name, sqlite), (_, postgres)) in SQLITE.iter().zip(POSTGRES) {
        assert_eq!(altered(sqlite), altered(postgres), "{name}");
        let (sqlite, postgres) = (tables(sqlite), tables(postgres));
        assert_eq!(sqlite.len(), postgres.len(), "{name}");
        for (a, b) in sqlite.iter().zip(&postgres) {
            assert_eq!((a.name, &a.columns, &a.key), (b.name, &b.columns, &b.key), "{name}");
        }
    }
}

#[test]
fn text_in_a_key_is_ordered_by_its_bytes_on_postgres() {
    let mut seen = 0;
    for (name, script) in POSTGRES {
        for table in tables(script) {
            for key in table.key {
                let begin = script.split_once(&format!("CREATE TABLE {} (", table.name)).unwrap().1;
                let line = begin.lines().find(|line| line.trim().starts_with(&format!("{key} "))).unwrap();
                if line.contains("TEXT") {
                    assert!(line.contains("COLLATE \"C\""), "{name}, {}: {line}", table.name);
                    seen += 1;
                }
            }
        }
    }
    assert!(seen >= 3, "{seen}");
}

#[test]
fn store_copy_takes_every_table_and_every_column_along() {
    let all = crate::raw::all_tables();
    let names: BTreeSet<_> =
        all.iter().map(|table| table.name).filter(|name| *name != "store_state").collect();
    assert_eq!(TABLES.iter().map(|table| table.name).collect::<BTreeSet<_>>(), names);
    for table in &TABLES {
        let made = all.iter().find(|made| made.name == table.name).unwrap();
        let of = |columns: &[&'static str]| columns.iter().copied().collect::<BTreeSet<_>>();
        assert_eq!(of(table.columns), of(&made.columns), "{}", table.name);
        assert_eq!(table.key, made.key, "{}", table.name);
    }
}

#[tokio::test]
async fn a_postgresql_that_is_too_old_is_refused_before_anything_is_made() {
    let cluster = Cluster::start();
    let url = cluster.database();
    let (_, name) = url.rsplit_once('/').unwrap();
    let pose = "CREATE SCHEMA old; CREATE FUNCTION old.current_setting(text) RETURNS text LANGUAGE sql \
                AS $$ SELECT '140011' $$";
    cluster.sql(name, pose);
    let old = place(&format!("{url}?options=-c%20search_path%3Dold,pg_catalog"));
    let world = World::at(tempfile::tempdir().unwrap(), old);
    for opened in [world.try_node().await, Store::open_existing(world.place(), world.ring()).await] {
        let refused = opened.err().unwrap();
        assert!(matches!(&refused, StoreError::OldPostgres(version) if version == "14.11"), "{refused}");
    }
    let made = "SELECT count(*) FROM pg_tables WHERE schemaname IN ('old', 'public')";
    assert_eq!(cluster.sql(name, made).trim(), "0");
}

async fn a_migration_is_applied_once(world: &World) {
    drop(world.node().await);
    let store = world.node().await;
    let applied = number(&store, "SELECT count(*) FROM migration").await;
    assert_eq!(usize::try_from(applied).unwrap(), SQLITE.len());
}

async fn an_edited_migration_is_refused(world: &World) {
    let store = world.begun().await;
    change(&store, "UPDATE migration SET checksum = 'other' WHERE name = '0001_first'").await;
    let refused = world.try_node().await.err().unwrap();
    assert!(matches!(&refused, StoreError::Migration(name) if name == "0001_first"), "{refused}");
}

async fn a_newer_database_is_refused(world: &World) {
    let store = world.begun().await;
    change(&store, "INSERT INTO migration (name, checksum, applied_at) VALUES ('9999_later', 'x', 1)").await;
    let refused = world.try_node().await.err().unwrap();
    assert!(matches!(&refused, StoreError::Newer(name) if name == "9999_later"), "{refused}");
    assert!(refused.to_string().contains("newer release"), "{refused}");
    // What runs goes on.
    assert_eq!(number(&store, "SELECT count(*) FROM tenant").await, 1);
}

async fn numbers_are_never_given_twice(world: &World) {
    let store = world.begun().await;
    let own = crate::sow::tenant(world, &store, 1).await;
    let first = crate::sow::enrollment(world, &store, own, "ferris").await;
    change(&store, format!("DELETE FROM enrollment WHERE pk = {first}")).await;
    let second = crate::sow::enrollment(world, &store, own, "ferris").await;
    assert!(second > first, "{second} after {first}");
}

async fn a_store_from_before_hosts_is_brought_up_with_what_is_in_it(world: &World) {
    let store = world.begun().await;
    let own = tenant(world, &store, 1).await;
    let (client, device) = enrolled(world, &store, own, "ferris", counting(RFC_SECRET)).await;
    let challenge = challenge(world, &store, own, client, device).await;
    for statement in [
        "DROP TABLE offline_credential",
        "DROP TABLE host_event",
        "ALTER TABLE challenge DROP COLUMN whereabouts",
        "DELETE FROM migration WHERE name = '0003_hosts'",
    ] {
        change(&store, statement).await;
    }
    drop(store);
    let store = world.node().await;
    let (tenant, integration) = (own.tenant, own.integration);
    let find = FindChallenge { tenant, integration, challenge, now: world.now() };
    let found = store.read(find).await.unwrap().unwrap().challenge;
    assert_eq!((found.status, found.whereabouts), (1, Whereabouts::default()));
    let verdict = store.write(right(world, own, client, device, RFC_CODES[0])).await.unwrap();
    assert!(is_admitted(&verdict), "{verdict:?}");
    assert_eq!(number(&store, "SELECT count(*) FROM offline_credential").await, 0);
    let applied = number(&store, "SELECT count(*) FROM migration").await;
    assert_eq!(usize::try_from(applied).unwrap(), SQLITE.len());
}

/// The type of whole numbers.
fn whole(world: &World) -> &'static str {
    match world.place() {
        Place::Sqlite(_) => "INTEGER",
        Place::Postgres { .. } => "BIGINT",
    }
}

/// Makes a store what it was before its uses were found by their client.
async fn before_use_by_client(world: &World, store: &Store) {
    for statement in [
        "ALTER TABLE device ADD COLUMN fingerprint BYTEA",
        "UPDATE device SET fingerprint = (SELECT f.fingerprint FROM device_fingerprint f WHERE f.device = pk)",
        "DROP TABLE device_fingerprint",
        "CREATE INDEX device_fingerprint ON device (fingerprint) WHERE fingerprint IS NOT NULL",
        "ALTER TABLE device_use RENAME TO use_by_client",
        "CREATE TABLE device_use (device BIGINT PRIMARY KEY, tenant BIGINT NOT NULL, next_position BIGINT NOT NULL,
            last_used_at BIGINT)",
        "INSERT INTO device_use (device, tenant, next_position, last_used_at)
            SELECT d.pk, d.tenant, coalesce(u.next_position, d.next_position), u.last_used_at
            FROM device d LEFT JOIN use_by_client u ON u.client = d.client AND u.device = d.pk",
        "DROP TABLE use_by_client",
        "ALTER TABLE device DROP COLUMN next_position",
        "DELETE FROM migration WHERE name = '0006_use_by_client'",
    ] {
        let statement = statement.replace("BIGINT", whole(world)).replace("BYTEA", bytes(world));
        change(store, statement).await;
    }
    if let Place::Sqlite(_) = world.place() {
        change(store, "DROP INDEX client_verified").await;
    }
}

/// Makes a store what it was before uses had a table of their own.
async fn before_device_use(world: &World, store: &Store) {
    before_use_by_client(world, store).await;
    for statement in [
        "ALTER TABLE device ADD COLUMN next_position BIGINT NOT NULL DEFAULT 0",
        "ALTER TABLE device ADD COLUMN last_used_at BIGINT",
        "UPDATE device SET next_position = (SELECT u.next_position FROM device_use u WHERE u.device = pk),
            last_used_at = (SELECT u.last_used_at FROM device_use u WHERE u.device = pk)",
        "DROP TABLE device_use",
        "DELETE FROM migration WHERE name = '0004_device_use'",
    ] {
        change(store, statement.replace("BIGINT", whole(world))).await;
    }
}

async fn a_store_from_before_device_use_keeps_what_was_spent(world: &World) {
    keeps_what_was_spent(world, before_device_use).await;
}

async fn a_store_from_before_use_by_client_keeps_what_was_spent(world: &World) {
    keeps_what_was_spent(world, before_use_by_client).await;
}

/// What was spent in a store stays spent when `before` has made it one of an earlier release, and this one opens it.
async fn keeps_what_was_spent(world: &World, before: impl AsyncFn(&World, &Store)) {
    let store = world.begun().await;
    let own = tenant(world, &store, 1).await;
    let (client, device) = enrolled(world, &store, own, "ferris", counting(RFC_SECRET)).await;
    let tried = async |store: &Store, code| {
        let verdict = store.write(right(world, own, client, device, code)).await.unwrap();
        is_admitted(&verdict)
    };
    assert!(tried(&store, RFC_CODES[3]).await);
    let of_corro = |next_position| NewDevice { next_position, ..counting(b"another secret 12345") };
    let (corro, gone) = enrolled(world, &store, own, "corro", of_corro(7)).await;
    let remove =
        ChangeClient { doer: own.doer(world), client: corro, change: ClientChange::RemoveDevice(gone) };
    store.write(remove).await.unwrap();
    before(world, &store).await;
    drop(store);
    let store = world.node().await;
    assert!(!tried(&store, RFC_CODES[3]).await, "the code was spent before");
    let devices = store.read(DevicesOf { tenant: own.tenant, client }).await.unwrap();
    assert_eq!(devices[0].last_used_at, Some(world.now()));
    assert!(tried(&store, RFC_CODES[4]).await);
    let position = format!("SELECT next_position FROM device_use WHERE device = {device}");
    assert_eq!(number(&store, position).await, 5);
    assert_eq!(number(&store, "SELECT count(*) FROM device_use").await, 1, "of the device that can be used");
    for (position, free) in [(6, false), (8, true)] {
        let pk = prepared(world, &store, own, "corro").await;
        let again = store.write(complete(world, own, pk, "corro", of_corro(position))).await.unwrap();
        assert_eq!(again != Completed::Used, free, "{position}: {again:?}, of a device that is gone");
    }
}

async fn a_device_whose_use_is_missing_lets_nobody_in(world: &World) {
    let store = world.begun().await;
    let own = tenant(world, &store, 1).await;
    let (client, device) = enrolled(world, &store, own, "ferris", counting(RFC_SECRET)).await;
    change(&store, format!("DELETE FROM device_use WHERE device = {device}")).await;
    let verdict = store.write(right(world, own, client, device, RFC_CODES[3])).await.unwrap();
    assert!(!is_admitted(&verdict), "{verdict:?}");
    let pk = prepared(world, &store, own, "corro").await;
    let again = store.write(complete(world, own, pk, "corro", counting(RFC_SECRET))).await.unwrap();
    assert_eq!(again, Completed::Used, "nobody knows how far it was used");
    // Whoever looks after the client sees it, and can remove it.
    let devices = store.read(DevicesOf { tenant: own.tenant, client }).await.unwrap();
    assert_eq!(devices.len(), 1);
    let remove = ChangeClient { doer: own.doer(world), client, change: ClientChange::RemoveDevice(device) };
    store.write(remove).await.unwrap();
    let app = RegisterApp { device: counting(RFC_SECRET), ..app(own.doer(world), 8) };
    assert_eq!(store.write(app).await.unwrap(), Registered::SeedInUse, "as before its removal");
}
