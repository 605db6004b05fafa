//! One connection to PostgreSQL, and how values and failures of it are read.

use std::error::Error;
use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use bytes::BytesMut;
use deadpool_postgres::{Object, Pool};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};

use super::error::StoreError;
use super::postgres_encoding;
use super::postgres_pool::{Limits, pool};
use super::postgres_version;
use super::sql::{Cell, Row, Sql, Value};
use super::verb::Access;
use crate::config::PostgresUrl;

/// How long an answer is waited for, where the server does not end what takes long.
const PATIENCE: Duration = Duration::from_secs(35);

/// Name of the lock that every transaction has in common, and that a change of the whole store has alone.
const STORE: i64 = 6_017_323;

/// One connection.
pub struct PostgresSql {
    client: Object,
    patience: Option<Duration>,
    /// A statement failed: PostgreSQL would answer COMMIT with a rollback, and no error.
    failed: bool,
}

impl PostgresSql {
    pub(super) async fn from_pool(pool: &Pool) -> Result<Self, StoreError> {
        let client = pool.get().await.map_err(|error| StoreError::Unreachable(spelled_out(&error)))?;
        Ok(Self { client, patience: Some(PATIENCE), failed: false })
    }

    /// A connection of its own, on which everything may take as long as it takes: for what goes through the
    /// whole database.
    ///
    /// # Errors
    /// [`StoreError::Unreachable`]; [`StoreError::OldPostgres`] and [`StoreError::Encoding`] for what is not taken.
    pub(super) async fn without_limits(
        url: &PostgresUrl,
        authorities: Option<&Path>,
    ) -> Result<Self, StoreError> {
        let pool = pool(url, authorities, 1, Limits::None)?;
        let mut connection = Self { patience: None, ..Self::from_pool(&pool).await? };
        postgres_version::check(&mut connection).await?;
        postgres_encoding::check(&mut connection).await?;
        Ok(connection)
    }

    /// Does not go back to the pool; the server rolls back what is open on it.
    pub(super) fn discard(self) {
        drop(Object::take(self.client));
    }

    /// Begins a transaction beside others, or alone.
    pub(super) async fn begin(&mut self, access: Access) -> Result<(), StoreError> {
        self.failed = false;
        let lock = match access {
            Access::Shared | Access::Lasting => "pg_advisory_xact_lock_shared",
            Access::Alone => "pg_advisory_xact_lock",
        };
        self.command(&format!("BEGIN; SELECT {lock}({STORE})")).await
    }

    /// Commits. Where no answer comes it is not known whether that has happened; nothing counts as accepted.
    pub(super) async fn commit(&self) -> Result<(), StoreError> {
        if self.failed {
            return Err(StoreError::Database("a statement of the transaction failed".to_owned()));
        }
        self.command("COMMIT").await
    }

    pub(super) async fn command(&self, sql: &str) -> Result<(), StoreError> {
        self.within(self.client.batch_execute(sql)).await
    }

    /// Runs a script of many statements.
    ///
    /// # Errors
    /// Those of PostgreSQL.
    pub(super) async fn script(&self, sql: &str) -> Result<(), StoreError> {
        self.command(sql).await
    }

    async fn prepared(&self, sql: &'static str) -> Result<tokio_postgres::Statement, StoreError> {
        self.within(self.client.prepare_cached(&of_postgres(sql))).await
    }

    async fn within<T>(
        &self,
        answer: impl Future<Output = Result<T, tokio_postgres::Error>> + Send,
    ) -> Result<T, StoreError> {
        let Some(patience) = self.patience else { return answer.await.map_err(failure) };
        match tokio::time::timeout(patience, answer).await {
            Ok(answered) => answered.map_err(failure),
            Err(_) => {
                Err(StoreError::Unreachable(format!("no answer within {} seconds", patience.as_secs())))
            }
        }
    }

    async fn ask(&self, sql: &'static str, values: &[Value<'_>]) -> Result<Vec<Row>, StoreError> {
        let statement = self.prepared(sql).await?;
        let found = self.within(self.client.query(&statement, &parameters(values))).await?;
        found.iter().map(row).collect()
    }

    async fn change(&self, sql: &'static str, values: &[Value<'_>]) -> Result<u64, StoreError> {
        let statement = self.prepared(sql).await?;
        self.within(self.client.execute(&statement, &parameters(values))).await
    }

    async fn change_each(&self, sql: &'static str, sets: &[Vec<Value<'_>>]) -> Result<(), StoreError> {
        let statement = self.prepared(sql).await?;
        let sets: Vec<_> = sets.iter().map(|values| parameters(values)).collect();
        let sent = sets.iter().map(|values| self.client.execute(&statement, values));
        self.within(answered(sent.map(Box::pin).collect())).await
    }
}

impl Sql for PostgresSql {
    async fn rows(&mut self, sql: &'static str, values: &[Value<'_>]) -> Result<Vec<Row>, StoreError> {
        let answer = self.ask(sql, values).await;
        self.failed |= answer.is_err();
        answer
    }

    async fn execute(&mut self, sql: &'static str, values: &[Value<'_>]) -> Result<u64, StoreError> {
        let answer = self.change(sql, values).await;
        self.failed |= answer.is_err();
        answer
    }

    async fn execute_each(&mut self, sql: &'static str, sets: &[Vec<Value<'_>>]) -> Result<(), StoreError> {
        let answer = self.change_each(sql, sets).await;
        self.failed |= answer.is_err();
        answer
    }
}

type Sent<F> = Pin<Box<F>>;

/// Sends all, one behind the other, before it waits for the first answer.
async fn answered<F>(mut sent: Vec<Sent<F>>) -> Result<(), tokio_postgres::Error>
where
    F: Future<Output = Result<u64, tokio_postgres::Error>>,
{
    let mut early: Vec<Option<F::Output>> = Vec::with_capacity(sent.len());
    std::future::poll_fn(|context| {
        early.extend(sent.iter_mut().map(|future| match future.as_mut().poll(context) {
            Poll::Ready(answer) => Some(answer),
            Poll::Pending => None,
        }));
        Poll::Ready(())
    })
    .await;
    for (future, early) in sent.into_iter().zip(early) {
        match early {
            Some(answer) => answer?,
            None => future.await?,
        };
    }
    Ok(())
}

// `?1` of the common dialect is `$1` here; no statement has a question mark elsewhere.
fn of_postgres(sql: &'static str) -> String {
    sql.replace('?', "$")
}

fn parameters<'a>(values: &'a [Value<'a>]) -> Vec<&'a (dyn ToSql + Sync)> {
    values.iter().map(|value| value as &(dyn ToSql + Sync)).collect()
}

impl ToSql for Value<'_> {
    fn to_sql(
        &self,
        ty: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match self {
            Self::Null => Ok(IsNull::Yes),
            Self::Int(number) if *ty == Type::INT4 => i32::try_from(*number)?.to_sql(ty, out),
            Self::Int(number) => number.to_sql(ty, out),
            Self::Text(text) => text.to_sql(ty, out),
            Self::Bytes(bytes) => bytes.to_sql(ty, out),
        }
    }

    fn accepts(ty: &Type) -> bool {
        matches!(*ty, Type::INT8 | Type::INT4 | Type::TEXT | Type::BYTEA)
    }

    to_sql_checked!();
}

fn row(row: &tokio_postgres::Row) -> Result<Row, StoreError> {
    let cells = row.columns().iter().enumerate().map(|(n, column)| {
        let cell = match *column.type_() {
            Type::INT8 => row.try_get::<_, Option<i64>>(n).map(|cell| cell.map(Cell::Int)),
            Type::INT4 => row.try_get::<_, Option<i32>>(n).map(|cell| cell.map(|n| Cell::Int(i64::from(n)))),
            Type::BYTEA => row.try_get::<_, Option<Vec<u8>>>(n).map(|cell| cell.map(Cell::Bytes)),
            _ => row.try_get::<_, Option<String>>(n).map(|cell| cell.map(Cell::Text)),
        };
        Ok(cell.map_err(failure)?.unwrap_or(Cell::Null))
    });
    Ok(Row(cells.collect::<Result<_, StoreError>>()?))
}

/// What a failure means for whoever asked: try again, wait, or look at the log.
fn failure(error: tokio_postgres::Error) -> StoreError {
    let Some(code) = error.code() else {
        // A value of another type than its column is a mistake of ours, and no trouble with the server.
        let ours = error.source().is_some_and(|source| {
            source.is::<tokio_postgres::types::WrongType>()
                || source.is::<tokio_postgres::types::WasNull>()
                || source.is::<std::num::TryFromIntError>()
        });
        let said = spelled_out(&error);
        return if ours { StoreError::Database(said) } else { StoreError::Unreachable(said) };
    };
    let conflicts =
        [SqlState::T_R_DEADLOCK_DETECTED, SqlState::T_R_SERIALIZATION_FAILURE, SqlState::LOCK_NOT_AVAILABLE];
    if conflicts.contains(code) {
        return StoreError::Conflict(said(&error));
    }
    // Connection lost; out of disk, memory or connections; going down or coming up; broken disk.
    let away = ["08", "53", "57", "58"].iter().any(|class| code.code().starts_with(class));
    let elsewhere = [
        SqlState::READ_ONLY_SQL_TRANSACTION,
        SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
        SqlState::T_R_STATEMENT_COMPLETION_UNKNOWN,
    ];
    if away || elsewhere.contains(code) {
        return StoreError::Unreachable(said(&error));
    }
    // Since 15 nobody but the owner of a database makes tables in its schema `public`.
    let unowned = [SqlState::INSUFFICIENT_PRIVILEGE, SqlState::INVALID_SCHEMA_NAME];
    StoreError::Database(if unowned.contains(code) {
        format!("{}. {OWNER}", said(&error))
    } else {
        said(&error)
    })
}

/// What helps where the database is not ours.
const OWNER: &str = "The user that `store` names must own the database and its tables (ALTER DATABASE ... OWNER TO ...), \
     or have a schema of its own in its search_path, in which it may create tables";

// The message alone: the detail of a PostgreSQL error can hold values of the row.
fn said(error: &tokio_postgres::Error) -> String {
    error.as_db_error().map_or_else(|| error.to_string(), |said| said.message().to_owned())
}

/// An error with those that it comes from: "error performing TLS handshake" alone helps nobody.
fn spelled_out(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut from = error.source();
    while let Some(source) = from {
        let more = match source.downcast_ref::<tokio_postgres::error::DbError>() {
            Some(said) => said.message().to_owned(),
            None => source.to_string(),
        };
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        from = source.source();
    }
    text
}
