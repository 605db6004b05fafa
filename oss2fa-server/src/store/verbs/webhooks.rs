//! Webhooks: where the events of an integration are sent.

use oss2fa_core::secret::SecretText;
use serde::Serialize;
use utoipa::ToSchema;

use super::Doer;
use super::integrations::hold_integration;
use super::tenants::Removed;
use crate::ids::{IntegrationId, TenantId, WebhookId};
use crate::outside::Timestamp;
use crate::store::error::StoreError;
use crate::store::sql::{Row, Sql};
use crate::store::verb::{Query, Tx, Verb};
use crate::values;

/// Most webhooks of one integration.
pub const MOST: i64 = 10;

/// What their secrets are sealed for.
pub const SECRET: &str = "webhook.sealed";

/// A webhook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Webhook {
    /// Its number.
    #[schema(value_type = i64)]
    pub pk: WebhookId,
    /// Whose events it gets.
    #[schema(value_type = i64)]
    pub integration: IntegrationId,
    /// Where they are sent.
    pub url: String,
    /// Since when.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// Why the newest try failed; null where it did not.
    pub failure: Option<String>,
    /// Deliveries that wait.
    pub waiting: i64,
}

fn webhook_of(row: &Row) -> Result<Webhook, StoreError> {
    Ok(Webhook {
        pk: row.take(0)?,
        integration: row.take(1)?,
        url: row.take(2)?,
        created_at: row.take(3)?,
        failure: row.take(4)?,
        waiting: row.take(5)?,
    })
}

/// Makes a webhook.
#[derive(Debug)]
pub struct CreateWebhook {
    /// Who does it; in whose tenant.
    pub doer: Doer,
    /// Whose events.
    pub integration: IntegrationId,
    /// Where to.
    pub url: String,
    /// The same without path and query, for the audit: those can hold a token.
    pub origin: String,
    /// What deliveries are signed with.
    pub secret: SecretText,
}

/// What came of making a webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CreatedWebhook {
    /// It is there.
    New(Webhook),
    /// The integration has [`MOST`].
    TooMany,
    /// There is no such integration in this tenant.
    NotThere,
}

impl Verb for CreateWebhook {
    type Output = CreatedWebhook;

    async fn run<S: Sql>(&self, tx: &mut Tx<'_, S>) -> Result<CreatedWebhook, StoreError> {
        let tenant = self.doer.tenant;
        if hold_integration(tx, tenant, self.integration).await?.is_none() {
            return Ok(CreatedWebhook::NotThere);
        }
        let known = tx
            .sql
            .row(
                "SELECT count(*) FROM webhook WHERE tenant = ?1 AND integration = ?2",
                values![tenant, self.integration],
            )
            .await?;
        if known.map_or(Ok(0), |row| row.take::<i64>(0))? >= MOST {
            return Ok(CreatedWebhook::TooMany);
        }
        let made = tx
            .sql
            .row(
                "INSERT INTO webhook (tenant, integration, url, paused_until, created_at)
                 VALUES (?1, ?2, ?3, 0, ?4) RETURNING pk",
                values![tenant, self.integration, &self.url, self.doer.now],
            )
            .await?
            .ok_or(StoreError::Corrupt("no number for a new webhook"))?;
        let pk: WebhookId = made.take(0)?;
        let keys = tx.keys(tenant).await?;
        let sealed = keys.seal(SECRET, pk.0, self.secret.expose().as_bytes(), tx.ring.random())?;
        tx.sql
            .execute(
                "UPDATE webhook SET sealed = ?3 WHERE tenant = ?1 AND pk = ?2",
                values![tenant, pk, &sealed],
            )
            .await?;
        let doer = Doer { integration: Some(self.integration), ..self.doer.clone() };
        tx.events.push(doer.event("webhook_created", "", format!("webhook={pk} {}", self.origin)));
        Ok(CreatedWebhook::New(Webhook {
            pk,
            integration: self.integration,
            url: self.url.clone(),
            created_at: self.doer.now,
            failure: None,
            waiting: 0,
        }))
    }
}

/// The webhooks of an integration: never more than [`MOST`].
#[derive(Debug, Clone, Copy)]
pub struct ListWebhooks {
    /// Whose.
    pub tenant: TenantId,
    /// Of which integration.
    pub integration: IntegrationId,
}

impl Query for ListWebhooks {
    type Output = Vec<Webhook>;

    async fn run<S: Sql>(&self, tx: &mut Tx<'_, S>) -> Result<Vec<Webhook>, StoreError> {
        let rows = tx
            .sql
            .rows(
                "SELECT pk, integration, url, created_at, failure,
                    (SELECT count(*) FROM webhook_delivery WHERE webhook_delivery.webhook = webhook.pk)
                 FROM webhook WHERE tenant = ?1 AND integration = ?2 ORDER BY pk",
                values![self.tenant, self.integration],
            )
            .await?;
        rows.iter().map(webhook_of).collect()
    }
}

/// Removes a webhook with what waits for it.
#[derive(Debug)]
pub struct RemoveWebhook {
    /// Who does it; in whose tenant.
    pub doer: Doer,
    /// Of which integration.
    pub integration: IntegrationId,
    /// Which.
    pub webhook: WebhookId,
}

impl Verb for RemoveWebhook {
    type Output = Removed;

    async fn run<S: Sql>(&self, tx: &mut Tx<'_, S>) -> Result<Removed, StoreError> {
        let tenant = self.doer.tenant;
        let rows = tx
            .sql
            .execute(
                "DELETE FROM webhook WHERE tenant = ?1 AND integration = ?2 AND pk = ?3",
                values![tenant, self.integration, self.webhook],
            )
            .await?;
        if rows > 0 {
            tx.sql
                .execute(
                    "DELETE FROM webhook_delivery WHERE tenant = ?1 AND webhook = ?2",
                    values![tenant, self.webhook],
                )
                .await?;
            let doer = Doer { integration: Some(self.integration), ..self.doer.clone() };
            tx.events.push(doer.event("webhook_removed", "", format!("webhook={}", self.webhook)));
        }
        Ok(Removed::by_rows(rows))
    }
}
