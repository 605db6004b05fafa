//! Removal while others are at it, over several nodes: what was spent stays spent, and nothing is left behind.

use std::sync::Arc;
use std::time::Duration;

use oss2fa_server::device::NewDevice;
use oss2fa_server::policy::LockPolicy;
use oss2fa_server::store::Store;
use oss2fa_server::store::error::StoreError;
use oss2fa_server::store::verbs::attempts::Attempt;
use oss2fa_server::store::verbs::clients::{ChangeClient, ClientChange};
use oss2fa_server::store::verbs::enrollments::Completed;
use oss2fa_server::store::verbs::integrations::RemoveIntegration;
use oss2fa_server::store::verbs::tenants::{RemoveTenant, Removed};
use tokio::task::JoinSet;

use crate::parallel::three;
use crate::raw::{change, dump, number};
use crate::sow::{
    Own, RFC_CODES, RFC_SECRET, asking, challenge, complete, counting, enrolled, integration, is_admitted,
    prepared, right, tenant, wrong,
};
use crate::world::World;

clauses!(
    what_is_removed_during_tries_keeps_what_they_spent,
    a_tenant_is_removed_during_tries,
    an_integration_is_removed_during_tries,
    nothing_of_a_tenant_is_left_by_what_was_begun_before_its_removal,
    nobody_enrolls_at_an_integration_that_is_gone,
);

const FREE: u32 = 100_000;

fn limits() -> LockPolicy {
    LockPolicy {
        free_attempts: FREE,
        free_attempts_per_client: FREE,
        free_attempts_per_source: FREE,
        ..LockPolicy::default()
    }
}

async fn what_is_removed_during_tries_keeps_what_they_spent(world: &World) {
    let nodes = three(world).await;
    let own = tenant(world, &nodes[0], 1).await;
    for round in 0..12_u8 {
        let of = integration(world, &nodes[0], own.tenant, 100 + round).await;
        let (client, device) = enrolled(world, &nodes[0], of, "ferris", counting(RFC_SECRET)).await;
        let mut tries = JoinSet::new();
        for (at, code) in RFC_CODES.iter().enumerate() {
            let node = Arc::clone(&nodes[at % 3]);
            let one = Attempt { limits: limits(), ..right(world, of, client, device, code) };
            tries.spawn(async move { is_admitted(&node.write(one).await.unwrap()).then_some(at) });
        }
        let node = Arc::clone(&nodes[usize::from(round) % 3]);
        let doer = of.doer(world);
        let what = match round % 3 {
            0 => Some(ClientChange::RemoveDevice(device)),
            1 => Some(ClientChange::Remove),
            _ => None,
        };
        match what {
            Some(change) => node.write(ChangeClient { doer, client, change }).await.unwrap(),
            None => node.write(RemoveIntegration { doer, integration: of.integration }).await.unwrap(),
        };
        let spent = tries.join_all().await.into_iter().flatten().max().map_or(0, |last| last + 1);
        let kept = format!("SELECT next_position FROM device WHERE pk = {device}");
        assert_eq!(number(&nodes[1], kept).await, i64::try_from(spent).unwrap(), "round {round}");
        let left = format!("SELECT count(*) FROM device_use WHERE device = {device}");
        assert_eq!(number(&nodes[1], left).await, 0, "round {round}");
        // Elsewhere in the tenant, so that it is the position alone that counts.
        let elsewhere = integration(world, &nodes[0], own.tenant, 200 + round).await;
        if spent > 0 {
            let pk = prepared(world, &nodes[0], elsewhere, "ferris").await;
            let used = NewDevice { next_position: spent as u64, ..counting(RFC_SECRET) };
            let again = nodes[2].write(complete(world, elsewhere, pk, "ferris", used)).await.unwrap();
            assert_eq!(again, Completed::Used, "round {round}");
        }
        // The next round has this secret again.
        change(&nodes[0], "DELETE FROM device_fingerprint").await;
    }
}

/// Tries of many clients at each node, that go on until one ends with an error.
async fn tries(world: &World, nodes: &[Arc<Store>; 3], own: Own) -> JoinSet<Option<StoreError>> {
    let mut tries = JoinSet::new();
    for n in 0..24 {
        let who = format!("client{n}");
        let device = counting(format!("secret of client {n:04}").as_bytes());
        let (client, device) = enrolled(world, &nodes[0], own, &who, device).await;
        let open = challenge(world, &nodes[0], own, client, device).await;
        let node = Arc::clone(&nodes[n % 3]);
        let one = |at| {
            let challenge = (at % 2 == 0).then_some(open);
            Attempt { limits: limits(), challenge, ..wrong(world, own, client) }
        };
        let all: Vec<_> = (0..5000).map(one).collect();
        tries.spawn(async move {
            for one in all {
                if let Err(error) = node.write(one).await {
                    return Some(error);
                }
            }
            None
        });
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    tries
}

async fn a_tenant_is_removed_during_tries(world: &World) {
    let nodes = three(world).await;
    let own = tenant(world, &nodes[0], 1).await;
    let tries = tries(world, &nodes, own).await;
    let remove = RemoveTenant { doer: world.server(), tenant: own.tenant };
    assert_eq!(nodes[0].write(remove).await.unwrap(), Removed::Done);
    for error in tries.join_all().await.into_iter().flatten() {
        assert!(matches!(error, StoreError::NoKeys(_) | StoreError::Corrupt(_)), "{error:?}");
    }
    assert_eq!(dump(&nodes[1], own.tenant).await, Vec::<String>::new());
}

async fn an_integration_is_removed_during_tries(world: &World) {
    let nodes = three(world).await;
    let own = tenant(world, &nodes[0], 1).await;
    let mut tries = tries(world, &nodes, own).await;
    let remove = RemoveIntegration { doer: own.doer(world), integration: own.integration };
    assert_eq!(nodes[0].write(remove).await.unwrap(), Removed::Done);
    tries.shutdown().await;
    assert_eq!(number(&nodes[1], "SELECT count(*) FROM device_use").await, 0);
}

async fn nothing_of_a_tenant_is_left_by_what_was_begun_before_its_removal(world: &World) {
    let nodes = three(world).await;
    for round in 0..6 {
        let own = tenant(world, &nodes[0], 10 + round).await;
        let (client, device) = enrolled(world, &nodes[0], own, "ferris", counting(RFC_SECRET)).await;
        let mut writing = JoinSet::new();
        for n in 0..60_usize {
            let who = format!("client{n}");
            let pk = prepared(world, &nodes[0], own, &who).await;
            let device = counting(format!("secret of client {n:04}").as_bytes());
            let (node, enroll) = (Arc::clone(&nodes[n % 3]), complete(world, own, pk, &who, device));
            writing.spawn(async move { node.write(enroll).await.map(drop) });
        }
        for n in 0..60_usize {
            let (node, ask) = (Arc::clone(&nodes[n % 3]), asking(world, own, client, device));
            writing.spawn(async move { node.write(ask).await.map(drop) });
        }
        tokio::time::sleep(Duration::from_millis(u64::from(round) * 4)).await;
        let remove = RemoveTenant { doer: world.server(), tenant: own.tenant };
        assert_eq!(nodes[0].write(remove).await.unwrap(), Removed::Done, "round {round}");
        writing.join_all().await;
        assert_eq!(dump(&nodes[1], own.tenant).await, Vec::<String>::new(), "round {round}");
    }
}

async fn nobody_enrolls_at_an_integration_that_is_gone(world: &World) {
    let store = world.begun().await;
    let own = tenant(world, &store, 1).await;
    let gone = store.write(RemoveIntegration { doer: own.doer(world), integration: own.integration }).await;
    assert_eq!(gone.unwrap(), Removed::Done);
    // By a node that still knows its token.
    let pk = prepared(world, &store, own, "ferris").await;
    let done = store.write(complete(world, own, pk, "ferris", counting(RFC_SECRET))).await.unwrap();
    assert_eq!(done, Completed::Over);
    assert_eq!(number(&store, "SELECT count(*) FROM client").await, 0);
}
