//! The keys of tenants: a new one, what it means for sealed values, and the end of an old one.

use std::fmt;

use serde::Serialize;

use super::{Doer, challenges, clients, enrollments, yubico_clients};
use crate::ids::TenantId;
use crate::keys::Purpose;
use crate::outside::Timestamp;
use crate::store::error::StoreError;
use crate::store::sql::Sql;
use crate::store::verb::{Query, Tx, Verb};
use crate::values;

/// Makes a new sealing key for a tenant: from its commit on it seals what is new, and older ones still open.
#[derive(Debug)]
pub struct RotateTenantKey {
    /// Who does it; for which tenant.
    pub doer: Doer,
}

impl Verb for RotateTenantKey {
    /// The new version; `None` where there is no such tenant.
    type Output = Option<u32>;

    async fn run<S: Sql>(&self, tx: &mut Tx<'_, S>) -> Result<Option<u32>, StoreError> {
        let tenant = self.doer.tenant;
        let there = tx.sql.row("SELECT pk FROM tenant WHERE pk = ?1 FOR UPDATE", values![tenant]).await?;
        if there.is_none() {
            return Ok(None);
        }
        let newest = tx
            .sql
            .row(
                "SELECT max(version) FROM tenant_key WHERE tenant = ?1 AND purpose = 'seal'",
                values![tenant],
            )
            .await?;
        let newest: u32 = newest.ok_or(StoreError::NoKeys(tenant.0))?.take(0)?;
        let version = newest.checked_add(1).ok_or(StoreError::Corrupt("the last version of a key"))?;
        tx.make_key(tenant, Purpose::Seal, version, self.doer.now).await?;
        tx.events.push(self.doer.event("key_rotated", "", format!("version={version}")));
        Ok(Some(version))
    }
}

/// A key as it is listed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeyEntry {
    /// Whose; 0 is the server itself.
    pub tenant: TenantId,
    /// seal or mac.
    pub purpose: Purpose,
    /// Its version.
    pub version: u32,
    /// Id of the master key that wraps it, in hexadecimal.
    pub master: String,
    /// Since when; the version before it is superseded since then.
    pub created_at: Timestamp,
}

/// The keys of all tenants, or of one, the oldest of each first.
#[derive(Debug)]
pub struct ListKeys {
    /// Only of this tenant.
    pub tenant: Option<TenantId>,
}

impl Query for ListKeys {
    type Output = Vec<KeyEntry>;

    async fn run<S: Sql>(&self, tx: &mut Tx<'_, S>) -> Result<Vec<KeyEntry>, StoreError> {
        let rows = tx
            .sql
            .rows(
                "SELECT tenant, purpose, version, master_id, created_at FROM tenant_key
                 WHERE (CAST(?1 AS BIGINT) IS NULL OR tenant = ?1) ORDER BY tenant, purpose DESC, version",
                values![self.tenant],
            )
            .await?;
        rows.iter()
            .map(|row| {
                Ok(KeyEntry {
                    tenant: row.take(0)?,
                    purpose: Purpose::parse(&row.take::<String>(1)?)?,
                    version: row.take(2)?,
                    master: data_encoding::HEXLOWER.encode(&row.take::<Vec<u8>>(3)?),
                    created_at: row.take(4)?,
                })
            })
            .collect()
    }
}

/// A column of sealed values that is resealed: its rows have a number, and stay.
#[derive(Clone, Copy)]
pub struct SealedColumn {
    /// What values are sealed for: table and column.
    pub place: &'static str,
    count: &'static str,
    read: &'static str,
    write: &'static str,
}

impl fmt::Debug for SealedColumn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.place)
    }
}

macro_rules! sealed_column {
    ($table:literal, $place:expr) => {
        SealedColumn {
            place: $place,
            // The version stands in front, its highest byte first: older ones are less.
            count: concat!(
                "SELECT count(*) FROM ",
                $table,
                " WHERE tenant = ?1 AND sealed IS NOT NULL AND substr(sealed, 1, 4) < ?2"
            ),
            read: concat!(
                "SELECT pk, sealed FROM ",
                $table,
                " WHERE tenant = ?1 AND pk > ?3 AND sealed IS NOT NULL AND substr(sealed, 1, 4) < ?2",
                " ORDER BY pk LIMIT ?4"
            ),
            write: concat!(
                "UPDATE ",
                $table,
                " SET sealed = ?4 WHERE tenant = ?1 AND pk = ?2 AND sealed = ?3"
            ),
        }
    };
}

/// All of them. Stored answers of `idempotency` are not among them: they are gone after a day, and keep
/// their key until then.
pub const SEALED_COLUMNS: [SealedColumn; 5] = [
    sealed_column!("device", clients::MATERIAL),
    sealed_column!("enrollment", enrollments::STEP),
    sealed_column!("challenge", challenges::STEP),
    sealed_column!("webhook", "webhook.sealed"),
    sealed_column!("yubico_client", yubico_clients::KEY),
];

/// How many sealed values of a tenant wait to be resealed.
#[derive(Debug)]
pub struct CountOld {
    /// Whose.
    pub tenant: TenantId,
}

impl Query for CountOld {
    type Output = u64;

    async fn run<S: Sql>(&self, tx: &mut Tx<'_, S>) -> Result<u64, StoreError> {
        tx.ring.forget(self.tenant);
        let newest = tx.keys(self.tenant).await?.version().to_be_bytes();
        let mut all = 0_i64;
        for column in SEALED_COLUMNS {
            let row = tx.sql.row(column.count, values![self.tenant, &newest]).await?;
            all += row.map_or(Ok(0), |row| row.take::<i64>(0))?;
        }
        Ok(u64::try_from(all).unwrap_or(0))
    }
}

/// Opens a batch of values that older keys have sealed, and seals them by the newest; writes nothing.
#[derive(Debug)]
pub struct SealAnew {
    /// Whose.
    pub tenant: TenantId,
    /// Of which column.
    pub column: SealedColumn,
    /// After this row.
    pub after: i64,
    /// At most so many.
    pub limit: u32,
}

/// A value before and after.
#[derive(Debug)]
pub struct Resealed {
    pk: i64,
    old: Vec<u8>,
    new: Vec<u8>,
}

/// What was read.
#[derive(Debug)]
pub struct Batch {
    /// What is to be written.
    pub values: Vec<Resealed>,
    /// Values that do not open: they were changed, or their key is gone.
    pub unreadable: u64,
    /// The last row that was looked at; `None` where there was none.
    pub last: Option<i64>,
}

impl Query for SealAnew {
    type Output = Batch;

    async fn run<S: Sql>(&self, tx: &mut Tx<'_, S>) -> Result<Batch, StoreError> {
        // Never by a key that was the newest a while ago.
        tx.ring.forget(self.tenant);
        let keys = tx.keys(self.tenant).await?;
        let newest = keys.version().to_be_bytes();
        let rows =
            tx.sql.rows(self.column.read, values![self.tenant, &newest, self.after, self.limit]).await?;
        let mut batch = Batch { values: Vec::with_capacity(rows.len()), unreadable: 0, last: None };
        for row in rows {
            let (pk, old): (i64, Vec<u8>) = (row.take(0)?, row.take(1)?);
            batch.last = Some(pk);
            match keys.open(self.column.place, pk, &old) {
                Ok(plain) => {
                    let new = keys.seal(self.column.place, pk, plain.expose(), tx.ring.random())?;
                    batch.values.push(Resealed { pk, old, new });
                }
                Err(_) => batch.unreadable += 1,
            }
        }
        Ok(batch)
    }
}

/// Writes what was sealed anew. A value that was changed meanwhile stays as it is.
#[derive(Debug)]
pub struct StoreResealed {
    /// Whose.
    pub tenant: TenantId,
    /// Of which column.
    pub column: SealedColumn,
    /// Which.
    pub values: Vec<Resealed>,
}

impl Verb for StoreResealed {
    /// How many were written.
    type Output = u64;

    async fn run<S: Sql>(&self, tx: &mut Tx<'_, S>) -> Result<u64, StoreError> {
        let mut written = 0;
        for Resealed { pk, old, new } in &self.values {
            written += tx.sql.execute(self.column.write, values![self.tenant, *pk, old, new]).await?;
        }
        Ok(written)
    }
}

/// Everything that a key may have sealed.
const USES: [&str; 6] = [
    "SELECT 1 FROM device WHERE tenant = ?1 AND substr(sealed, 1, 4) = ?2 LIMIT 1",
    "SELECT 1 FROM enrollment WHERE tenant = ?1 AND substr(sealed, 1, 4) = ?2 LIMIT 1",
    "SELECT 1 FROM challenge WHERE tenant = ?1 AND substr(sealed, 1, 4) = ?2 LIMIT 1",
    "SELECT 1 FROM webhook WHERE tenant = ?1 AND substr(sealed, 1, 4) = ?2 LIMIT 1",
    "SELECT 1 FROM yubico_client WHERE tenant = ?1 AND substr(sealed, 1, 4) = ?2 LIMIT 1",
    "SELECT 1 FROM idempotency WHERE tenant = ?1 AND substr(sealed, 1, 4) = ?2 LIMIT 1",
];

/// Whether anything is sealed by a version of a tenant's key.
#[derive(Debug)]
pub struct UseOfKey {
    /// Whose.
    pub tenant: TenantId,
    /// Which.
    pub version: u32,
}

/// What a key is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyUse {
    /// Something is sealed by it.
    Used,
    /// Nothing is.
    Unused,
}

impl Query for UseOfKey {
    type Output = KeyUse;

    async fn run<S: Sql>(&self, tx: &mut Tx<'_, S>) -> Result<KeyUse, StoreError> {
        let version = self.version.to_be_bytes();
        for statement in USES {
            if tx.sql.row(statement, values![self.tenant, &version]).await?.is_some() {
                return Ok(KeyUse::Used);
            }
        }
        Ok(KeyUse::Unused)
    }
}

/// Removes a key that seals nothing. Whoever asks has seen so, after it was superseded for that long.
#[derive(Debug)]
pub struct DropKey {
    /// Who does it; of which tenant.
    pub doer: Doer,
    /// Which version.
    pub version: u32,
    /// A newer one must be at least as old as this: no node seals by the old one any more.
    pub superseded_before: Timestamp,
}

impl Verb for DropKey {
    type Output = super::tenants::Removed;

    async fn run<S: Sql>(&self, tx: &mut Tx<'_, S>) -> Result<Self::Output, StoreError> {
        let rows = tx
            .sql
            .execute(
                "DELETE FROM tenant_key WHERE tenant = ?1 AND purpose = 'seal' AND version = ?2
                    AND EXISTS (SELECT 1 FROM tenant_key newer WHERE newer.tenant = ?1
                        AND newer.purpose = 'seal' AND newer.version > ?2 AND newer.created_at <= ?3)",
                values![self.doer.tenant, self.version, self.superseded_before],
            )
            .await?;
        if rows > 0 {
            tx.events.push(self.doer.event("key_dropped", "", format!("version={}", self.version)));
        }
        Ok(super::tenants::Removed::by_rows(rows))
    }
}

/// How many keys are wrapped by another master key than the newest of the file.
#[derive(Debug)]
pub struct CountWrappedByOlder;

impl Query for CountWrappedByOlder {
    type Output = u64;

    async fn run<S: Sql>(&self, tx: &mut Tx<'_, S>) -> Result<u64, StoreError> {
        count_wrapped_by_older(tx).await
    }
}

async fn count_wrapped_by_older<S: Sql>(tx: &mut Tx<'_, S>) -> Result<u64, StoreError> {
    let first = first_of(tx)?;
    let row = tx.sql.row("SELECT count(*) FROM tenant_key WHERE master_id <> ?1", values![&first]).await?;
    Ok(u64::try_from(row.map_or(Ok(0), |row| row.take::<i64>(0))?).unwrap_or(0))
}

fn first_of<S: Sql>(tx: &Tx<'_, S>) -> Result<Vec<u8>, StoreError> {
    tx.ring.reload()?;
    tx.ring.master_ids().into_iter().next().ok_or(StoreError::Corrupt("no master key"))
}

/// Puts a new master key in front of the file.
#[derive(Debug, Default)]
pub struct PrependMasterKey {
    // The file cannot be rolled back: a second run must not make another key.
    done: std::sync::OnceLock<()>,
}

impl Verb for PrependMasterKey {
    type Output = ();

    async fn run<S: Sql>(&self, tx: &mut Tx<'_, S>) -> Result<(), StoreError> {
        hold_master_keys(tx).await?;
        if self.done.get().is_none() {
            tx.ring.prepend()?;
            let _ = self.done.set(());
        }
        Ok(())
    }
}

/// One at a time changes the file, and nobody makes keys meanwhile.
async fn hold_master_keys<S: Sql>(tx: &mut Tx<'_, S>) -> Result<(), StoreError> {
    tx.sql.row("SELECT pk FROM store_state WHERE pk = 1 FOR UPDATE", &[]).await?;
    Ok(())
}

/// Wraps some of the tenants' keys by the newest master key of the file.
#[derive(Debug)]
pub struct RewrapKeys {
    /// At most so many.
    pub limit: u32,
}

impl Verb for RewrapKeys {
    /// How many that were; 0 when all of them are.
    type Output = u64;

    async fn run<S: Sql>(&self, tx: &mut Tx<'_, S>) -> Result<u64, StoreError> {
        let first = first_of(tx)?;
        let rows = tx
            .sql
            .rows(
                "SELECT tenant, purpose, version, master_id, wrapped FROM tenant_key WHERE master_id <> ?1
                 ORDER BY tenant, purpose, version LIMIT ?2",
                values![&first, self.limit],
            )
            .await?;
        let mut done = 0;
        for row in rows {
            let (tenant, version): (TenantId, u32) = (row.take(0)?, row.take(2)?);
            let purpose = Purpose::parse(&row.take::<String>(1)?)?;
            let (old_id, old): (Vec<u8>, Vec<u8>) = (row.take(3)?, row.take(4)?);
            let key = tx.ring.unwrap_key(tenant, purpose, version, &old_id, &old)?;
            let (id, wrapped) = tx.ring.wrap(tenant, purpose, version, &key)?;
            done += tx
                .sql
                .execute(
                    "UPDATE tenant_key SET master_id = ?5, wrapped = ?6
                     WHERE tenant = ?1 AND purpose = ?2 AND version = ?3 AND wrapped = ?4",
                    values![tenant, purpose.as_str(), version, &old, &id, &wrapped],
                )
                .await?;
        }
        Ok(done)
    }
}

/// Drops all master keys but the newest from the file, where they wrap nothing any more.
#[derive(Debug)]
pub struct DropOldMasterKeys {
    /// Who does it; its tenant is the server.
    pub doer: Doer,
}

/// What came of that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dropped {
    /// So many are gone from the file.
    Done(usize),
    /// So many keys are still wrapped by an older one.
    StillUsed(u64),
}

impl Verb for DropOldMasterKeys {
    type Output = Dropped;

    async fn run<S: Sql>(&self, tx: &mut Tx<'_, S>) -> Result<Dropped, StoreError> {
        hold_master_keys(tx).await?;
        let left = count_wrapped_by_older(tx).await?;
        if left > 0 {
            return Ok(Dropped::StillUsed(left));
        }
        let dropped = tx.ring.keep_first()?;
        let detail = format!("dropped={dropped}");
        tx.events.push(self.doer.event("master_keys_dropped", "", detail));
        Ok(Dropped::Done(dropped))
    }
}

/// Says in the audit of the server that all keys are wrapped by a new master key.
#[derive(Debug)]
pub struct MasterKeyRotated {
    /// Who did it; its tenant is the server.
    pub doer: Doer,
    /// Keys that were wrapped anew.
    pub keys: u64,
}

impl Verb for MasterKeyRotated {
    type Output = ();

    async fn run<S: Sql>(&self, tx: &mut Tx<'_, S>) -> Result<(), StoreError> {
        tx.events.push(self.doer.event("master_key_rotated", "", format!("keys={}", self.keys)));
        Ok(())
    }
}
