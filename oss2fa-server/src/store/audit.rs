//! The audit: append-only, one chain of keyed hashes for each tenant.
//!
//! Verbs leave events; the store links them to their tenant's chain at the end of the transaction. The head
//! row is locked only then, so that nodes wait for each other as shortly as can be.

use std::borrow::Cow;

use serde::Serialize;
use utoipa::ToSchema;

use super::error::StoreError;
use super::sql::{Row, Sql, Value};
use super::verb::{Query, Tx};
use super::verbs::deliveries;
use crate::ids::{IntegrationId, TenantId};
use crate::keys::TenantKeys;
use crate::outside::Timestamp;
use crate::values;

/// What has happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// In whose chain.
    pub tenant: TenantId,
    /// When.
    pub at: Timestamp,
    /// A stable word: scripts and searches use them.
    pub what: &'static str,
    /// Through which integration; none for what administrators do to the tenant.
    pub integration: Option<IntegrationId>,
    /// About which client; empty where it is about none.
    pub username: String,
    /// Who did it: `integration`, `admin:NAME`, `cli`, `server`.
    pub actor: Cow<'static, str>,
    /// Where from: an address, or empty.
    pub source: String,
    /// One line more; never a secret.
    pub detail: String,
}

/// An event as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct AuditEntry {
    /// Its number in the tenant's chain; no number is left out.
    pub seq: i64,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// What happened.
    pub event: String,
    /// Through which integration.
    #[schema(value_type = Option<i64>)]
    pub integration: Option<IntegrationId>,
    /// About which client.
    pub username: String,
    /// Who did it.
    pub actor: String,
    /// Where from.
    pub source: String,
    /// One line more.
    pub detail: String,
    /// First bytes of the chain's hash here, in hexadecimal.
    pub chain: String,
}

const GENESIS: [u8; 32] = [0; 32];

/// Chains and writes the events of a transaction, at its end.
pub(super) async fn write<S: Sql>(tx: &mut Tx<'_, S>) -> Result<(), StoreError> {
    let mut events = std::mem::take(&mut tx.events);
    // Tenants always in the same order: no two nodes wait for each other.
    events.sort_by_key(|event| event.tenant);
    for of_tenant in events.chunk_by(|a, b| a.tenant == b.tenant) {
        if let Some(first) = of_tenant.first() {
            append(tx, first.tenant, of_tenant).await?;
        }
    }
    Ok(())
}

async fn append<S: Sql>(tx: &mut Tx<'_, S>, tenant: TenantId, events: &[Event]) -> Result<(), StoreError> {
    let keys = tx.keys(tenant).await?;
    let head = tx
        .sql
        .row(
            "SELECT seq, chain, (SELECT count(*) FROM webhook WHERE tenant = ?1)
             FROM audit_head WHERE tenant = ?1 FOR UPDATE",
            values![tenant],
        )
        .await?;
    let (mut seq, mut chain, webhooks) = match head {
        Some(head) => (head.take::<i64>(0)?, link_of(head.bytes(1)?)?, head.take::<i64>(2)?),
        None => return Err(StoreError::Corrupt("a tenant without an audit")),
    };
    let mut numbered = Vec::with_capacity(events.len());
    for event in events {
        seq += 1;
        chain = link(&keys, &chain, seq, &event.said());
        numbered.push((seq, chain, event));
    }
    let sets: Vec<Vec<Value<'_>>> = numbered
        .iter()
        .map(|(seq, chain, event)| {
            values![
                tenant,
                *seq,
                event.at,
                event.what,
                event.integration,
                &event.username,
                &*event.actor,
                &event.source,
                &event.detail,
                chain
            ]
            .to_vec()
        })
        .collect();
    tx.sql
        .execute_each(
            "INSERT INTO audit (tenant, seq, at, event, integration, username, actor, source, detail, chain)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
            &sets,
        )
        .await?;
    let moved = tx
        .sql
        .execute("UPDATE audit_head SET seq = ?2, chain = ?3 WHERE tenant = ?1", values![tenant, seq, &chain])
        .await?;
    if moved != 1 {
        return Err(StoreError::Corrupt("a tenant without an audit"));
    }
    if webhooks > 0 {
        let entries: Vec<_> = numbered.iter().map(|(seq, chain, event)| event.entry(*seq, chain)).collect();
        deliveries::queue(tx, tenant, &entries).await?;
    }
    Ok(())
}

/// Begins the chain of a new tenant.
///
/// # Errors
/// Those of the database.
pub async fn begin<S: Sql>(tx: &mut Tx<'_, S>, tenant: TenantId) -> Result<(), StoreError> {
    tx.sql
        .execute("INSERT INTO audit_head (tenant, seq, chain) VALUES (?1, 0, ?2)", values![tenant, &GENESIS])
        .await?;
    Ok(())
}

fn link_of(kept: &[u8]) -> Result<[u8; 32], StoreError> {
    kept.try_into().map_err(|_| StoreError::Corrupt("a chain that is no hash"))
}

/// One link: all that an event says, and the link before it.
fn link(keys: &TenantKeys, before: &[u8], seq: i64, event: &Said<'_>) -> [u8; 32] {
    let integration = event.integration.map_or(-1, |integration| integration.0);
    keys.audit_link(&[
        before,
        &seq.to_be_bytes(),
        &event.at.0.to_be_bytes(),
        event.what.as_bytes(),
        &integration.to_be_bytes(),
        event.username.as_bytes(),
        event.actor.as_bytes(),
        event.source.as_bytes(),
        event.detail.as_bytes(),
    ])
}

struct Said<'a> {
    at: Timestamp,
    what: &'a str,
    integration: Option<IntegrationId>,
    username: &'a str,
    actor: &'a str,
    source: &'a str,
    detail: &'a str,
}

impl Event {
    fn entry(&self, seq: i64, chain: &[u8]) -> AuditEntry {
        AuditEntry {
            seq,
            at: self.at,
            event: self.what.to_owned(),
            integration: self.integration,
            username: self.username.clone(),
            actor: self.actor.clone().into_owned(),
            source: self.source.clone(),
            detail: self.detail.clone(),
            chain: short(chain),
        }
    }

    fn said(&self) -> Said<'_> {
        let Self { at, what, integration, username, actor, source, detail, .. } = self;
        Said { at: *at, what, integration: *integration, username, actor, source, detail }
    }
}

impl AuditEntry {
    fn said(&self) -> Said<'_> {
        let Self { at, event: what, integration, username, actor, source, detail, .. } = self;
        Said { at: *at, what, integration: *integration, username, actor, source, detail }
    }
}

/// Which events are asked for.
#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    /// Only this event.
    pub event: Option<String>,
    /// Only about this client.
    pub username: Option<String>,
    /// Only through this integration.
    pub integration: Option<IntegrationId>,
    /// Only at or after this time.
    pub since: Option<Timestamp>,
    /// Only before this time.
    pub until: Option<Timestamp>,
}

/// Events after a number, at most so many.
#[derive(Debug, Clone)]
pub struct AuditPage {
    /// Whose.
    pub tenant: TenantId,
    /// After this number; 0 for the first.
    pub after: i64,
    /// At most so many.
    pub limit: u32,
    /// Which.
    pub filter: AuditFilter,
}

impl Query for AuditPage {
    type Output = Vec<AuditEntry>;

    async fn run<S: Sql>(&self, tx: &mut Tx<'_, S>) -> Result<Vec<AuditEntry>, StoreError> {
        let Self { tenant, after, limit, filter } = self.clone();
        AuditSpan { tenant, after, last: i64::MAX, limit, filter }.run(tx).await
    }
}

/// Events between two numbers, at most so many: however few are looked for, no more than these are read.
#[derive(Debug, Clone)]
pub struct AuditSpan {
    /// Whose.
    pub tenant: TenantId,
    /// After this number.
    pub after: i64,
    /// Up to this number.
    pub last: i64,
    /// At most so many.
    pub limit: u32,
    /// Which.
    pub filter: AuditFilter,
}

impl Query for AuditSpan {
    type Output = Vec<AuditEntry>;

    async fn run<S: Sql>(&self, tx: &mut Tx<'_, S>) -> Result<Vec<AuditEntry>, StoreError> {
        let rows = tx
            .sql
            .rows(
                "SELECT seq, at, event, integration, username, actor, source, detail, chain FROM audit
                 WHERE tenant = ?1 AND seq > ?2 AND seq <= ?9
                   AND (CAST(?4 AS TEXT) IS NULL OR event = ?4)
                   AND (CAST(?5 AS TEXT) IS NULL OR username = ?5)
                   AND (CAST(?6 AS BIGINT) IS NULL OR integration = ?6)
                   AND (CAST(?7 AS BIGINT) IS NULL OR at >= ?7)
                   AND (CAST(?8 AS BIGINT) IS NULL OR at < ?8)
                 ORDER BY seq LIMIT ?3",
                values![
                    self.tenant,
                    self.after,
                    self.limit,
                    self.filter.event.as_deref(),
                    self.filter.username.as_deref(),
                    self.filter.integration,
                    self.filter.since,
                    self.filter.until,
                    self.last
                ],
            )
            .await?;
        rows.iter().map(entry_of).collect()
    }
}

/// The number of the newest event; 0 where there is none.
#[derive(Debug, Clone, Copy)]
pub struct AuditHead {
    /// Whose.
    pub tenant: TenantId,
}

impl Query for AuditHead {
    type Output = i64;

    async fn run<S: Sql>(&self, tx: &mut Tx<'_, S>) -> Result<i64, StoreError> {
        let row = tx.sql.row("SELECT seq FROM audit_head WHERE tenant = ?1", values![self.tenant]).await?;
        row.map_or(Ok(0), |row| row.take(0))
    }
}

/// What a check of a chain found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AuditVerdict {
    /// Whole, up to this event and its chain hash.
    Whole {
        /// Number of the newest event.
        events: i64,
        /// First bytes of its chain hash.
        chain: String,
    },
    /// Changed, removed or added to at this event.
    Broken {
        /// Its number.
        at: i64,
        /// What is wrong with it.
        what: String,
    },
}

/// Walks a tenant's whole chain.
#[derive(Debug, Clone, Copy)]
pub struct VerifyAudit {
    /// Whose.
    pub tenant: TenantId,
}

impl Query for VerifyAudit {
    type Output = AuditVerdict;

    async fn run<S: Sql>(&self, tx: &mut Tx<'_, S>) -> Result<AuditVerdict, StoreError> {
        let keys = tx.keys(self.tenant).await?;
        // Read first, and in one look: what is added during the walk is beyond it.
        let head = tx
            .sql
            .row(
                "SELECT seq, chain, (SELECT max(seq) FROM audit WHERE tenant = ?1) FROM audit_head
                 WHERE tenant = ?1",
                values![self.tenant],
            )
            .await?
            .ok_or(StoreError::Corrupt("a tenant without an audit"))?;
        let (last, newest): (i64, Vec<u8>) = (head.take(0)?, head.take(1)?);
        let beyond = head.take::<Option<i64>>(2)?.unwrap_or(0) > last;
        let (mut seq, mut before) = (0_i64, GENESIS.to_vec());
        while seq < last {
            let rows = tx
                .sql
                .rows(
                    "SELECT seq, at, event, integration, username, actor, source, detail, chain FROM audit
                     WHERE tenant = ?1 AND seq > ?2 ORDER BY seq LIMIT 1000",
                    values![self.tenant, seq],
                )
                .await?;
            if rows.is_empty() {
                return Ok(broken(seq + 1, "the event is missing"));
            }
            for row in &rows {
                let (entry, stored) = (entry_of(row)?, row.take::<Vec<u8>>(8)?);
                if entry.seq != seq + 1 {
                    return Ok(broken(seq + 1, "the event is missing"));
                }
                before = link(&keys, &before, entry.seq, &entry.said()).to_vec();
                if before != stored {
                    return Ok(broken(entry.seq, "the event was changed"));
                }
                seq = entry.seq;
                if seq == last {
                    break;
                }
            }
        }
        if before != newest {
            return Ok(broken(seq, "the newest event is not the one that was written last"));
        }
        if beyond {
            return Ok(broken(last + 1, "the event was not written by a server, or the newest were cut off"));
        }
        Ok(AuditVerdict::Whole { events: last, chain: short(&newest) })
    }
}

fn broken(at: i64, what: &str) -> AuditVerdict {
    AuditVerdict::Broken { at, what: what.to_owned() }
}

fn entry_of(row: &Row) -> Result<AuditEntry, StoreError> {
    Ok(AuditEntry {
        seq: row.take(0)?,
        at: row.take(1)?,
        event: row.take(2)?,
        integration: row.take(3)?,
        username: row.take(4)?,
        actor: row.take(5)?,
        source: row.take(6)?,
        detail: row.take(7)?,
        chain: short(&row.take::<Vec<u8>>(8)?),
    })
}

fn short(chain: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(chain.get(..8).unwrap_or(chain))
}
