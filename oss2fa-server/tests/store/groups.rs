//! Verbs of a moment share a transaction: what fails, fails alone, and leaves nothing.

use std::sync::{Arc, Mutex};

use oss2fa_server::ids::TenantId;
use oss2fa_server::store::Store;
use oss2fa_server::store::audit::{AuditVerdict, VerifyAudit};
use oss2fa_server::store::error::StoreError;
use oss2fa_server::store::sql::Sql;
use oss2fa_server::store::verb::{Tx, Verb};
use oss2fa_server::store::verbs::tenants::{CreateTenant, Created};
use oss2fa_server::store::verbs::trusted::RecordPass;
use oss2fa_server::values;
use tokio::task::JoinSet;

use crate::raw::number;
use crate::sow::{enrolled, name, tenant};
use crate::world::World;

clauses!(
    a_verb_that_fails_fails_alone,
    a_statement_that_fails_takes_its_verb_along,
    a_swallowed_failure_is_not_committed,
    keys_of_a_tenant_that_was_rolled_back_are_forgotten,
    after_closing_nothing_is_taken,
    whoever_made_a_verb_frees_it,
);

/// Writes something, and then fails.
struct Fails {
    tenant: TenantId,
}

impl Verb for Fails {
    type Output = ();

    async fn run<S: Sql>(&self, tx: &mut Tx<'_, S>) -> Result<(), StoreError> {
        let written = "UPDATE integration SET name = 'changed' WHERE tenant = ?1";
        tx.sql.execute(written, values![self.tenant]).await?;
        Err(StoreError::Corrupt("what this verb looks for"))
    }
}

fn passes(world: &World, own: crate::sow::Own, who: usize) -> RecordPass {
    RecordPass {
        doer: own.doer(world),
        username: name(&format!("client{who}")),
        what: "allowed",
        why: "bypass",
    }
}

async fn a_verb_that_fails_fails_alone(world: &World) {
    let store = Arc::new(world.begun().await);
    let own = tenant(world, &store, 1).await;
    let before = number(&store, "SELECT seq FROM audit_head WHERE tenant > 1").await;
    let (mut good, mut bad) = (JoinSet::new(), JoinSet::new());
    for at in 0..200 {
        let store = Arc::clone(&store);
        if at % 20 == 7 {
            let tenant = own.tenant;
            bad.spawn(async move { store.write(Fails { tenant }).await });
        } else {
            let pass = passes(world, own, at);
            good.spawn(async move { store.write(pass).await });
        }
    }
    for failed in bad.join_all().await {
        assert!(matches!(failed, Err(StoreError::Corrupt(_))), "{failed:?}");
    }
    for done in good.join_all().await {
        done.unwrap();
    }
    assert_eq!(number(&store, "SELECT seq FROM audit_head WHERE tenant > 1").await, before + 190);
    assert_eq!(number(&store, "SELECT count(*) FROM integration WHERE name = 'changed'").await, 0);
    let verdict = store.read(VerifyAudit { tenant: own.tenant }).await.unwrap();
    assert!(matches!(verdict, AuditVerdict::Whole { .. }), "{verdict:?}");
}

async fn a_statement_that_fails_takes_its_verb_along(world: &World) {
    let store = world.begun().await;
    let own = tenant(world, &store, 1).await;
    let (client, _) = enrolled(world, &store, own, "ferris", crate::sow::codes()).await;
    let trust = || oss2fa_server::store::verbs::trusted::Trust {
        doer: own.doer(world),
        client,
        username: name("ferris"),
        digest: [1; 32],
        fingerprint: None,
        expires_at: world.now().after(10),
    };
    store.write(trust()).await.unwrap();
    let events = number(&store, "SELECT count(*) FROM audit").await;
    let again = store.write(trust()).await;
    assert!(matches!(again, Err(StoreError::Database(_))), "{again:?}");
    assert_eq!(number(&store, "SELECT count(*) FROM audit").await, events);
}

/// Goes on after a statement that failed, as no verb should.
struct GoesOn {
    tenant: TenantId,
}

impl Verb for GoesOn {
    type Output = ();

    async fn run<S: Sql>(&self, tx: &mut Tx<'_, S>) -> Result<(), StoreError> {
        let _ = tx
            .sql
            .execute(
                "INSERT INTO audit_head (tenant, seq, chain) VALUES (?1, 0, ?2)",
                values![self.tenant, &[0; 32]],
            )
            .await;
        let _ = tx.sql.execute("UPDATE integration SET name = 'changed'", &[]).await;
        Ok(())
    }
}

async fn a_swallowed_failure_is_not_committed(world: &World) {
    let store = world.begun().await;
    let own = tenant(world, &store, 1).await;
    let done = store.write(GoesOn { tenant: own.tenant }).await;
    assert!(done.is_err(), "PostgreSQL answers COMMIT with a rollback then, and no error");
    assert_eq!(number(&store, "SELECT count(*) FROM integration WHERE name = 'changed'").await, 0);
}

/// Makes a tenant, uses its keys, and fails.
struct MakesAndFails(CreateTenant);

impl Verb for MakesAndFails {
    type Output = ();

    async fn run<S: Sql>(&self, tx: &mut Tx<'_, S>) -> Result<(), StoreError> {
        let Created::New(tenant) = self.0.run(tx).await? else {
            return Err(StoreError::Corrupt("a tenant that is there"));
        };
        tx.keys(tenant.pk).await?;
        Err(StoreError::Corrupt("what this verb looks for"))
    }
}

async fn keys_of_a_tenant_that_was_rolled_back_are_forgotten(world: &World) {
    let store = world.begun().await;
    let create = CreateTenant { doer: world.server(), name: "tenant1".to_owned(), public_id: "b".repeat(40) };
    let failed = store.write(MakesAndFails(create)).await;
    assert!(matches!(failed, Err(StoreError::Corrupt("what this verb looks for"))), "{failed:?}");
    // SQLite gives the same number again; what is sealed now must open on a node that never saw the first.
    let own = tenant(world, &store, 1).await;
    let (client, device) =
        enrolled(world, &store, own, "ferris", crate::sow::counting(crate::sow::RFC_SECRET)).await;
    let node: Store = world.node().await;
    let opened = node.write(crate::sow::asking(world, own, client, device)).await.unwrap().unwrap();
    assert_eq!(opened.device.material.expose(), b"material");
    let verdict = node.read(VerifyAudit { tenant: own.tenant }).await.unwrap();
    assert!(matches!(verdict, AuditVerdict::Whole { .. }), "{verdict:?}");
}

async fn after_closing_nothing_is_taken(world: &World) {
    let store = world.begun().await;
    let own = tenant(world, &store, 1).await;
    store.close().await;
    let late = store.write(passes(world, own, 1)).await;
    assert!(matches!(late, Err(StoreError::Closed)), "{late:?}");
}

/// Says which thread has freed it.
struct Freed(Arc<Mutex<Option<String>>>);

impl Verb for Freed {
    type Output = ();

    async fn run<S: Sql>(&self, _: &mut Tx<'_, S>) -> Result<(), StoreError> {
        Ok(())
    }
}

impl Drop for Freed {
    fn drop(&mut self) {
        *self.0.lock().unwrap() = std::thread::current().name().map(str::to_owned);
    }
}

async fn whoever_made_a_verb_frees_it(world: &World) {
    let store = world.begun().await;
    let by = Arc::new(Mutex::new(None));
    store.write(Freed(Arc::clone(&by))).await.unwrap();
    let by = by.lock().unwrap().take().expect("it was freed before it was answered");
    assert_ne!(by, "store-writer");
}
