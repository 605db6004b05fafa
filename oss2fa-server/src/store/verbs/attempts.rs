//! A try with an answer: locks, verdict and audit in one transaction.
//!
//! The verdict is the row count of conditional updates. They alone make an [`Admitted`].

use oss2fa_core::ids::DeviceId;
use oss2fa_core::verdict::Verified;

use super::Doer;
use super::clients::{ClientStatus, Verifiable, hold_for_verifying};
use super::locks::{Locks, Tried};
use crate::device::Spend;
use crate::ids::{ChallengeId, ClientId, Username};
use crate::keys::TenantKeys;
use crate::outside::Timestamp;
use crate::policy::LockPolicy;
use crate::store::error::StoreError;
use crate::store::sql::Sql;
use crate::store::verb::{Tx, Verb};
use crate::values;

/// An answer was right and this try, and no other, has spent it; that is durable.
///
/// Only the store makes one, from the row counts of its updates:
///
/// ```compile_fail
/// use oss2fa_server::store::verbs::attempts::Admitted;
/// let forged = Admitted { client: oss2fa_server::ids::ClientId(1), device: oss2fa_core::ids::DeviceId(1) };
/// ```
#[derive(Debug, PartialEq, Eq)]
pub struct Admitted {
    client: ClientId,
    device: DeviceId,
}

impl Admitted {
    /// Who.
    #[must_use]
    pub fn client(&self) -> ClientId {
        self.client
    }

    /// By which device.
    #[must_use]
    pub fn device(&self) -> DeviceId {
        self.device
    }
}

/// What the store says to a try.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Right, and spent.
    Admitted(Admitted),
    /// Wrong, or used before; how many tries the challenge has left, where there is one.
    Refused {
        /// Tries left.
        attempts_left: Option<u32>,
    },
    /// Too many tries.
    Locked {
        /// Until when.
        until: Timestamp,
    },
    /// The challenge was completed, failed or has expired meanwhile.
    Over,
    /// The client may not pass, or is gone.
    Barred,
    /// There is no client of this name, or none with a device.
    Nobody,
}

/// One try of one client.
#[derive(Debug)]
pub struct Attempt {
    /// Who asks; in whose tenant and integration. Its source is where the client is.
    pub doer: Doer,
    /// Whose try.
    pub client: ClientId,
    /// Their name, for the audit.
    pub username: String,
    /// Name of the kind of the device that is tried.
    pub kind: &'static str,
    /// The challenge that it answers, where there is one.
    pub challenge: Option<ChallengeId>,
    /// That the answer was right, where it was, and what that spends.
    pub verified: Option<(Verified, Spend)>,
    /// How much is too much.
    pub limits: LockPolicy,
}

impl Verb for Attempt {
    type Output = Verdict;

    async fn run<S: Sql>(&self, tx: &mut Tx<'_, S>) -> Result<Verdict, StoreError> {
        let Doer { tenant, integration, .. } = self.doer;
        // Held to the end: the tries of one client are judged one after another, on whatever node.
        let client = tx
            .sql
            .row(
                "SELECT status FROM client WHERE tenant = ?1 AND integration = ?2 AND pk = ?3 FOR UPDATE",
                values![tenant, integration, self.client],
            )
            .await?;
        let status = client.map(|row| row.take::<String>(0)).transpose()?;
        let one = Try {
            doer: &self.doer,
            client: self.client,
            username: &self.username,
            kind: self.kind,
            challenge: self.challenge,
            verified: self.verified.as_ref(),
            limits: self.limits,
        };
        match status.as_deref().map(ClientStatus::parse).transpose()? {
            Some(ClientStatus::Active | ClientStatus::Bypass) => one.settle(tx).await,
            Some(ClientStatus::Inactive) | None => {
                tx.events.push(one.event("barred", String::new()));
                Ok(Verdict::Barred)
            }
        }
    }
}

/// One try, on its way through a transaction that holds the client's row.
pub(super) struct Try<'a> {
    pub(super) doer: &'a Doer,
    pub(super) client: ClientId,
    pub(super) username: &'a str,
    pub(super) kind: &'static str,
    pub(super) challenge: Option<ChallengeId>,
    pub(super) verified: Option<&'a (Verified, Spend)>,
    pub(super) limits: LockPolicy,
}

impl Try<'_> {
    /// Locks, verdict, audit.
    pub(super) async fn settle<S: Sql>(&self, tx: &mut Tx<'_, S>) -> Result<Verdict, StoreError> {
        let locks = Locks {
            tenant: self.doer.tenant,
            tried: Tried::Client(self.client),
            kind: self.kind,
            source: &self.doer.source,
            limits: self.limits,
            now: self.doer.now,
        };
        let seen = locks.look(tx).await?;
        if let Some(until) = seen.closed_until {
            tx.events.push(self.event("locked", self.kind.to_owned()));
            return Ok(Verdict::Locked { until });
        }
        if let Some((verified, spend)) = self.verified
            && self.spend(tx, verified, *spend).await? == 1
        {
            if self.complete(tx, verified.device()).await? == 0 {
                // The code stays spent: it was shown.
                tx.events.push(self.event("refused", format!("{} challenge over", self.kind)));
                return Ok(Verdict::Over);
            }
            locks.count_success(tx, &seen).await?;
            let device = verified.device();
            tx.events.push(self.event("accepted", format!("{} device={device}", self.kind)));
            return Ok(Verdict::Admitted(Admitted { client: self.client, device }));
        }
        let attempts_left = match self.challenge {
            None => None,
            Some(challenge) => match self.use_up(tx, challenge).await? {
                None => return Ok(Verdict::Over),
                left => left,
            },
        };
        locks.count_failure(tx, &seen).await?;
        tx.events.push(self.event("refused", self.kind.to_owned()));
        Ok(Verdict::Refused { attempts_left })
    }

    fn event(&self, what: &'static str, detail: String) -> crate::store::audit::Event {
        let detail = match self.challenge {
            Some(challenge) => format!("{detail} challenge={challenge}"),
            None => detail,
        };
        self.doer.event(what, self.username, detail)
    }

    async fn spend<S: Sql>(
        &self,
        tx: &mut Tx<'_, S>,
        verified: &Verified,
        spend: Spend,
    ) -> Result<u64, StoreError> {
        let position = i64::try_from(verified.position())
            .ok()
            .filter(|position| *position < i64::MAX)
            .ok_or(StoreError::Corrupt("a position beyond every counter"))?;
        let (tenant, now, device) = (self.doer.tenant, self.doer.now, verified.device());
        match spend {
            Spend::Position => {
                tx.sql
                    .execute(
                        "UPDATE device_use SET next_position = CAST(?4 AS BIGINT) + 1, last_used_at = ?5
                         WHERE tenant = ?1 AND client = ?2 AND device = ?3 AND next_position <= CAST(?4 AS BIGINT)",
                        values![tenant, self.client, device, position, now],
                    )
                    .await
            }
            Spend::Code => {
                let used = tx
                    .sql
                    .execute(
                        "UPDATE recovery_code SET used_at = ?4
                         WHERE tenant = ?1 AND device = ?2 AND number = ?3 AND used_at IS NULL",
                        values![tenant, device, position, now],
                    )
                    .await?;
                if used == 1 { self.mark_used(tx, device).await } else { Ok(0) }
            }
            Spend::Nothing => self.mark_used(tx, device).await,
            // Without a challenge there is nothing that could be spent, and nobody gets in.
            Spend::Challenge | Spend::Counter if self.challenge.is_none() => Ok(0),
            Spend::Challenge => self.mark_used(tx, device).await,
            Spend::Counter => {
                // WebAuthn section 6.1.1: a counter rises, or stays at 0 for good.
                let raised = tx
                    .sql
                    .execute(
                        "UPDATE device_use SET last_used_at = ?5,
                            next_position = CASE WHEN CAST(?4 AS BIGINT) > 0 THEN CAST(?4 AS BIGINT) + 1 ELSE 0 END
                         WHERE tenant = ?1 AND client = ?2 AND device = ?3 AND next_position <= CAST(?4 AS BIGINT)",
                        values![tenant, self.client, device, position, now],
                    )
                    .await?;
                if raised == 0 {
                    self.note_copied_key(tx, device, position).await?;
                }
                Ok(raised)
            }
        }
    }

    /// Writes down that a key signed with a counter that another one has passed: there are two of it. Not so for
    /// a device that was removed meanwhile, or an answer that was sent twice: its challenge is over.
    async fn note_copied_key<S: Sql>(
        &self,
        tx: &mut Tx<'_, S>,
        device: DeviceId,
        position: i64,
    ) -> Result<(), StoreError> {
        let behind = tx
            .sql
            .row(
                "SELECT u.next_position FROM device_use u JOIN challenge h ON h.device = u.device AND h.tenant = u.tenant
                 WHERE u.tenant = ?1 AND u.client = ?2 AND u.device = ?3 AND h.pk = ?4 AND h.status IN (1, 2)",
                values![self.doer.tenant, self.client, device, self.challenge],
            )
            .await?;
        if let Some(row) = behind {
            let last = row.take::<i64>(0)?.saturating_sub(1);
            let detail = format!("{} device={device} counter={position} last={last}", self.kind);
            tx.events.push(self.event("key_copied", detail));
        }
        Ok(())
    }

    async fn mark_used<S: Sql>(&self, tx: &mut Tx<'_, S>, device: DeviceId) -> Result<u64, StoreError> {
        tx.sql
            .execute(
                "UPDATE device_use SET last_used_at = ?4 WHERE tenant = ?1 AND client = ?2 AND device = ?3",
                values![self.doer.tenant, self.client, device, self.doer.now],
            )
            .await
    }

    /// Completes the challenge, where there is one: once, in time, on this device.
    async fn complete<S: Sql>(&self, tx: &mut Tx<'_, S>, device: DeviceId) -> Result<u64, StoreError> {
        let Some(challenge) = self.challenge else { return Ok(1) };
        tx.sql
            .execute(
                "UPDATE challenge SET status = 3, completed_at = ?6, sealed = NULL
                 WHERE tenant = ?1 AND integration = ?2 AND pk = ?3 AND client = ?4 AND device = ?5
                   AND status IN (1, 2) AND expires_at > ?6 AND attempts_left > 0",
                values![
                    self.doer.tenant,
                    self.doer.integration,
                    challenge,
                    self.client,
                    device,
                    self.doer.now
                ],
            )
            .await
    }

    /// Takes one try from the challenge; with the last one it has failed.
    async fn use_up<S: Sql>(
        &self,
        tx: &mut Tx<'_, S>,
        challenge: ChallengeId,
    ) -> Result<Option<u32>, StoreError> {
        let left = tx
            .sql
            .row(
                "UPDATE challenge SET attempts_left = attempts_left - 1,
                    status = CASE WHEN attempts_left <= 1 THEN 4 ELSE 2 END,
                    sealed = CASE WHEN attempts_left <= 1 THEN NULL ELSE sealed END
                 WHERE tenant = ?1 AND integration = ?2 AND pk = ?3 AND client = ?4
                   AND status IN (1, 2) AND expires_at > ?5 AND attempts_left > 0
                 RETURNING attempts_left",
                values![self.doer.tenant, self.doer.integration, challenge, self.client, self.doer.now],
            )
            .await?;
        left.map(|row| row.take(0)).transpose()
    }
}

/// What a code turned out to be, held against a client's devices.
pub struct Judged {
    /// Name of the kind whose lock counts.
    pub kind: &'static str,
    /// That it was right, where it was, and what that spends.
    pub verified: Option<(Verified, Spend)>,
}

/// Holds a code against a client's devices; the kinds' part, which knows no SQL.
pub type Judge = Box<dyn Fn(&Verifiable, &TenantKeys) -> Result<Judged, StoreError> + Send + Sync>;

/// A code without a challenge: read, judged and spent in one transaction.
pub struct Verify {
    /// Who asks; in whose tenant and integration. Its source is where the client is.
    pub doer: Doer,
    /// Whose code.
    pub username: Username,
    /// What holds it against the devices.
    pub judge: Judge,
    /// How much is too much.
    pub limits: LockPolicy,
    /// Where policy hides who exists: the kind that a try for nobody counts as. It is then answered, and
    /// locked, as one for a client with a device of that kind.
    pub hidden_as: Option<&'static str>,
}

impl Verb for Verify {
    /// The kind that it turned out to be, and the verdict.
    type Output = (&'static str, Verdict);

    async fn run<S: Sql>(&self, tx: &mut Tx<'_, S>) -> Result<Self::Output, StoreError> {
        let Doer { tenant, integration, .. } = self.doer;
        let found = hold_for_verifying(tx, tenant, integration, &self.username).await?;
        let Some(found) = found.filter(|found| !found.devices.is_empty()) else {
            return Ok(("none", self.nobody(tx).await?));
        };
        if found.status == ClientStatus::Inactive {
            tx.events.push(self.doer.event("barred", self.username.as_str(), ""));
            return Ok(("none", Verdict::Barred));
        }
        let keys = tx.keys(tenant).await?;
        let Judged { kind, verified } = (self.judge)(&found, &keys)?;
        let one = Try {
            doer: &self.doer,
            client: found.client,
            username: self.username.as_str(),
            kind,
            challenge: None,
            verified: verified.as_ref(),
            limits: self.limits,
        };
        Ok((kind, one.settle(tx).await?))
    }
}

impl Verify {
    /// A try for a name that no client with a device has.
    async fn nobody<S: Sql>(&self, tx: &mut Tx<'_, S>) -> Result<Verdict, StoreError> {
        let event = |what: &'static str| self.doer.event(what, self.username.as_str(), "no such device");
        let Some(kind) = self.hidden_as else {
            tx.events.push(event("refused"));
            return Ok(Verdict::Nobody);
        };
        // Written down, counted and synced as any other: it takes as long.
        let locks = Locks {
            tenant: self.doer.tenant,
            tried: Tried::Name(self.doer.integration, &self.username),
            kind,
            source: &self.doer.source,
            limits: self.limits,
            now: self.doer.now,
        };
        let seen = locks.look(tx).await?;
        if let Some(until) = seen.closed_until {
            tx.events.push(event("locked"));
            return Ok(Verdict::Locked { until });
        }
        locks.count_failure(tx, &seen).await?;
        tx.events.push(event("refused"));
        Ok(Verdict::Refused { attempts_left: None })
    }
}
