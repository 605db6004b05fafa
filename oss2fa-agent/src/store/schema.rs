//! Migrations: applied in order, each once, with a checksum; a newer database is refused.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension, params};
use sha2::{Digest, Sha256};

use super::error::StoreError;

const MIGRATIONS: &[(&str, &str)] = &[
    ("0001_first", include_str!("../../migrations/0001_first.sql")),
    ("0002_offline", include_str!("../../migrations/0002_offline.sql")),
];

/// Brings the database to this release's schema.
///
/// # Errors
/// [`StoreError::Newer`] or [`StoreError::Migration`] where the database is not one that this release
/// can use; it is then left as it was.
pub fn migrate(connection: &mut Connection, path: &Path, now: u64) -> Result<(), StoreError> {
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    transaction.execute_batch(
        "CREATE TABLE IF NOT EXISTS migration (
            name       TEXT PRIMARY KEY,
            checksum   BLOB NOT NULL,
            applied_at INTEGER NOT NULL
        ) STRICT, WITHOUT ROWID",
    )?;
    check_applied(&transaction, path)?;
    for (name, sql) in MIGRATIONS {
        let applied = transaction
            .query_row("SELECT 1 FROM migration WHERE name = ?1", [name], |_| Ok(()))
            .optional()?
            .is_some();
        if !applied {
            transaction.execute_batch(sql)?;
            transaction.execute(
                "INSERT INTO migration (name, checksum, applied_at) VALUES (?1, ?2, ?3)",
                params![name, checksum(sql).as_slice(), now.cast_signed()],
            )?;
        }
    }
    transaction.commit()?;
    Ok(())
}

/// Refuses a database that this release did not make or bring up to date.
///
/// # Errors
/// As [`migrate`].
pub fn check_applied(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    let mut statement = connection.prepare("SELECT name, checksum FROM migration ORDER BY name")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (name, stored): (String, Vec<u8>) = (row.get(0)?, row.get(1)?);
        match MIGRATIONS.iter().find(|(known, _)| *known == name) {
            None => return Err(StoreError::Newer { path: path.to_owned(), migration: name }),
            Some((_, sql)) if checksum(sql).as_slice() != stored => {
                return Err(StoreError::Migration { path: path.to_owned(), migration: name });
            }
            Some(_) => {}
        }
    }
    Ok(())
}

fn checksum(sql: &str) -> [u8; 32] {
    Sha256::digest(sql.as_bytes()).into()
}
