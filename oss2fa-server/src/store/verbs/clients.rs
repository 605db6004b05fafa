//! Clients and their devices.

use oss2fa_core::factor::recovery_code::StoredCode;
use oss2fa_core::ids::DeviceId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::devices::remove_device;
use super::tenants::Removed;
use super::{Doer, Page};
use crate::device::StoredDevice;
use crate::ids::{ClientId, IntegrationId, TenantId, Username};
use crate::keys::TenantKeys;
use crate::outside::Timestamp;
use crate::store::error::StoreError;
use crate::store::sql::{Row, Sql};
use crate::store::verb::{Query, Tx, Verb};
use crate::values;

/// Table and column that a device's material is sealed for.
pub const MATERIAL: &str = "device.sealed";

/// What is decided about a client without asking for a factor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClientStatus {
    /// Must prove a factor.
    Active,
    /// May pass without one; each time is an event of the audit.
    Bypass,
    /// May not pass at all.
    Inactive,
}

impl ClientStatus {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Bypass => "bypass",
            Self::Inactive => "inactive",
        }
    }

    /// Reads the word.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] for any other: nobody passes by it.
    pub fn parse(word: &str) -> Result<Self, StoreError> {
        [Self::Active, Self::Bypass, Self::Inactive]
            .into_iter()
            .find(|status| status.as_str() == word)
            .ok_or(StoreError::Corrupt("a client without a status"))
    }
}

/// A client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Client {
    /// Its number.
    #[schema(value_type = i64)]
    pub pk: ClientId,
    /// Of which integration.
    #[schema(value_type = i64)]
    pub integration: IntegrationId,
    /// Its name, in canonical form.
    #[schema(value_type = String)]
    pub username: Username,
    /// active, bypass or inactive.
    pub status: ClientStatus,
    /// Since when.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
}

fn client_of(row: &Row) -> Result<Client, StoreError> {
    Ok(Client {
        pk: row.take(0)?,
        integration: row.take(1)?,
        username: row.take(2)?,
        status: ClientStatus::parse(&row.take::<String>(3)?)?,
        created_at: row.take(4)?,
    })
}

/// A device as it is listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Its number.
    pub pk: DeviceId,
    /// Name of its kind.
    pub kind: String,
    /// What its owner calls it.
    pub name: String,
    /// What may be shown: a masked address.
    pub shown: Option<String>,
    /// Since when.
    pub created_at: Timestamp,
    /// When it was last used.
    pub last_used_at: Option<Timestamp>,
}

fn device_of(row: &Row, first: usize) -> Result<Device, StoreError> {
    Ok(Device {
        pk: row.take(first)?,
        kind: row.take(first + 1)?,
        name: row.take(first + 2)?,
        shown: row.take(first + 3)?,
        created_at: row.take(first + 4)?,
        last_used_at: row.take(first + 5)?,
    })
}

/// Opens the material of a device that a query has read.
pub(super) fn stored(
    keys: &TenantKeys,
    pk: DeviceId,
    sealed: &[u8],
    next_position: i64,
    codes: Vec<StoredCode>,
) -> Result<StoredDevice, StoreError> {
    let material = keys.open(MATERIAL, pk.0, sealed).map_err(|_| StoreError::Sealed("device"))?;
    let next_position =
        u64::try_from(next_position).map_err(|_| StoreError::Corrupt("a position below zero"))?;
    Ok(StoredDevice { pk, material, next_position, codes })
}

/// The unused single-use codes of a device.
pub(super) async fn codes_of<S: Sql>(
    tx: &mut Tx<'_, S>,
    tenant: TenantId,
    device: DeviceId,
) -> Result<Vec<StoredCode>, StoreError> {
    let rows = tx
        .sql
        .rows(
            "SELECT number, digest FROM recovery_code
             WHERE tenant = ?1 AND device = ?2 AND used_at IS NULL ORDER BY number",
            values![tenant, device],
        )
        .await?;
    rows.iter()
        .map(|row| {
            let corrupt = StoreError::Corrupt("a single-use code of another length");
            let number = u64::try_from(row.take::<i64>(0)?).map_err(|_| corrupt.clone())?;
            let digest = row.take::<Vec<u8>>(1)?.try_into().map_err(|_| corrupt)?;
            Ok(StoredCode { number, digest })
        })
        .collect()
}

/// A client and its active devices, by name, in one look: an unknown name and a client without devices take
/// the same time.
#[derive(Debug)]
pub struct FindByName {
    /// Whose.
    pub tenant: TenantId,
    /// Of which integration.
    pub integration: IntegrationId,
    /// Which.
    pub username: Username,
}

impl Query for FindByName {
    type Output = Option<(Client, Vec<Device>)>;

    async fn run<S: Sql>(&self, tx: &mut Tx<'_, S>) -> Result<Self::Output, StoreError> {
        let rows = tx
            .sql
            .rows(
                "SELECT c.pk, c.integration, c.username, c.status, c.created_at,
                        d.pk, d.kind, d.name, d.shown, d.created_at, u.last_used_at
                 FROM client c LEFT JOIN device d ON d.client = c.pk AND d.status = 'active'
                    LEFT JOIN device_use u ON u.client = c.pk AND u.device = d.pk AND u.tenant = c.tenant
                 WHERE c.tenant = ?1 AND c.integration = ?2 AND c.username = ?3 ORDER BY d.pk",
                values![self.tenant, self.integration, &self.username],
            )
            .await?;
        let Some(first) = rows.first() else { return Ok(None) };
        let client = client_of(first)?;
        let devices = rows
            .iter()
            .filter(|row| matches!(row.take::<Option<i64>>(5), Ok(Some(_))))
            .map(|row| device_of(row, 5))
            .collect::<Result<_, _>>()?;
        Ok(Some((client, devices)))
    }
}

/// A client with its devices, opened.
#[derive(Debug)]
pub struct Verifiable {
    /// The client.
    pub client: ClientId,
    /// Its status.
    pub status: ClientStatus,
    /// Each active device with the name of its kind.
    pub devices: Vec<(String, StoredDevice)>,
}

/// A client with its devices, by name; its row is held to the end of the transaction, so that the tries of one
/// client are judged one after another, on whatever node.
pub(super) async fn hold_for_verifying<S: Sql>(
    tx: &mut Tx<'_, S>,
    tenant: TenantId,
    integration: Option<IntegrationId>,
    username: &Username,
) -> Result<Option<Verifiable>, StoreError> {
    let rows = tx
        .sql
        .rows(
            "SELECT c.pk, c.status, d.pk, d.kind, d.sealed, u.next_position
             FROM client c LEFT JOIN device_use u ON u.client = c.pk AND u.tenant = c.tenant
                LEFT JOIN device d ON d.pk = u.device AND d.client = u.client AND d.tenant = u.tenant
                    AND d.status = 'active'
             WHERE c.tenant = ?1 AND c.integration = ?2 AND c.username = ?3 FOR UPDATE OF c",
            values![tenant, integration, username],
        )
        .await?;
    let Some(first) = rows.first() else { return Ok(None) };
    let (client, status) = (first.take(0)?, ClientStatus::parse(first.text(1)?)?);
    let mut devices = Vec::with_capacity(rows.len());
    for row in &rows {
        let Some(pk) = row.take::<Option<DeviceId>>(2)? else { continue };
        let kind: String = row.take(3)?;
        let codes = match kind.as_str() {
            crate::device::recovery_code::NAME => codes_of(tx, tenant, pk).await?,
            _ => Vec::new(),
        };
        let sealed = row.bytes(4)?;
        let keys = tx.keys_for(tenant, sealed).await?;
        let device = stored(&keys, pk, sealed, row.take(5)?, codes)?;
        devices.push((kind, device));
    }
    // By the database, it would cost a sorter for what is one device nearly always.
    devices.sort_unstable_by_key(|(_, device)| device.pk);
    Ok(Some(Verifiable { client, status, devices }))
}

/// An integration's clients by their number.
#[derive(Debug)]
pub struct ListClients {
    /// Whose.
    pub tenant: TenantId,
    /// Of which integration.
    pub integration: IntegrationId,
    /// Only this one.
    pub username: Option<Username>,
    /// Which page.
    pub page: Page,
}

/// Clients of an integration by their number, with this further condition.
macro_rules! clients_where {
    ($condition:literal) => {
        concat!(
            "SELECT pk, integration, username, status, created_at FROM client
             WHERE tenant = ?1 AND integration = ?2 AND pk > ?3 ",
            $condition,
            " ORDER BY pk LIMIT ?4"
        )
    };
}

impl Query for ListClients {
    type Output = Vec<Client>;

    async fn run<S: Sql>(&self, tx: &mut Tx<'_, S>) -> Result<Vec<Client>, StoreError> {
        let Self { tenant, integration, username, page } = self;
        let rows = match username {
            None => {
                let values = values![*tenant, *integration, page.after, page.limit];
                tx.sql.rows(clients_where!(""), values).await?
            }
            Some(username) => {
                let values = values![*tenant, *integration, page.after, page.limit, username];
                tx.sql.rows(clients_where!("AND username = ?5"), values).await?
            }
        };
        rows.iter().map(client_of).collect()
    }
}

/// A client by its number.
#[derive(Debug)]
pub struct FindClient {
    /// Whose.
    pub tenant: TenantId,
    /// Of which integration.
    pub integration: IntegrationId,
    /// Which.
    pub client: ClientId,
}

impl Query for FindClient {
    type Output = Option<Client>;

    async fn run<S: Sql>(&self, tx: &mut Tx<'_, S>) -> Result<Option<Client>, StoreError> {
        let row = tx
            .sql
            .row(
                "SELECT pk, integration, username, status, created_at FROM client
                 WHERE tenant = ?1 AND integration = ?2 AND pk = ?3",
                values![self.tenant, self.integration, self.client],
            )
            .await?;
        row.as_ref().map(client_of).transpose()
    }
}

/// The active devices of a client.
#[derive(Debug)]
pub struct DevicesOf {
    /// Whose.
    pub tenant: TenantId,
    /// Which client.
    pub client: ClientId,
}

impl Query for DevicesOf {
    type Output = Vec<Device>;

    async fn run<S: Sql>(&self, tx: &mut Tx<'_, S>) -> Result<Vec<Device>, StoreError> {
        let rows = tx
            .sql
            .rows(
                "SELECT d.pk, d.kind, d.name, d.shown, d.created_at, u.last_used_at
                 FROM device d LEFT JOIN device_use u ON u.client = d.client AND u.device = d.pk AND u.tenant = d.tenant
                 WHERE d.tenant = ?1 AND d.client = ?2 AND d.status = 'active' ORDER BY d.pk",
                values![self.tenant, self.client],
            )
            .await?;
        rows.iter().map(|row| device_of(row, 0)).collect()
    }
}

/// What is to be done to a client, all of it found by tenant and integration.
#[derive(Debug)]
pub struct ChangeClient {
    /// Who does it; in whose tenant and integration.
    pub doer: Doer,
    /// To which client.
    pub client: ClientId,
    /// What.
    pub change: ClientChange,
}

/// A change of a client or one of its devices.
#[derive(Debug)]
pub enum ClientChange {
    /// Another status.
    Status(ClientStatus),
    /// Remove it with its devices.
    Remove,
    /// Release its locks.
    Unlock,
    /// Give a device another name.
    Rename(DeviceId, String),
    /// Remove a device.
    RemoveDevice(DeviceId),
    /// Forget the devices that applications remember.
    DistrustAll,
}

impl Verb for ChangeClient {
    type Output = Removed;

    async fn run<S: Sql>(&self, tx: &mut Tx<'_, S>) -> Result<Removed, StoreError> {
        let (tenant, integration) = (self.doer.tenant, self.doer.integration);
        let found = tx
            .sql
            .row(
                "SELECT username FROM client WHERE tenant = ?1 AND integration = ?2 AND pk = ?3 FOR UPDATE",
                values![tenant, integration, self.client],
            )
            .await?;
        let Some(found) = found else { return Ok(Removed::NotThere) };
        let username: String = found.take(0)?;
        let (event, detail, rows) = match &self.change {
            ClientChange::Status(status) => {
                let rows = tx
                    .sql
                    .execute(
                        "UPDATE client SET status = ?3 WHERE tenant = ?1 AND pk = ?2",
                        values![tenant, self.client, status.as_str()],
                    )
                    .await?;
                ("client_status", status.as_str().to_owned(), rows)
            }
            ClientChange::Remove => {
                self.remove_all(tx, &username).await?;
                ("client_removed", String::new(), 1)
            }
            ClientChange::Unlock => {
                tx.sql
                    .execute(
                        "DELETE FROM lock WHERE tenant = ?1 AND client = ?2",
                        values![tenant, self.client],
                    )
                    .await?;
                ("unlocked", String::new(), 1)
            }
            ClientChange::DistrustAll => {
                tx.sql
                    .execute(
                        "DELETE FROM trusted_device WHERE tenant = ?1 AND client = ?2",
                        values![tenant, self.client],
                    )
                    .await?;
                ("distrusted", String::new(), 1)
            }
            ClientChange::Rename(device, name) => {
                let rows = tx
                    .sql
                    .execute(
                        "UPDATE device SET name = ?4
                         WHERE tenant = ?1 AND client = ?2 AND pk = ?3 AND status = 'active'",
                        values![tenant, self.client, *device, name],
                    )
                    .await?;
                ("renamed", format!("device={device}"), rows)
            }
            ClientChange::RemoveDevice(device) => {
                let rows = remove_device(tx, tenant, self.client, *device).await?;
                ("removed", format!("device={device}"), rows)
            }
        };
        if rows > 0 {
            tx.events.push(self.doer.event(event, &username, detail));
        }
        Ok(Removed::by_rows(rows))
    }
}

impl ChangeClient {
    async fn remove_all<S: Sql>(&self, tx: &mut Tx<'_, S>, username: &str) -> Result<(), StoreError> {
        // What was begun for the client must not bring it back.
        tx.sql
            .execute(
                "UPDATE enrollment SET status = 4, sealed = NULL
                 WHERE tenant = ?1 AND integration = ?2 AND username = ?3 AND status IN (1, 2)",
                values![self.doer.tenant, self.doer.integration, username],
            )
            .await?;
        super::offline::revoke_all(tx, &self.doer, self.client).await?;
        let which = values![self.doer.tenant, self.client];
        for statement in [
            "DELETE FROM trusted_device WHERE tenant = ?1 AND client = ?2",
            "DELETE FROM known_source WHERE tenant = ?1 AND client = ?2",
            "DELETE FROM lock WHERE tenant = ?1 AND client = ?2",
            "DELETE FROM challenge WHERE tenant = ?1 AND client = ?2",
            "DELETE FROM app WHERE tenant = ?1 AND client = ?2",
            "DELETE FROM yubikey WHERE tenant = ?1 AND client = ?2",
            "DELETE FROM recovery_code WHERE tenant = ?1
                AND device IN (SELECT pk FROM device WHERE tenant = ?1 AND client = ?2)",
            // Position and fingerprint stay: a used code does not come back with an import.
            "UPDATE device SET status = 'removed', sealed = NULL, next_position = (SELECT u.next_position
                FROM device_use u WHERE u.client = device.client AND u.device = device.pk AND u.tenant = ?1)
             WHERE tenant = ?1 AND client = ?2 AND status = 'active'",
            "DELETE FROM device_use WHERE tenant = ?1 AND client = ?2",
            "DELETE FROM client WHERE tenant = ?1 AND pk = ?2",
        ] {
            tx.sql.execute(statement, which).await?;
        }
        Ok(())
    }
}
