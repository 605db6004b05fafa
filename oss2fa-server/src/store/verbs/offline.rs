//! Offline credentials: one-time codes that a host checks by itself, for the time when no server can be
//! reached. Their secret stays on the host; here they are listed and revoked.

use serde::Serialize;
use utoipa::ToSchema;

use super::clients::ClientStatus;
use super::tenants::Removed;
use super::{Doer, Page};
use crate::ids::{ClientId, CredentialId, HostName, IntegrationId, TenantId, Username};
use crate::outside::Timestamp;
use crate::store::error::StoreError;
use crate::store::sql::{Row, Sql, Value};
use crate::store::verb::{Query, Tx, Verb};
use crate::values;

/// Most active ones of one client on one host.
pub const MOST: i64 = 5;

/// For how long a revoked one is listed, in seconds: a year.
pub const KEPT_FOR: u32 = 365 * 24 * 3600;

/// Whether the host may still take its codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CredentialStatus {
    /// It may.
    Active,
    /// It may not: it was revoked, or its client is inactive or gone.
    Revoked,
}

/// An offline credential.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct OfflineCredential {
    /// Its number.
    #[schema(value_type = i64)]
    pub pk: CredentialId,
    /// Whose.
    #[schema(value_type = String)]
    pub username: Username,
    /// The host that has its secret.
    pub host: String,
    /// What its owner calls it.
    pub name: String,
    /// Since when.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// active; or revoked, also where its client is inactive or gone.
    pub status: CredentialStatus,
    /// When it was revoked; null where its client alone is inactive.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub revoked_at: Option<Timestamp>,
}

fn credential_of(row: &Row) -> Result<OfflineCredential, StoreError> {
    let client = row.take::<Option<String>>(7)?.as_deref().map(ClientStatus::parse).transpose()?;
    let status = match (row.take::<String>(5)?.as_str(), client) {
        ("active", Some(ClientStatus::Active | ClientStatus::Bypass)) => CredentialStatus::Active,
        _ => CredentialStatus::Revoked,
    };
    Ok(OfflineCredential {
        pk: row.take(0)?,
        username: row.take(1)?,
        host: row.take(2)?,
        name: row.take(3)?,
        created_at: row.take(4)?,
        status,
        revoked_at: row.take(6)?,
    })
}

/// Notes that a host has a credential of a client.
#[derive(Debug)]
pub struct CreateOfflineCredential {
    /// Who asks; in whose tenant and integration.
    pub doer: Doer,
    /// Whose.
    pub username: Username,
    /// The host that has its secret.
    pub host: HostName,
    /// What its owner calls it.
    pub name: String,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Noted {
    /// It is listed now.
    New(Box<OfflineCredential>),
    /// There is no client of this name.
    Nobody,
    /// The client may not pass.
    Barred,
    /// The client has an active one of this name on this host.
    NameTaken,
    /// The client has as many on this host as may be.
    TooMany,
}

impl Verb for CreateOfflineCredential {
    type Output = Noted;

    async fn run<S: Sql>(&self, tx: &mut Tx<'_, S>) -> Result<Noted, StoreError> {
        let Doer { tenant, integration, now, .. } = self.doer;
        // Held to the end: the credentials of one client are counted one after another, on whatever node.
        let client = tx
            .sql
            .row(
                "SELECT pk, status FROM client
                 WHERE tenant = ?1 AND integration = ?2 AND username = ?3 FOR UPDATE",
                values![tenant, integration, &self.username],
            )
            .await?;
        let Some(client) = client else { return Ok(Noted::Nobody) };
        if ClientStatus::parse(&client.take::<String>(1)?)? == ClientStatus::Inactive {
            return Ok(Noted::Barred);
        }
        let client: ClientId = client.take(0)?;
        let count = tx
            .sql
            .row(
                "SELECT count(*) FROM offline_credential
                 WHERE tenant = ?1 AND client = ?2 AND host = ?3 AND status = 'active'",
                values![tenant, client, &self.host],
            )
            .await?;
        if count.map_or(Ok(0), |row| row.take::<i64>(0))? >= MOST {
            return Ok(Noted::TooMany);
        }
        let made = tx
            .sql
            .row(
                "INSERT INTO offline_credential
                    (tenant, integration, client, username, host, name, status, created_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'active', ?7) ON CONFLICT DO NOTHING RETURNING pk",
                values![tenant, integration, client, &self.username, &self.host, &self.name, now],
            )
            .await?;
        let Some(made) = made else { return Ok(Noted::NameTaken) };
        let pk = made.take(0)?;
        let detail = said(pk, self.host.as_str(), &self.name);
        tx.events.push(self.doer.event("offline_credential_created", self.username.as_str(), detail));
        Ok(Noted::New(Box::new(OfflineCredential {
            pk,
            username: self.username.clone(),
            host: self.host.as_str().to_owned(),
            name: self.name.clone(),
            created_at: now,
            status: CredentialStatus::Active,
            revoked_at: None,
        })))
    }
}

fn said(pk: CredentialId, host: &str, name: &str) -> String {
    format!("credential={pk} host={host:?} name={name:?}")
}

/// An integration's offline credentials by their number, the revoked ones as well.
#[derive(Debug)]
pub struct ListOfflineCredentials {
    /// Whose.
    pub tenant: TenantId,
    /// Of which integration.
    pub integration: IntegrationId,
    /// Only on this host.
    pub host: Option<HostName>,
    /// Only of clients of this name, those that are gone among them.
    pub username: Option<Username>,
    /// Which page.
    pub page: Page,
}

/// Credentials of an integration by their number, with this further condition.
macro_rules! credentials_where {
    ($condition:literal) => {
        concat!(
            "SELECT o.pk, o.username, o.host, o.name, o.created_at, o.status, o.revoked_at, c.status
             FROM offline_credential o LEFT JOIN client c ON c.pk = o.client AND c.tenant = o.tenant
             WHERE o.tenant = ?1 AND o.integration = ?2 AND o.pk > ?3 ",
            $condition,
            " ORDER BY o.pk LIMIT ?4"
        )
    };
}

impl Query for ListOfflineCredentials {
    type Output = Vec<OfflineCredential>;

    async fn run<S: Sql>(&self, tx: &mut Tx<'_, S>) -> Result<Vec<OfflineCredential>, StoreError> {
        let Self { tenant, integration, host, username, page } = self;
        // Each host asks for its own again and again: that must not read those of all.
        let mut values = values![*tenant, *integration, page.after, page.limit].to_vec();
        values.extend(host.iter().map(Value::from));
        values.extend(username.iter().map(Value::from));
        let statement = match (host, username) {
            (None, None) => credentials_where!(""),
            (Some(_), None) => credentials_where!("AND o.host = ?5"),
            (None, Some(_)) => credentials_where!("AND o.username = ?5"),
            (Some(_), Some(_)) => credentials_where!("AND o.host = ?5 AND o.username = ?6"),
        };
        let rows = tx.sql.rows(statement, &values).await?;
        rows.iter().map(credential_of).collect()
    }
}

/// Revokes a credential. One that is revoked stays so, and nothing is written down again.
#[derive(Debug)]
pub struct RevokeOfflineCredential {
    /// Who does it; in whose tenant and integration.
    pub doer: Doer,
    /// Which.
    pub credential: CredentialId,
    /// Only where it is of a client of this name.
    pub username: Option<Username>,
}

impl Verb for RevokeOfflineCredential {
    type Output = Removed;

    async fn run<S: Sql>(&self, tx: &mut Tx<'_, S>) -> Result<Removed, StoreError> {
        let Doer { tenant, integration, now, .. } = self.doer;
        let revoked = tx
            .sql
            .row(
                "UPDATE offline_credential SET status = 'revoked', revoked_at = ?5
                 WHERE tenant = ?1 AND integration = ?2 AND pk = ?3 AND status = 'active'
                   AND (CAST(?4 AS TEXT) IS NULL OR username = ?4)
                 RETURNING pk, username, host, name",
                values![tenant, integration, self.credential, self.username.as_ref(), now],
            )
            .await?;
        if let Some(row) = revoked {
            record(tx, &self.doer, &row)?;
            return Ok(Removed::Done);
        }
        let there = tx
            .sql
            .row(
                "SELECT 1 FROM offline_credential WHERE tenant = ?1 AND integration = ?2 AND pk = ?3
                   AND (CAST(?4 AS TEXT) IS NULL OR username = ?4)",
                values![tenant, integration, self.credential, self.username.as_ref()],
            )
            .await?;
        Ok(if there.is_some() { Removed::Done } else { Removed::NotThere })
    }
}

/// Revokes all of a client that is removed; the caller holds its row.
pub(super) async fn revoke_all<S: Sql>(
    tx: &mut Tx<'_, S>,
    doer: &Doer,
    client: ClientId,
) -> Result<(), StoreError> {
    let revoked = tx
        .sql
        .rows(
            "UPDATE offline_credential SET status = 'revoked', revoked_at = ?3
             WHERE tenant = ?1 AND client = ?2 AND status = 'active' RETURNING pk, username, host, name",
            values![doer.tenant, client, doer.now],
        )
        .await?;
    revoked.iter().try_for_each(|row| record(tx, doer, row))
}

fn record<S: Sql>(tx: &mut Tx<'_, S>, doer: &Doer, row: &Row) -> Result<(), StoreError> {
    let (username, host, name): (String, String, String) = (row.take(1)?, row.take(2)?, row.take(3)?);
    let detail = said(row.take(0)?, &host, &name);
    tx.events.push(doer.event("offline_credential_revoked", &username, detail));
    Ok(())
}
