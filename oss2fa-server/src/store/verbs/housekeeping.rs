//! Sweeping away what nobody needs any more, a few rows at a time.
//!
//! Several nodes may do it at once: what one has swept is not there for the next.

use crate::outside::Timestamp;
use crate::store::error::StoreError;
use crate::store::sql::Sql;
use crate::store::verb::{Tx, Verb};
use crate::values;

const HOUR: u32 = 3600;
const DAY: u32 = 24 * HOUR;

/// Most rows in one transaction: logins wait behind it.
pub const BATCH: u32 = 200;

/// Something that ages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Litter {
    /// What it is, for the log.
    pub name: &'static str,
    /// How long after its time it goes, in seconds.
    age: u32,
    sql: &'static str,
}

/// All that is swept. The condition stands outside of the choice of rows as well: PostgreSQL looks at it
/// again where a row was changed meanwhile, as when a counter of failures is raised.
pub const LITTER: [Litter; 10] = [
    Litter {
        name: "enrollments",
        age: DAY,
        sql: "DELETE FROM enrollment WHERE expires_at < ?1 AND pk IN
            (SELECT pk FROM enrollment WHERE expires_at < ?1 ORDER BY expires_at, pk LIMIT ?2)",
    },
    // No policy counts for longer: an enrollment expires within a day.
    Litter {
        name: "messages of enrollments",
        age: DAY,
        sql: "DELETE FROM enrollment_message WHERE sent_at < ?1 AND pk IN
            (SELECT pk FROM enrollment_message WHERE sent_at < ?1 ORDER BY sent_at, pk LIMIT ?2)",
    },
    Litter {
        name: "challenges",
        age: DAY,
        sql: "DELETE FROM challenge WHERE expires_at < ?1 AND pk IN
            (SELECT pk FROM challenge WHERE expires_at < ?1 ORDER BY expires_at, pk LIMIT ?2)",
    },
    Litter {
        name: "kept answers",
        age: super::idempotency::KEPT_FOR,
        sql: "DELETE FROM idempotency WHERE created_at < ?1 AND (principal, key_digest) IN
            (SELECT principal, key_digest FROM idempotency WHERE created_at < ?1
             ORDER BY created_at, principal, key_digest LIMIT ?2)",
    },
    // After a day without a failure a counter stands at nothing, and its pause has ended.
    Litter {
        name: "counters of failures",
        age: DAY,
        sql: "DELETE FROM lock WHERE last_failure_at < ?1 AND locked_until < ?1 AND (tenant, scope) IN
            (SELECT tenant, scope FROM lock WHERE last_failure_at < ?1 AND locked_until < ?1
             ORDER BY last_failure_at, tenant, scope LIMIT ?2)",
    },
    Litter {
        name: "trusted devices",
        age: 0,
        sql: "DELETE FROM trusted_device WHERE expires_at < ?1 AND (client, digest) IN
            (SELECT client, digest FROM trusted_device WHERE expires_at < ?1
             ORDER BY expires_at, client, digest LIMIT ?2)",
    },
    Litter {
        name: "known addresses",
        age: 30 * DAY,
        sql: "DELETE FROM known_source WHERE seen_at < ?1 AND (client, source) IN
            (SELECT client, source FROM known_source WHERE seen_at < ?1
             ORDER BY seen_at, client, source LIMIT ?2)",
    },
    // Hosts take what is not listed for revoked.
    Litter {
        name: "revoked offline credentials",
        age: super::offline::KEPT_FOR,
        sql: "DELETE FROM offline_credential WHERE revoked_at < ?1 AND pk IN
            (SELECT pk FROM offline_credential WHERE revoked_at < ?1 ORDER BY revoked_at, pk LIMIT ?2)",
    },
    Litter {
        name: "events of hosts",
        age: super::host_events::KEPT_FOR,
        sql: "DELETE FROM host_event WHERE recorded_at < ?1 AND (integration, digest) IN
            (SELECT integration, digest FROM host_event WHERE recorded_at < ?1
             ORDER BY recorded_at, integration, digest LIMIT ?2)",
    },
    // Delivered and given up they go at once; what is left was queued while its webhook was removed.
    Litter {
        name: "deliveries",
        age: 2 * DAY,
        sql: "DELETE FROM webhook_delivery WHERE created_at < ?1 AND pk IN
            (SELECT pk FROM webhook_delivery WHERE created_at < ?1 ORDER BY pk LIMIT ?2)",
    },
];

/// Removes at most [`BATCH`] rows; answers how many.
#[derive(Debug)]
pub struct Sweep {
    /// Of what.
    pub litter: Litter,
    /// When.
    pub now: Timestamp,
}

impl Verb for Sweep {
    type Output = u64;

    async fn run<S: Sql>(&self, tx: &mut Tx<'_, S>) -> Result<u64, StoreError> {
        tx.sql.execute(self.litter.sql, values![self.now.before(self.litter.age), BATCH]).await
    }
}
