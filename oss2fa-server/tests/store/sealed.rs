//! Sealed values are for one row of one tenant and one column: moved anywhere else they do not open.

use oss2fa_core::secret::SecretBytes;
use oss2fa_server::store::Store;
use oss2fa_server::store::error::StoreError;
use oss2fa_server::store::verbs::challenges::FindChallenge;

use crate::raw::{change, number};
use crate::sow::{Own, RFC_SECRET, asking, challenge, counting, enrolled, tenant};
use crate::world::World;

clauses!(
    moved_to_another_row,
    moved_to_another_tenant,
    changed_by_one_bit,
    keys_of_another_tenant_do_not_unwrap,
    nothing_secret_is_readable_in_the_tables,
);

async fn two(world: &World, store: &Store, own: Own) -> (i64, i64) {
    let (_, a) = enrolled(world, store, own, "ferris", counting(RFC_SECRET)).await;
    let (_, b) = enrolled(world, store, own, "corro", counting(b"another secret 12345")).await;
    (a.0, b.0)
}

async fn refuses(world: &World, store: &Store, own: Own, device: i64) {
    let client = number(store, format!("SELECT client FROM device WHERE pk = {device}")).await;
    let opened = store
        .write(asking(world, own, oss2fa_server::ids::ClientId(client), oss2fa_core::ids::DeviceId(device)))
        .await;
    assert!(matches!(opened, Err(StoreError::Sealed("device"))), "{:?}", opened.map(drop));
}

async fn moved_to_another_row(world: &World) {
    let store = world.begun().await;
    let own = tenant(world, &store, 1).await;
    let (a, b) = two(world, &store, own).await;
    let sql =
        format!("UPDATE device SET sealed = (SELECT sealed FROM device d WHERE d.pk = {a}) WHERE pk = {b}");
    change(&store, sql).await;
    refuses(world, &store, own, b).await;
}

async fn moved_to_another_tenant(world: &World) {
    let store = world.begun().await;
    let (own, other) = (tenant(world, &store, 1).await, tenant(world, &store, 2).await);
    let (a, _) = two(world, &store, own).await;
    // The row itself, with its number: only the tenant is another.
    let (to, integration) = (other.tenant, other.integration);
    change(&store, format!("UPDATE device SET tenant = {to} WHERE pk = {a}")).await;
    change(&store, format!("UPDATE device_use SET tenant = {to} WHERE device = {a}")).await;
    let moved = format!(
        "UPDATE client SET tenant = {to}, integration = {integration} WHERE pk = (SELECT client FROM device WHERE pk = {a})"
    );
    change(&store, moved).await;
    refuses(world, &store, other, a).await;
}

async fn changed_by_one_bit(world: &World) {
    let store = world.begun().await;
    let own = tenant(world, &store, 1).await;
    let (client, device) = enrolled(world, &store, own, "ferris", counting(RFC_SECRET)).await;
    let challenge = challenge(world, &store, own, client, device).await;
    change(&store, format!("UPDATE device SET sealed = CAST(substr(sealed, 1, length(sealed) - 1) AS {}) WHERE pk = {device}", bytes(world))).await;
    let find =
        FindChallenge { tenant: own.tenant, integration: own.integration, challenge, now: world.now() };
    let found = store.read(find).await;
    assert!(matches!(found, Err(StoreError::Sealed("device"))), "{:?}", found.map(drop));
}

/// The type of bytes.
pub(crate) fn bytes(world: &World) -> &'static str {
    match world.place() {
        oss2fa_server::store::Place::Sqlite(_) => "BLOB",
        oss2fa_server::store::Place::Postgres { .. } => "BYTEA",
    }
}

async fn keys_of_another_tenant_do_not_unwrap(world: &World) {
    let store = world.begun().await;
    let (own, other) = (tenant(world, &store, 1).await, tenant(world, &store, 2).await);
    let (client, device) = enrolled(world, &store, own, "ferris", counting(RFC_SECRET)).await;
    let (a, b) = (own.tenant, other.tenant);
    change(&store, format!("UPDATE tenant_key SET wrapped = (SELECT wrapped FROM tenant_key k WHERE k.tenant = {b} AND k.purpose = tenant_key.purpose) WHERE tenant = {a}")).await;
    let node = world.node().await;
    let opened = node.write(asking(world, own, client, device)).await;
    assert!(matches!(opened, Err(StoreError::Sealed("tenant_key"))), "{:?}", opened.map(drop));
}

async fn nothing_secret_is_readable_in_the_tables(world: &World) {
    let store = world.begun().await;
    let own = tenant(world, &store, 1).await;
    let mut device = counting(RFC_SECRET);
    device.material = SecretBytes::new(b"the material of this device".to_vec());
    enrolled(world, &store, own, "ferris", device).await;
    let key = std::fs::read_to_string(world.key()).unwrap();
    let mut everything = store.read(crate::raw::Dump(None)).await.unwrap().join("\n");
    everything.retain(|c| c != ' ');
    for secret in [RFC_SECRET, b"the material of this device", b"step"] {
        let shown: Vec<String> = secret.iter().map(u8::to_string).collect();
        assert!(!everything.contains(&shown.join(",")), "{secret:?}");
        assert!(!everything.contains(std::str::from_utf8(secret).unwrap()) || secret == b"step");
    }
    assert!(
        everything.contains("username") || everything.contains("ferris"),
        "the search finds what is there"
    );
    assert!(!everything.contains(key.trim()));
}
