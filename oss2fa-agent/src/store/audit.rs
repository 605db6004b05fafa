//! The audit: append-only, each event chained to the one before it by a keyed hash.

use oss2fa_core::ids::UserName;
use rusqlite::{Connection, OptionalExtension, params};
use serde::Serialize;

use super::error::StoreError;
use super::keys::Keys;
use crate::source::Source;

/// What happened. The words are stable: scripts and searches use them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A second factor was accepted.
    Accepted,
    /// A wrong, used or expired code.
    Refused,
    /// A try while locked.
    Locked,
    /// The signature counter of a security key stood still or went back: there may be two of it.
    ClonedKey,
    /// Policy let somebody pass without a second factor.
    Skipped,
    /// No server could be reached, and the administrator lets this service pass then.
    FailOpen,
    /// A code of an offline device was accepted, while no server could be reached.
    OfflineCode,
    /// A code was refused while no server could be reached.
    OfflineRefused,
    /// A security key of the server was touched, while that could not be reached.
    OfflineTouch,
    /// The public half of a security key of the server is kept here from now on.
    KeyKept,
    /// An offline device was removed, because the server has revoked it.
    OfflineRevoked,
    /// Somebody who must have a device has none.
    NotEnrolled,
    /// The account phase refused a login that had seen no second factor.
    AccountRefused,
    /// A device was made and waits for its first code.
    Enrolled,
    /// A device became active.
    Confirmed,
    /// A device was removed.
    Removed,
    /// All that was known of a user was removed.
    Forgotten,
    /// A device got another name.
    Renamed,
    /// New recovery codes took the place of the old.
    RecoveryCodes,
    /// A device was found again.
    Resynced,
    /// Locks were released by hand.
    Unlocked,
    /// A device came from another system.
    Imported,
    /// A secret was shown to root.
    Exported,
    /// A request of the command line was not allowed.
    NotAllowed,
    /// The daemon started.
    Started,
    /// The daemon took over a changed configuration.
    Reloaded,
    /// The daemon stopped.
    Stopped,
}

impl Event {
    /// The stable word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Refused => "refused",
            Self::Locked => "locked",
            Self::ClonedKey => "cloned_key",
            Self::Skipped => "skipped",
            Self::FailOpen => "fail_open",
            Self::OfflineCode => "offline_code",
            Self::OfflineRefused => "offline_refused",
            Self::OfflineTouch => "offline_touch",
            Self::KeyKept => "key_kept",
            Self::OfflineRevoked => "offline_revoked",
            Self::NotEnrolled => "not_enrolled",
            Self::AccountRefused => "account_refused",
            Self::Enrolled => "enrolled",
            Self::Confirmed => "confirmed",
            Self::Removed => "removed",
            Self::Forgotten => "forgotten",
            Self::Renamed => "renamed",
            Self::RecoveryCodes => "recovery_codes",
            Self::Resynced => "resynced",
            Self::Unlocked => "unlocked",
            Self::Imported => "imported",
            Self::Exported => "exported",
            Self::NotAllowed => "not_allowed",
            Self::Started => "started",
            Self::Reloaded => "reloaded",
            Self::Stopped => "stopped",
        }
    }
}

/// Who, where and when: what every event carries.
#[derive(Debug, Clone)]
pub struct Context {
    /// Seconds since 1970.
    pub now: u64,
    /// Whom it is about; empty where it is about nobody.
    pub user: String,
    /// The PAM service, or `cli`, or `agent`.
    pub service: String,
    /// Where from.
    pub source: String,
}

impl Context {
    /// About a user, from a source.
    #[must_use]
    pub fn new(now: u64, user: &UserName, service: &str, source: &Source) -> Self {
        Self {
            now,
            user: user.as_str().to_owned(),
            service: crate::source::clean(service),
            source: source.as_str().to_owned(),
        }
    }

    /// About the daemon itself.
    #[must_use]
    pub fn of_agent(now: u64) -> Self {
        Self { now, user: String::new(), service: "agent".to_owned(), source: String::new() }
    }
}

/// An event as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AuditEntry {
    /// Its number; no number is left out.
    pub seq: u64,
    /// Seconds since 1970.
    pub at: u64,
    /// What happened.
    pub event: String,
    /// Whom it is about.
    pub user: String,
    /// Through what.
    pub service: String,
    /// Where from.
    pub source: String,
    /// One line more.
    pub detail: String,
    /// First bytes of the chain's hash here, in hexadecimal: what the system log holds, too.
    pub chain: String,
}

const GENESIS: [u8; 32] = [0; 32];

/// Adds an event, within the caller's transaction.
///
/// # Errors
/// Those of SQLite.
pub fn append(
    connection: &Connection,
    keys: &Keys,
    events: &mut Vec<AuditEntry>,
    context: &Context,
    event: Event,
    detail: &str,
) -> Result<(), StoreError> {
    // A number that was ever given is not given again: a tail that was cut off leaves a gap.
    let (highest, before): (i64, Option<Vec<u8>>) = connection
        .prepare_cached(
            "SELECT max(coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'audit'), 0),
                        coalesce((SELECT max(seq) FROM audit), 0)),
                    (SELECT chain FROM audit ORDER BY seq DESC LIMIT 1)",
        )?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let (seq, before) = (highest + 1, before.unwrap_or_else(|| GENESIS.to_vec()));
    let mut entry = AuditEntry {
        seq: seq.cast_unsigned(),
        at: context.now,
        event: event.as_str().to_owned(),
        user: context.user.clone(),
        service: context.service.clone(),
        source: context.source.clone(),
        detail: detail.to_owned(),
        chain: String::new(),
    };
    let chain = link(keys, &before, &entry);
    connection
        .prepare_cached(
            "INSERT INTO audit (seq, at, event, user, service, source, detail, chain)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?
        .execute(params![
            seq,
            entry.at.cast_signed(),
            entry.event,
            entry.user,
            entry.service,
            entry.source,
            entry.detail,
            chain.as_slice()
        ])?;
    entry.chain = short(&chain);
    events.push(entry);
    Ok(())
}

/// What a check of the chain found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AuditVerdict {
    /// Whole, up to this event and its chain hash (compare it with the system log's last line).
    Whole {
        /// Number of the newest event.
        events: u64,
        /// First bytes of its chain hash.
        chain: String,
    },
    /// Changed, removed or added to at this event.
    Broken {
        /// Its number.
        at: u64,
        /// What is wrong with it.
        what: String,
    },
}

/// Walks the whole chain. `progress` hears the number of each thousandth event.
///
/// # Errors
/// Those of SQLite.
pub fn verify(
    connection: &Connection,
    keys: &Keys,
    progress: &mut dyn FnMut(u64),
) -> Result<AuditVerdict, StoreError> {
    let mut statement = connection
        .prepare("SELECT seq, at, event, user, service, source, detail, chain FROM audit ORDER BY seq")?;
    let mut rows = statement.query([])?;
    let (mut count, mut before) = (0, GENESIS);
    while let Some(row) = rows.next()? {
        let entry = entry_of(row)?;
        let stored: Vec<u8> = row.get(7)?;
        if entry.seq != count + 1 {
            return Ok(AuditVerdict::Broken { at: count + 1, what: "the event is missing".to_owned() });
        }
        let chain = link(keys, &before, &entry);
        if chain.as_slice() != stored {
            return Ok(AuditVerdict::Broken { at: entry.seq, what: "the event was changed".to_owned() });
        }
        (count, before) = (entry.seq, chain);
        if count % 1000 == 0 {
            progress(count);
        }
    }
    if highest(connection)?.cast_unsigned() != count {
        return Ok(AuditVerdict::Broken { at: count + 1, what: "the newest events are missing".to_owned() });
    }
    Ok(AuditVerdict::Whole { events: count, chain: short(&before) })
}

/// Events after number `seq`, at most `limit`.
///
/// # Errors
/// Those of SQLite.
pub fn events_after(connection: &Connection, seq: u64, limit: usize) -> Result<Vec<AuditEntry>, StoreError> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut statement = connection.prepare_cached(
        "SELECT seq, at, event, user, service, source, detail, chain FROM audit
         WHERE seq > ?1 ORDER BY seq LIMIT ?2",
    )?;
    let entries = statement.query_map(params![seq.cast_signed(), limit], entry_of)?;
    Ok(entries.collect::<Result<_, _>>()?)
}

// AUTOINCREMENT remembers the highest number ever given.
fn highest(connection: &Connection) -> Result<i64, StoreError> {
    let highest = connection
        .prepare_cached("SELECT seq FROM sqlite_sequence WHERE name = 'audit'")?
        .query_row([], |row| row.get(0))
        .optional()?;
    Ok(highest.unwrap_or(0))
}

fn entry_of(row: &rusqlite::Row<'_>) -> rusqlite::Result<AuditEntry> {
    let chain: Vec<u8> = row.get(7)?;
    Ok(AuditEntry {
        seq: row.get::<_, i64>(0)?.cast_unsigned(),
        at: row.get::<_, i64>(1)?.cast_unsigned(),
        event: row.get(2)?,
        user: row.get(3)?,
        service: row.get(4)?,
        source: row.get(5)?,
        detail: row.get(6)?,
        chain: short(&chain),
    })
}

fn link(keys: &Keys, before: &[u8], entry: &AuditEntry) -> [u8; 32] {
    keys.audit_link(&[
        before,
        &entry.seq.to_be_bytes(),
        &entry.at.to_be_bytes(),
        entry.event.as_bytes(),
        entry.user.as_bytes(),
        entry.service.as_bytes(),
        entry.source.as_bytes(),
        entry.detail.as_bytes(),
    ])
}

fn short(chain: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(chain.get(..8).unwrap_or(chain))
}
