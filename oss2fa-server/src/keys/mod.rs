//! The keys: master keys in a file wrap two keys of each tenant; all else is derived from those.
//!
//! `seal` seals secrets and can be rotated while serving; `mac` makes digests, fingerprints and the links of
//! the audit, and stays as long as the tenant.

mod master;
mod tenant;

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use oss2fa_core::keys::KeyBytes;
use oss2fa_core::random::Random;

pub use master::{MasterKeySource, MasterKeys};
pub use tenant::{Purpose, Rejected, TenantKeys};

use crate::ids::TenantId;
use crate::outside::Timestamp;
use crate::store::error::StoreError;
use crate::store::sql::Sql;
use crate::values;

/// How long a tenant's keys are used before the database is asked again: another node may have rotated
/// them.
const FRESH: Duration = Duration::from_secs(60);

/// The keys in use.
pub struct KeyRing {
    master: RwLock<MasterKeys>,
    source: RwLock<MasterKeySource>,
    tenants: RwLock<HashMap<TenantId, (Instant, Arc<TenantKeys>)>>,
    random: Arc<dyn Random>,
}

impl KeyRing {
    /// Over the master keys that were read from `source`.
    #[must_use]
    pub fn new(master: MasterKeys, source: MasterKeySource, random: Arc<dyn Random>) -> Self {
        Self { master: RwLock::new(master), source: RwLock::new(source), tenants: RwLock::default(), random }
    }

    /// Where random bytes come from.
    #[must_use]
    pub fn random(&self) -> &dyn Random {
        &*self.random
    }

    /// Where the master keys are.
    #[must_use]
    pub fn source(&self) -> MasterKeySource {
        self.source.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The file has another name now.
    pub fn moved(&self, source: MasterKeySource) {
        *self.source.write().unwrap_or_else(PoisonError::into_inner) = source;
    }

    /// The keys of a tenant.
    ///
    /// # Errors
    /// [`StoreError::NoKeys`], [`StoreError::MasterKey`], or those of the database.
    pub async fn of<S: Sql>(&self, tenant: TenantId, sql: &mut S) -> Result<Arc<TenantKeys>, StoreError> {
        let cached = self.tenants.read().unwrap_or_else(PoisonError::into_inner).get(&tenant).cloned();
        if let Some((loaded, keys)) = cached
            && loaded.elapsed() < FRESH
        {
            return Ok(keys);
        }
        let keys = Arc::new(self.load(tenant, sql).await?);
        let mut tenants = self.tenants.write().unwrap_or_else(PoisonError::into_inner);
        tenants.insert(tenant, (Instant::now(), Arc::clone(&keys)));
        Ok(keys)
    }

    /// Forgets what is in memory of a tenant: its keys were rotated or removed.
    pub fn forget(&self, tenant: TenantId) {
        self.tenants.write().unwrap_or_else(PoisonError::into_inner).remove(&tenant);
    }

    /// Reads the master keys anew, as after a rotation on another node.
    ///
    /// # Errors
    /// [`StoreError::File`]; the keys in memory then stay.
    pub fn reload(&self) -> Result<(), StoreError> {
        let fresh = MasterKeys::read(&self.source())?;
        *self.master.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }

    /// Makes both keys of a new tenant and stores them.
    ///
    /// # Errors
    /// Those of the database and of the random source.
    pub async fn create<S: Sql>(
        &self,
        tenant: TenantId,
        sql: &mut S,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        for purpose in [Purpose::Seal, Purpose::Mac] {
            self.add(tenant, purpose, 1, sql, at).await?;
        }
        Ok(())
    }

    /// Makes one more key of a tenant and stores it.
    ///
    /// # Errors
    /// Those of the database and of the random source.
    pub async fn add<S: Sql>(
        &self,
        tenant: TenantId,
        purpose: Purpose,
        version: u32,
        sql: &mut S,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let key = KeyBytes::generate(self.random())?;
        let (id, wrapped) = self.wrap(tenant, purpose, version, &key)?;
        sql.execute(
            "INSERT INTO tenant_key (tenant, purpose, version, master_id, wrapped, created_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            values![tenant, purpose.as_str(), version, &id, &wrapped, at],
        )
        .await?;
        Ok(())
    }

    /// Wraps a key by the first of the master keys; gives that one's id and the wrapped key.
    ///
    /// # Errors
    /// Those of the random source.
    pub fn wrap(
        &self,
        tenant: TenantId,
        purpose: Purpose,
        version: u32,
        key: &KeyBytes,
    ) -> Result<(Vec<u8>, Vec<u8>), StoreError> {
        let master = self.master.read().unwrap_or_else(PoisonError::into_inner);
        let (id, first) = master.first();
        Ok((
            id.to_vec(),
            first.seal(key.expose(), &tenant::wrapped_as(tenant, purpose, version), self.random())?,
        ))
    }

    /// Opens a wrapped key of a tenant.
    ///
    /// # Errors
    /// [`StoreError::MasterKey`], [`StoreError::Sealed`].
    pub fn unwrap_key(
        &self,
        tenant: TenantId,
        purpose: Purpose,
        version: u32,
        id: &[u8],
        wrapped: &[u8],
    ) -> Result<KeyBytes, StoreError> {
        if !self.master.read().unwrap_or_else(PoisonError::into_inner).knows(id) {
            // The file may have got that key since it was read.
            self.reload()?;
        }
        let master = self.master.read().unwrap_or_else(PoisonError::into_inner);
        let key = master.by_id(id).ok_or_else(|| StoreError::MasterKey {
            tenant: tenant.0,
            wanted: data_encoding::HEXLOWER.encode(id),
        })?;
        key.open(wrapped, &tenant::wrapped_as(tenant, purpose, version))
            .and_then(|bytes| KeyBytes::from_slice(bytes.expose()))
            .ok_or(StoreError::Sealed("tenant_key"))
    }

    async fn load<S: Sql>(&self, tenant: TenantId, sql: &mut S) -> Result<TenantKeys, StoreError> {
        let rows = sql
            .rows(
                "SELECT purpose, version, master_id, wrapped FROM tenant_key WHERE tenant = ?1 ORDER BY version",
                values![tenant],
            )
            .await?;
        let mut found = Vec::with_capacity(rows.len());
        for row in rows {
            let purpose = Purpose::parse(&row.take::<String>(0)?)?;
            let version: u32 = row.take(1)?;
            let (id, wrapped): (Vec<u8>, Vec<u8>) = (row.take(2)?, row.take(3)?);
            found.push((purpose, version, self.unwrap_key(tenant, purpose, version, &id, &wrapped)?));
        }
        TenantKeys::new(tenant, found)
    }
}
