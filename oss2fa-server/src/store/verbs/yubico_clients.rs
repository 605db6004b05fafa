//! Who may ask over the validation protocol: an id, and a key that both sides sign with.

use oss2fa_core::secret::SecretBytes;
use serde::Serialize;

use super::Doer;
use super::integrations::hold_integration;
use super::tenants::Removed;
use crate::ids::{IntegrationId, TenantId, YubicoClientId};
use crate::outside::Timestamp;
use crate::store::error::StoreError;
use crate::store::sql::{Row, Sql};
use crate::store::verb::{Query, Tx, Verb};
use crate::values;

/// Most clients of one integration.
pub const MOST: i64 = 1000;

/// What their keys are sealed for.
pub const KEY: &str = "yubico_client.sealed";

/// A client as it is listed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct YubicoClient {
    /// The id that it sends.
    pub id: YubicoClientId,
    /// Of which integration.
    pub integration: IntegrationId,
    /// What it is, for people.
    pub name: String,
    /// Since when.
    pub created_at: Timestamp,
}

fn client_of(row: &Row) -> Result<YubicoClient, StoreError> {
    Ok(YubicoClient {
        id: row.take(0)?,
        integration: row.take(1)?,
        name: row.take(2)?,
        created_at: row.take(3)?,
    })
}

/// Makes a client.
#[derive(Debug)]
pub struct CreateYubicoClient {
    /// Who does it; in whose tenant.
    pub doer: Doer,
    /// Of which integration.
    pub integration: IntegrationId,
    /// What it is, for people.
    pub name: String,
    /// What both sides sign with.
    pub key: SecretBytes,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CreatedYubicoClient {
    /// It is there.
    New(YubicoClient),
    /// The integration has [`MOST`].
    TooMany,
    /// There is no such integration in this tenant.
    NotThere,
}

impl Verb for CreateYubicoClient {
    type Output = CreatedYubicoClient;

    async fn run<S: Sql>(&self, tx: &mut Tx<'_, S>) -> Result<CreatedYubicoClient, StoreError> {
        let tenant = self.doer.tenant;
        if hold_integration(tx, tenant, self.integration).await?.is_none() {
            return Ok(CreatedYubicoClient::NotThere);
        }
        let count = tx
            .sql
            .row(
                "SELECT count(*) FROM yubico_client WHERE tenant = ?1 AND integration = ?2",
                values![tenant, self.integration],
            )
            .await?;
        if count.map_or(Ok(0), |row| row.take::<i64>(0))? >= MOST {
            return Ok(CreatedYubicoClient::TooMany);
        }
        let made = tx
            .sql
            .row(
                "INSERT INTO yubico_client (tenant, integration, name, created_at) VALUES (?1, ?2, ?3, ?4)
                 RETURNING pk, integration, name, created_at",
                values![tenant, self.integration, &self.name, self.doer.now],
            )
            .await?
            .ok_or(StoreError::Corrupt("no number for a new client"))?;
        let made = client_of(&made)?;
        // Sealed for its row, whose number is known only now.
        let keys = tx.keys(tenant).await?;
        let sealed = keys.seal(KEY, made.id.0, self.key.expose(), tx.ring.random())?;
        tx.sql
            .execute(
                "UPDATE yubico_client SET sealed = ?3 WHERE tenant = ?1 AND pk = ?2",
                values![tenant, made.id, &sealed],
            )
            .await?;
        let doer = Doer { integration: Some(self.integration), ..self.doer.clone() };
        tx.events.push(doer.event("yubico_client_created", "", format!("id={} {}", made.id, self.name)));
        Ok(CreatedYubicoClient::New(made))
    }
}

/// The clients of an integration: never more than [`MOST`].
#[derive(Debug, Clone, Copy)]
pub struct ListYubicoClients {
    /// Whose.
    pub tenant: TenantId,
    /// Of which integration.
    pub integration: IntegrationId,
}

impl Query for ListYubicoClients {
    type Output = Vec<YubicoClient>;

    async fn run<S: Sql>(&self, tx: &mut Tx<'_, S>) -> Result<Vec<YubicoClient>, StoreError> {
        let rows = tx
            .sql
            .rows(
                "SELECT pk, integration, name, created_at FROM yubico_client
                 WHERE tenant = ?1 AND integration = ?2 ORDER BY pk",
                values![self.tenant, self.integration],
            )
            .await?;
        rows.iter().map(client_of).collect()
    }
}

/// Removes a client: what it asks is refused within a second.
#[derive(Debug)]
pub struct RemoveYubicoClient {
    /// Who does it; in whose tenant.
    pub doer: Doer,
    /// Of which integration.
    pub integration: IntegrationId,
    /// Which.
    pub id: YubicoClientId,
}

impl Verb for RemoveYubicoClient {
    type Output = Removed;

    async fn run<S: Sql>(&self, tx: &mut Tx<'_, S>) -> Result<Removed, StoreError> {
        let rows = tx
            .sql
            .execute(
                "DELETE FROM yubico_client WHERE tenant = ?1 AND integration = ?2 AND pk = ?3",
                values![self.doer.tenant, self.integration, self.id],
            )
            .await?;
        if rows > 0 {
            let doer = Doer { integration: Some(self.integration), ..self.doer.clone() };
            tx.events.push(doer.event("yubico_client_removed", "", format!("id={}", self.id)));
        }
        Ok(Removed::by_rows(rows))
    }
}

/// Whose an id is, and its key: for whoever has to tell whether a request is signed by it.
#[derive(Debug)]
pub struct FindYubicoClient(pub YubicoClientId);

/// What an id stands for.
#[derive(Debug)]
pub struct KnownYubicoClient {
    /// Whose.
    pub tenant: TenantId,
    /// Of which integration.
    pub integration: IntegrationId,
    /// What both sides sign with.
    pub key: SecretBytes,
}

impl Query for FindYubicoClient {
    type Output = Option<KnownYubicoClient>;

    async fn run<S: Sql>(&self, tx: &mut Tx<'_, S>) -> Result<Option<KnownYubicoClient>, StoreError> {
        let found = tx
            .sql
            .row("SELECT tenant, integration, sealed FROM yubico_client WHERE pk = ?1", values![self.0])
            .await?;
        let Some(found) = found else { return Ok(None) };
        let (tenant, sealed): (TenantId, Vec<u8>) = (found.take(0)?, found.take(2)?);
        let keys = tx.keys_for(tenant, &sealed).await?;
        let key = keys.open(KEY, self.0.0, &sealed).map_err(|_| StoreError::Sealed("yubico_client"))?;
        Ok(Some(KnownYubicoClient { tenant, integration: found.take(1)?, key }))
    }
}
