//! The audit, for administrators: searched page by page, streamed, verified.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::sync::mpsc::Sender;

use super::Service;
use super::mandate::{Action, Mandate};
use super::refusal::Refusal;
use crate::ids::{SERVER, TenantId};
use crate::store::Store;
use crate::store::audit::{AuditEntry, AuditFilter, AuditHead, AuditSpan, AuditVerdict, VerifyAudit};
use crate::store::error::StoreError;

/// Events that are read at once, whether they are looked for or not.
const SPAN: u32 = 1000;

/// Spans that one page looks at: where little fits, it ends before it is full.
const SPANS: u32 = 250;

/// Checks of a chain at the same time: each keeps a connection to the store busy.
static VERIFYING: Semaphore = Semaphore::const_new(1);

/// A tenant's events, for whoever may read them.
#[derive(Debug, Clone)]
pub struct AuditSearch {
    /// Whose; 0 is the server itself.
    pub tenant: TenantId,
    /// After this number.
    pub after: i64,
    /// Which.
    pub filter: AuditFilter,
}

impl Service {
    /// The tenant whose audit is read; 0 is the server itself.
    ///
    /// # Errors
    /// [`Refusal::Forbidden`], [`Refusal::NotFound`] for a tenant of others or of nobody,
    /// [`Refusal::Options`] where the owner of the server names none.
    pub async fn audit_of(&self, mandate: &Mandate, named: Option<TenantId>) -> Result<TenantId, Refusal> {
        let tenant = mandate.demand_one(Action::ReadAudit, named)?;
        if tenant != SERVER {
            self.tenant_is_there(tenant).await?;
        }
        Ok(tenant)
    }

    /// At most so many events, and after which number the next page begins, where there is one. A page can
    /// have fewer than asked for and yet not be the last.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn audit_page(
        &self,
        search: AuditSearch,
        limit: u32,
    ) -> Result<(Vec<AuditEntry>, Option<i64>), Refusal> {
        let AuditSearch { tenant, mut after, filter } = search;
        let head = self.store.read(AuditHead { tenant }).await?;
        let mut found: Vec<AuditEntry> = Vec::new();
        for _ in 0..SPANS {
            let wanted = limit.saturating_sub(u32::try_from(found.len()).unwrap_or(u32::MAX));
            if after >= head || wanted == 0 {
                break;
            }
            let last = after.saturating_add(i64::from(SPAN)).min(head);
            let span = AuditSpan { tenant, after, last, limit: wanted, filter: filter.clone() };
            let mut entries = self.store.read(span).await?;
            let full = u32::try_from(entries.len()).is_ok_and(|read| read >= wanted);
            after = entries.last().filter(|_| full).map_or(last, |entry| entry.seq);
            found.append(&mut entries);
            // SQLite answers at once: others have their turn between two spans.
            tokio::task::yield_now().await;
        }
        Ok((found, (after < head).then_some(after)))
    }

    /// Walks the whole chain.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn verify_audit(&self, tenant: TenantId) -> Result<AuditVerdict, Refusal> {
        let _turn = VERIFYING.acquire().await.map_err(|_| StoreError::Closed)?;
        let (store, runtime) = (Arc::clone(&self.store), tokio::runtime::Handle::current());
        // A long walk, which SQLite does on the thread that asks.
        let walk = tokio::task::spawn_blocking(move || runtime.block_on(store.read(VerifyAudit { tenant })));
        Ok(walk.await.map_err(|_| StoreError::Closed)??)
    }
}

/// Sends the events that are there now, some at a time, as fast as they are taken. Ends early where nobody
/// takes them any more, or with the failure of the store.
pub async fn stream(store: Arc<Store>, search: AuditSearch, to: Sender<Result<Vec<AuditEntry>, StoreError>>) {
    let AuditSearch { tenant, mut after, filter } = search;
    let head = match store.read(AuditHead { tenant }).await {
        Ok(head) => head,
        Err(error) => return drop(to.send(Err(error)).await),
    };
    while after < head && !to.is_closed() {
        let last = after.saturating_add(i64::from(SPAN)).min(head);
        let span = AuditSpan { tenant, after, last, limit: SPAN, filter: filter.clone() };
        after = last;
        let read = match store.read(span).await {
            Ok(entries) if entries.is_empty() => {
                tokio::task::yield_now().await;
                continue;
            }
            read => read,
        };
        let ended = read.is_err();
        if to.send(read).await.is_err() || ended {
            return;
        }
    }
}
