//! Enrollments: bringing a client and their device in.

use oss2fa_core::ids::DeviceId;
use oss2fa_core::secret::SecretBytes;

use super::Doer;
use super::challenges::Kept;
use super::clients::ClientStatus;
use super::devices::{add_device, hold_secrets, remove_device};
use super::integrations::hold_integration;
use super::yubikeys::is_taken;
use crate::device::NewDevice;
use crate::ids::{ClientId, EnrollmentId, IntegrationId, TenantId, Username};
use crate::outside::Timestamp;
use crate::store::error::StoreError;
use crate::store::sql::{Row, Sql};
use crate::store::verb::{Query, Tx, Verb};
use crate::values;

/// Table and column that an enrollment's step is sealed for.
pub const STEP: &str = "enrollment.sealed";

/// An enrollment.
#[derive(Debug, Clone)]
pub struct Enrollment {
    /// Its number.
    pub pk: EnrollmentId,
    /// Who.
    pub username: Username,
    /// Name of the kind of device, once it was chosen.
    pub kind: Option<String>,
    /// 1 new, 2 in progress, 3 complete, 4 failed, 5 expired.
    pub status: i64,
    /// What the kind kept of the last step, and what it showed.
    pub step: Option<SecretBytes>,
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
}

/// What a status is at this time: one that waits and has expired is 5.
#[must_use]
pub(super) fn seen_status(status: i64, expires_at: Timestamp, now: Timestamp) -> i64 {
    match status {
        1 | 2 if expires_at <= now => 5,
        other => other,
    }
}

/// Begins one.
#[derive(Debug)]
pub struct CreateEnrollment {
    /// Who asks; in whose tenant and integration.
    pub doer: Doer,
    /// Who is to be enrolled.
    pub username: Username,
    /// Wrong answers that it takes.
    pub attempts: u32,
    /// Messages that may be sent.
    pub sends: u32,
    /// Until when.
    pub expires_at: Timestamp,
}

impl Verb for CreateEnrollment {
    type Output = Enrollment;

    async fn run<S: Sql>(&self, tx: &mut Tx<'_, S>) -> Result<Enrollment, StoreError> {
        let made = tx
            .sql
            .row(
                "INSERT INTO enrollment (tenant, integration, username, status, attempts_left, sends_left,
                    created_at, expires_at)
                 VALUES (?1, ?2, ?3, 1, ?4, ?5, ?6, ?7) RETURNING pk",
                values![
                    self.doer.tenant,
                    self.doer.integration,
                    &self.username,
                    self.attempts,
                    self.sends,
                    self.doer.now,
                    self.expires_at
                ],
            )
            .await?
            .ok_or(StoreError::Corrupt("no number for an enrollment"))?;
        let pk: EnrollmentId = made.take(0)?;
        let detail = format!("enrollment={pk}");
        tx.events.push(self.doer.event("enrollment_created", self.username.as_str(), detail));
        Ok(Enrollment {
            pk,
            username: self.username.clone(),
            kind: None,
            status: 1,
            step: None,
            attempts_left: self.attempts,
            sends_left: self.sends,
            sent_at: None,
            created_at: self.doer.now,
            expires_at: self.expires_at,
        })
    }
}

/// One of an integration's enrollments.
#[derive(Debug)]
pub struct FindEnrollment {
    /// Whose.
    pub tenant: TenantId,
    /// Of which integration.
    pub integration: IntegrationId,
    /// Which.
    pub enrollment: EnrollmentId,
    /// The time, which tells whether it has expired.
    pub now: Timestamp,
}

impl Query for FindEnrollment {
    type Output = Option<Enrollment>;

    async fn run<S: Sql>(&self, tx: &mut Tx<'_, S>) -> Result<Option<Enrollment>, StoreError> {
        let row = tx
            .sql
            .row(
                "SELECT pk, username, kind, status, sealed, attempts_left, sends_left, sent_at, created_at,
                        expires_at
                 FROM enrollment WHERE tenant = ?1 AND integration = ?2 AND pk = ?3",
                values![self.tenant, self.integration, self.enrollment],
            )
            .await?;
        match row {
            Some(row) => self.read(tx, &row).await.map(Some),
            None => Ok(None),
        }
    }
}

impl FindEnrollment {
    async fn read<S: Sql>(&self, tx: &mut Tx<'_, S>, row: &Row) -> Result<Enrollment, StoreError> {
        let pk: EnrollmentId = row.take(0)?;
        let step = match row.take::<Option<Vec<u8>>>(4)? {
            Some(sealed) => {
                let keys = tx.keys_for(self.tenant, &sealed).await?;
                Some(keys.open(STEP, pk.0, &sealed).map_err(|_| StoreError::Sealed("enrollment"))?)
            }
            None => None,
        };
        let expires_at: Timestamp = row.take(9)?;
        Ok(Enrollment {
            pk,
            username: row.take(1)?,
            kind: row.take(2)?,
            status: seen_status(row.take(3)?, expires_at, self.now),
            step,
            attempts_left: row.take(5)?,
            sends_left: row.take(6)?,
            sent_at: row.take(7)?,
            created_at: row.take(8)?,
            expires_at,
        })
    }
}

/// Keeps the step of an enrollment that now waits for its answer, and the kind that was chosen.
#[derive(Debug)]
pub struct KeepEnrollmentStep {
    /// Who asks; in whose tenant and integration.
    pub doer: Doer,
    /// Which.
    pub enrollment: EnrollmentId,
    /// Name of the kind.
    pub kind: &'static str,
    /// What the kind wants back.
    pub step: SecretBytes,
    /// What goes out with it.
    pub message: Option<EnrollmentMessage>,
}

/// A message of an enrollment, which counts for it and for the address: whoever begins anew does not begin to count
/// anew.
#[derive(Debug, Clone, Copy)]
pub struct EnrollmentMessage {
    /// The last one of the enrollment must be at least as old as this.
    pub not_since: Timestamp,
    /// Keyed digest of where it goes.
    pub address: [u8; 32],
    /// Those to the address count that were sent after this, by whatever enrollments of the integration.
    pub since: Timestamp,
    /// So many.
    pub most: u32,
}

impl Verb for KeepEnrollmentStep {
    type Output = Kept;

    async fn run<S: Sql>(&self, tx: &mut Tx<'_, S>) -> Result<Kept, StoreError> {
        let Doer { tenant, integration, now, .. } = self.doer;
        let keys = tx.keys(tenant).await?;
        let sealed = keys.seal(STEP, self.enrollment.0, self.step.expose(), tx.ring.random())?;
        let rows = match &self.message {
            None => {
                tx.sql
                    .execute(
                        "UPDATE enrollment SET kind = ?4, sealed = ?5, status = 2
                         WHERE tenant = ?1 AND integration = ?2 AND pk = ?3 AND status IN (1, 2)
                           AND expires_at > ?6",
                        values![tenant, integration, self.enrollment, self.kind, &sealed, now],
                    )
                    .await?
            }
            Some(message) => self.keep_with(tx, message, &sealed).await?,
        };
        Ok(if rows == 1 { Kept::Done } else { Kept::NotNow })
    }
}

impl KeepEnrollmentStep {
    /// Keeps the step, and counts the message that goes out with it.
    async fn keep_with<S: Sql>(
        &self,
        tx: &mut Tx<'_, S>,
        message: &EnrollmentMessage,
        sealed: &[u8],
    ) -> Result<u64, StoreError> {
        let Doer { tenant, integration, now, .. } = self.doer;
        // Held to the end: messages to one address are counted one after another, on whatever node.
        hold_integration(tx, tenant, integration).await?;
        let kept = tx
            .sql
            .execute(
                "UPDATE enrollment SET kind = ?4, sealed = ?5, status = 2,
                    sends_left = sends_left - 1, sent_at = ?6
                 WHERE tenant = ?1 AND integration = ?2 AND pk = ?3 AND status IN (1, 2)
                   AND expires_at > ?6 AND sends_left > 0 AND (sent_at IS NULL OR sent_at <= ?7)
                   AND (SELECT count(*) FROM enrollment_message m
                        WHERE m.tenant = ?1 AND m.integration = ?2 AND m.address = ?8
                          AND m.sent_at > ?9) < CAST(?10 AS BIGINT)",
                values![
                    tenant,
                    integration,
                    self.enrollment,
                    self.kind,
                    sealed,
                    now,
                    message.not_since,
                    &message.address,
                    message.since,
                    message.most
                ],
            )
            .await?;
        if kept == 1 {
            // A row each: an enrollment may turn to another address.
            tx.sql
                .execute(
                    "INSERT INTO enrollment_message (tenant, integration, address, sent_at)
                     VALUES (?1, ?2, ?3, ?4)",
                    values![tenant, integration, &message.address, now],
                )
                .await?;
        }
        Ok(kept)
    }
}

/// Takes one try from an enrollment; with the last one it has failed. What a security key was to sign is worth
/// nothing once it was answered: it must be prepared again.
#[derive(Debug)]
pub struct RefuseEnrollment {
    /// Who asks; in whose tenant and integration.
    pub doer: Doer,
    /// Which.
    pub enrollment: EnrollmentId,
    /// Who was to be enrolled, for the audit.
    pub username: Username,
}

impl Verb for RefuseEnrollment {
    /// Tries left; `None` where it is over.
    type Output = Option<u32>;

    async fn run<S: Sql>(&self, tx: &mut Tx<'_, S>) -> Result<Option<u32>, StoreError> {
        let left = tx
            .sql
            .row(
                "UPDATE enrollment SET attempts_left = attempts_left - 1,
                    status = CASE WHEN attempts_left <= 1 THEN 4 ELSE status END,
                    sealed = CASE WHEN attempts_left <= 1 OR kind IN ('U2F', 'FIDO2') THEN NULL ELSE sealed END
                 WHERE tenant = ?1 AND integration = ?2 AND pk = ?3
                   AND status = 2 AND expires_at > ?4 AND attempts_left > 0 RETURNING attempts_left",
                values![self.doer.tenant, self.doer.integration, self.enrollment, self.doer.now],
            )
            .await?;
        let detail = format!("enrollment={}", self.enrollment);
        tx.events.push(self.doer.event("enrollment_refused", self.username.as_str(), detail));
        left.map(|row| row.take(0)).transpose()
    }
}

/// Completes an enrollment: the client comes about, where it was not there, with its device.
#[derive(Debug)]
pub struct CompleteEnrollment {
    /// Who asks; in whose tenant and integration.
    pub doer: Doer,
    /// Which.
    pub enrollment: EnrollmentId,
    /// Who.
    pub username: Username,
    /// Name of the kind.
    pub kind: &'static str,
    /// The device that was proved.
    pub device: NewDevice,
    /// Most devices of one client.
    pub most: u32,
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Completed {
    /// Done.
    Client(ClientId, DeviceId),
    /// It was completed, failed or has expired meanwhile.
    Over,
    /// The client may not pass, so nothing is enrolled for them.
    Barred,
    /// The client has as many devices as policy allows.
    TooMany,
    /// The code was used before: the secret belongs to a device whose counter has passed it.
    Used,
    /// The integration knows this credential of a security key.
    Registered,
    /// The key is the device of somebody already.
    Taken,
}

impl Verb for CompleteEnrollment {
    type Output = Completed;

    async fn run<S: Sql>(&self, tx: &mut Tx<'_, S>) -> Result<Completed, StoreError> {
        let Doer { tenant, integration, now, .. } = self.doer;
        let Some(integration) = integration else { return Ok(Completed::Over) };
        if self.device.code_secret.is_some() {
            hold_secrets(tx, tenant).await?;
        }
        // A client who is not there yet has no row to hold: enrolments of an integration take turns.
        // Another node may know a token for a moment after its integration was removed.
        if hold_integration(tx, tenant, integration).await?.is_none() {
            return Ok(Completed::Over);
        }
        let keys = tx.keys(tenant).await?;
        let client = tx
            .sql
            .row(
                "SELECT pk, status FROM client
                 WHERE tenant = ?1 AND integration = ?2 AND username = ?3 FOR UPDATE",
                values![tenant, integration, &self.username],
            )
            .await?;
        if let Some(client) = &client {
            if ClientStatus::parse(&client.take::<String>(1)?)? == ClientStatus::Inactive {
                return Ok(Completed::Barred);
            }
            // What a new list of codes takes the place of is none besides it.
            let replaced = if self.device.codes.is_empty() { "" } else { self.kind };
            let count = tx
                .sql
                .row(
                    "SELECT count(*) FROM device
                     WHERE tenant = ?1 AND client = ?2 AND status = 'active' AND kind <> ?3",
                    values![tenant, client.take::<ClientId>(0)?, replaced],
                )
                .await?;
            let count = count.map_or(Ok(0), |row| row.take::<i64>(0))?;
            if count >= i64::from(self.most) {
                return Ok(Completed::TooMany);
            }
        }
        let fingerprint = self.device.code_secret.as_ref().map(|secret| keys.fingerprint(secret));
        let position = i64::try_from(self.device.next_position)
            .map_err(|_| StoreError::Corrupt("a position beyond every counter"))?;
        if let Some(fingerprint) = &fingerprint {
            if self.is_registered(tx, fingerprint).await? {
                return Ok(Completed::Registered);
            }
            if self.is_used(tx, fingerprint, position).await? {
                return Ok(Completed::Used);
            }
        }
        if let Some(public_id) = &self.device.public_id
            && is_taken(tx, tenant, integration, public_id).await?
        {
            return Ok(Completed::Taken);
        }
        let done = tx
            .sql
            .execute(
                "UPDATE enrollment SET status = 3, sealed = NULL
                 WHERE tenant = ?1 AND integration = ?2 AND pk = ?3 AND username = ?4
                   AND status = 2 AND expires_at > ?5 AND attempts_left > 0",
                values![tenant, integration, self.enrollment, &self.username, now],
            )
            .await?;
        if done == 0 {
            return Ok(Completed::Over);
        }
        let client: ClientId = tx
            .sql
            .row(
                "INSERT INTO client (tenant, integration, username, status, created_at)
                 VALUES (?1, ?2, ?3, 'active', ?4)
                 ON CONFLICT (integration, username) DO UPDATE SET username = excluded.username RETURNING pk",
                values![tenant, integration, &self.username, now],
            )
            .await?
            .ok_or(StoreError::Corrupt("no number for a client"))?
            .take(0)?;
        let device = self.store(tx, client, fingerprint.as_ref(), position).await?;
        tx.sql
            .execute(
                "UPDATE enrollment SET client = ?3 WHERE tenant = ?1 AND pk = ?2",
                values![tenant, self.enrollment, client],
            )
            .await?;
        let detail = format!("{} device={device} enrollment={}", self.kind, self.enrollment);
        tx.events.push(self.doer.event("enrolled", self.username.as_str(), detail));
        Ok(Completed::Client(client, device))
    }
}

impl CompleteEnrollment {
    /// Whether a code of this secret was used at or above the position, or the client has it on a device
    /// already: each of its codes would pass once for each of the two.
    async fn is_used<S: Sql>(
        &self,
        tx: &mut Tx<'_, S>,
        fingerprint: &[u8; 32],
        position: i64,
    ) -> Result<bool, StoreError> {
        let row = tx
            .sql
            .row(
                "SELECT 1 FROM device_fingerprint f JOIN device d ON d.pk = f.device AND d.tenant = f.tenant
                    LEFT JOIN device_use u ON u.client = d.client AND u.device = d.pk AND u.tenant = d.tenant
                    LEFT JOIN client c ON c.pk = d.client AND c.tenant = d.tenant
                 WHERE f.tenant = ?1 AND f.fingerprint = ?2 AND d.kind NOT IN ('U2F', 'FIDO2')
                   AND (coalesce(u.next_position, d.next_position) IS NULL
                        OR coalesce(u.next_position, d.next_position) >= CAST(?3 AS BIGINT)
                        OR (d.status = 'active' AND c.integration = ?4 AND c.username = ?5))",
                values![self.doer.tenant, fingerprint, position, self.doer.integration, &self.username],
            )
            .await?;
        Ok(row.is_some())
    }

    /// Whether a client of the integration has, or had, this credential of a security key.
    async fn is_registered<S: Sql>(
        &self,
        tx: &mut Tx<'_, S>,
        fingerprint: &[u8; 32],
    ) -> Result<bool, StoreError> {
        let row = tx
            .sql
            .row(
                "SELECT 1 FROM device_fingerprint f JOIN device d ON d.pk = f.device AND d.tenant = f.tenant
                    JOIN client c ON c.pk = d.client AND c.tenant = d.tenant
                 WHERE f.tenant = ?1 AND f.fingerprint = ?2 AND d.kind IN ('U2F', 'FIDO2') AND c.integration = ?3",
                values![self.doer.tenant, fingerprint, self.doer.integration],
            )
            .await?;
        Ok(row.is_some())
    }

    async fn store<S: Sql>(
        &self,
        tx: &mut Tx<'_, S>,
        client: ClientId,
        fingerprint: Option<&[u8; 32]>,
        position: i64,
    ) -> Result<DeviceId, StoreError> {
        if !self.device.codes.is_empty() {
            self.replace_codes(tx, client).await?;
        }
        add_device(tx, &self.doer, client, self.kind, &self.device, fingerprint, position).await
    }

    /// New single-use codes take the place of the old: a list that was lost is worth nothing.
    async fn replace_codes<S: Sql>(&self, tx: &mut Tx<'_, S>, client: ClientId) -> Result<(), StoreError> {
        let tenant = self.doer.tenant;
        let old = tx
            .sql
            .rows(
                "SELECT pk FROM device WHERE tenant = ?1 AND client = ?2 AND kind = ?3 AND status = 'active'",
                values![tenant, client, self.kind],
            )
            .await?;
        for row in old {
            remove_device(tx, tenant, client, row.take(0)?).await?;
        }
        Ok(())
    }
}
