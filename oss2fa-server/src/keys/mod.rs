//! The keys: master keys in a file wrap two keys of each tenant; all else is derived from those.
//!
//! `seal` seals secrets and can be rotated while serving; `mac` makes digests, fingerprints and the links of
//! the audit, and stays as long as the tenant.

mod master;
mod tenant;

use std::collections::HashMap;
use std::path::Path;
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

/// Where a master key file can be replaced.
fn writable(source: &MasterKeySource) -> Result<&Path, StoreError> {
    match source {
        MasterKeySource::File(path) => Ok(path),
        MasterKeySource::Secret(_) => Err(StoreError::File {
            path: source.path().to_owned(),
            what: "the master key is derived from it, and cannot be replaced while it is: without it no device works"
                .to_owned(),
        }),
        MasterKeySource::Credential(path) => Err(StoreError::File {
            path: path.clone(),
            what: "the master key is a credential of systemd, which is replaced where LoadCredential= of the unit \
                   finds it: write the new key, 64 hexadecimal digits, as one more line in front of that file, \
                   restart the server, and run: oss2fa-server key rotate-master --resume"
                .to_owned(),
        }),
    }
}

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

    /// The keys of a tenant, where they were loaded a moment ago.
    #[must_use]
    pub fn recent(&self, tenant: TenantId) -> Option<Arc<TenantKeys>> {
        let tenants = self.tenants.read().unwrap_or_else(PoisonError::into_inner);
        tenants.get(&tenant).filter(|(loaded, _)| loaded.elapsed() < FRESH).map(|(_, keys)| Arc::clone(keys))
    }

    /// The keys of a tenant.
    ///
    /// # Errors
    /// [`StoreError::NoKeys`], [`StoreError::MasterKey`], or those of the database.
    pub async fn of<S: Sql>(&self, tenant: TenantId, sql: &mut S) -> Result<Arc<TenantKeys>, StoreError> {
        if let Some(keys) = self.recent(tenant) {
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
        self.replace(fresh);
        Ok(())
    }

    /// Makes a key of a tenant and stores it.
    ///
    /// # Errors
    /// Those of the database, of the master key file and of the random source.
    pub(crate) async fn add<S: Sql>(
        &self,
        tenant: TenantId,
        purpose: Purpose,
        version: u32,
        sql: &mut S,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        // By the newest master key of the file: a rotation may be about to drop the one in memory. On a
        // first start the file has not got its name yet.
        if MasterKeys::is_there(self.source().path()) {
            self.reload()?;
        }
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

    /// Puts a new master key in front of the file.
    ///
    /// # Errors
    /// [`StoreError::File`]: the file cannot be read or replaced, or is a credential of systemd.
    pub(crate) fn prepend(&self) -> Result<(), StoreError> {
        let source = self.source();
        let fresh = MasterKeys::read(&source)?.prepend(writable(&source)?, self.random())?;
        self.replace(fresh);
        Ok(())
    }

    /// Drops all master keys but the first from the file; gives how many those were.
    ///
    /// # Errors
    /// As [`KeyRing::prepend`].
    pub(crate) fn keep_first(&self) -> Result<usize, StoreError> {
        let source = self.source();
        let keys = MasterKeys::read(&source)?;
        let older = keys.count() - 1;
        if older > 0 {
            self.replace(keys.keep_first(writable(&source)?)?);
        }
        Ok(older)
    }

    /// The ids of the master keys, the first of the file first. An id tells nothing of its key.
    #[must_use]
    pub fn master_ids(&self) -> Vec<Vec<u8>> {
        self.master.read().unwrap_or_else(PoisonError::into_inner).ids()
    }

    fn replace(&self, fresh: MasterKeys) {
        *self.master.write().unwrap_or_else(PoisonError::into_inner) = fresh;
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

    /// Reads a tenant's keys from the database, and keeps nothing of them in memory.
    ///
    /// # Errors
    /// As [`KeyRing::of`].
    pub(crate) async fn load<S: Sql>(&self, tenant: TenantId, sql: &mut S) -> Result<TenantKeys, StoreError> {
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
