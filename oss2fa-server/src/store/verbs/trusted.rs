//! Devices that an application remembers for a client, and passes without a factor.

use super::Doer;
use crate::ids::{ClientId, TenantId, Username};
use crate::outside::Timestamp;
use crate::store::error::StoreError;
use crate::store::sql::Sql;
use crate::store::verb::{Query, Tx, Verb};
use crate::values;

/// Remembers a device, right after a challenge on it was completed.
#[derive(Debug)]
pub struct Trust {
    /// Who does it; in whose tenant.
    pub doer: Doer,
    /// Whose device.
    pub client: ClientId,
    /// Their name, for the audit.
    pub username: Username,
    /// SHA-256 of the token that stands for it.
    pub digest: [u8; 32],
    /// The browser that it is bound to, where one was named.
    pub fingerprint: Option<String>,
    /// Until when.
    pub expires_at: Timestamp,
}

impl Verb for Trust {
    type Output = ();

    async fn run<S: Sql>(&self, tx: &mut Tx<'_, S>) -> Result<(), StoreError> {
        tx.sql
            .execute(
                "INSERT INTO trusted_device (tenant, client, digest, fingerprint, created_at, expires_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                values![
                    self.doer.tenant,
                    self.client,
                    &self.digest,
                    self.fingerprint.as_ref(),
                    self.doer.now,
                    self.expires_at
                ],
            )
            .await?;
        tx.events.push(self.doer.event("trusted", self.username.as_str(), ""));
        Ok(())
    }
}

/// Whether a device is remembered for this client, and comes from the same browser.
#[derive(Debug)]
pub struct IsTrusted {
    /// Whose.
    pub tenant: TenantId,
    /// Which client.
    pub client: ClientId,
    /// SHA-256 of the token.
    pub digest: [u8; 32],
    /// The browser that it comes from.
    pub fingerprint: Option<String>,
    /// Not one that was remembered earlier than this.
    pub not_before: Timestamp,
    /// The time.
    pub now: Timestamp,
}

impl Query for IsTrusted {
    type Output = bool;

    async fn run<S: Sql>(&self, tx: &mut Tx<'_, S>) -> Result<bool, StoreError> {
        let row = tx
            .sql
            .row(
                "SELECT 1 FROM trusted_device
                 WHERE tenant = ?1 AND client = ?2 AND digest = ?3 AND created_at > ?5 AND expires_at > ?6
                   AND (fingerprint IS NULL OR fingerprint = CAST(?4 AS TEXT))",
                values![
                    self.tenant,
                    self.client,
                    &self.digest,
                    self.fingerprint.as_ref(),
                    self.not_before,
                    self.now
                ],
            )
            .await?;
        Ok(row.is_some())
    }
}

/// Writes to the audit that somebody passed without a factor, or was denied unasked.
#[derive(Debug)]
pub struct RecordPass {
    /// Who asks; its source is where the client is.
    pub doer: Doer,
    /// Who.
    pub username: Username,
    /// What happened.
    pub what: &'static str,
    /// Why.
    pub why: &'static str,
}

impl Verb for RecordPass {
    type Output = ();

    async fn run<S: Sql>(&self, tx: &mut Tx<'_, S>) -> Result<(), StoreError> {
        tx.events.push(self.doer.event(self.what, self.username.as_str(), self.why));
        Ok(())
    }
}
