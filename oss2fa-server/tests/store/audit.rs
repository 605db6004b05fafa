//! The audit: whole as it is written, broken by every change from outside.

use oss2fa_server::store::Store;
use oss2fa_server::store::audit::{AuditEntry, AuditFilter, AuditPage, AuditVerdict, VerifyAudit};
use oss2fa_server::store::verbs::trusted::RecordPass;

use crate::raw::change;
use crate::sow::{Own, name, tenant};
use crate::world::World;

clauses!(
    it_is_whole_as_it_was_written,
    every_change_breaks_it,
    it_is_found_by_what_it_says,
    pages_follow_each_other,
);

/// Twelve events of a tenant.
async fn written(world: &World, store: &Store) -> Own {
    let own = tenant(world, store, 1).await;
    for n in 0..10 {
        let record = RecordPass {
            doer: own.from(world, &format!("192.0.2.{n}")),
            username: name(if n % 2 == 0 { "ferris" } else { "corro" }),
            what: if n < 5 { "allowed" } else { "denied" },
            why: "policy",
        };
        store.write(record).await.unwrap();
        world.pass(1);
    }
    own
}

async fn verify(store: &Store, own: Own) -> AuditVerdict {
    store.read(VerifyAudit { tenant: own.tenant }).await.unwrap()
}

async fn page(store: &Store, own: Own, after: i64, limit: u32, filter: AuditFilter) -> Vec<AuditEntry> {
    store.read(AuditPage { tenant: own.tenant, after, limit, filter }).await.unwrap()
}

async fn it_is_whole_as_it_was_written(world: &World) {
    let store = world.begun().await;
    let own = written(world, &store).await;
    let entries = page(&store, own, 0, 100, AuditFilter::default()).await;
    assert_eq!(entries.len(), 12, "made, an integration, ten passes");
    let newest = entries.last().unwrap();
    assert_eq!(verify(&store, own).await, AuditVerdict::Whole { events: 12, chain: newest.chain.clone() });
    assert_eq!((newest.event.as_str(), newest.username.as_str()), ("denied", "corro"));
    assert_eq!((newest.source.as_str(), newest.detail.as_str()), ("192.0.2.9", "policy"));
    assert_eq!((newest.integration, newest.actor.as_str()), (Some(own.integration), "integration"));
}

async fn every_change_breaks_it(world: &World) {
    let store = world.begun().await;
    let own = written(world, &store).await;
    let of = own.tenant;
    let row = format!("tenant = {of} AND seq = 7");
    // How it is broken, how it is mended, and where that is seen.
    let column = |column: &str, value: &str| {
        (
            format!("UPDATE audit SET {column} = {value} WHERE {row}"),
            format!("UPDATE audit SET {column} = (SELECT {column} FROM kept WHERE {row}) WHERE {row}"),
            7,
        )
    };
    let swap = |a: i64, b: i64| {
        format!(
            "UPDATE audit SET seq = CASE seq WHEN {a} THEN -{b} WHEN {b} THEN -{a} END WHERE tenant = {of} AND seq IN ({a}, {b})"
        )
    };
    change(&store, "CREATE TABLE kept AS SELECT * FROM audit").await;
    change(&store, "CREATE TABLE kept_head AS SELECT * FROM audit_head").await;
    let cases = vec![
        column("at", "at + 1"),
        column("event", "'denied'"),
        column("integration", "NULL"),
        column("username", "'corra'"),
        column("actor", "'cli'"),
        column("source", "'192.0.2.77'"),
        column("detail", "''"),
        column("chain", "(SELECT chain FROM kept k WHERE k.tenant = audit.tenant AND k.seq = 6)"),
        // Removed from the middle, the beginning and the end.
        (
            format!("DELETE FROM audit WHERE {row}"),
            format!("INSERT INTO audit SELECT * FROM kept WHERE {row}"),
            7,
        ),
        (
            format!("DELETE FROM audit WHERE tenant = {of} AND seq = 1"),
            format!("INSERT INTO audit SELECT * FROM kept WHERE tenant = {of} AND seq = 1"),
            1,
        ),
        (
            format!("DELETE FROM audit WHERE tenant = {of} AND seq > 10"),
            format!("INSERT INTO audit SELECT * FROM kept WHERE tenant = {of} AND seq > 10"),
            11,
        ),
        // The head set back, and what was added behind it.
        (
            format!(
                "UPDATE audit_head SET seq = 11, chain = (SELECT chain FROM audit a WHERE a.tenant = {of} AND a.seq = 11) WHERE tenant = {of}"
            ),
            format!(
                "UPDATE audit_head SET seq = 12, chain = (SELECT chain FROM kept_head k WHERE k.tenant = {of}) WHERE tenant = {of}"
            ),
            12,
        ),
        (
            format!(
                "INSERT INTO audit SELECT tenant, 13, at, event, integration, username, actor, source, detail, chain FROM kept WHERE tenant = {of} AND seq = 12"
            ),
            format!("DELETE FROM audit WHERE tenant = {of} AND seq = 13"),
            13,
        ),
    ];
    for (break_it, mend_it, at) in cases {
        assert!(change(&store, break_it.clone()).await > 0, "{break_it}");
        match verify(&store, own).await {
            AuditVerdict::Broken { at: seen, .. } => assert_eq!(seen, at, "{break_it}"),
            whole => panic!("{break_it}: {whole:?}"),
        }
        assert!(change(&store, mend_it.clone()).await > 0, "{mend_it}");
        let mended = verify(&store, own).await;
        assert!(matches!(mended, AuditVerdict::Whole { .. }), "{mend_it}: {mended:?}");
    }
    // Two that follow each other in the other order, numbers and all.
    change(&store, swap(5, 6)).await;
    change(&store, format!("UPDATE audit SET seq = -seq WHERE tenant = {of} AND seq < 0")).await;
    let verdict = verify(&store, own).await;
    assert!(matches!(verdict, AuditVerdict::Broken { at: 5, .. }), "{verdict:?}");
}

async fn it_is_found_by_what_it_says(world: &World) {
    let store = world.begun().await;
    let begun = world.now();
    let own = written(world, &store).await;
    let count = async |filter: AuditFilter| page(&store, own, 0, 100, filter).await.len();
    let none = AuditFilter::default;
    assert_eq!(count(AuditFilter { event: Some("denied".to_owned()), ..none() }).await, 5);
    assert_eq!(count(AuditFilter { username: Some("ferris".to_owned()), ..none() }).await, 5);
    assert_eq!(count(AuditFilter { integration: Some(own.integration), ..none() }).await, 11);
    assert_eq!(count(AuditFilter { since: Some(begun.after(3)), ..none() }).await, 7);
    assert_eq!(count(AuditFilter { until: Some(begun.after(3)), ..none() }).await, 5);
    let both = AuditFilter {
        event: Some("allowed".to_owned()),
        username: Some("corro".to_owned()),
        since: Some(begun.after(2)),
        ..none()
    };
    assert_eq!(count(both).await, 1);
    assert_eq!(count(AuditFilter { username: Some("nobody".to_owned()), ..none() }).await, 0);
}

async fn pages_follow_each_other(world: &World) {
    let store = world.begun().await;
    let own = written(world, &store).await;
    let mut seen = Vec::new();
    loop {
        let after = seen.last().copied().unwrap_or(0);
        let found = page(&store, own, after, 5, AuditFilter::default()).await;
        seen.extend(found.iter().map(|entry| entry.seq));
        if found.len() < 5 {
            break;
        }
    }
    assert_eq!(seen, (1..=12).collect::<Vec<_>>());
}
