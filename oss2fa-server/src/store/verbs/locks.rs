//! Locks: counted per (client, kind, source), per source, and per (client, kind); they release by themselves.
//!
//! A stranger who hammers a client fills the first counter, which is theirs alone, and at the most the
//! second. The third catches a stranger with many addresses; it does not hold for an address that the client
//! has come from before. The address is what the application says; without one only the third counts. Of IPv6
//! a network of 64 bits is one source: whoever has one of its addresses has all of them, and changes them daily.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;

use oss2fa_core::backoff::{Backoff, Failures, LockState};
use serde::Serialize;

use crate::ids::{ClientId, IntegrationId, TenantId, Username};
use crate::neighbours::network_of;
use crate::outside::{SECOND, Timestamp};
use crate::policy::LockPolicy;
use crate::store::error::StoreError;
use crate::store::sql::Sql;
use crate::store::verb::{Query, Tx};
use crate::values;

const DAY: i64 = 24 * 3600 * SECOND;
/// After so long the counter of a source, which many people may share, loses one failure.
const SOURCE_LEAK: i64 = 300 * SECOND;
/// The same for the counter of a client: so many guesses an hour go on for ever.
const CLIENT_LEAK: i64 = 3600 * SECOND;
/// How long a source stays known to a client.
const KNOWN_FOR: i64 = 30 * DAY;

/// Whose tries are counted.
#[derive(Debug, Clone, Copy)]
pub(super) enum Tried<'a> {
    /// A client.
    Client(ClientId),
    /// A name that no client with a device has, where nobody may learn that by tries that never lock.
    Name(Option<IntegrationId>, &'a Username),
}

impl Tried<'_> {
    fn client(self) -> Option<ClientId> {
        match self {
            Self::Client(client) => Some(client),
            Self::Name(..) => None,
        }
    }
}

impl fmt::Display for Tried<'_> {
    // Kinds, addresses and names have no bar in them; no number begins with a question mark.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client(client) => client.fmt(f),
            Self::Name(integration, name) => {
                write!(f, "?{}:{}", integration.map_or(0, |integration| integration.0), name.as_str())
            }
        }
    }
}

/// The source that tries from this one count for.
pub(super) fn counted_as(source: &str) -> Cow<'_, str> {
    // Asked first, because it is cheap and most are IPv4.
    let address = if source.contains(':') { source.parse::<IpAddr>().ok() } else { None };
    match address.map(network_of) {
        Some(IpAddr::V6(network)) => Cow::Owned(format!("{network}/64")),
        Some(IpAddr::V4(_)) | None => Cow::Borrowed(source),
    }
}

/// Whose tries are counted, and when.
#[derive(Debug, Clone)]
pub(super) struct Locks<'a> {
    pub(super) tenant: TenantId,
    pub(super) tried: Tried<'a>,
    pub(super) kind: &'a str,
    /// The client's address, or empty.
    pub(super) source: &'a str,
    pub(super) limits: LockPolicy,
    pub(super) now: Timestamp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Counter {
    Own,
    Source,
    Client,
}

const COUNTERS: [Counter; 3] = [Counter::Own, Counter::Source, Counter::Client];

/// What the counters say before a try.
pub(super) struct Seen {
    /// Until when a try must be refused unseen.
    pub(super) closed_until: Option<Timestamp>,
    /// What is counted, to be raised or cleared.
    counted: Vec<(Counter, Failures)>,
}

impl Locks<'_> {
    fn scope(&self, counter: Counter) -> String {
        match counter {
            Counter::Own => format!("{}|{}|{}", self.tried, self.kind, counted_as(self.source)),
            Counter::Source => format!("*|*|{}", counted_as(self.source)),
            Counter::Client => format!("{}|{}|*", self.tried, self.kind),
        }
    }

    fn backoff(&self, counter: Counter) -> Backoff {
        let limits = self.limits;
        let (free_attempts, leak_interval) = match counter {
            Counter::Own => (limits.free_attempts, None),
            Counter::Source => (limits.free_attempts_per_source, Some(SOURCE_LEAK)),
            Counter::Client => (limits.free_attempts_per_client, Some(CLIENT_LEAK)),
        };
        Backoff {
            free_attempts,
            first_pause: i64::from(limits.first_pause) * SECOND,
            longest_pause: i64::from(limits.longest_pause) * SECOND,
            leak_interval,
            forgotten_after: DAY,
        }
    }

    /// Looks at all three. The caller holds the client's row, so that nobody counts meanwhile.
    pub(super) async fn look<S: Sql>(&self, tx: &mut Tx<'_, S>) -> Result<Seen, StoreError> {
        let scopes = COUNTERS.map(|counter| self.scope(counter));
        let [own, source, client] = &scopes;
        // Three look-ups in one statement. For `IN (?2, ?3, ?4)` SQLite makes a table of its own each time, which
        // takes longer than all else here.
        let rows = tx
            .sql
            .rows(
                "SELECT scope, failures, last_failure_at, locked_until FROM lock WHERE tenant = ?1 AND scope = ?2
                 UNION ALL
                 SELECT scope, failures, last_failure_at, locked_until FROM lock WHERE tenant = ?1 AND scope = ?3
                 UNION ALL
                 SELECT scope, failures, last_failure_at, locked_until FROM lock WHERE tenant = ?1 AND scope = ?4",
                values![self.tenant, own, source, client],
            )
            .await?;
        let mut seen = Seen { closed_until: None, counted: Vec::new() };
        for row in rows {
            let scope = row.text(0)?;
            let known = COUNTERS.into_iter().zip(&scopes).find(|(_, known)| *known == scope);
            let Some((counter, _)) = known else { continue };
            // An application that names no address has none that could be locked.
            if self.source.is_empty() && counter == Counter::Source {
                continue;
            }
            seen.counted.push((counter, Failures { count: row.take(1)?, last_at: row.take(2)? }));
            let until = match self.backoff(counter).state(Some(row.take(3)?), self.now.0) {
                LockState::Open => continue,
                LockState::Locked { until } => until,
                LockState::Mended { until } => {
                    self.mend(tx, scope, until).await?;
                    until
                }
            };
            if counter == Counter::Client && self.is_known(tx).await? {
                continue;
            }
            seen.closed_until = seen.closed_until.max(Some(Timestamp(until)));
        }
        Ok(seen)
    }

    /// Counts a failed try.
    pub(super) async fn count_failure<S: Sql>(
        &self,
        tx: &mut Tx<'_, S>,
        seen: &Seen,
    ) -> Result<(), StoreError> {
        for counter in COUNTERS {
            if self.source.is_empty() && counter == Counter::Source {
                continue;
            }
            let before = match counter {
                Counter::Source => self.hold_source(tx).await?,
                Counter::Own | Counter::Client => {
                    seen.counted.iter().find(|(known, _)| *known == counter).map(|(_, failures)| *failures)
                }
            };
            let raised = self.backoff(counter).after_failure(before, self.now.0);
            let client = self.tried.client().filter(|_| counter != Counter::Source);
            tx.sql
                .execute(
                    "INSERT INTO lock (tenant, scope, client, failures, last_failure_at, locked_until)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                     ON CONFLICT (tenant, scope) DO UPDATE SET failures = excluded.failures,
                        last_failure_at = excluded.last_failure_at, locked_until = excluded.locked_until",
                    values![
                        self.tenant,
                        &self.scope(counter),
                        client,
                        raised.failures,
                        self.now,
                        raised.locked_until.unwrap_or(0)
                    ],
                )
                .await?;
        }
        Ok(())
    }

    /// The counter of the source is of many clients, whose rows others hold: it is held by itself, so that no
    /// failure is lost on any node.
    async fn hold_source<S: Sql>(&self, tx: &mut Tx<'_, S>) -> Result<Option<Failures>, StoreError> {
        let scope = self.scope(Counter::Source);
        tx.sql
            .execute(
                "INSERT INTO lock (tenant, scope, failures, last_failure_at, locked_until)
                 VALUES (?1, ?2, 0, ?3, 0) ON CONFLICT (tenant, scope) DO NOTHING",
                values![self.tenant, &scope, self.now],
            )
            .await?;
        let row = tx
            .sql
            .row(
                "SELECT failures, last_failure_at FROM lock WHERE tenant = ?1 AND scope = ?2 FOR UPDATE",
                values![self.tenant, &scope],
            )
            .await?;
        row.map(|row| Ok(Failures { count: row.take(0)?, last_at: row.take(1)? })).transpose()
    }

    /// Clears the client's own counter, and remembers the source.
    pub(super) async fn count_success<S: Sql>(
        &self,
        tx: &mut Tx<'_, S>,
        seen: &Seen,
    ) -> Result<(), StoreError> {
        if seen.counted.iter().any(|(counter, _)| *counter == Counter::Own) {
            tx.sql
                .execute(
                    "DELETE FROM lock WHERE tenant = ?1 AND scope = ?2",
                    values![self.tenant, &self.scope(Counter::Own)],
                )
                .await?;
        }
        let Some(client) = self.tried.client().filter(|_| !self.source.is_empty()) else { return Ok(()) };
        // "Seen" is written down once a day, not at each login.
        tx.sql
            .execute(
                "INSERT INTO known_source (tenant, client, source, seen_at) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (client, source) DO UPDATE SET seen_at = excluded.seen_at
                 WHERE known_source.seen_at < CAST(?5 AS BIGINT)",
                values![self.tenant, client, &*counted_as(self.source), self.now, self.now.0 - DAY],
            )
            .await?;
        Ok(())
    }

    async fn is_known<S: Sql>(&self, tx: &mut Tx<'_, S>) -> Result<bool, StoreError> {
        let Some(client) = self.tried.client() else { return Ok(false) };
        let row = tx
            .sql
            .row(
                "SELECT 1 FROM known_source
                 WHERE tenant = ?1 AND client = ?2 AND source = ?3 AND seen_at > CAST(?4 AS BIGINT)",
                values![self.tenant, client, &*counted_as(self.source), self.now.0 - KNOWN_FOR],
            )
            .await?;
        Ok(row.is_some())
    }

    async fn mend<S: Sql>(&self, tx: &mut Tx<'_, S>, scope: &str, until: i64) -> Result<(), StoreError> {
        tx.sql
            .execute(
                "UPDATE lock SET locked_until = ?3, last_failure_at = ?4 WHERE tenant = ?1 AND scope = ?2",
                values![self.tenant, scope, until, self.now],
            )
            .await?;
        Ok(())
    }
}

/// A counter of a client's failed tries, as it is listed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ClientLock {
    /// Name of the kind of device.
    pub kind: String,
    /// From which address, or network of IPv6; `None`: from anywhere.
    pub source: Option<String>,
    /// Failed tries.
    pub failures: u32,
    /// When the last one was.
    pub last_failure_at: Timestamp,
    /// Until when tries are refused; in the past where they are not.
    pub locked_until: Timestamp,
}

/// The counters of a client.
#[derive(Debug)]
pub struct LocksOf {
    /// Whose.
    pub tenant: TenantId,
    /// Which client.
    pub client: ClientId,
}

impl Query for LocksOf {
    type Output = Vec<ClientLock>;

    async fn run<S: Sql>(&self, tx: &mut Tx<'_, S>) -> Result<Vec<ClientLock>, StoreError> {
        let rows = tx
            .sql
            .rows(
                "SELECT scope, failures, last_failure_at, locked_until FROM lock
                 WHERE tenant = ?1 AND client = ?2 ORDER BY scope",
                values![self.tenant, self.client],
            )
            .await?;
        rows.iter()
            .map(|row| {
                let scope: String = row.take(0)?;
                let mut parts = scope.splitn(3, '|').skip(1);
                let kind = parts.next().unwrap_or_default().to_owned();
                let source = parts.next().filter(|source| *source != "*").map(str::to_owned);
                Ok(ClientLock {
                    kind,
                    source,
                    failures: row.take(1)?,
                    last_failure_at: row.take(2)?,
                    locked_until: row.take(3)?,
                })
            })
            .collect()
    }
}
