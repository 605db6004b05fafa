//! Rotation of keys while serving: in small steps, each of which leaves a usable store behind.

use crate::ids::TenantId;
use crate::keys::Purpose;
use crate::outside::Timestamp;
use crate::store::Store;
use crate::store::error::StoreError;
use crate::store::verbs::Doer;
use crate::store::verbs::keys::{
    CountOld, DropKey, DropOldMasterKeys, Dropped, KeyUse, ListKeys, MasterKeyRotated, PrependMasterKey,
    RewrapKeys, RotateTenantKey, SEALED_COLUMNS, SealAnew, StoreResealed, UseOfKey,
};
use crate::store::verbs::tenants::Removed;

/// Values that are resealed in one transaction: others write between two of them.
const BATCH: u32 = 200;

/// Seconds after which no node seals by a superseded key any more: each keeps keys in memory for one minute.
const SETTLED: u32 = 600;

/// What a rotation has done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Values that were sealed anew.
    pub resealed: u64,
    /// Values that were changed or removed by somebody else meanwhile.
    pub changed: u64,
    /// Values that do not open. They are left as they are, and their key stays.
    pub unreadable: u64,
}

/// Told about progress: done, of all.
pub type Watcher<'a> = &'a mut (dyn FnMut(u64, u64) + Send);

/// Gives a tenant a new sealing key; `None` where there is no such tenant. Follow it by [`reseal`].
///
/// # Errors
/// Those of the store.
pub async fn new_tenant_key(store: &Store, doer: Doer) -> Result<Option<u32>, StoreError> {
    let tenant = doer.tenant;
    let version = store.write(RotateTenantKey { doer }).await?;
    // The newest key is used from now on, and not when the old ones in memory are a minute old.
    store.ring().forget(tenant);
    Ok(version)
}

/// Reseals what older keys of a tenant have sealed.
///
/// # Errors
/// Those of the store; what is done stays done, and the rest is done by the next call.
pub async fn reseal(store: &Store, tenant: TenantId, watcher: Watcher<'_>) -> Result<Tally, StoreError> {
    let all = store.read(CountOld { tenant }).await?;
    let (mut tally, mut seen) = (Tally::default(), 0);
    watcher(0, all);
    for column in SEALED_COLUMNS {
        let mut after = 0;
        loop {
            let batch = store.read(SealAnew { tenant, column, after, limit: BATCH }).await?;
            let Some(last) = batch.last else { break };
            let read = batch.values.len() as u64;
            let written = match read {
                0 => 0,
                _ => store.write(StoreResealed { tenant, column, values: batch.values }).await?,
            };
            tally.resealed += written;
            tally.changed += read.saturating_sub(written);
            tally.unreadable += batch.unreadable;
            seen += read + batch.unreadable;
            after = last;
            watcher(seen, all.max(seen));
        }
    }
    Ok(tally)
}

/// What is left of old keys.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OldKeys {
    /// Versions that are gone now.
    pub dropped: Vec<u32>,
    /// Versions that something is still sealed by.
    pub used: Vec<u32>,
    /// Versions that a node may still seal by, until [`Self::settled_at`].
    pub recent: Vec<u32>,
    /// When the next of those may be dropped.
    pub settled_at: Option<Timestamp>,
}

/// Drops the old sealing keys of a tenant that nothing is sealed by and nobody seals by any more.
///
/// # Errors
/// Those of the store.
pub async fn drop_unused(store: &Store, doer: &Doer) -> Result<OldKeys, StoreError> {
    let mut keys = store.read(ListKeys { tenant: Some(doer.tenant) }).await?;
    keys.retain(|key| key.purpose == Purpose::Seal);
    let superseded_before = doer.now.before(SETTLED);
    let mut old = OldKeys::default();
    for pair in keys.windows(2) {
        let [key, next] = pair else { continue };
        if next.created_at > superseded_before {
            old.recent.push(key.version);
            old.settled_at.get_or_insert(next.created_at.after(SETTLED));
            continue;
        }
        if store.read(UseOfKey { tenant: doer.tenant, version: key.version }).await? == KeyUse::Used {
            old.used.push(key.version);
            continue;
        }
        let drop = DropKey { doer: doer.clone(), version: key.version, superseded_before };
        if store.write(drop).await? == Removed::Done {
            old.dropped.push(key.version);
        }
    }
    store.ring().forget(doer.tenant);
    Ok(old)
}

/// Puts a new master key in front of the file; nothing is wrapped by it yet.
///
/// # Errors
/// Those of the store and of the file.
pub async fn new_master_key(store: &Store) -> Result<(), StoreError> {
    store.write(PrependMasterKey::default()).await
}

/// Wraps every tenant's keys by the newest master key of the file; gives how many those were.
///
/// # Errors
/// Those of the store; what is done stays done, and the rest is done by the next call.
pub async fn rewrap(store: &Store, doer: Doer, watcher: Watcher<'_>) -> Result<u64, StoreError> {
    let all = store.read(crate::store::verbs::keys::CountWrappedByOlder).await?;
    let mut done = 0;
    watcher(0, all);
    loop {
        match store.write(RewrapKeys { limit: BATCH }).await? {
            0 => break,
            some => done += some,
        }
        watcher(done, all.max(done));
    }
    if done > 0 {
        store.write(MasterKeyRotated { doer, keys: done }).await?;
    }
    Ok(done)
}

/// Drops the older master keys from the file, unless one of them is still needed.
///
/// # Errors
/// Those of the store and of the file.
pub async fn drop_old_master_keys(store: &Store, doer: Doer) -> Result<Dropped, StoreError> {
    store.write(DropOldMasterKeys { doer }).await
}
