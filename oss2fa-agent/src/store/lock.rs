//! Locks: counted per (user, kind, source), per source, and per (user, kind); they release by themselves.
//!
//! A stranger who hammers an account fills the first counter, which is theirs alone, and at the most
//! the second. The third catches a stranger with many addresses; it does not hold for a source that
//! the owner has logged in from, so that the owner gets in.

use oss2fa_core::backoff::{Backoff, Failures, LockState};
use oss2fa_core::verdict::FactorKind;
use rusqlite::{Connection, OptionalExtension, params};

use super::device::AccountId;
use super::error::StoreError;
use crate::config::LockLimits;
use crate::source::Source;

/// A counter that has not grown for so long starts anew.
const FORGOTTEN_AFTER: i64 = 24 * 3600;

/// Seconds after which the counter of a source, which many people may share, loses one failure.
const SOURCE_LEAK: i64 = 300;

/// The same for the counter of a user, which strangers fill: so many guesses an hour go on for ever.
const USER_LEAK: i64 = 3600;

/// How long a source stays known to an account.
const KNOWN_FOR: u64 = 30 * 24 * 3600;

/// How often "seen" is written down anew: not at each login.
const SEEN_EVERY: u64 = 24 * 3600;

/// What a counter counts.
#[derive(Debug, Clone, Copy)]
enum Scope<'a> {
    UserKindSource(AccountId, FactorKind, &'a Source),
    Source(&'a str),
    UserKind(AccountId, FactorKind),
}

impl<'a> Scope<'a> {
    fn key(self) -> (i64, &'static str, &'a str) {
        match self {
            Self::UserKindSource(account, kind, source) => (account.0, kind.as_str(), source.as_str()),
            Self::Source(source) => (0, "", source),
            Self::UserKind(account, kind) => (account.0, kind.as_str(), ""),
        }
    }

    // In seconds.
    fn backoff(self, limits: &LockLimits) -> Backoff {
        let (free_attempts, leak_interval) = match self {
            Self::UserKindSource(..) => (limits.free_attempts, None),
            Self::Source(_) => (limits.free_attempts_per_source, Some(SOURCE_LEAK)),
            Self::UserKind(..) => (limits.free_attempts_per_user, Some(USER_LEAK)),
        };
        Backoff {
            free_attempts,
            first_pause: limits.first_pause.cast_signed(),
            longest_pause: limits.longest_pause.cast_signed(),
            leak_interval,
            forgotten_after: FORGOTTEN_AFTER,
        }
    }
}

/// What a code may still be tried as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OpenKinds {
    /// As each kind that it could be of.
    All,
    /// As these; the others are locked.
    Some(Vec<FactorKind>),
    /// Not at all: the source is locked, or every kind is.
    None,
}

/// Whose tries are counted, and when.
#[derive(Debug, Clone, Copy)]
pub struct Locks<'a> {
    /// Whose account is tried.
    pub account: AccountId,
    /// Where from.
    pub source: &'a Source,
    /// How much is too much.
    pub limits: &'a LockLimits,
    /// Seconds since 1970.
    pub now: u64,
}

impl Locks<'_> {
    /// What a code that could be of `kinds` may still be tried as.
    ///
    /// # Errors
    /// Those of SQLite.
    pub fn open_kinds(&self, connection: &Connection, kinds: &[FactorKind]) -> Result<OpenKinds, StoreError> {
        // Each counter is looked at, also where one has decided already: one that the clock has left
        // behind is mended when it is seen, and must not begin its pause after that of another.
        let source_closed = match self.source.shared() {
            Some(source) => self.is_locked(connection, Scope::Source(source))?,
            None => false,
        };
        let mut open = Vec::with_capacity(kinds.len());
        for kind in kinds {
            let from_here =
                self.is_locked(connection, Scope::UserKindSource(self.account, *kind, self.source))?;
            let from_anywhere = self.is_locked(connection, Scope::UserKind(self.account, *kind))?;
            if !(from_here || (from_anywhere && !self.is_known(connection)?)) {
                open.push(*kind);
            }
        }
        Ok(if source_closed || (open.is_empty() && !kinds.is_empty()) {
            OpenKinds::None
        } else if open.len() == kinds.len() {
            OpenKinds::All
        } else {
            OpenKinds::Some(open)
        })
    }

    /// Counts a failed try with a code that could have been of `kinds`.
    ///
    /// # Errors
    /// Those of SQLite.
    pub fn count_failure(&self, connection: &Connection, kinds: &[FactorKind]) -> Result<(), StoreError> {
        connection
            .prepare_cached("DELETE FROM lock WHERE last_failure_at < ?1 AND locked_until < ?2")?
            .execute(params![
                self.now.cast_signed().saturating_sub(FORGOTTEN_AFTER),
                self.now.cast_signed()
            ])?;
        if let Some(source) = self.source.shared() {
            self.raise(connection, Scope::Source(source))?;
        }
        for kind in kinds {
            self.raise(connection, Scope::UserKindSource(self.account, *kind, self.source))?;
            self.raise(connection, Scope::UserKind(self.account, *kind))?;
        }
        Ok(())
    }

    /// Clears what this user, kind and source had counted, and remembers the source.
    ///
    /// # Errors
    /// Those of SQLite.
    pub fn count_success(&self, connection: &Connection, kind: FactorKind) -> Result<(), StoreError> {
        let (account, kind, source) = Scope::UserKindSource(self.account, kind, self.source).key();
        connection
            .prepare_cached("DELETE FROM lock WHERE account = ?1 AND kind = ?2 AND source = ?3")?
            .execute(params![account, kind, source])?;
        connection
            .prepare_cached(
                "INSERT INTO known_source (account, source, seen_at) VALUES (?1, ?2, ?3)
                 ON CONFLICT (account, source) DO UPDATE SET seen_at = excluded.seen_at
                 WHERE seen_at < excluded.seen_at - ?4",
            )?
            .execute(params![account, source, self.now.cast_signed(), SEEN_EVERY.cast_signed()])?;
        Ok(())
    }

    fn is_locked(&self, connection: &Connection, scope: Scope<'_>) -> Result<bool, StoreError> {
        let (account, kind, source) = scope.key();
        let until: Option<i64> = connection
            .prepare_cached("SELECT locked_until FROM lock WHERE account = ?1 AND kind = ?2 AND source = ?3")?
            .query_row(params![account, kind, source], |row| row.get(0))
            .optional()?;
        match scope.backoff(self.limits).state(until, self.now.cast_signed()) {
            LockState::Open => Ok(false),
            LockState::Locked { .. } => Ok(true),
            // Of all counters at once: a pause must not begin only when its own counter is looked at.
            LockState::Mended { until } => {
                connection
                    .prepare_cached(
                        "UPDATE lock SET locked_until = ?1, last_failure_at = ?2 WHERE locked_until > ?1",
                    )?
                    .execute(params![until, self.now.cast_signed()])?;
                Ok(true)
            }
        }
    }

    fn is_known(&self, connection: &Connection) -> Result<bool, StoreError> {
        let since = self.now.saturating_sub(KNOWN_FOR).cast_signed();
        Ok(connection
            .prepare_cached("SELECT 1 FROM known_source WHERE account = ?1 AND source = ?2 AND seen_at > ?3")?
            .query_row(params![self.account.0, self.source.as_str(), since], |_| Ok(()))
            .optional()?
            .is_some())
    }

    fn raise(&self, connection: &Connection, scope: Scope<'_>) -> Result<(), StoreError> {
        let (account, kind, source) = scope.key();
        let before: Option<Failures> = connection
            .prepare_cached(
                "SELECT failures, last_failure_at FROM lock WHERE account = ?1 AND kind = ?2 AND source = ?3",
            )?
            .query_row(params![account, kind, source], |row| {
                Ok(Failures { count: row.get(0)?, last_at: row.get(1)? })
            })
            .optional()?;
        let now = self.now.cast_signed();
        let raised = scope.backoff(self.limits).after_failure(before, now);
        connection
            .prepare_cached(
                "INSERT INTO lock (account, kind, source, failures, last_failure_at, locked_until)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                 ON CONFLICT (account, kind, source) DO UPDATE SET failures = excluded.failures,
                     last_failure_at = excluded.last_failure_at, locked_until = excluded.locked_until",
            )?
            .execute(params![
                account,
                kind,
                source,
                raised.failures,
                now,
                raised.locked_until.unwrap_or(0)
            ])?;
        Ok(())
    }
}

/// Releases all locks of an account, and of the sources that were tried with it.
///
/// # Errors
/// Those of SQLite.
pub fn release(connection: &Connection, account: AccountId) -> Result<(), StoreError> {
    connection.execute(
        "DELETE FROM lock WHERE account = 0 AND (source IN (SELECT source FROM lock WHERE account = ?1)
            OR (source = 'name' AND EXISTS (SELECT 1 FROM lock WHERE account = ?1 AND source LIKE 'name:%')))",
        [account.0],
    )?;
    connection.execute("DELETE FROM lock WHERE account = ?1", [account.0])?;
    Ok(())
}

/// How many counters are locked at the moment.
///
/// # Errors
/// Those of SQLite.
pub fn locked(connection: &Connection, now: u64) -> Result<u64, StoreError> {
    let count: i64 = connection.query_row(
        "SELECT count(*) FROM lock WHERE locked_until > ?1",
        [now.cast_signed()],
        |row| row.get(0),
    )?;
    Ok(count.cast_unsigned())
}
