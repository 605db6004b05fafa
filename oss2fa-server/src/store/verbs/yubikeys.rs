//! YubiKeys by their public id: taken over from a file, found, and judged over the validation protocol.

use oss2fa_core::factor::yubico_otp::{Opened, PublicId, Touch};
use oss2fa_core::ids::DeviceId;

use super::Doer;
use super::apps::position_of;
use super::attempts::{Admitted, Try, Verdict};
use super::clients::{ClientStatus, stored};
use super::devices::{add_device, hold_secrets};
use super::integrations::hold_integration;
use crate::device::yubikey::NAME;
use crate::device::{NewDevice, Spend, StoredDevice};
use crate::ids::{ClientId, IntegrationId, TenantId, Username};
use crate::policy::LockPolicy;
use crate::store::error::StoreError;
use crate::store::sql::Sql;
use crate::store::verb::{Query, Tx, Verb};
use crate::values;

/// Whether a device of the integration has this public id. The caller holds the integration's row.
pub(super) async fn is_taken<S: Sql>(
    tx: &mut Tx<'_, S>,
    tenant: TenantId,
    integration: IntegrationId,
    public_id: &PublicId,
) -> Result<bool, StoreError> {
    let row = tx
        .sql
        .row(
            "SELECT device FROM yubikey WHERE tenant = ?1 AND integration = ?2 AND public_id = ?3",
            values![tenant, integration, public_id.as_str()],
        )
        .await?;
    Ok(row.is_some())
}

/// Takes a key over: its client has the public id for a name, and comes about where it was not there.
#[derive(Debug)]
pub struct ImportYubikey {
    /// Who does it; in whose tenant and integration.
    pub doer: Doer,
    /// What the client is called.
    pub username: Username,
    /// The device; its secret and its public id are known.
    pub device: NewDevice,
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImportedYubikey {
    /// It is there.
    New(ClientId, DeviceId),
    /// A device of the integration has this public id.
    Taken,
    /// A device of this tenant has this key.
    SecretInUse,
    /// There is no such integration in this tenant.
    NotThere,
}

impl Verb for ImportYubikey {
    type Output = ImportedYubikey;

    async fn run<S: Sql>(&self, tx: &mut Tx<'_, S>) -> Result<ImportedYubikey, StoreError> {
        let Doer { tenant, integration, now, .. } = self.doer;
        let (Some(integration), Some(public_id), Some(secret)) =
            (integration, &self.device.public_id, &self.device.code_secret)
        else {
            return Err(StoreError::Corrupt("a key without its secret"));
        };
        hold_secrets(tx, tenant).await?;
        if hold_integration(tx, tenant, integration).await?.is_none() {
            return Ok(ImportedYubikey::NotThere);
        }
        if is_taken(tx, tenant, integration, public_id).await? {
            return Ok(ImportedYubikey::Taken);
        }
        let fingerprint = tx.keys(tenant).await?.fingerprint(secret);
        let Some(position) = position_of(tx, tenant, &fingerprint).await? else {
            return Ok(ImportedYubikey::SecretInUse);
        };
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
        let device =
            add_device(tx, &self.doer, client, NAME, &self.device, Some(&fingerprint), position).await?;
        let detail = format!("{NAME} device={device}");
        tx.events.push(self.doer.event("yubikey_imported", self.username.as_str(), detail));
        Ok(ImportedYubikey::New(client, device))
    }
}

/// A client's key by its public id, opened.
#[derive(Debug)]
pub struct FindYubikey {
    /// Whose.
    pub tenant: TenantId,
    /// Of which integration.
    pub integration: IntegrationId,
    /// Of which client.
    pub username: Username,
    /// Which.
    pub public_id: PublicId,
}

impl Query for FindYubikey {
    type Output = Option<(ClientId, StoredDevice)>;

    async fn run<S: Sql>(&self, tx: &mut Tx<'_, S>) -> Result<Self::Output, StoreError> {
        let row = tx
            .sql
            .row(
                "SELECT c.pk, d.pk, d.sealed, u.next_position
                 FROM yubikey y JOIN client c ON c.pk = y.client AND c.tenant = y.tenant
                    JOIN device d ON d.pk = y.device AND d.tenant = y.tenant AND d.client = c.pk
                        AND d.status = 'active'
                    JOIN device_use u ON u.client = d.client AND u.device = d.pk AND u.tenant = d.tenant
                 WHERE y.tenant = ?1 AND y.integration = ?2 AND c.username = ?3 AND y.public_id = ?4",
                values![self.tenant, self.integration, &self.username, self.public_id.as_str()],
            )
            .await?;
        let Some(row) = row else { return Ok(None) };
        let sealed: Vec<u8> = row.take(2)?;
        let keys = tx.keys_for(self.tenant, &sealed).await?;
        Ok(Some((row.take(0)?, stored(&keys, row.take(1)?, &sealed, row.take(3)?, Vec::new())?)))
    }
}

/// Holds a password against a key; the kind's part, which knows no SQL.
pub type KeyJudge = Box<dyn Fn(&StoredDevice) -> Result<Opened, StoreError> + Send + Sync>;

/// A password that came over the validation protocol: found, judged and spent in one transaction.
pub struct Validate {
    /// Who asks; in whose tenant and integration.
    pub doer: Doer,
    /// Which key is said to have typed it.
    pub public_id: PublicId,
    /// What the request says that no other had.
    pub nonce: String,
    /// What holds it against the key.
    pub judge: KeyJudge,
    /// How much is too much.
    pub limits: LockPolicy,
}

/// What the store says.
#[derive(Debug, PartialEq, Eq)]
pub enum Validated {
    /// Right, and spent.
    Accepted(Admitted, Touch),
    /// It, or a later one, was accepted before.
    Passed,
    /// The same, and by a request with the same nonce.
    SameRequest,
    /// Not of a key that is known here, or its client may not pass, or is locked.
    Refused,
}

impl Verb for Validate {
    type Output = Validated;

    async fn run<S: Sql>(&self, tx: &mut Tx<'_, S>) -> Result<Validated, StoreError> {
        let Doer { tenant, integration, .. } = self.doer;
        // Held to the end: the tries of one client are judged one after another, on whatever node.
        let row = tx
            .sql
            .row(
                "SELECT c.pk, c.username, c.status, d.pk, d.sealed, u.next_position, y.position, y.nonce
                 FROM yubikey y JOIN client c ON c.pk = y.client AND c.tenant = y.tenant
                    JOIN device d ON d.pk = y.device AND d.tenant = y.tenant AND d.client = c.pk
                        AND d.status = 'active'
                    JOIN device_use u ON u.client = d.client AND u.device = d.pk AND u.tenant = d.tenant
                 WHERE y.tenant = ?1 AND y.integration = ?2 AND y.public_id = ?3 FOR UPDATE OF c",
                values![tenant, integration, self.public_id.as_str()],
            )
            .await?;
        let Some(row) = row else { return Ok(Validated::Refused) };
        let (client, username): (ClientId, String) = (row.take(0)?, row.take(1)?);
        if ClientStatus::parse(&row.take::<String>(2)?)? == ClientStatus::Inactive {
            tx.events.push(self.doer.event("barred", &username, NAME));
            return Ok(Validated::Refused);
        }
        let (pk, sealed): (DeviceId, Vec<u8>) = (row.take(3)?, row.take(4)?);
        let keys = tx.keys_for(tenant, &sealed).await?;
        let device = stored(&keys, pk, &sealed, row.take(5)?, Vec::new())?;
        match (self.judge)(&device)? {
            // Neither is counted as a failed try: nobody guesses a block of AES, and whoever shows an old
            // password must not lock the owner out.
            Opened::Foreign => {
                tx.events.push(self.doer.event("refused", &username, format!("{NAME} device={pk}")));
                Ok(Validated::Refused)
            }
            Opened::Passed(touch) => {
                let detail = format!("{NAME} device={pk} used before");
                tx.events.push(self.doer.event("refused", &username, detail));
                let (newest, nonce): (Option<i64>, Option<String>) = (row.take(6)?, row.take(7)?);
                let same = newest == position(touch) && nonce.as_deref() == Some(self.nonce.as_str());
                Ok(if same { Validated::SameRequest } else { Validated::Passed })
            }
            Opened::Fresh(verified, touch) => {
                let right = (verified, Spend::Position);
                let one = Try {
                    doer: &self.doer,
                    client,
                    username: &username,
                    kind: NAME,
                    challenge: None,
                    verified: Some(&right),
                    limits: self.limits,
                };
                match one.settle(tx).await? {
                    Verdict::Admitted(admitted) => {
                        self.remember(tx, pk, touch).await?;
                        Ok(Validated::Accepted(admitted, touch))
                    }
                    // Another path has spent it meanwhile.
                    Verdict::Refused { .. } => Ok(Validated::Passed),
                    Verdict::Locked { .. } | Verdict::Over | Verdict::Barred | Verdict::Nobody => {
                        Ok(Validated::Refused)
                    }
                }
            }
        }
    }
}

fn position(touch: Touch) -> Option<i64> {
    i64::try_from(touch.position()).ok()
}

impl Validate {
    async fn remember<S: Sql>(
        &self,
        tx: &mut Tx<'_, S>,
        device: DeviceId,
        touch: Touch,
    ) -> Result<(), StoreError> {
        tx.sql
            .execute(
                "UPDATE yubikey SET position = ?3, nonce = ?4 WHERE tenant = ?1 AND device = ?2",
                values![self.doer.tenant, device, position(touch), &self.nonce],
            )
            .await?;
        Ok(())
    }
}
