//! What the server is to be told once it is back: at least once each, with an id that makes it once.

use rusqlite::{Connection, params};

use super::audit::Context;
use super::error::StoreError;

/// Events that wait; the oldest go when there are more. The audit keeps them all.
const MOST: i64 = 10_000;

/// Whether the server hears of a login that it was not asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Report {
    /// It knows, or there is none.
    Nobody,
    /// Once it is back.
    Server,
}

/// An event that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// Its place in the queue.
    pub number: i64,
    /// Unique for ever.
    pub id: String,
    /// Seconds since 1970.
    pub at: u64,
    /// A stable word.
    pub event: String,
    /// Whom it is about.
    pub user: String,
    /// Through what.
    pub service: String,
    /// One line more.
    pub detail: String,
    /// What a security key of the server has signed: JSON, as the server takes it.
    pub assertion: Option<String>,
}

/// Adds an event, within the caller's transaction.
///
/// # Errors
/// Those of SQLite.
pub fn add(connection: &Connection, context: &Context, event: &str, detail: &str) -> Result<(), StoreError> {
    insert(connection, context, event, detail, None)
}

/// The same, with what a security key of the server has signed.
///
/// # Errors
/// Those of SQLite.
pub fn add_signed(
    connection: &Connection,
    context: &Context,
    event: &str,
    detail: &str,
    assertion: &str,
) -> Result<(), StoreError> {
    insert(connection, context, event, detail, Some(assertion))
}

fn insert(
    connection: &Connection,
    context: &Context,
    event: &str,
    detail: &str,
    assertion: Option<&str>,
) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "INSERT INTO outbox (id, at, event, user, service, detail, assertion)
             VALUES (lower(hex(randomblob(16))), ?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![
            context.now.cast_signed(),
            event,
            context.user,
            context.service,
            detail,
            assertion
        ])?;
    connection
        .prepare_cached("DELETE FROM outbox WHERE number <= (SELECT max(number) FROM outbox) - ?1")?
        .execute([MOST])?;
    Ok(())
}

/// The oldest events that wait.
///
/// # Errors
/// Those of SQLite.
pub fn oldest(connection: &Connection, limit: usize) -> Result<Vec<Waiting>, StoreError> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut statement = connection.prepare_cached(
        "SELECT number, id, at, event, user, service, detail, assertion FROM outbox ORDER BY number LIMIT ?1",
    )?;
    let rows = statement.query_map([limit], |row| {
        Ok(Waiting {
            number: row.get(0)?,
            id: row.get(1)?,
            at: row.get::<_, i64>(2)?.cast_unsigned(),
            event: row.get(3)?,
            user: row.get(4)?,
            service: row.get(5)?,
            detail: row.get(6)?,
            assertion: row.get(7)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The server has these, up to this place.
///
/// # Errors
/// Those of SQLite.
pub fn told(connection: &Connection, up_to: i64) -> Result<(), StoreError> {
    connection.prepare_cached("DELETE FROM outbox WHERE number <= ?1")?.execute([up_to])?;
    Ok(())
}
