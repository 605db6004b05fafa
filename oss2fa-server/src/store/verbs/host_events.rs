//! What hosts did while no server could be reached: each of their events is written to the audit once.

use super::Doer;
use crate::store::error::StoreError;
use crate::store::sql::Sql;
use crate::store::verb::{Tx, Verb};
use crate::values;

/// For how long it is remembered that an event was written down, in seconds: 90 days.
pub const KEPT_FOR: u32 = 90 * 24 * 3600;

/// The event's name in the audit.
const EVENT: &str = "host_event";

/// One event of a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostEvent {
    /// SHA-256 of the host's name and its own word for the event.
    pub digest: [u8; 32],
    /// About whom; empty where it is about nobody.
    pub username: String,
    /// What the host says of it, in one line.
    pub detail: String,
}

/// Writes down what is not written down yet.
#[derive(Debug)]
pub struct RecordHostEvents {
    /// Who reports; in whose tenant and integration.
    pub doer: Doer,
    /// What happened, the oldest first.
    pub events: Vec<HostEvent>,
}

impl Verb for RecordHostEvents {
    /// How many were new.
    type Output = u64;

    async fn run<S: Sql>(&self, tx: &mut Tx<'_, S>) -> Result<u64, StoreError> {
        let Doer { tenant, integration, now, .. } = self.doer;
        // Reports of an integration take turns: two that hold the same events do not wait for each other.
        let of = values![tenant, integration];
        let held =
            tx.sql.row("SELECT pk FROM integration WHERE tenant = ?1 AND pk = ?2 FOR UPDATE", of).await?;
        if held.is_none() {
            return Ok(0);
        }
        let mut recorded = 0;
        for HostEvent { digest, username, detail } in &self.events {
            let rows = tx
                .sql
                .execute(
                    "INSERT INTO host_event (tenant, integration, digest, recorded_at)
                     VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING",
                    values![tenant, integration, digest, now],
                )
                .await?;
            if rows == 1 {
                tx.events.push(self.doer.event(EVENT, username, detail.clone()));
                recorded += 1;
            }
        }
        Ok(recorded)
    }
}
