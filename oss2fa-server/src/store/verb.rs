//! What the store can be asked: verbs, which change something, and queries, which do not.

use std::future::Future;
use std::sync::Arc;

use super::audit::Event;
use super::error::StoreError;
use super::sql::Sql;
use crate::ids::TenantId;
use crate::keys::{KeyRing, Purpose, TenantKeys};
use crate::outside::Timestamp;

/// What a verb works with: a transaction that commits or not as a whole.
pub struct Tx<'a, S: Sql> {
    /// The database.
    pub sql: &'a mut S,
    /// What has happened; chained to the audit and written at the end of the transaction.
    pub events: Vec<Event>,
    /// The keys of the tenants.
    pub ring: &'a KeyRing,
    /// Tenants whose keys this transaction has made: nobody else may use them before the commit.
    rekeyed: Vec<TenantId>,
}

impl<'a, S: Sql> Tx<'a, S> {
    /// With no event yet.
    pub fn new(sql: &'a mut S, ring: &'a KeyRing) -> Self {
        Self { sql, events: Vec::new(), ring, rekeyed: Vec::new() }
    }

    /// A tenant's keys, from memory or from this transaction's view of the database.
    ///
    /// # Errors
    /// [`StoreError::NoKeys`] where the tenant was removed, and those of unwrapping.
    pub async fn keys(&mut self, tenant: TenantId) -> Result<Arc<TenantKeys>, StoreError> {
        if self.rekeyed.contains(&tenant) {
            return Ok(Arc::new(self.ring.load(tenant, self.sql).await?));
        }
        self.ring.of(tenant, self.sql).await
    }

    /// A tenant's keys, read anew where those in memory cannot open `sealed`: another node, or a command
    /// beside this server, may have rotated them.
    ///
    /// # Errors
    /// As [`Tx::keys`].
    pub async fn keys_for(&mut self, tenant: TenantId, sealed: &[u8]) -> Result<Arc<TenantKeys>, StoreError> {
        let keys = self.keys(tenant).await?;
        if keys.knows(sealed) {
            return Ok(keys);
        }
        self.ring.forget(tenant);
        self.keys(tenant).await
    }

    /// Makes a key of a tenant and stores it.
    ///
    /// # Errors
    /// Those of the database, of the master key file and of the random source.
    pub async fn make_key(
        &mut self,
        tenant: TenantId,
        purpose: Purpose,
        version: u32,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        // While somebody drops an old master key, nobody wraps a key by it.
        self.sql.row("SELECT pk FROM store_state WHERE pk = 1 FOR UPDATE", &[]).await?;
        self.rekeyed.push(tenant);
        self.ring.add(tenant, purpose, version, self.sql, at).await
    }

    /// Makes both keys of a new tenant and stores them.
    ///
    /// # Errors
    /// As [`Tx::make_key`].
    pub async fn make_keys(&mut self, tenant: TenantId, at: Timestamp) -> Result<(), StoreError> {
        self.make_key(tenant, Purpose::Seal, 1, at).await?;
        self.make_key(tenant, Purpose::Mac, 1, at).await
    }
}

/// In which state of the store a verb may run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Beside others, and not once the store was moved away.
    Shared,
    /// The same, and alone where the others never let it end: it waits for the rows of many, who wait for it.
    Lasting,
    /// Alone, on every node, and in every state.
    Alone,
}

/// A change: all of it happens, or nothing, and it is durable when it is answered.
///
/// It may be run more than once before it is answered, each time on a transaction in which nothing of the
/// earlier runs is left.
pub trait Verb: Send + Sync + 'static {
    /// What it answers. A refusal is an answer.
    type Output: Send + 'static;

    /// In which state of the store it may run.
    const ACCESS: Access = Access::Shared;

    /// Does it.
    fn run<S: Sql>(
        &self,
        tx: &mut Tx<'_, S>,
    ) -> impl Future<Output = Result<Self::Output, StoreError>> + Send;
}

/// A question that changes nothing; it runs on a connection that cannot write.
pub trait Query: Send + Sync + 'static {
    /// What it answers.
    type Output: Send + 'static;

    /// Asks it.
    fn run<S: Sql>(
        &self,
        tx: &mut Tx<'_, S>,
    ) -> impl Future<Output = Result<Self::Output, StoreError>> + Send;
}
