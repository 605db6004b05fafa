//! What hosts did while no server could be reached: each of their events is written to the audit once.

use oss2fa_core::ids::DeviceId;

use super::Doer;
use super::integrations::hold_integration;
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
    /// How far a security key had counted, as the key has signed.
    pub counted: Option<Counted>,
}

/// A signature counter that a key had at a login which a host decided by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counted {
    /// Which device.
    pub device: DeviceId,
    /// Its counter.
    pub counter: u32,
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
        if hold_integration(tx, tenant, integration).await?.is_none() {
            return Ok(0);
        }
        let mut recorded = 0;
        for HostEvent { digest, username, detail, counted } in &self.events {
            let rows = tx
                .sql
                .execute(
                    "INSERT INTO host_event (tenant, integration, digest, recorded_at)
                     VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING",
                    values![tenant, integration, digest, now],
                )
                .await?;
            if rows == 1 {
                if let Some(counted) = counted {
                    self.raise(tx, *counted).await?;
                }
                tx.events.push(self.doer.event(EVENT, username, detail.clone()));
                recorded += 1;
            }
        }
        Ok(recorded)
    }
}

impl RecordHostEvents {
    /// A counter only grows. One that is behind proves nothing: hosts tell late, and in whatever order.
    async fn raise<S: Sql>(&self, tx: &mut Tx<'_, S>, counted: Counted) -> Result<(), StoreError> {
        let Doer { tenant, integration, .. } = self.doer;
        let Counted { device, counter } = counted;
        tx.sql
            .execute(
                "UPDATE device_use SET next_position = CAST(?4 AS BIGINT) + 1
                 WHERE tenant = ?1 AND device = ?3 AND next_position <= CAST(?4 AS BIGINT)
                   AND client = (SELECT c.pk FROM device d JOIN client c ON c.pk = d.client AND c.tenant = d.tenant
                        WHERE d.pk = ?3 AND d.tenant = ?1 AND d.status = 'active' AND c.integration = ?2)",
                values![tenant, integration, device, i64::from(counter)],
            )
            .await?;
        Ok(())
    }
}
