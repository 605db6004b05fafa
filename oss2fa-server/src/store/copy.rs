//! `store copy`: a whole store from one database to another, with nothing spent on both sides.
//!
//! First the source is marked: from then on no server writes there, on whatever node. All rows go to the
//! target in one transaction, which is committed only when both sides have the same rows and all audits are
//! checked. So the target is empty or whole, whenever this ends; and both carry the same number, so that a
//! copy that was interrupted is told from one that was finished.

use std::ops::ControlFlow;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::Place;
use super::audit::{self, AuditVerdict, VerifyAudit};
use super::copy_side::{End, Side, sqlite};
use super::copy_tables::{PAGE, STATEMENTS, Statements, Tally};
use super::error::StoreError;
use super::postgres::PostgresSql;
use super::schema::migrate;
use super::sql::{Row, Sql, Value};
use super::verb::{Query, Tx};
use super::verbs::Doer;
use crate::ids::TenantId;
use crate::keys::KeyRing;
use crate::outside::Clock;
use crate::values;

/// What is to be copied where.
pub struct Copy<'a> {
    /// From where.
    pub from: &'a Place,
    /// To where; nothing must be there.
    pub to: &'a Place,
    /// The keys of the store: they stay the same.
    pub ring: Arc<KeyRing>,
    /// The time.
    pub clock: &'a dyn Clock,
    /// Who does it; its tenant is the server.
    pub doer: Doer,
    /// A number for this copy that no other has.
    pub id: String,
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// So many rows will be done; one that is written and then read again counts twice.
    Rows(u64),
    /// So many more are done.
    Done(u64),
    /// All are copied; now they are compared.
    Checking,
}

/// What was copied.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Copied {
    /// Rows of all tables.
    pub rows: u64,
    /// SHA-256 over all rows of the old store in order, in hexadecimal.
    pub digest: String,
    /// Whose rows were read for it.
    pub compared: Compared,
    /// What a check of each tenant's audit found on the target. A chain that is broken there was broken
    /// before: its rows are the same.
    pub audits: Vec<CheckedAudit>,
}

/// Which sides were found to have the digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Compared {
    /// Both, before the copy was committed.
    BothSides,
    /// The old one alone: an earlier run has made the copy, which may be in use since.
    OldSide,
}

/// The audit of one tenant.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct CheckedAudit {
    /// Whose; 0 is the server itself.
    pub tenant: TenantId,
    /// The tenant's name; none: the server itself.
    pub name: Option<String>,
    /// What was found.
    pub verdict: AuditVerdict,
}

/// Why a store was not copied.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// The source cannot be read, or be marked.
    #[error("the store to copy from: {0}")]
    Source(StoreError),
    /// The target cannot be filled.
    #[error("the store to copy to: {0}")]
    Target(StoreError),
    /// The target is no empty store.
    #[error(
        "the store to copy to is not empty: there are rows in the table {0}. Name a new database, or a file that \
         does not exist. Nothing was changed"
    )]
    NotEmpty(&'static str),
    /// The source was moved before.
    #[error(
        "the store was moved before, to {0}. If that one is not in use: oss2fa-server store reopen, then copy again"
    )]
    Moved(String),
    /// An earlier copy to somewhere else has not ended well.
    #[error(
        "an earlier copy, to {0}, was interrupted. Run that one again to see how far it got; or, if its target is \
         not in use, oss2fa-server store reopen"
    )]
    Interrupted(String),
    /// A key of a tenant does not open with the master keys of the configuration.
    #[error("{0}. Nothing was changed")]
    Key(StoreError),
    /// Both sides have other rows.
    #[error("the rows of the table {0} are not the same on both sides. This should not happen: report it")]
    Differs(&'static str),
    /// Somebody has reopened the source meanwhile.
    #[error("the store to copy from was reopened while it was copied, so the copy was thrown away")]
    Reopened,
    /// It was told to stop.
    #[error("stopped: nothing was copied, and the old store is in use as before")]
    Stopped,
    /// Nobody knows whether the target was committed.
    #[error(
        "the store to copy to was filled, and then gave no answer ({0}). It is whole or empty. Nothing is written \
         to the old store until this is clear: run the same command again, and it will be finished"
    )]
    Uncertain(StoreError),
    /// It failed, and then the source could not be reopened.
    #[error("{why}\nThe old store could not be reopened ({then}): do it with oss2fa-server store reopen")]
    StaysClosed {
        /// What happened first.
        why: Box<Self>,
        /// What happened then.
        then: StoreError,
    },
}

type Watch<'a> = &'a mut (dyn FnMut(Progress) -> ControlFlow<()> + Send);

impl Copy<'_> {
    /// Copies. `watch` is told how far it is, and may stop it.
    ///
    /// # Errors
    /// [`CopyError`]: the target is then empty, and the source is open as before, unless the error says
    /// otherwise.
    pub async fn run(&self, watch: Watch<'_>) -> Result<Copied, CopyError> {
        use CopyError::{Source, Target};
        let (source, target) = (End::Source, End::Target);
        match (self.from, self.to) {
            (Place::Sqlite(from), Place::Sqlite(to)) => {
                let from = sqlite(from, source).map_err(Source)?;
                self.between(from, sqlite(to, target).map_err(Target)?, watch).await
            }
            (Place::Sqlite(from), Place::Postgres { url, authorities, .. }) => {
                let from = sqlite(from, source).map_err(Source)?;
                let to = PostgresSql::without_limits(url, authorities.as_deref()).await.map_err(Target)?;
                self.between(from, to, watch).await
            }
            (Place::Postgres { url, authorities, .. }, Place::Sqlite(to)) => {
                let from = PostgresSql::without_limits(url, authorities.as_deref()).await.map_err(Source)?;
                self.between(from, sqlite(to, target).map_err(Target)?, watch).await
            }
            (
                Place::Postgres { url, authorities, .. },
                Place::Postgres { url: to, authorities: theirs, .. },
            ) => {
                let from = PostgresSql::without_limits(url, authorities.as_deref()).await.map_err(Source)?;
                let to = PostgresSql::without_limits(to, theirs.as_deref()).await.map_err(Target)?;
                self.between(from, to, watch).await
            }
        }
    }

    async fn between<F: Side, T: Side>(
        &self,
        mut from: F,
        mut to: T,
        watch: Watch<'_>,
    ) -> Result<Copied, CopyError> {
        migrate(&mut from, F::MIGRATIONS, self.clock.now()).await.map_err(CopyError::Source)?;
        let before = State::read(&mut from).await.map_err(CopyError::Source)?;
        match &before {
            State { moved_to: Some(to), moved_at: Some(_), .. } => return Err(CopyError::Moved(to.clone())),
            State { moved_to: Some(to), .. } if *to != self.to.shown() => {
                return Err(CopyError::Interrupted(to.clone()));
            }
            _ => {}
        }
        migrate(&mut to, T::MIGRATIONS, self.clock.now()).await.map_err(CopyError::Target)?;
        let filled = State::read(&mut to).await.map_err(CopyError::Target)?;
        let tenants = self.tenants(&mut from).await?;
        if before.moved_to.is_some() && before.copy_id.is_some() && before.copy_id == filled.copy_id {
            // The earlier copy was committed. The target may be in use since, so it is not compared again.
            let copied = read_again(&mut from, &mut to, &tenants, &self.ring, watch).await?;
            self.hold(&mut from, &before.copy_id.unwrap_or_default()).await?;
            from.commit().await.map_err(CopyError::Source)?;
            return Ok(copied);
        }
        to.begin_alone().await.map_err(CopyError::Target)?;
        if let Some(table) = first_with_rows(&mut to).await.map_err(CopyError::Target)? {
            to.roll_back().await;
            return Err(CopyError::NotEmpty(table));
        }
        self.mark(&mut from).await?;
        match self.fill(&mut from, &mut to, &tenants, watch).await {
            Ok(copied) => Ok(copied),
            Err(error @ CopyError::Uncertain(_)) => Err(error),
            Err(why) => {
                to.roll_back().await;
                from.roll_back().await;
                match self.reopen(&mut from).await {
                    Ok(()) => Err(why),
                    Err(then) => Err(CopyError::StaysClosed { why: Box::new(why), then }),
                }
            }
        }
    }

    /// All that have keys, after a look at whether these open.
    async fn tenants<F: Side>(&self, from: &mut F) -> Result<Vec<TenantId>, CopyError> {
        let found = from.rows("SELECT DISTINCT tenant FROM tenant_key ORDER BY tenant", &[]).await;
        let mut tenants = Vec::new();
        for row in found.map_err(CopyError::Source)? {
            let tenant = row.take(0).map_err(CopyError::Source)?;
            self.ring.load(tenant, from).await.map_err(CopyError::Key)?;
            tenants.push(tenant);
        }
        Ok(tenants)
    }

    async fn mark<F: Side>(&self, from: &mut F) -> Result<(), CopyError> {
        let to = self.to.shown();
        let marked = async {
            from.begin_alone().await?;
            from.execute(
                "UPDATE store_state SET moved_to = ?1, copy_id = ?2, moved_at = NULL WHERE pk = 1",
                values![&to, &self.id],
            )
            .await?;
            self.record(from, "store_moving", format!("to={to}")).await?;
            from.commit().await
        };
        let marked: Result<(), StoreError> = marked.await;
        if marked.is_err() {
            from.roll_back().await;
        }
        marked.map_err(CopyError::Source)
    }

    async fn reopen<F: Side>(&self, from: &mut F) -> Result<(), StoreError> {
        from.begin_alone().await?;
        let ours = from
            .execute(
                "UPDATE store_state SET moved_to = NULL, copy_id = NULL, moved_at = NULL
                 WHERE pk = 1 AND copy_id = ?1",
                values![&self.id],
            )
            .await?;
        if ours == 1 {
            self.record(from, "store_reopened", "it was not copied".to_owned()).await?;
        }
        from.commit().await
    }

    async fn record<F: Side>(
        &self,
        from: &mut F,
        what: &'static str,
        detail: String,
    ) -> Result<(), StoreError> {
        let mut tx = Tx::new(from, &self.ring);
        let doer = Doer { now: self.clock.now(), ..self.doer.clone() };
        tx.events.push(doer.event(what, "", detail));
        audit::write(&mut tx).await
    }

    async fn fill<F: Side, T: Side>(
        &self,
        from: &mut F,
        to: &mut T,
        tenants: &[TenantId],
        watch: Watch<'_>,
    ) -> Result<Copied, CopyError> {
        let all = count(from).await.map_err(CopyError::Source)?;
        // Each row is read and written, and then read again.
        tell(watch, Progress::Rows(2 * all))?;
        let mut tallies = Vec::new();
        for statements in &*STATEMENTS {
            tallies.push(copy_table(from, to, statements, watch).await?);
        }
        tell(watch, Progress::Checking)?;
        for (statements, expected) in STATEMENTS.iter().zip(&tallies) {
            if tally(to, statements, watch).await.map_err(|error| error.of(CopyError::Target))? != *expected {
                return Err(CopyError::Differs(statements.table.name));
            }
        }
        let copied = Copied::of(&tallies, Compared::BothSides, check(to, tenants, &self.ring).await?);
        self.finish(from, to).await?;
        Ok(copied)
    }

    /// Commits the target while the source is held, so that nobody reopens it at this moment.
    async fn finish<F: Side, T: Side>(&self, from: &mut F, to: &mut T) -> Result<(), CopyError> {
        self.hold(from, &self.id).await?;
        to.execute("UPDATE store_state SET copy_id = ?1 WHERE pk = 1", values![&self.id])
            .await
            .map_err(CopyError::Target)?;
        match to.commit().await {
            Ok(()) => {}
            Err(error @ StoreError::Unreachable(_)) => {
                from.roll_back().await;
                return Err(CopyError::Uncertain(error));
            }
            Err(error) => return Err(CopyError::Target(error)),
        }
        // Where this fails the source stays marked all the same: run again, it finds the copy finished.
        from.commit().await.map_err(CopyError::Uncertain)
    }

    /// Begins to say that the source was moved, where it is still marked for this copy.
    async fn hold<F: Side>(&self, from: &mut F, id: &str) -> Result<(), CopyError> {
        from.begin_alone().await.map_err(CopyError::Source)?;
        let ours = from
            .execute(
                "UPDATE store_state SET moved_at = ?2 WHERE pk = 1 AND copy_id = ?1 AND moved_to IS NOT NULL",
                values![id, self.clock.now()],
            )
            .await
            .map_err(CopyError::Source)?;
        if ours == 1 { Ok(()) } else { Err(CopyError::Reopened) }
    }
}

impl Copied {
    fn of(tallies: &[(u64, [u8; 32])], compared: Compared, audits: Vec<CheckedAudit>) -> Self {
        let mut digest = Sha256::new();
        tallies.iter().for_each(|(_, of_table)| digest.update(of_table));
        Self {
            rows: tallies.iter().map(|(rows, _)| rows).sum(),
            digest: data_encoding::HEXLOWER.encode(&digest.finalize()),
            compared,
            audits,
        }
    }
}

async fn count<S: Sql>(sql: &mut S) -> Result<u64, StoreError> {
    let mut all = 0;
    for statements in &*STATEMENTS {
        let row = sql.row(&statements.count, &[]).await?;
        all += u64::try_from(row.map_or(Ok(0), |row| row.take::<i64>(0))?).unwrap_or(0);
    }
    Ok(all)
}

async fn check<T: Side>(
    to: &mut T,
    tenants: &[TenantId],
    ring: &KeyRing,
) -> Result<Vec<CheckedAudit>, CopyError> {
    let mut audits = Vec::new();
    for tenant in tenants {
        let verify = VerifyAudit { tenant: *tenant };
        let verdict = verify.run(&mut Tx::new(to, ring)).await.map_err(CopyError::Target)?;
        let named = to.row("SELECT name FROM tenant WHERE pk = ?1", values![*tenant]).await;
        let name = named.and_then(|row| row.map(|row| row.take(0)).transpose()).map_err(CopyError::Target)?;
        audits.push(CheckedAudit { tenant: *tenant, name, verdict });
    }
    Ok(audits)
}

/// What an earlier run has copied.
async fn read_again<F: Side, T: Side>(
    from: &mut F,
    to: &mut T,
    tenants: &[TenantId],
    ring: &KeyRing,
    watch: Watch<'_>,
) -> Result<Copied, CopyError> {
    tell(watch, Progress::Rows(count(from).await.map_err(CopyError::Source)?))?;
    let mut tallies = Vec::new();
    for statements in &*STATEMENTS {
        let read = tally(from, statements, watch).await;
        tallies.push(read.map_err(|error| error.of(CopyError::Source))?);
    }
    Ok(Copied::of(&tallies, Compared::OldSide, check(to, tenants, ring).await?))
}

/// The row of `store_state`.
struct State {
    moved_to: Option<String>,
    copy_id: Option<String>,
    moved_at: Option<i64>,
}

impl State {
    async fn read<S: Sql>(sql: &mut S) -> Result<Self, StoreError> {
        let row = sql.row("SELECT moved_to, copy_id, moved_at FROM store_state WHERE pk = 1", &[]).await?;
        let row = row.ok_or(StoreError::Corrupt("no state of its own"))?;
        Ok(Self { moved_to: row.take(0)?, copy_id: row.take(1)?, moved_at: row.take(2)? })
    }
}

async fn first_with_rows<S: Sql>(sql: &mut S) -> Result<Option<&'static str>, StoreError> {
    for statements in &*STATEMENTS {
        if !statements.page(sql, None).await?.is_empty() {
            return Ok(Some(statements.table.name));
        }
    }
    Ok(None)
}

fn tell(watch: Watch<'_>, progress: Progress) -> Result<(), CopyError> {
    if watch(progress).is_break() { Err(CopyError::Stopped) } else { Ok(()) }
}

async fn copy_table<F: Side, T: Side>(
    from: &mut F,
    to: &mut T,
    statements: &'static Statements,
    watch: Watch<'_>,
) -> Result<(u64, [u8; 32]), CopyError> {
    let mut tally = Tally::default();
    let mut last: Option<Row> = None;
    loop {
        let rows = statements.page(from, last.as_ref()).await.map_err(CopyError::Source)?;
        let sets: Vec<Vec<Value<'_>>> =
            rows.iter().map(|row| row.0.iter().map(Value::from).collect()).collect();
        to.execute_each(&statements.insert, &sets).await.map_err(CopyError::Target)?;
        rows.iter().for_each(|row| tally.add(row));
        tell(watch, Progress::Done(rows.len() as u64))?;
        let is_last = rows.len() < PAGE;
        last = rows.into_iter().next_back().or(last);
        if is_last {
            break;
        }
    }
    if statements.table.is_numbered() {
        let name = statements.table.name;
        let given = from.last_number(name).await.map_err(CopyError::Source)?;
        let highest = from.row(&statements.highest, &[]).await.map_err(CopyError::Source)?;
        let highest =
            highest.map_or(Ok(None), |row| row.take::<Option<i64>>(0)).map_err(CopyError::Source)?;
        let after = given.max(highest.unwrap_or(0));
        if after > 0 {
            to.number_after(name, after).await.map_err(CopyError::Target)?;
        }
    }
    Ok(tally.finish())
}

/// A table could not be read, or nobody wants it any more.
enum Unread {
    Store(StoreError),
    Stopped,
}

impl Unread {
    fn of(self, end: impl Fn(StoreError) -> CopyError) -> CopyError {
        match self {
            Self::Store(error) => end(error),
            Self::Stopped => CopyError::Stopped,
        }
    }
}

async fn tally<S: Sql>(
    sql: &mut S,
    statements: &'static Statements,
    watch: Watch<'_>,
) -> Result<(u64, [u8; 32]), Unread> {
    let mut tally = Tally::default();
    let mut last: Option<Row> = None;
    loop {
        let rows = statements.page(sql, last.as_ref()).await.map_err(Unread::Store)?;
        rows.iter().for_each(|row| tally.add(row));
        if watch(Progress::Done(rows.len() as u64)).is_break() {
            return Err(Unread::Stopped);
        }
        let is_last = rows.len() < PAGE;
        last = rows.into_iter().next_back().or(last);
        if is_last {
            return Ok(tally.finish());
        }
    }
}
