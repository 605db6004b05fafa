//! Keys: a new one while everything serves, and the end of an old one.

use oss2fa_server::store::verbs::Doer;
use oss2fa_server::store::verbs::keys::{
    CountWrappedByOlder, DropOldMasterKeys, Dropped, MasterKeyRotated, PrependMasterKey, RewrapKeys,
    RotateTenantKey, SEALED_COLUMNS, SealAnew, StoreResealed,
};

use crate::raw::change;
use crate::sow::{Own, RFC_SECRET, asking, counting, enrolled, tenant};
use crate::world::World;

clauses!(a_value_that_changed_is_not_overwritten, the_master_key_is_rotated);

fn own_doer(world: &World, own: Own) -> Doer {
    Doer { tenant: own.tenant, ..world.server() }
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
