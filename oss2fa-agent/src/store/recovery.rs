//! Recovery codes: ten at a time, kept as keyed digests, each good for one login.

use oss2fa_core::factor::recovery_code::{COUNT, ENTROPY, RecoveryCode, StoredCode, from_random};
use oss2fa_core::ids::DeviceId;
use oss2fa_core::secret::SecretText;
use rusqlite::{Connection, OptionalExtension, params};
use zeroize::Zeroizing;

use super::device::{AccountId, mark_enrolled};
use super::error::StoreError;
use super::keys::Keys;
use crate::outside::Random;

const NAME: &str = "recovery codes";

/// Takes the place of all codes that the account had. What is returned cannot be shown again.
///
/// # Errors
/// Those of SQLite and of the random source.
pub fn replace(
    connection: &Connection,
    keys: &Keys,
    random: &dyn Random,
    account: AccountId,
    now: u64,
) -> Result<Vec<SecretText>, StoreError> {
    connection
        .prepare_cached("UPDATE device SET status = 'removed' WHERE account = ?1 AND kind = 'recovery_code'")?
        .execute([account.0])?;
    let device = new_set(connection, account, now)?;
    let mut shown = Vec::with_capacity(COUNT);
    for number in 1..=COUNT {
        let mut bytes = Zeroizing::new([0; ENTROPY]);
        random.fill(bytes.as_mut_slice())?;
        let code = from_random(&bytes);
        insert(connection, keys, account, device, number as u64, &code)?;
        shown.push(code.to_display());
    }
    Ok(shown)
}

/// Adds codes of another system to the account's set. A code that was ever used here stays used.
///
/// # Errors
/// Those of SQLite.
pub fn add_scratch_codes(
    connection: &Connection,
    keys: &Keys,
    account: AccountId,
    codes: &[RecoveryCode],
    now: u64,
) -> Result<(DeviceId, usize), StoreError> {
    let current: Option<i64> = connection
        .prepare_cached(
            "SELECT id FROM device WHERE account = ?1 AND kind = 'recovery_code' AND status = 'active'",
        )?
        .query_row([account.0], |row| row.get(0))
        .optional()?;
    let mut current = current.map(DeviceId);
    let (mut there, mut added) = (None, 0);
    for code in codes {
        let digest = keys.recovery_digest(account.0, code.expose_canonical());
        let seen: Option<i64> = connection
            .prepare_cached(
                "SELECT device FROM recovery_code WHERE digest = ?2
                     AND device IN (SELECT id FROM device WHERE account = ?1)
                     AND (used_at IS NOT NULL OR device = ?3) LIMIT 1",
            )?
            .query_row(params![account.0, digest.as_slice(), current.map(|id| id.0)], |row| row.get(0))
            .optional()?;
        if let Some(id) = seen {
            there = there.or(Some(DeviceId(id)));
            continue;
        }
        // Only now: a set without a code would be a device that lets nobody in.
        let device = match current {
            Some(device) => device,
            None => *current.insert(new_set(connection, account, now)?),
        };
        let next: i64 = connection
            .prepare_cached("SELECT coalesce(max(number), 0) + 1 FROM recovery_code WHERE device = ?1")?
            .query_row([device.0], |row| row.get(0))?;
        insert(connection, keys, account, device, next.cast_unsigned(), code)?;
        added += 1;
    }
    let device = current.or(there).ok_or(StoreError::Corrupt("an import of no codes"))?;
    Ok((device, added))
}

/// The codes of a set that are not used.
///
/// # Errors
/// Those of SQLite.
pub fn unused(connection: &Connection, device: DeviceId) -> Result<Vec<StoredCode>, StoreError> {
    let mut statement = connection
        .prepare_cached("SELECT number, digest FROM recovery_code WHERE device = ?1 AND used_at IS NULL")?;
    let rows = statement.query_map([device.0], |row| {
        Ok((row.get::<_, i64>(0)?.cast_unsigned(), row.get::<_, [u8; 32]>(1)?))
    })?;
    let mut codes = Vec::new();
    for row in rows {
        let (number, digest) = row?;
        codes.push(StoredCode { number, digest });
    }
    Ok(codes)
}

fn new_set(connection: &Connection, account: AccountId, now: u64) -> Result<DeviceId, StoreError> {
    connection
        .prepare_cached(
            "INSERT INTO device (account, name, kind, status, vouched, created_at)
             VALUES (?1, ?2, 'recovery_code', 'active', 1, ?3)",
        )?
        .execute(params![account.0, NAME, now.cast_signed()])?;
    let device = DeviceId(connection.last_insert_rowid());
    mark_enrolled(connection, account, now)?;
    Ok(device)
}

fn insert(
    connection: &Connection,
    keys: &Keys,
    account: AccountId,
    device: DeviceId,
    number: u64,
    code: &RecoveryCode,
) -> Result<(), StoreError> {
    let digest = keys.recovery_digest(account.0, code.expose_canonical());
    connection
        .prepare_cached("INSERT INTO recovery_code (device, number, digest) VALUES (?1, ?2, ?3)")?
        .execute(params![device.0, number.cast_signed(), digest.as_slice()])?;
    Ok(())
}
