//! Challenges: asking a client to prove a factor.

use oss2fa_core::ids::DeviceId;
use oss2fa_core::secret::SecretBytes;

use super::Doer;
use super::clients::{ClientStatus, codes_of, stored};
use super::locks::{Locks, Tried};
use crate::device::StoredDevice;
use crate::ids::{ChallengeId, ClientId, IntegrationId, TenantId, Username};
use crate::outside::Timestamp;
use crate::policy::LockPolicy;
use crate::store::error::StoreError;
use crate::store::sql::Sql;
use crate::store::verb::{Query, Tx, Verb};
use crate::values;
use crate::whereabouts::Whereabouts;

/// Table and column that a challenge's step is sealed for.
pub const STEP: &str = "challenge.sealed";

/// A challenge.
#[derive(Debug, Clone)]
pub struct Challenge {
    /// Its number.
    pub pk: ChallengeId,
    /// Whom it asks.
    pub client: ClientId,
    /// Their name.
    pub username: Username,
    /// By which device.
    pub device: DeviceId,
    /// Name of that device's kind.
    pub kind: String,
    /// The application's own word for it.
    pub reference: Option<String>,
    /// 1 new, 2 in progress, 3 complete, 4 failed, 5 expired.
    pub status: i64,
    /// What the kind kept of the last step, and what it showed.
    pub step: Option<SecretBytes>,
    /// Where the client is, as the application says.
    pub source: String,
    /// The browser's fingerprint, as the application says.
    pub fingerprint: Option<String>,
    /// Host, service and the like, as the application says.
    pub whereabouts: Whereabouts,
    /// Wrong answers that it still takes.
    pub attempts_left: u32,
    /// Messages that may still be sent.
    pub sends_left: u32,
    /// When the last one was sent.
    pub sent_at: Option<Timestamp>,
    /// Since when.
    pub created_at: Timestamp,
    /// Until when.
    pub expires_at: Timestamp,
    /// When it was completed.
    pub completed_at: Option<Timestamp>,
}

/// Opens a challenge.
#[derive(Debug)]
pub struct CreateChallenge {
    /// Who asks; in whose tenant and integration. Its source is where the client is.
    pub doer: Doer,
    /// Whom.
    pub client: ClientId,
    /// Their name, for the audit.
    pub username: Username,
    /// By which of their devices.
    pub device: DeviceId,
    /// The application's own word for it.
    pub reference: Option<String>,
    /// The browser's fingerprint, as the application says.
    pub fingerprint: Option<String>,
    /// Wrong answers that it takes.
    pub attempts: u32,
    /// Messages that may be sent.
    pub sends: u32,
    /// Until when.
    pub expires_at: Timestamp,
}

/// A challenge that was opened, with the device that answers it.
#[derive(Debug)]
pub struct Opened {
    /// Its number.
    pub pk: ChallengeId,
    /// Name of the device's kind.
    pub kind: String,
    /// The device.
    pub device: StoredDevice,
}

impl Verb for CreateChallenge {
    /// `None` where the client has no such device, or may not pass.
    type Output = Option<Opened>;

    async fn run<S: Sql>(&self, tx: &mut Tx<'_, S>) -> Result<Option<Opened>, StoreError> {
        let Doer { tenant, integration, now, .. } = self.doer;
        let device = tx
            .sql
            .row(
                "SELECT d.kind, d.sealed, u.next_position FROM device d
                 JOIN device_use u ON u.client = d.client AND u.device = d.pk AND u.tenant = d.tenant
                 JOIN client c ON c.pk = d.client AND c.tenant = d.tenant
                 WHERE d.tenant = ?1 AND d.client = ?2 AND d.pk = ?3 AND d.status = 'active'
                   AND c.integration = ?4 AND c.status <> 'inactive'",
                values![tenant, self.client, self.device, integration],
            )
            .await?;
        let Some(device) = device else { return Ok(None) };
        let whereabouts = self.doer.whereabouts.pack()?;
        let made = tx
            .sql
            .row(
                "INSERT INTO challenge (tenant, integration, client, device, reference, status, source,
                    fingerprint, whereabouts, attempts_left, sends_left, created_at, expires_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, 1, ?6, ?7, ?8, ?9, ?10, ?11, ?12) RETURNING pk",
                values![
                    tenant,
                    integration,
                    self.client,
                    self.device,
                    self.reference.as_ref(),
                    &self.doer.source,
                    self.fingerprint.as_ref(),
                    whereabouts.as_ref(),
                    self.attempts,
                    self.sends,
                    now,
                    self.expires_at
                ],
            )
            .await?
            .ok_or(StoreError::Corrupt("no number for a challenge"))?;
        let sealed: Vec<u8> = device.take(1)?;
        let keys = tx.keys_for(tenant, &sealed).await?;
        let codes = codes_of(tx, tenant, self.device).await?;
        let (pk, kind): (ChallengeId, String) = (made.take(0)?, device.take(0)?);
        let detail = format!("{kind} device={} challenge={pk}", self.device);
        tx.events.push(self.doer.event("challenged", self.username.as_str(), detail));
        let device = stored(&keys, self.device, &sealed, device.take(2)?, codes)?;
        Ok(Some(Opened { pk, kind, device }))
    }
}

/// Keeps the step of a challenge that now waits for its answer.
#[derive(Debug)]
pub struct KeepStep {
    /// Whose.
    pub tenant: TenantId,
    /// Of which integration.
    pub integration: IntegrationId,
    /// Which.
    pub challenge: ChallengeId,
    /// What the kind wants back.
    pub step: SecretBytes,
    /// Whether a message goes out with it, which counts.
    pub sending: Sending,
    /// How many the device may get: whoever begins anew does not begin to count anew.
    pub device: DeviceMessages,
    /// When wrong answers lock: a code that cannot pass is not sent.
    pub limits: LockPolicy,
    /// When.
    pub now: Timestamp,
}

/// Whether a step sends a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sending {
    /// It does: counted, and not before this time after the last one.
    Message {
        /// The last one must be at least as old as this.
        not_since: Timestamp,
    },
    /// It does not.
    Nothing,
}

/// How many messages a device may get, whatever the number of its challenges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeviceMessages {
    /// Those of challenges that sent their last one after this.
    pub since: Timestamp,
    /// So many.
    pub most: u32,
    /// What a challenge begins with. One that began with more, before policy said so, counts for one at least.
    pub of_challenge: u32,
}

/// What came of keeping a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// It is kept.
    Done,
    /// No more messages, or not yet; or the challenge is over.
    NotNow,
    /// Its code could not pass: too many tries.
    Locked {
        /// Until when.
        until: Timestamp,
    },
}

impl Verb for KeepStep {
    type Output = Kept;

    async fn run<S: Sql>(&self, tx: &mut Tx<'_, S>) -> Result<Kept, StoreError> {
        let keys = tx.keys(self.tenant).await?;
        let sealed = keys.seal(STEP, self.challenge.0, self.step.expose(), tx.ring.random())?;
        let rows = match self.sending {
            Sending::Nothing => {
                tx.sql
                    .execute(
                        "UPDATE challenge SET sealed = ?4, status = 2
                         WHERE tenant = ?1 AND integration = ?2 AND pk = ?3 AND status IN (1, 2)
                           AND expires_at > ?5",
                        values![self.tenant, self.integration, self.challenge, &sealed, self.now],
                    )
                    .await?
            }
            Sending::Message { not_since } => {
                if let Some(until) = self.hold_client(tx).await? {
                    return Ok(Kept::Locked { until });
                }
                tx.sql
                    .execute(
                        "UPDATE challenge SET sealed = ?4, status = 2, sends_left = sends_left - 1, sent_at = ?5
                         WHERE tenant = ?1 AND integration = ?2 AND pk = ?3 AND status IN (1, 2)
                           AND expires_at > ?5 AND sends_left > 0 AND (sent_at IS NULL OR sent_at <= ?6)
                           AND (SELECT coalesce(sum(CASE WHEN o.sends_left < CAST(?8 AS BIGINT)
                                    THEN CAST(?8 AS BIGINT) - o.sends_left ELSE 1 END), 0) FROM challenge o
                                WHERE o.tenant = ?1 AND o.client = challenge.client AND o.device = challenge.device
                                  AND o.sent_at > ?7) < CAST(?9 AS BIGINT)",
                        values![
                            self.tenant,
                            self.integration,
                            self.challenge,
                            &sealed,
                            self.now,
                            not_since,
                            self.device.since,
                            self.device.of_challenge,
                            self.device.most
                        ],
                    )
                    .await?
            }
        };
        Ok(if rows == 1 { Kept::Done } else { Kept::NotNow })
    }
}

impl KeepStep {
    /// Holds the client to the end: its messages are counted one after another, on whatever node. Until when the
    /// answer would be refused unseen, where it would be.
    async fn hold_client<S: Sql>(&self, tx: &mut Tx<'_, S>) -> Result<Option<Timestamp>, StoreError> {
        let held = tx
            .sql
            .row(
                "SELECT c.pk, h.source, d.kind FROM challenge h
                    JOIN client c ON c.pk = h.client AND c.tenant = h.tenant
                    JOIN device d ON d.pk = h.device AND d.tenant = h.tenant
                 WHERE h.tenant = ?1 AND h.integration = ?2 AND h.pk = ?3 FOR UPDATE OF c",
                values![self.tenant, self.integration, self.challenge],
            )
            .await?;
        // The update finds no challenge either.
        let Some(held) = held else { return Ok(None) };
        let locks = Locks {
            tenant: self.tenant,
            tried: Tried::Client(held.take(0)?),
            source: held.text(1)?,
            kind: held.text(2)?,
            limits: self.limits,
            now: self.now,
        };
        Ok(locks.look(tx).await?.closed_until)
    }
}

/// A challenge with the device that answers it.
#[derive(Debug)]
pub struct FindChallenge {
    /// Whose.
    pub tenant: TenantId,
    /// Of which integration.
    pub integration: IntegrationId,
    /// Which.
    pub challenge: ChallengeId,
    /// The time, which tells whether it has expired.
    pub now: Timestamp,
}

/// A challenge, the status of its client, and its device while that is active.
#[derive(Debug)]
pub struct Found {
    /// The challenge.
    pub challenge: Challenge,
    /// May the client pass?
    pub client: ClientStatus,
    /// The device; none once it was removed.
    pub device: Option<StoredDevice>,
}

impl Query for FindChallenge {
    type Output = Option<Found>;

    async fn run<S: Sql>(&self, tx: &mut Tx<'_, S>) -> Result<Option<Found>, StoreError> {
        let row = tx
            .sql
            .row(
                "SELECT h.pk, h.client, c.username, h.device, d.kind, h.reference, h.status, h.sealed, h.source,
                        h.fingerprint, h.attempts_left, h.sends_left, h.sent_at, h.created_at, h.expires_at,
                        h.completed_at, c.status, d.status, d.sealed, u.next_position, h.whereabouts
                 FROM challenge h JOIN client c ON c.pk = h.client JOIN device d ON d.pk = h.device
                    LEFT JOIN device_use u ON u.client = d.client AND u.device = d.pk AND u.tenant = d.tenant
                 WHERE h.tenant = ?1 AND h.integration = ?2 AND h.pk = ?3
                   AND c.tenant = ?1 AND c.integration = ?2 AND d.tenant = ?1 AND d.client = c.pk",
                values![self.tenant, self.integration, self.challenge],
            )
            .await?;
        let Some(row) = row else { return Ok(None) };
        let (pk, device): (ChallengeId, DeviceId) = (row.take(0)?, row.take(3)?);
        let step = match row.take::<Option<Vec<u8>>>(7)? {
            Some(sealed) => {
                let keys = tx.keys_for(self.tenant, &sealed).await?;
                Some(keys.open(STEP, pk.0, &sealed).map_err(|_| StoreError::Sealed("challenge"))?)
            }
            None => None,
        };
        let opened = match (row.take::<String>(17)?.as_str(), row.take::<Option<i64>>(19)?) {
            ("active", Some(next_position)) => {
                let codes = codes_of(tx, self.tenant, device).await?;
                let sealed: Vec<u8> = row.take(18)?;
                let keys = tx.keys_for(self.tenant, &sealed).await?;
                Some(stored(&keys, device, &sealed, next_position, codes)?)
            }
            _ => None,
        };
        let (status, expires_at): (i64, Timestamp) = (row.take(6)?, row.take(14)?);
        let challenge = Challenge {
            pk,
            client: row.take(1)?,
            username: row.take(2)?,
            device,
            kind: row.take(4)?,
            reference: row.take(5)?,
            status: super::enrollments::seen_status(status, expires_at, self.now),
            step,
            source: row.take(8)?,
            fingerprint: row.take(9)?,
            whereabouts: Whereabouts::unpack(row.take::<Option<String>>(20)?.as_deref())?,
            attempts_left: row.take(10)?,
            sends_left: row.take(11)?,
            sent_at: row.take(12)?,
            created_at: row.take(13)?,
            expires_at,
            completed_at: row.take(15)?,
        };
        Ok(Some(Found { challenge, client: ClientStatus::parse(&row.take::<String>(16)?)?, device: opened }))
    }
}

/// Gives a challenge up: nobody waits for its answer any more.
#[derive(Debug)]
pub struct CancelChallenge {
    /// Who does it; in whose tenant and integration.
    pub doer: Doer,
    /// Which.
    pub challenge: ChallengeId,
}

impl Verb for CancelChallenge {
    type Output = super::tenants::Removed;

    async fn run<S: Sql>(&self, tx: &mut Tx<'_, S>) -> Result<Self::Output, StoreError> {
        let cancelled = tx
            .sql
            .row(
                "UPDATE challenge SET status = 4, sealed = NULL
                 WHERE tenant = ?1 AND integration = ?2 AND pk = ?3 AND status IN (1, 2)
                 RETURNING (SELECT username FROM client WHERE client.pk = challenge.client)",
                values![self.doer.tenant, self.doer.integration, self.challenge],
            )
            .await?;
        let Some(row) = cancelled else { return Ok(super::tenants::Removed::NotThere) };
        let username = row.take::<Option<String>>(0)?.unwrap_or_default();
        tx.events.push(self.doer.event("cancelled", &username, format!("challenge={}", self.challenge)));
        Ok(super::tenants::Removed::Done)
    }
}
