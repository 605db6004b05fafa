//! Integrations: the applications that are protected, with their tokens and their rules.

use serde::Serialize;
use utoipa::ToSchema;

use super::tenants::{Created, Removed};
use super::{Doer, Page};
use crate::ids::{IntegrationId, TenantId};
use crate::outside::Timestamp;
use crate::policy::Policy;
use crate::store::error::StoreError;
use crate::store::sql::{Row, Sql};
use crate::store::verb::{Access, Query, Tx, Verb};
use crate::values;

/// That an integration is there, and its row is held to the end of the transaction.
pub(super) struct Held;

/// Holds an integration's row; none where it is gone. Where the tenant is held as well it is held before, and clients
/// behind: all take them in this order.
pub(super) async fn hold_integration<S: Sql>(
    tx: &mut Tx<'_, S>,
    tenant: TenantId,
    integration: impl Into<Option<IntegrationId>>,
) -> Result<Option<Held>, StoreError> {
    let of = values![tenant, integration.into()];
    let there = tx.sql.row("SELECT pk FROM integration WHERE tenant = ?1 AND pk = ?2 FOR UPDATE", of).await?;
    Ok(there.map(|_| Held))
}

/// An integration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Integration {
    /// Its number.
    #[schema(value_type = i64)]
    pub pk: IntegrationId,
    /// Whose it is.
    #[schema(value_type = i64)]
    pub tenant: TenantId,
    /// Its name.
    pub name: String,
    /// The name half of its pair for Basic authentication; no secret.
    pub access_key: String,
    /// Its rules.
    pub policy: Policy,
    /// Since when.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
}

fn integration_of(row: &Row) -> Result<Integration, StoreError> {
    let policy: String = row.take(4)?;
    Ok(Integration {
        pk: row.take(0)?,
        tenant: row.take(1)?,
        name: row.take(2)?,
        access_key: row.take(3)?,
        policy: serde_json::from_str(&policy)
            .map_err(|_| StoreError::Corrupt("a policy that this release cannot read"))?,
        created_at: row.take(5)?,
    })
}

fn written(policy: &Policy) -> Result<String, StoreError> {
    serde_json::to_string(policy).map_err(|_| StoreError::Corrupt("a policy that cannot be written"))
}

/// Digests of what proves an integration or an administrator; what they are of is shown once.
#[derive(Debug, Clone)]
pub struct CredentialDigests {
    /// SHA-256 of the token.
    pub token: [u8; 32],
    /// The name half of the pair.
    pub access_key: String,
    /// SHA-256 of the secret half.
    pub secret: [u8; 32],
}

/// Makes an integration.
#[derive(Debug)]
pub struct CreateIntegration {
    /// Who does it; in whose tenant.
    pub doer: Doer,
    /// Name.
    pub name: String,
    /// What proves it.
    pub credentials: CredentialDigests,
    /// Its rules.
    pub policy: Policy,
}

impl Verb for CreateIntegration {
    type Output = Created<Integration>;

    async fn run<S: Sql>(&self, tx: &mut Tx<'_, S>) -> Result<Created<Integration>, StoreError> {
        let tenant = self.doer.tenant;
        // Not into a tenant that is being removed.
        let there = tx.sql.row("SELECT pk FROM tenant WHERE pk = ?1 FOR UPDATE", values![tenant]).await?;
        if there.is_none() {
            return Err(StoreError::NoKeys(tenant.0));
        }
        let policy = written(&self.policy)?;
        let CredentialDigests { token, access_key, secret } = &self.credentials;
        let made = tx
            .sql
            .row(
                "INSERT INTO integration
                    (tenant, name, token_digest, access_key, secret_digest, policy, created_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT DO NOTHING
                 RETURNING pk, tenant, name, access_key, policy, created_at",
                values![tenant, &self.name, token, access_key, secret, &policy, self.doer.now],
            )
            .await?;
        let Some(made) = made else { return Ok(Created::NameTaken) };
        let integration = integration_of(&made)?;
        let doer = Doer { integration: Some(integration.pk), ..self.doer.clone() };
        tx.events.push(doer.event("integration_created", "", self.name.clone()));
        Ok(Created::New(integration))
    }
}

/// The integration that a token or a pair belongs to.
#[derive(Debug)]
pub enum Authenticate {
    /// By the SHA-256 of the token.
    Token([u8; 32]),
    /// By the pair.
    Pair {
        /// The name half.
        access_key: String,
        /// SHA-256 of the secret half.
        secret: [u8; 32],
    },
}

impl Query for Authenticate {
    type Output = Option<Integration>;

    async fn run<S: Sql>(&self, tx: &mut Tx<'_, S>) -> Result<Option<Integration>, StoreError> {
        let row = match self {
            Self::Token(digest) => {
                tx.sql
                    .row(
                        "SELECT pk, tenant, name, access_key, policy, created_at FROM integration
                         WHERE token_digest = ?1",
                        values![digest],
                    )
                    .await?
            }
            Self::Pair { access_key, secret } => {
                tx.sql
                    .row(
                        "SELECT pk, tenant, name, access_key, policy, created_at FROM integration
                         WHERE access_key = ?1 AND secret_digest = ?2",
                        values![access_key, secret],
                    )
                    .await?
            }
        };
        row.as_ref().map(integration_of).transpose()
    }
}

/// A tenant's integrations by their number.
#[derive(Debug)]
pub struct ListIntegrations {
    /// Whose.
    pub tenant: TenantId,
    /// Which page.
    pub page: Page,
}

impl Query for ListIntegrations {
    type Output = Vec<Integration>;

    async fn run<S: Sql>(&self, tx: &mut Tx<'_, S>) -> Result<Vec<Integration>, StoreError> {
        let rows = tx
            .sql
            .rows(
                "SELECT pk, tenant, name, access_key, policy, created_at FROM integration
                 WHERE tenant = ?1 AND pk > ?2 ORDER BY pk LIMIT ?3",
                values![self.tenant, self.page.after, self.page.limit],
            )
            .await?;
        rows.iter().map(integration_of).collect()
    }
}

/// One of a tenant's integrations.
#[derive(Debug)]
pub struct FindIntegration {
    /// Whose.
    pub tenant: TenantId,
    /// Which.
    pub by: IntegrationKey,
}

/// What an integration is looked up by.
#[derive(Debug)]
pub enum IntegrationKey {
    /// Its number.
    Pk(IntegrationId),
    /// Its name.
    Name(String),
}

impl Query for FindIntegration {
    type Output = Option<Integration>;

    async fn run<S: Sql>(&self, tx: &mut Tx<'_, S>) -> Result<Option<Integration>, StoreError> {
        let row = match &self.by {
            IntegrationKey::Pk(pk) => {
                tx.sql
                    .row(
                        "SELECT pk, tenant, name, access_key, policy, created_at FROM integration
                         WHERE tenant = ?1 AND pk = ?2",
                        values![self.tenant, *pk],
                    )
                    .await?
            }
            IntegrationKey::Name(name) => {
                tx.sql
                    .row(
                        "SELECT pk, tenant, name, access_key, policy, created_at FROM integration
                         WHERE tenant = ?1 AND name = ?2",
                        values![self.tenant, name],
                    )
                    .await?
            }
        };
        row.as_ref().map(integration_of).transpose()
    }
}

/// An integration by its number, for an administrator.
#[derive(Debug)]
pub struct IntegrationFor {
    /// Only of this tenant; of any for the owner of the server.
    pub tenant: Option<TenantId>,
    /// Which.
    pub integration: IntegrationId,
}

impl Query for IntegrationFor {
    type Output = Option<Integration>;

    async fn run<S: Sql>(&self, tx: &mut Tx<'_, S>) -> Result<Option<Integration>, StoreError> {
        let row = tx
            .sql
            .row(
                "SELECT pk, tenant, name, access_key, policy, created_at FROM integration
                 WHERE pk = ?2 AND (CAST(?1 AS BIGINT) IS NULL OR tenant = ?1)",
                values![self.tenant, self.integration],
            )
            .await?;
        row.as_ref().map(integration_of).transpose()
    }
}

/// Replaces what proves an integration; the old token is worth nothing from then on.
#[derive(Debug)]
pub struct RotateToken {
    /// Who does it; in whose tenant.
    pub doer: Doer,
    /// Which.
    pub integration: IntegrationId,
    /// The new ones.
    pub credentials: CredentialDigests,
}

impl Verb for RotateToken {
    type Output = Removed;

    async fn run<S: Sql>(&self, tx: &mut Tx<'_, S>) -> Result<Removed, StoreError> {
        let CredentialDigests { token, access_key, secret } = &self.credentials;
        let rows = tx
            .sql
            .execute(
                "UPDATE integration SET token_digest = ?3, access_key = ?4, secret_digest = ?5
                 WHERE tenant = ?1 AND pk = ?2",
                values![self.doer.tenant, self.integration, token, access_key, secret],
            )
            .await?;
        if rows > 0 {
            let doer = Doer { integration: Some(self.integration), ..self.doer.clone() };
            tx.events.push(doer.event("token_rotated", "", ""));
        }
        Ok(Removed::by_rows(rows))
    }
}

/// Replaces the rules of an integration.
#[derive(Debug)]
pub struct SetPolicy {
    /// Who does it; in whose tenant.
    pub doer: Doer,
    /// Whose rules.
    pub integration: IntegrationId,
    /// The new ones, checked.
    pub policy: Policy,
}

impl Verb for SetPolicy {
    type Output = Removed;

    async fn run<S: Sql>(&self, tx: &mut Tx<'_, S>) -> Result<Removed, StoreError> {
        let policy = written(&self.policy)?;
        let rows = tx
            .sql
            .execute(
                "UPDATE integration SET policy = ?3 WHERE tenant = ?1 AND pk = ?2",
                values![self.doer.tenant, self.integration, &policy],
            )
            .await?;
        if rows > 0 {
            let doer = Doer { integration: Some(self.integration), ..self.doer.clone() };
            tx.events.push(doer.event("policy_changed", "", policy));
        }
        Ok(Removed::by_rows(rows))
    }
}

/// Removes an integration with its clients and all that is theirs. The audit stays.
#[derive(Debug)]
pub struct RemoveIntegration {
    /// Who does it; in whose tenant.
    pub doer: Doer,
    /// Which.
    pub integration: IntegrationId,
}

const OF_INTEGRATIONS: [&str; 18] = [
    // Meets every try on the row of its client: none spends a code from here on.
    "UPDATE client SET status = 'inactive' WHERE tenant = ?1 AND integration = ?2",
    "DELETE FROM enrollment WHERE tenant = ?1 AND integration = ?2",
    "DELETE FROM host_event WHERE tenant = ?1 AND integration = ?2",
    "DELETE FROM offline_credential WHERE tenant = ?1 AND integration = ?2",
    "DELETE FROM enrollment_message WHERE tenant = ?1 AND integration = ?2",
    "DELETE FROM webhook_delivery WHERE tenant = ?1
        AND webhook IN (SELECT pk FROM webhook WHERE tenant = ?1 AND integration = ?2)",
    "DELETE FROM webhook WHERE tenant = ?1 AND integration = ?2",
    "DELETE FROM trusted_device WHERE tenant = ?1
        AND client IN (SELECT pk FROM client WHERE tenant = ?1 AND integration = ?2)",
    "DELETE FROM known_source WHERE tenant = ?1
        AND client IN (SELECT pk FROM client WHERE tenant = ?1 AND integration = ?2)",
    "DELETE FROM lock WHERE tenant = ?1
        AND client IN (SELECT pk FROM client WHERE tenant = ?1 AND integration = ?2)",
    "DELETE FROM app WHERE tenant = ?1 AND integration = ?2",
    "DELETE FROM yubikey WHERE tenant = ?1 AND integration = ?2",
    "DELETE FROM yubico_client WHERE tenant = ?1 AND integration = ?2",
    "DELETE FROM challenge WHERE tenant = ?1 AND integration = ?2",
    "DELETE FROM recovery_code WHERE tenant = ?1 AND device IN (SELECT pk FROM device WHERE client IN
        (SELECT pk FROM client WHERE tenant = ?1 AND integration = ?2))",
    "UPDATE device SET status = 'removed', sealed = NULL, next_position = (SELECT u.next_position
        FROM device_use u WHERE u.client = device.client AND u.device = device.pk AND u.tenant = ?1)
     WHERE tenant = ?1 AND status = 'active'
        AND client IN (SELECT pk FROM client WHERE tenant = ?1 AND integration = ?2)",
    "DELETE FROM device_use WHERE tenant = ?1
        AND client IN (SELECT pk FROM client WHERE tenant = ?1 AND integration = ?2)",
    "DELETE FROM client WHERE tenant = ?1 AND integration = ?2",
];

impl Verb for RemoveIntegration {
    type Output = Removed;
    const ACCESS: Access = Access::Lasting;

    async fn run<S: Sql>(&self, tx: &mut Tx<'_, S>) -> Result<Removed, StoreError> {
        let which = values![self.doer.tenant, self.integration];
        let rows = tx.sql.execute("DELETE FROM integration WHERE tenant = ?1 AND pk = ?2", which).await?;
        if rows > 0 {
            for statement in OF_INTEGRATIONS {
                tx.sql.execute(statement, which).await?;
            }
            let doer = Doer { integration: Some(self.integration), ..self.doer.clone() };
            tx.events.push(doer.event("integration_removed", "", ""));
        }
        Ok(Removed::by_rows(rows))
    }
}
