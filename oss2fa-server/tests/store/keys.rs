//! Keys: a new one while everything serves, and the end of an old one.

use oss2fa_server::keys::Purpose;
use oss2fa_server::store::Store;
use oss2fa_server::store::audit::{AuditVerdict, VerifyAudit};
use oss2fa_server::store::verbs::Doer;
use oss2fa_server::store::verbs::keys::{
    CountOld, CountWrappedByOlder, DropKey, DropOldMasterKeys, Dropped, KeyUse, ListKeys, MasterKeyRotated,
    PrependMasterKey, RewrapKeys, RotateTenantKey, SEALED_COLUMNS, SealAnew, StoreResealed, UseOfKey,
};
use oss2fa_server::store::verbs::tenants::Removed;

use crate::raw::change;
use crate::sow::{Own, RFC_SECRET, asking, counting, enrolled, tenant};
use crate::world::World;

clauses!(a_tenants_key_is_rotated, a_value_that_changed_is_not_overwritten, the_master_key_is_rotated);

fn own_doer(world: &World, own: Own) -> Doer {
    Doer { tenant: own.tenant, ..world.server() }
}

async fn reseal(store: &Store, own: Own) -> u64 {
    let mut written = 0;
    for column in SEALED_COLUMNS {
        let read = SealAnew { tenant: own.tenant, column, after: 0, limit: 100 };
        let batch = store.read(read).await.unwrap();
        assert_eq!(batch.unreadable, 0);
        let write = StoreResealed { tenant: own.tenant, column, values: batch.values };
        written += store.write(write).await.unwrap();
    }
    written
}

async fn a_tenants_key_is_rotated(world: &World) {
    let store = world.begun().await;
    let own = tenant(world, &store, 1).await;
    let (client, device) = enrolled(world, &store, own, "ferris", counting(RFC_SECRET)).await;
    let opens = async |store: &Store| {
        store.write(asking(world, own, client, device)).await.unwrap().unwrap().device.material.expose()
            == b"material"
    };
    let node = world.node().await;
    assert!(opens(&node).await);
    assert_eq!(store.write(RotateTenantKey { doer: own_doer(world, own) }).await.unwrap(), Some(2));
    // What the new key sealed opens on the node that has the old one in memory.
    let (newer, sealed) = enrolled(world, &store, own, "corro", counting(b"another secret 12345")).await;
    assert!(node.write(asking(world, own, newer, sealed)).await.unwrap().is_some());
    assert_eq!(store.read(CountOld { tenant: own.tenant }).await.unwrap(), 1);
    let used = || UseOfKey { tenant: own.tenant, version: 1 };
    assert_eq!(store.read(used()).await.unwrap(), KeyUse::Used);
    assert_eq!(reseal(&store, own).await, 1);
    assert_eq!(store.read(CountOld { tenant: own.tenant }).await.unwrap(), 0);
    assert_eq!(store.read(used()).await.unwrap(), KeyUse::Unused);
    let drop = |version, before| DropKey { doer: own_doer(world, own), version, superseded_before: before };
    let now = world.now();
    assert_eq!(store.write(drop(1, now.before(1))).await.unwrap(), Removed::NotThere, "too soon");
    assert_eq!(store.write(drop(2, now)).await.unwrap(), Removed::NotThere, "the newest stays");
    assert_eq!(store.write(drop(1, now)).await.unwrap(), Removed::Done);
    assert!(opens(&store).await && opens(&node).await && opens(&world.node().await).await);
    let keys = store.read(ListKeys { tenant: Some(own.tenant) }).await.unwrap();
    let listed: Vec<_> = keys.iter().map(|key| (key.purpose, key.version)).collect();
    assert_eq!(listed, [(Purpose::Seal, 2), (Purpose::Mac, 1)]);
    let verdict = store.read(VerifyAudit { tenant: own.tenant }).await.unwrap();
    assert!(matches!(verdict, AuditVerdict::Whole { .. }), "{verdict:?}");
    let nobody = Doer { tenant: oss2fa_server::ids::TenantId(i64::MAX), ..world.server() };
    assert_eq!(store.write(RotateTenantKey { doer: nobody }).await.unwrap(), None);
}

async fn a_value_that_changed_is_not_overwritten(world: &World) {
    let store = world.begun().await;
    let own = tenant(world, &store, 1).await;
    enrolled(world, &store, own, "ferris", counting(RFC_SECRET)).await;
    store.write(RotateTenantKey { doer: own_doer(world, own) }).await.unwrap();
    let column = SEALED_COLUMNS[0];
    let read = SealAnew { tenant: own.tenant, column, after: 0, limit: 100 };
    let values = store.read(read).await.unwrap().values;
    change(&store, "UPDATE device SET sealed = NULL, status = 'removed'").await;
    let write = StoreResealed { tenant: own.tenant, column, values };
    assert_eq!(store.write(write).await.unwrap(), 0, "a removed device does not come back");
}

async fn the_master_key_is_rotated(world: &World) {
    let store = world.begun().await;
    let own = tenant(world, &store, 1).await;
    let (client, device) = enrolled(world, &store, own, "ferris", counting(RFC_SECRET)).await;
    let node = world.node().await;
    assert_eq!(store.read(CountWrappedByOlder).await.unwrap(), 0);
    store.write(PrependMasterKey::default()).await.unwrap();
    let drop = || DropOldMasterKeys { doer: world.server() };
    // The server itself, the first tenant and this one: two keys each.
    assert_eq!(store.read(CountWrappedByOlder).await.unwrap(), 6);
    assert_eq!(store.write(drop()).await.unwrap(), Dropped::StillUsed(6));
    assert_eq!(store.write(RewrapKeys { limit: 4 }).await.unwrap(), 4);
    assert_eq!(store.write(RewrapKeys { limit: 4 }).await.unwrap(), 2);
    assert_eq!(store.write(RewrapKeys { limit: 4 }).await.unwrap(), 0);
    assert_eq!(store.write(drop()).await.unwrap(), Dropped::Done(1));
    store.write(MasterKeyRotated { doer: world.server(), keys: 6 }).await.unwrap();
    assert_eq!(std::fs::read_to_string(world.key()).unwrap().lines().count(), 1);
    for store in [&store, &node, &world.node().await] {
        assert!(store.write(asking(world, own, client, device)).await.unwrap().is_some());
    }
    tenant(world, &node, 5).await;
}
