//! What hosts report: each event once, in the audit of their own tenant.

use std::sync::Arc;

use oss2fa_server::store::Store;
use oss2fa_server::store::audit::{AuditEntry, AuditFilter, AuditPage, AuditVerdict, VerifyAudit};
use oss2fa_server::store::verbs::Doer;
use oss2fa_server::store::verbs::host_events::{Counted, HostEvent, RecordHostEvents};
use oss2fa_server::store::verbs::integrations::RemoveIntegration;
use oss2fa_server::store::verbs::tenants::{RemoveTenant, Removed};
use tokio::task::JoinSet;

use crate::raw::{dump, number};
use crate::sow::{Own, RFC_SECRET, counting, enrolled, integration, tenant};
use crate::world::World;

clauses!(
    each_event_is_written_down_once,
    at_the_same_moment_on_three_nodes,
    strangers_write_nothing_of_others,
    they_go_with_their_integration,
    a_counter_that_a_key_has_signed_rises_in_its_own_integration_alone,
);

fn events(digests: &[u8]) -> Vec<HostEvent> {
    let event = |n: &u8| HostEvent {
        digest: [*n; 32],
        username: "ferris".to_owned(),
        detail: format!("event {n}"),
        counted: None,
    };
    digests.iter().map(event).collect()
}

pub(crate) async fn report(store: &Store, doer: Doer, digests: &[u8]) -> u64 {
    store.write(RecordHostEvents { doer, events: events(digests) }).await.unwrap()
}

async fn written(store: &Store, own: Own) -> Vec<AuditEntry> {
    let filter = AuditFilter { event: Some("host_event".to_owned()), ..AuditFilter::default() };
    store.read(AuditPage { tenant: own.tenant, after: 0, limit: 1000, filter }).await.unwrap()
}

async fn each_event_is_written_down_once(world: &World) {
    let store = world.begun().await;
    let own = tenant(world, &store, 1).await;
    assert_eq!(report(&store, own.doer(world), &[3, 1, 3, 2]).await, 3, "one stands twice in the report");
    assert_eq!(report(&store, own.doer(world), &[2, 4]).await, 1);
    assert_eq!(report(&store, own.doer(world), &[4, 3, 2, 1]).await, 0);
    assert_eq!(report(&store, own.doer(world), &[]).await, 0);
    let entries = written(&store, own).await;
    let details: Vec<_> = entries.iter().map(|entry| entry.detail.as_str()).collect();
    assert_eq!(details, ["event 3", "event 1", "event 2", "event 4"], "in the order of the host");
    assert_eq!((entries[0].username.as_str(), entries[0].source.as_str()), ("ferris", "192.0.2.1"));
    // Another integration has words of its own.
    let sibling = integration(world, &store, own.tenant, 2).await;
    assert_eq!(report(&store, sibling.doer(world), &[1]).await, 1);
}

async fn at_the_same_moment_on_three_nodes(world: &World) {
    let nodes = [Arc::new(world.begun().await), Arc::new(world.node().await), Arc::new(world.node().await)];
    let own = tenant(world, &nodes[0], 1).await;
    let mut running = JoinSet::new();
    for at in 0..30_usize {
        let (node, doer) = (Arc::clone(&nodes[at % 3]), own.doer(world));
        let mut all: Vec<u8> = (1..=20).collect();
        all.rotate_left(at % 20);
        running.spawn(async move { report(&node, doer, &all).await });
    }
    assert_eq!(running.join_all().await.iter().sum::<u64>(), 20);
    assert_eq!(written(&nodes[0], own).await.len(), 20);
    let verdict = nodes[1].read(VerifyAudit { tenant: own.tenant }).await.unwrap();
    assert!(matches!(verdict, AuditVerdict::Whole { .. }), "{verdict:?}");
}

async fn strangers_write_nothing_of_others(world: &World) {
    let store = world.begun().await;
    let (own, other) = (tenant(world, &store, 1).await, tenant(world, &store, 2).await);
    assert_eq!(report(&store, own.doer(world), &[1]).await, 1);
    let before = dump(&store, own.tenant).await;
    let mixed = Own { tenant: other.tenant, ..own };
    assert_eq!(report(&store, mixed.doer(world), &[1, 2]).await, 0, "an integration of another tenant");
    assert_eq!(report(&store, other.doer(world), &[1, 2]).await, 2, "their own");
    assert_eq!(dump(&store, own.tenant).await, before);
    assert_eq!(written(&store, other).await.len(), 2);
    let nobody = Doer { integration: None, ..own.doer(world) };
    assert_eq!(report(&store, nobody, &[9]).await, 0);
}

async fn a_counter_that_a_key_has_signed_rises_in_its_own_integration_alone(world: &World) {
    let store = world.begun().await;
    let own = tenant(world, &store, 1).await;
    let (sibling, other) = (integration(world, &store, own.tenant, 2).await, tenant(world, &store, 3).await);
    let (_, device) = enrolled(world, &store, own, "ferris", counting(RFC_SECRET)).await;
    let tell = async |of: Own, digest: u8, counter| {
        let mut events = events(&[digest]);
        events[0].counted = Some(Counted { device, counter });
        store.write(RecordHostEvents { doer: of.doer(world), events }).await.unwrap();
        number(&store, format!("SELECT next_position FROM device_use WHERE device = {device}")).await
    };
    for (of, digest, counter, next) in [
        (own, 1, 7, 8),
        (own, 2, 6, 8),
        (own, 3, 7, 8),
        (sibling, 4, 90, 8),
        (other, 5, 90, 8),
        // Told again, it is what it was.
        (own, 1, 90, 8),
        (own, 6, 8, 9),
        (own, 7, u32::MAX, 4_294_967_296),
    ] {
        assert_eq!(tell(of, digest, counter).await, next, "{digest}: {counter}");
    }
}

async fn they_go_with_their_integration(world: &World) {
    let store = world.begun().await;
    let own = tenant(world, &store, 1).await;
    let sibling = integration(world, &store, own.tenant, 2).await;
    let other = tenant(world, &store, 3).await;
    for of in [own, sibling, other] {
        assert_eq!(report(&store, of.doer(world), &[1, 2]).await, 2);
    }
    let remove = RemoveIntegration { doer: own.doer(world), integration: own.integration };
    assert_eq!(store.write(remove).await.unwrap(), Removed::Done);
    assert_eq!(number(&store, "SELECT count(*) FROM host_event").await, 4);
    let remove = RemoveTenant { doer: world.server(), tenant: own.tenant };
    assert_eq!(store.write(remove).await.unwrap(), Removed::Done);
    assert_eq!(number(&store, "SELECT count(*) FROM host_event").await, 2);
}
