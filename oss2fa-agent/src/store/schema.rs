//! Migrations: applied in order, each once, with a checksum; a newer database is refused.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension, params};
use sha2::{Digest, Sha256};

use super::error::StoreError;

const MIGRATIONS: &[(&str, &str)] = &[
    ("0001_first", include_str!("../../migrations/0001_first.sql")),
    ("0002_offline", include_str!("../../migrations/0002_offline.sql")),
    ("0005_synchronised_keys", include_str!("../../migrations/0005_synchronised_keys.sql")),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn number(connection: &Connection, sql: &str) -> i64 {
        connection.query_row(sql, [], |row| row.get(0)).unwrap()
    }

    #[test]
    fn a_store_of_the_first_release_is_brought_up_with_all_that_is_in_it() {
        let mut connection = Connection::open_in_memory().unwrap();
        connection.pragma_update(None, "foreign_keys", true).unwrap();
        let (name, sql) = MIGRATIONS[0];
        connection.execute_batch(sql).unwrap();
        connection
            .execute_batch(
                "CREATE TABLE migration (name TEXT PRIMARY KEY, checksum BLOB NOT NULL, applied_at INTEGER NOT NULL)
                     STRICT, WITHOUT ROWID;
                 INSERT INTO account (id, name, enrolled_at) VALUES (1, 'ferris', 7);
                 INSERT INTO device (id, account, name, kind, status, vouched, sealed, next_position, created_at)
                     VALUES (3, 1, 'phone', 'totp', 'active', 1, x'0102', 99, 5),
                            (4, 1, 'codes', 'recovery_code', 'active', 1, NULL, 0, 6),
                            (9, 1, 'lost', 'hotp', 'removed', 1, NULL, 12, 6);
                 INSERT INTO recovery_code (device, number, digest, used_at) VALUES (4, 0, x'aa', NULL), (4, 1, x'bb', 8);
                 DELETE FROM device WHERE id = 9;",
            )
            .unwrap();
        connection
            .execute("INSERT INTO migration VALUES (?1, ?2, 1)", params![name, checksum(sql).as_slice()])
            .unwrap();
        migrate(&mut connection, Path::new("/agent.db"), 2).unwrap();
        migrate(&mut connection, Path::new("/agent.db"), 3).unwrap();
        assert_eq!(number(&connection, "SELECT count(*) FROM device"), 2);
        assert_eq!(
            number(&connection, "SELECT next_position FROM device WHERE id = 3 AND sealed = x'0102'"),
            99
        );
        assert_eq!(number(&connection, "SELECT count(*) FROM recovery_code WHERE device = 4"), 2);
        assert_eq!(number(&connection, "SELECT count(*) FROM pragma_foreign_key_check"), 0);
        let add = "INSERT INTO device (account, name, kind, status, vouched, created_at)
                   VALUES (1, 'new', 'hotp', 'active', 1, 9)";
        connection.execute(add, []).unwrap();
        assert_eq!(connection.last_insert_rowid(), 10, "no number is given out twice");
        let orphan = "INSERT INTO recovery_code (device, number, digest) VALUES (77, 0, x'cc')";
        assert!(connection.execute(orphan, []).is_err(), "codes still belong to a device");
    }
}
