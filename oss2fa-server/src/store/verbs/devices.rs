//! A client's devices: one more, one less.

use oss2fa_core::ids::DeviceId;

use super::Doer;
use super::clients::{MATERIAL, stored};
use crate::device::{NewDevice, StoredDevice};
use crate::ids::{ClientId, IntegrationId, TenantId, Username};
use crate::store::error::StoreError;
use crate::store::sql::Sql;
use crate::store::verb::{Query, Tx};
use crate::values;

/// Gives a client a device, sealed for its row. The caller holds the client's row.
pub(super) async fn add_device<S: Sql>(
    tx: &mut Tx<'_, S>,
    doer: &Doer,
    client: ClientId,
    kind: &str,
    new: &NewDevice,
    fingerprint: Option<&[u8; 32]>,
    next_position: i64,
) -> Result<DeviceId, StoreError> {
    let (tenant, now) = (doer.tenant, doer.now);
    let device: DeviceId = tx
        .sql
        .row(
            "INSERT INTO device (tenant, client, kind, name, shown, status, created_at)
             VALUES (?1, ?2, ?3, ?4, ?5, 'active', ?6) RETURNING pk",
            values![tenant, client, kind, &new.name, new.shown.as_ref(), now],
        )
        .await?
        .ok_or(StoreError::Corrupt("no number for a device"))?
        .take(0)?;
    tx.sql
        .execute(
            "INSERT INTO device_use (client, device, tenant, next_position) VALUES (?1, ?2, ?3, ?4)",
            values![client, device, tenant, next_position],
        )
        .await?;
    if let Some(fingerprint) = fingerprint {
        tx.sql
            .execute(
                "INSERT INTO device_fingerprint (fingerprint, device, tenant) VALUES (?1, ?2, ?3)",
                values![fingerprint, device, tenant],
            )
            .await?;
    }
    // Sealed for its row, whose number is known only now.
    let keys = tx.keys(tenant).await?;
    let sealed = keys.seal(MATERIAL, device.0, new.material.expose(), tx.ring.random())?;
    tx.sql
        .execute(
            "UPDATE device SET sealed = ?3 WHERE tenant = ?1 AND pk = ?2",
            values![tenant, device, &sealed],
        )
        .await?;
    for code in &new.codes {
        let number = i64::try_from(code.number).unwrap_or(i64::MAX);
        tx.sql
            .execute(
                "INSERT INTO recovery_code (tenant, device, number, digest) VALUES (?1, ?2, ?3, ?4)",
                values![tenant, device, number, &code.digest],
            )
            .await?;
    }
    if let Some(public_id) = &new.public_id {
        tx.sql
            .execute(
                "INSERT INTO yubikey (device, tenant, integration, client, public_id)
                 VALUES (?1, ?2, ?3, ?4, ?5)",
                values![device, tenant, doer.integration, client, public_id.as_str()],
            )
            .await?;
    }
    Ok(device)
}

/// Held to the end, before the integration: who has a secret is asked for all of a tenant, and of two who bring the same one
/// the second must see the first, whatever their integrations.
pub(super) async fn hold_secrets<S: Sql>(tx: &mut Tx<'_, S>, tenant: TenantId) -> Result<(), StoreError> {
    tx.sql.row("SELECT pk FROM tenant WHERE pk = ?1 FOR UPDATE", values![tenant]).await.map(drop)
}

/// Removes a device, its codes, and the challenges that are open on it. The caller holds the client's row.
pub(super) async fn remove_device<S: Sql>(
    tx: &mut Tx<'_, S>,
    tenant: TenantId,
    client: ClientId,
    device: DeviceId,
) -> Result<u64, StoreError> {
    let rows = tx
        .sql
        .execute(
            "UPDATE device SET status = 'removed', sealed = NULL, next_position = (SELECT u.next_position
                FROM device_use u WHERE u.client = ?2 AND u.device = ?3 AND u.tenant = ?1)
             WHERE tenant = ?1 AND client = ?2 AND pk = ?3 AND status = 'active'",
            values![tenant, client, device],
        )
        .await?;
    if rows > 0 {
        tx.sql
            .execute(
                "DELETE FROM device_use WHERE tenant = ?1 AND client = ?2 AND device = ?3",
                values![tenant, client, device],
            )
            .await?;
        let which = values![tenant, device];
        tx.sql.execute("DELETE FROM recovery_code WHERE tenant = ?1 AND device = ?2", which).await?;
        tx.sql.execute("DELETE FROM yubikey WHERE tenant = ?1 AND device = ?2", which).await?;
        tx.sql
            .execute(
                "UPDATE challenge SET status = 4, sealed = NULL
                 WHERE tenant = ?1 AND client = ?2 AND device = ?3 AND status IN (1, 2)",
                values![tenant, client, device],
            )
            .await?;
    }
    Ok(rows)
}

/// An active device with what its kind wants.
#[derive(Debug)]
pub struct NamedDevice {
    /// Name of its kind.
    pub kind: String,
    /// What its owner calls it.
    pub name: String,
    /// What is kept of it.
    pub device: StoredDevice,
}

/// The active devices, of some kinds, of a client who may pass.
#[derive(Debug)]
pub struct DevicesOfKinds {
    /// Whose.
    pub tenant: TenantId,
    /// Of which integration.
    pub integration: IntegrationId,
    /// Whose.
    pub username: Username,
    /// Names of the kinds.
    pub kinds: &'static [&'static str],
}

impl Query for DevicesOfKinds {
    type Output = Vec<NamedDevice>;

    async fn run<S: Sql>(&self, tx: &mut Tx<'_, S>) -> Result<Vec<NamedDevice>, StoreError> {
        let rows = tx
            .sql
            .rows(
                "SELECT d.pk, d.kind, d.sealed, u.next_position, d.name
                 FROM client c JOIN device d ON d.client = c.pk AND d.tenant = c.tenant AND d.status = 'active'
                    JOIN device_use u ON u.client = d.client AND u.device = d.pk AND u.tenant = d.tenant
                 WHERE c.tenant = ?1 AND c.integration = ?2 AND c.username = ?3
                   AND c.status IN ('active', 'bypass') ORDER BY d.pk",
                values![self.tenant, self.integration, &self.username],
            )
            .await?;
        let mut found = Vec::new();
        for row in rows {
            let kind: String = row.take(1)?;
            if !self.kinds.contains(&kind.as_str()) {
                continue;
            }
            let sealed: Vec<u8> = row.take(2)?;
            let keys = tx.keys_for(self.tenant, &sealed).await?;
            let device = stored(&keys, row.take(0)?, &sealed, row.take(3)?, Vec::new())?;
            found.push(NamedDevice { kind, name: row.take(4)?, device });
        }
        Ok(found)
    }
}
