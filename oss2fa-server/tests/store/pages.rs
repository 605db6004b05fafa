//! Pages of lists: as fast where there are very many as where there are few.

use std::time::{Duration, Instant};

use oss2fa_server::ids::HostName;
use oss2fa_server::store::verb::Query;
use oss2fa_server::store::verbs::Page;
use oss2fa_server::store::verbs::apps::ListApps;
use oss2fa_server::store::verbs::clients::ListClients;
use oss2fa_server::store::verbs::offline::ListOfflineCredentials;
use oss2fa_server::store::{Place, Store};

use crate::raw::change;
use crate::sow::{Own, name, tenant};
use crate::world::World;

clauses!(a_page_reads_and_sorts_no_more_than_itself);

const FEW: u32 = 20;
const MANY: u32 = 50_000;
const PAGE: Page = Page { after: 0, limit: 10 };

/// So many clients, apps and credentials, those of the integrations named last.
async fn fill(store: &Store, own: Own, count: u32) {
    let (tenant, integration) = (own.tenant, own.integration);
    for (table, columns, values) in [
        ("client", "username, status, created_at", "'user' || CAST(n AS TEXT), 'active', 1"),
        (
            "app",
            "client, uuid, device, name, username, trusted, seed_reads, created_at",
            "n + 1000000 * {integration}, '00000000-0000-4000-8000-' || substr(CAST(1000000000000 + n AS TEXT), 2), n, 'app', 'user' || CAST(n AS TEXT), 1, 0, 1",
        ),
        (
            "offline_credential",
            "client, username, host, name, status, created_at",
            "n + 1000000 * {integration}, 'user' || CAST(n AS TEXT), 'host' || CAST(n AS TEXT), 'phone', 'active', 1",
        ),
    ] {
        let values = values.replace("{integration}", &integration.to_string());
        change(
            store,
            format!(
                "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {count})
                 INSERT INTO {table} (tenant, integration, {columns})
                 SELECT {tenant}, {integration}, {values} FROM numbers"
            ),
        )
        .await;
    }
}

/// The shortest of several tries to read something: what the machine does besides is in the longer ones.
async fn shortest<Q: Query>(
    store: &Store,
    query: impl Fn() -> Q,
    found: impl Fn(&Q::Output) -> usize,
    expected: usize,
) -> Duration {
    let mut shortest = Duration::MAX;
    for _ in 0..20 {
        let begun = Instant::now();
        let rows = store.read(query()).await.unwrap();
        shortest = shortest.min(begun.elapsed());
        assert_eq!(found(&rows), expected);
    }
    shortest
}

async fn a_page_reads_and_sorts_no_more_than_itself(world: &World) {
    let store = world.begun().await;
    let (one, other) = (tenant(world, &store, 1).await, tenant(world, &store, 2).await);
    fill(&store, one, FEW).await;
    fill(&store, other, MANY).await;
    if matches!(world.place(), Place::Postgres { .. }) {
        // What it does by itself after a while.
        change(&store, "ANALYZE").await;
    }
    let times = async |own: Own| {
        let (tenant, integration) = (own.tenant, own.integration);
        let who = || Some(name("user7"));
        let host = || Some(HostName::parse("host7").unwrap());
        let clients = |username| ListClients { tenant, integration, username, page: PAGE };
        let apps = |username| ListApps { tenant, integration, username, page: PAGE };
        let credentials =
            |host, username| ListOfflineCredentials { tenant, integration, host, username, page: PAGE };
        [
            ("clients", shortest(&store, || clients(None), Vec::len, 10).await),
            ("a client by name", shortest(&store, || clients(who()), Vec::len, 1).await),
            ("apps", shortest(&store, || apps(None), Vec::len, 10).await),
            ("apps of a user", shortest(&store, || apps(who()), Vec::len, 1).await),
            ("credentials", shortest(&store, || credentials(None, None), Vec::len, 10).await),
            ("those of a host", shortest(&store, || credentials(host(), None), Vec::len, 1).await),
            ("those of a user", shortest(&store, || credentials(None, who()), Vec::len, 1).await),
            ("a user's on a host", shortest(&store, || credentials(host(), who()), Vec::len, 1).await),
        ]
    };
    for ((what, of_few), (_, of_many)) in times(one).await.into_iter().zip(times(other).await) {
        assert!(
            of_many < 5 * of_few + Duration::from_millis(2),
            "{what}: {of_many:?} among many, {of_few:?}"
        );
    }
}
