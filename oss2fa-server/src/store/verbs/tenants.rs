//! Tenants: whose everything else is.

use serde::Serialize;
use utoipa::ToSchema;

use super::integrations::{CreateIntegration, CredentialDigests, Integration};
use super::{Doer, Page};
use crate::ids::{SERVER, TenantId};
use crate::outside::Timestamp;
use crate::policy::Policy;
use crate::store::audit;
use crate::store::error::StoreError;
use crate::store::sql::{Row, Sql};
use crate::store::verb::{Access, Query, Tx, Verb};
use crate::values;
use crate::whereabouts::Whereabouts;

/// A tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Tenant {
    /// Its number.
    #[schema(value_type = i64)]
    pub pk: TenantId,
    /// Its name outside: 40 hexadecimal digits; no secret.
    pub public_id: String,
    /// Its name.
    pub name: String,
    /// Since when.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
}

fn tenant_of(row: &Row) -> Result<Tenant, StoreError> {
    Ok(Tenant { pk: row.take(0)?, public_id: row.take(1)?, name: row.take(2)?, created_at: row.take(3)? })
}

/// Makes the keys and the audit of the server itself, and the first tenant with an integration, where
/// nothing is there: on the first start. All of it happens, or nothing.
#[derive(Debug)]
pub struct BeginServer {
    /// When.
    pub now: Timestamp,
    /// 40 hexadecimal digits, at random: the first tenant's name outside.
    pub public_id: String,
    /// What proves the first integration.
    pub credentials: CredentialDigests,
}

/// Whether the store was new.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Begun {
    /// It was: this is in it now.
    New(Box<(Tenant, Integration)>),
    /// It was not.
    Before,
}

/// Name of the first tenant.
pub const FIRST_TENANT: &str = "default";
/// Name of the first integration.
pub const FIRST_INTEGRATION: &str = "oss2fa";

impl Verb for BeginServer {
    type Output = Begun;

    async fn run<S: Sql>(&self, tx: &mut Tx<'_, S>) -> Result<Begun, StoreError> {
        // Nodes that start together wait here for the first of them.
        tx.sql.row("SELECT pk FROM store_state WHERE pk = 1 FOR UPDATE", &[]).await?;
        let known = tx.sql.row("SELECT 1 FROM audit_head WHERE tenant = ?1", values![SERVER]).await?;
        if known.is_some() {
            // The master key must open what is there, now and not at the first login.
            tx.keys(SERVER).await?;
            return Ok(Begun::Before);
        }
        tx.make_keys(SERVER, self.now).await?;
        audit::begin(tx, SERVER).await?;
        let doer = Doer {
            tenant: SERVER,
            integration: None,
            actor: "server".into(),
            source: String::new(),
            now: self.now,
            whereabouts: Whereabouts::default(),
        };
        tx.events.push(doer.event("store_made", "", ""));
        let name = FIRST_TENANT.to_owned();
        let create = CreateTenant { doer: doer.clone(), name, public_id: self.public_id.clone() };
        let Created::New(tenant) = create.run(tx).await? else {
            return Err(StoreError::Corrupt("a tenant from before the first start"));
        };
        let create = CreateIntegration {
            doer: Doer { tenant: tenant.pk, ..doer },
            name: FIRST_INTEGRATION.to_owned(),
            credentials: self.credentials.clone(),
            policy: Policy::default(),
        };
        match create.run(tx).await? {
            Created::New(integration) => Ok(Begun::New(Box::new((tenant, integration)))),
            Created::NameTaken => Err(StoreError::Corrupt("an integration from before the first start")),
        }
    }
}

/// Whether the store has something in it; asked before the keys are made.
#[derive(Debug)]
pub struct IsNew;

/// What there is before the first start, and after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Age {
    /// Nothing.
    New,
    /// Something.
    Old,
}

impl Query for IsNew {
    type Output = Age;

    async fn run<S: Sql>(&self, tx: &mut Tx<'_, S>) -> Result<Age, StoreError> {
        let known = tx.sql.row("SELECT 1 FROM audit_head WHERE tenant = ?1", values![SERVER]).await?;
        Ok(if known.is_some() { Age::Old } else { Age::New })
    }
}

/// Makes a tenant with keys and an audit of its own.
#[derive(Debug)]
pub struct CreateTenant {
    /// Who does it; its tenant is the server.
    pub doer: Doer,
    /// Name.
    pub name: String,
    /// 40 hexadecimal digits, at random.
    pub public_id: String,
}

/// What came of making something with a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Created<T> {
    /// It was made.
    New(T),
    /// There is one of this name already.
    NameTaken,
}

impl Verb for CreateTenant {
    type Output = Created<Tenant>;

    async fn run<S: Sql>(&self, tx: &mut Tx<'_, S>) -> Result<Created<Tenant>, StoreError> {
        let made = tx
            .sql
            .row(
                "INSERT INTO tenant (public_id, name, created_at) VALUES (?1, ?2, ?3)
                 ON CONFLICT DO NOTHING RETURNING pk, public_id, name, created_at",
                values![&self.public_id, &self.name, self.doer.now],
            )
            .await?;
        let Some(made) = made else { return Ok(Created::NameTaken) };
        let tenant = tenant_of(&made)?;
        tx.make_keys(tenant.pk, self.doer.now).await?;
        audit::begin(tx, tenant.pk).await?;
        tx.events.push(self.doer.event("tenant_created", "", format!("tenant={} {}", tenant.pk, self.name)));
        let own = Doer { tenant: tenant.pk, ..self.doer.clone() };
        tx.events.push(own.event("tenant_created", "", self.name.clone()));
        Ok(Created::New(tenant))
    }
}

/// Tenants by their number.
#[derive(Debug)]
pub struct ListTenants {
    /// Which page.
    pub page: Page,
}

impl Query for ListTenants {
    type Output = Vec<Tenant>;

    async fn run<S: Sql>(&self, tx: &mut Tx<'_, S>) -> Result<Vec<Tenant>, StoreError> {
        let rows = tx
            .sql
            .rows(
                "SELECT pk, public_id, name, created_at FROM tenant WHERE pk > ?1 ORDER BY pk LIMIT ?2",
                values![self.page.after, self.page.limit],
            )
            .await?;
        rows.iter().map(tenant_of).collect()
    }
}

/// A tenant by its number or name.
#[derive(Debug)]
pub enum FindTenant {
    /// By number.
    Pk(TenantId),
    /// By name.
    Name(String),
}

impl Query for FindTenant {
    type Output = Option<Tenant>;

    async fn run<S: Sql>(&self, tx: &mut Tx<'_, S>) -> Result<Option<Tenant>, StoreError> {
        let row = match self {
            Self::Pk(pk) => {
                tx.sql
                    .row("SELECT pk, public_id, name, created_at FROM tenant WHERE pk = ?1", values![*pk])
                    .await?
            }
            Self::Name(name) => {
                tx.sql
                    .row("SELECT pk, public_id, name, created_at FROM tenant WHERE name = ?1", values![name])
                    .await?
            }
        };
        row.as_ref().map(tenant_of).transpose()
    }
}

/// Removes a tenant, all that is its own, and its keys: what backups hold of it does not open any more.
#[derive(Debug)]
pub struct RemoveTenant {
    /// Who does it; its tenant is the server.
    pub doer: Doer,
    /// Which.
    pub tenant: TenantId,
}

/// All that a tenant has. First what others hold before all else, whoever enrolls the integration and whoever tries the
/// client: none of them then waits for rows that are deleted here while this waits for theirs.
const OF_TENANTS: [&str; 23] = [
    "DELETE FROM integration WHERE tenant = ?1",
    // Meets every try on the row of its client: nothing commits before it.
    "DELETE FROM client WHERE tenant = ?1",
    // Whoever writes to the audit holds it at the end: from here on nobody adds anything that would be left.
    "DELETE FROM audit_head WHERE tenant = ?1",
    "DELETE FROM host_event WHERE tenant = ?1",
    "DELETE FROM offline_credential WHERE tenant = ?1",
    "DELETE FROM webhook_delivery WHERE tenant = ?1",
    "DELETE FROM webhook WHERE tenant = ?1",
    "DELETE FROM idempotency WHERE tenant = ?1",
    "DELETE FROM trusted_device WHERE tenant = ?1",
    "DELETE FROM known_source WHERE tenant = ?1",
    "DELETE FROM lock WHERE tenant = ?1",
    "DELETE FROM challenge WHERE tenant = ?1",
    "DELETE FROM enrollment WHERE tenant = ?1",
    "DELETE FROM enrollment_message WHERE tenant = ?1",
    "DELETE FROM recovery_code WHERE tenant = ?1",
    "DELETE FROM app WHERE tenant = ?1",
    "DELETE FROM yubikey WHERE tenant = ?1",
    "DELETE FROM yubico_client WHERE tenant = ?1",
    "DELETE FROM device WHERE tenant = ?1",
    "DELETE FROM device_use WHERE tenant = ?1",
    "DELETE FROM device_fingerprint WHERE tenant = ?1",
    "DELETE FROM administrator WHERE tenant = ?1",
    "DELETE FROM audit WHERE tenant = ?1",
];

impl Verb for RemoveTenant {
    type Output = Removed;
    const ACCESS: Access = Access::Lasting;

    async fn run<S: Sql>(&self, tx: &mut Tx<'_, S>) -> Result<Removed, StoreError> {
        let gone = tx.sql.execute("DELETE FROM tenant WHERE pk = ?1", values![self.tenant]).await?;
        if gone == 0 {
            return Ok(Removed::NotThere);
        }
        for statement in OF_TENANTS {
            tx.sql.execute(statement, values![self.tenant]).await?;
        }
        tx.sql.execute("DELETE FROM tenant_key WHERE tenant = ?1", values![self.tenant]).await?;
        tx.ring.forget(self.tenant);
        tx.events.push(self.doer.event("tenant_removed", "", format!("tenant={}", self.tenant)));
        Ok(Removed::Done)
    }
}

/// What came of removing or changing something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removed {
    /// It was there, and is done.
    Done,
    /// There is none of this number in this tenant.
    NotThere,
}

impl Removed {
    /// From the rows that a statement changed.
    #[must_use]
    pub fn by_rows(rows: u64) -> Self {
        if rows == 0 { Self::NotThere } else { Self::Done }
    }
}
