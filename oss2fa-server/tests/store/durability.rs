//! What a connection is told before it is used: a commit is acknowledged when it is on the disk, and a code that was
//! accepted is not good again after a power cut. No test can cut the power; so the settings are asked for, on the
//! connections of the store itself.

use oss2fa_server::store::Store;
use oss2fa_server::store::error::StoreError;
use oss2fa_server::store::sql::Sql;
use oss2fa_server::store::verb::{Query, Tx, Verb};

use crate::cluster::Cluster;
use crate::world::{World, place};

/// One word, by a connection that writes, or by one that reads.
struct Word(&'static str);

impl Query for Word {
    type Output = String;

    async fn run<S: Sql>(&self, tx: &mut Tx<'_, S>) -> Result<String, StoreError> {
        tx.sql.row(self.0, &[]).await?.unwrap().take(0)
    }
}

impl Verb for Word {
    type Output = String;

    async fn run<S: Sql>(&self, tx: &mut Tx<'_, S>) -> Result<String, StoreError> {
        tx.sql.row(self.0, &[]).await?.unwrap().take(0)
    }
}

#[tokio::test]
async fn sqlite_syncs_its_log_with_each_commit() {
    let world = World::sqlite();
    let new = world.begun().await;
    let synchronous = "SELECT CAST(synchronous AS TEXT) FROM pragma_synchronous";
    let journal_mode = "SELECT journal_mode FROM pragma_journal_mode";
    for store in [&new, &world.node().await] {
        assert_eq!(store.write(Word(journal_mode)).await.unwrap(), "wal");
        assert_eq!(store.write(Word(synchronous)).await.unwrap(), "2", "FULL");
    }
}

const SETTING: &str = "SELECT current_setting('synchronous_commit')";

/// A store in a database that is set to this.
async fn set_to(cluster: &Cluster, value: &str) -> Store {
    let url = cluster.database();
    let (_, name) = url.rsplit_once('/').unwrap();
    cluster.sql(name, &format!("ALTER DATABASE {name} SET synchronous_commit = {value}"));
    assert_eq!(cluster.sql(name, SETTING), value, "for everybody else");
    World::at(tempfile::tempdir().unwrap(), place(&url)).begun().await
}

#[tokio::test]
async fn postgresql_syncs_with_each_commit_also_where_the_database_is_set_not_to() {
    let cluster = Cluster::start();
    let store = set_to(&cluster, "off").await;
    // Writers take turns, and readers as they are free.
    for _ in 0..8 {
        assert_eq!(store.write(Word(SETTING)).await.unwrap(), "on");
        assert_eq!(store.read(Word(SETTING)).await.unwrap(), "on");
    }
}

#[tokio::test]
async fn postgresql_keeps_a_stricter_setting_of_the_database() {
    let cluster = Cluster::start();
    let store = set_to(&cluster, "remote_apply").await;
    assert_eq!(store.write(Word(SETTING)).await.unwrap(), "remote_apply");
}
