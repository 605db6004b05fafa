//! PostgreSQL databases that a server could not work with: refused at the start, with what to do.

use oss2fa_server::store::Store;
use oss2fa_server::store::error::StoreError;

use crate::cluster::Cluster;
use crate::copy::{copy, go_on};
use crate::world::{World, place};

fn world(url: &str) -> World {
    World::at(tempfile::tempdir().unwrap(), place(url))
}

/// A new database of this encoding.
fn encoded(cluster: &Cluster, encoding: &str) -> World {
    let url = cluster.database();
    let (rest, _) = url.rsplit_once('/').unwrap();
    let name = encoding.to_lowercase();
    cluster.sql(
        "postgres",
        &format!("CREATE DATABASE {name} TEMPLATE template0 ENCODING '{encoding}' LOCALE 'C'"),
    );
    world(&format!("{rest}/{name}"))
}

#[tokio::test]
async fn one_that_cannot_hold_every_name() {
    let cluster = Cluster::start();
    let latin = encoded(&cluster, "LATIN1");
    for opened in [latin.try_node().await, Store::open_existing(latin.place(), latin.ring()).await] {
        let refused = opened.err().unwrap();
        assert!(matches!(&refused, StoreError::Encoding(name) if name == "LATIN1"), "{refused}");
        assert!(refused.to_string().contains("ENCODING 'UTF8'"), "{refused}");
    }
    let made = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'";
    assert_eq!(cluster.sql("latin1", made), "0");
    // A copy finds it before the old store is closed.
    let from = World::sqlite();
    let old = from.begun().await;
    let refused = copy(&from, &latin, "one", &mut go_on).await.unwrap_err().to_string();
    assert!(refused.contains("LATIN1"), "{refused}");
    old.ready().await.unwrap();
    // Where PostgreSQL looks at no byte of a text, every name comes back as it went.
    encoded(&cluster, "SQL_ASCII").begun().await.ready().await.unwrap();
}

#[tokio::test]
async fn one_in_which_nothing_may_be_made() {
    let cluster = Cluster::start();
    cluster.sql("postgres", "CREATE ROLE guest LOGIN");
    let url = cluster.database().replace("postgres://postgres@", "postgres://guest@");
    for (url, what) in [
        (url.clone(), "permission denied for schema public"),
        (format!("{url}?options=-c%20search_path%3Dnowhere"), "no schema has been selected"),
    ] {
        let refused = world(&url).try_node().await.err().unwrap().to_string();
        assert!(refused.contains(what) && refused.contains("must own the database"), "{refused}");
    }
}
