//! The store itself: what is in it, and whether it was moved away.

use serde::Serialize;

use super::Doer;
use crate::outside::Timestamp;
use crate::store::error::StoreError;
use crate::store::sql::Sql;
use crate::store::verb::{Access, Query, Tx, Verb};

/// A migration that was applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AppliedMigration {
    /// Its name.
    pub name: String,
    /// When.
    pub applied_at: Timestamp,
}

/// What is in a store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StoreState {
    /// Where it was moved to, or is being copied to; nothing is written here then.
    pub moved_to: Option<String>,
    /// When the copy was finished; `None` while it is not.
    pub moved_at: Option<Timestamp>,
    /// Its schema, the oldest first.
    pub migrations: Vec<AppliedMigration>,
    /// Tenants.
    pub tenants: i64,
    /// Integrations.
    pub integrations: i64,
    /// Administrators.
    pub administrators: i64,
    /// Clients.
    pub clients: i64,
    /// Devices that can be used.
    pub devices: i64,
    /// Events of all audits.
    pub events: i64,
}

/// Looks at the store as a whole.
#[derive(Debug)]
pub struct DescribeStore;

impl Query for DescribeStore {
    type Output = StoreState;

    async fn run<S: Sql>(&self, tx: &mut Tx<'_, S>) -> Result<StoreState, StoreError> {
        let moved = tx
            .sql
            .row("SELECT moved_to, moved_at FROM store_state WHERE pk = 1", &[])
            .await?
            .ok_or(StoreError::Corrupt("no state of its own"))?;
        let migrations = tx.sql.rows("SELECT name, applied_at FROM migration ORDER BY name", &[]).await?;
        let migrations = migrations
            .iter()
            .map(|row| Ok(AppliedMigration { name: row.take(0)?, applied_at: row.take(1)? }))
            .collect::<Result<_, StoreError>>()?;
        Ok(StoreState {
            moved_to: moved.take(0)?,
            moved_at: moved.take(1)?,
            migrations,
            tenants: number(tx, "SELECT count(*) FROM tenant").await?,
            integrations: number(tx, "SELECT count(*) FROM integration").await?,
            administrators: number(tx, "SELECT count(*) FROM administrator").await?,
            clients: number(tx, "SELECT count(*) FROM client").await?,
            devices: number(tx, "SELECT count(*) FROM device WHERE status = 'active'").await?,
            events: number(tx, "SELECT CAST(coalesce(sum(seq), 0) AS BIGINT) FROM audit_head").await?,
        })
    }
}

async fn number<S: Sql>(tx: &mut Tx<'_, S>, sql: &'static str) -> Result<i64, StoreError> {
    tx.sql.row(sql, &[]).await?.map_or(Ok(0), |row| row.take(0))
}

/// Takes a store that was moved away into use again.
#[derive(Debug)]
pub struct ReopenStore {
    /// Who does it; its tenant is the server.
    pub doer: Doer,
}

impl Verb for ReopenStore {
    /// Where it was moved to; `None` where it was not.
    type Output = Option<String>;

    const ACCESS: Access = Access::Alone;

    async fn run<S: Sql>(&self, tx: &mut Tx<'_, S>) -> Result<Option<String>, StoreError> {
        let state = tx.sql.row("SELECT moved_to FROM store_state WHERE pk = 1 FOR UPDATE", &[]).await?;
        let moved: Option<String> = state.map_or(Ok(None), |row| row.take(0))?;
        if let Some(to) = &moved {
            tx.sql
                .execute(
                    "UPDATE store_state SET moved_to = NULL, copy_id = NULL, moved_at = NULL WHERE pk = 1",
                    &[],
                )
                .await?;
            tx.events.push(self.doer.event("store_reopened", "", format!("moved_to={to}")));
        }
        Ok(moved)
    }
}
