//! Administrators: people who manage tenants, integrations and clients.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::integrations::{Authenticate, CredentialDigests};
use super::tenants::Created;
use super::{Doer, Page};
use crate::ids::{AdministratorId, SERVER, TenantId};
use crate::outside::Timestamp;
use crate::store::error::StoreError;
use crate::store::sql::{Row, Sql};
use crate::store::verb::{Query, Tx, Verb};
use crate::values;

/// What an administrator may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Everything, in every tenant.
    Owner,
    /// Everything in one tenant.
    Administrator,
    /// In one tenant: read, unlock, remove a client's devices.
    Helpdesk,
}

impl Role {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Administrator => "administrator",
            Self::Helpdesk => "helpdesk",
        }
    }

    fn parse(word: &str) -> Result<Self, StoreError> {
        [Self::Owner, Self::Administrator, Self::Helpdesk]
            .into_iter()
            .find(|role| role.as_str() == word)
            .ok_or(StoreError::Corrupt("an administrator without a role"))
    }
}

/// An administrator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Administrator {
    /// Its number.
    #[schema(value_type = i64)]
    pub pk: AdministratorId,
    /// In which tenant; none for the owner of the server.
    #[schema(value_type = Option<i64>)]
    pub tenant: Option<TenantId>,
    /// Name.
    pub name: String,
    /// Role.
    pub role: Role,
    /// The name half of the pair for Basic authentication; no secret.
    pub access_key: String,
    /// Since when.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
}

fn administrator_of(row: &Row) -> Result<Administrator, StoreError> {
    Ok(Administrator {
        pk: row.take(0)?,
        tenant: row.take(1)?,
        name: row.take(2)?,
        role: Role::parse(&row.take::<String>(3)?)?,
        access_key: row.take(4)?,
        created_at: row.take(5)?,
    })
}

/// Makes an administrator of the doer's tenant, or an owner where that is the server.
#[derive(Debug)]
pub struct CreateAdministrator {
    /// Who does it; its tenant is where the new one works.
    pub doer: Doer,
    /// In which tenant; none for an owner.
    pub tenant: Option<TenantId>,
    /// Name.
    pub name: String,
    /// Role.
    pub role: Role,
    /// What proves it.
    pub credentials: CredentialDigests,
}

impl Verb for CreateAdministrator {
    type Output = Created<Administrator>;

    async fn run<S: Sql>(&self, tx: &mut Tx<'_, S>) -> Result<Created<Administrator>, StoreError> {
        let CredentialDigests { token, access_key, secret } = &self.credentials;
        if let Some(tenant) = self.tenant {
            // Not into a tenant that is being removed.
            let there = tx.sql.row("SELECT pk FROM tenant WHERE pk = ?1 FOR UPDATE", values![tenant]).await?;
            if there.is_none() {
                return Err(StoreError::NoKeys(tenant.0));
            }
        }
        let made = tx
            .sql
            .row(
                "INSERT INTO administrator
                    (tenant, name, role, token_digest, access_key, secret_digest, created_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT DO NOTHING
                 RETURNING pk, tenant, name, role, access_key, created_at",
                values![
                    self.tenant,
                    &self.name,
                    self.role.as_str(),
                    token,
                    access_key,
                    secret,
                    self.doer.now
                ],
            )
            .await?;
        let Some(made) = made else { return Ok(Created::NameTaken) };
        let administrator = administrator_of(&made)?;
        let detail = format!("{} {}", self.role.as_str(), self.name);
        tx.events.push(self.doer.event("administrator_created", "", detail));
        Ok(Created::New(administrator))
    }
}

/// The administrator that a token or a pair belongs to.
#[derive(Debug)]
pub struct AuthenticateAdministrator(pub Authenticate);

impl Query for AuthenticateAdministrator {
    type Output = Option<Administrator>;

    async fn run<S: Sql>(&self, tx: &mut Tx<'_, S>) -> Result<Option<Administrator>, StoreError> {
        let row = match &self.0 {
            Authenticate::Token(digest) => {
                tx.sql
                    .row(
                        "SELECT pk, tenant, name, role, access_key, created_at FROM administrator
                         WHERE token_digest = ?1",
                        values![digest],
                    )
                    .await?
            }
            Authenticate::Pair { access_key, secret } => {
                tx.sql
                    .row(
                        "SELECT pk, tenant, name, role, access_key, created_at FROM administrator
                         WHERE access_key = ?1 AND secret_digest = ?2",
                        values![access_key, secret],
                    )
                    .await?
            }
        };
        row.as_ref().map(administrator_of).transpose()
    }
}

/// Administrators by their number.
#[derive(Debug)]
pub struct ListAdministrators {
    /// Those of this tenant; all of them where there is none.
    pub tenant: Option<TenantId>,
    /// Which page.
    pub page: Page,
}

impl Query for ListAdministrators {
    type Output = Vec<Administrator>;

    async fn run<S: Sql>(&self, tx: &mut Tx<'_, S>) -> Result<Vec<Administrator>, StoreError> {
        let rows = tx
            .sql
            .rows(
                "SELECT pk, tenant, name, role, access_key, created_at FROM administrator
                 WHERE (CAST(?1 AS BIGINT) IS NULL OR tenant = ?1) AND pk > ?2 ORDER BY pk LIMIT ?3",
                values![self.tenant, self.page.after, self.page.limit],
            )
            .await?;
        rows.iter().map(administrator_of).collect()
    }
}

/// Removes an administrator; their token is worth nothing from then on.
#[derive(Debug)]
pub struct RemoveAdministrator {
    /// Who does it; the audit of the administrator's own tenant has it.
    pub doer: Doer,
    /// Only one of this tenant; any where there is none.
    pub tenant: Option<TenantId>,
    /// Which.
    pub administrator: AdministratorId,
}

/// What came of removing an administrator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RemovedAdministrator {
    /// It was there, and is gone.
    Done,
    /// There is none of this number in this tenant.
    NotThere,
    /// Nobody would be left who can do everything.
    LastOwner,
}

impl Verb for RemoveAdministrator {
    type Output = RemovedAdministrator;

    async fn run<S: Sql>(&self, tx: &mut Tx<'_, S>) -> Result<RemovedAdministrator, StoreError> {
        if self.tenant.is_none() {
            // Held, so that two owners cannot remove each other at the same time.
            let owners = tx
                .sql
                .rows("SELECT pk FROM administrator WHERE role = 'owner' ORDER BY pk FOR UPDATE", &[])
                .await?;
            if let [last] = owners.as_slice()
                && last.take::<AdministratorId>(0)? == self.administrator
            {
                return Ok(RemovedAdministrator::LastOwner);
            }
        }
        let gone = tx
            .sql
            .row(
                "DELETE FROM administrator WHERE pk = ?2 AND (CAST(?1 AS BIGINT) IS NULL OR tenant = ?1)
                 RETURNING name, tenant",
                values![self.tenant, self.administrator],
            )
            .await?;
        let Some(gone) = gone else { return Ok(RemovedAdministrator::NotThere) };
        let tenant = gone.take::<Option<TenantId>>(1)?.unwrap_or(SERVER);
        let doer = Doer { tenant, ..self.doer.clone() };
        tx.events.push(doer.event("administrator_removed", "", gone.take::<String>(0)?));
        Ok(RemovedAdministrator::Done)
    }
}
