//! What the store can be asked: verbs, which change something, and queries, which do not.

use std::future::Future;

use super::audit::Event;
use super::error::StoreError;
use super::sql::Sql;
use crate::ids::TenantId;
use crate::keys::{KeyRing, TenantKeys};
use std::sync::Arc;

/// What a verb works with: a transaction that commits or not as a whole.
pub struct Tx<'a, S: Sql> {
    /// The database.
    pub sql: &'a mut S,
    /// What has happened; chained to the audit and written at the end of the transaction.
    pub events: Vec<Event>,
    /// The keys of the tenants.
    pub ring: &'a KeyRing,
}

impl<'a, S: Sql> Tx<'a, S> {
    /// With no event yet.
    pub fn new(sql: &'a mut S, ring: &'a KeyRing) -> Self {
        Self { sql, events: Vec::new(), ring }
    }

    /// A tenant's keys, from memory or from this transaction's view of the database.
    ///
    /// # Errors
    /// [`StoreError::NoKeys`] where the tenant was removed, and those of unwrapping.
    pub async fn keys(&mut self, tenant: TenantId) -> Result<Arc<TenantKeys>, StoreError> {
        self.ring.of(tenant, self.sql).await
    }
}

/// A change: all of it happens, or nothing, and it is durable when it is answered.
///
/// It may be run more than once before it is answered, each time on a transaction in which nothing of the
/// earlier runs is left.
pub trait Verb: Send + Sync + 'static {
    /// What it answers. A refusal is an answer.
    type Output: Send + 'static;

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
