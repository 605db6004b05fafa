//! The store: every verb written once, run in one transaction on SQLite or on PostgreSQL.

pub mod audit;
pub mod copy;
mod copy_side;
pub mod copy_tables;
pub mod error;
mod figures;
mod job;
pub mod postgres;
mod postgres_encoding;
mod postgres_pool;
mod postgres_sql;
mod postgres_tls;
mod postgres_version;
pub mod schema;
pub mod sql;
pub mod sqlite;
mod sqlite_checkpoint;
mod sqlite_file;
mod sqlite_part;
mod sqlite_sql;
pub mod verb;
pub mod verbs;

use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::future::Either;

use self::error::StoreError;
use self::postgres::Postgres;
use self::sqlite::Sqlite;
use self::verb::{Query, Verb};
use self::verbs::ready::Nothing;
use crate::config::PostgresUrl;
use crate::keys::KeyRing;
use crate::outside::Clock;

/// Where the store is.
#[derive(Debug, Clone)]
pub enum Place {
    /// A file.
    Sqlite(PathBuf),
    /// A database server; the URL can hold a password.
    Postgres {
        /// `postgres://user@host/database`.
        url: PostgresUrl,
        /// The only authorities whose certificates are taken; none: those of the system.
        authorities: Option<PathBuf>,
        /// Most connections at once.
        connections: usize,
    },
}

impl Place {
    /// Reads the files that a connection needs, as a server does that starts; connects to nobody.
    ///
    /// # Errors
    /// What such a server would refuse.
    pub fn check(&self) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(_) => Ok(()),
            Self::Postgres { url, authorities, .. } => Postgres::check(url, authorities.as_deref()),
        }
    }
}

enum Engine {
    Sqlite(Sqlite),
    Postgres(Postgres),
}

/// An open store.
pub struct Store {
    engine: Engine,
    ring: Arc<KeyRing>,
}

impl Store {
    /// Opens it, and brings it to this release's schema.
    ///
    /// # Errors
    /// A [`StoreError`] that says what is wrong and what to do.
    pub async fn open(place: &Place, ring: Arc<KeyRing>, clock: &dyn Clock) -> Result<Self, StoreError> {
        let engine = match place {
            Place::Sqlite(path) => Engine::Sqlite(Sqlite::open(path, &ring, clock).await?),
            Place::Postgres { url, authorities, connections } => Engine::Postgres(
                Postgres::open(url, authorities.as_deref(), *connections, &ring, clock).await?,
            ),
        };
        Ok(Self { engine, ring })
    }

    /// Opens a store that is there and has this release's schema: makes nothing, changes nothing.
    ///
    /// # Errors
    /// As [`Store::open`]; [`StoreError::NoStore`] and [`StoreError::Older`].
    pub async fn open_existing(place: &Place, ring: Arc<KeyRing>) -> Result<Self, StoreError> {
        let engine = match place {
            Place::Sqlite(path) => Engine::Sqlite(Sqlite::open_existing(path, &ring).await?),
            Place::Postgres { url, authorities, .. } => {
                Engine::Postgres(Postgres::open_existing(url, authorities.as_deref(), &ring).await?)
            }
        };
        Ok(Self { engine, ring })
    }

    /// The keys of the tenants.
    #[must_use]
    pub fn ring(&self) -> &KeyRing {
        &self.ring
    }

    /// The same, to be shared with another store.
    #[must_use]
    pub fn ring_shared(&self) -> Arc<KeyRing> {
        Arc::clone(&self.ring)
    }

    /// Runs a verb in a transaction; answers when it is durable. Always to be awaited: SQLite takes the verb when this is
    /// called, PostgreSQL when it is first polled.
    ///
    /// # Errors
    /// The verb's own, or the commit's. Whether a commit whose answer was lost has happened is not known;
    /// nothing counts as accepted then.
    pub fn write<V: Verb>(
        &self,
        verb: V,
    ) -> impl Future<Output = Result<V::Output, StoreError>> + Send + use<'_, V> {
        // No `async fn`: it would keep room for the verb for as long as it waits, in each request.
        match &self.engine {
            Engine::Sqlite(sqlite) => Either::Left(sqlite.write(verb)),
            Engine::Postgres(postgres) => Either::Right(Box::pin(postgres.write(verb))),
        }
    }

    /// Asks a question.
    ///
    /// # Errors
    /// The query's own.
    pub async fn read<Q: Query>(&self, query: Q) -> Result<Q::Output, StoreError> {
        match &self.engine {
            Engine::Sqlite(sqlite) => sqlite.read(&query, &self.ring),
            Engine::Postgres(postgres) => Box::pin(postgres.read(&query, &self.ring)).await,
        }
    }

    /// Reads, and writes nothing in a transaction of its own: the way that every request takes.
    ///
    /// # Errors
    /// What a request would meet.
    pub async fn ready(&self) -> Result<(), StoreError> {
        self.read(Nothing).await?;
        self.write(Nothing).await
    }

    /// Sets the figures that are not counted as they change.
    pub fn measure(&self) {
        if let Engine::Postgres(postgres) = &self.engine {
            postgres.measure();
        }
    }

    /// Copies an embedded database into a new file, as it is at one moment.
    ///
    /// # Errors
    /// Those of SQLite; [`StoreError::Database`] for PostgreSQL, which has `pg_dump`.
    pub fn backup(&self, to: &Path) -> Result<(), StoreError> {
        match &self.engine {
            Engine::Sqlite(sqlite) => sqlite.backup(to),
            Engine::Postgres(_) => Err(StoreError::Database(
                "a PostgreSQL store is backed up by pg_dump; copy the master key file beside it".to_owned(),
            )),
        }
    }

    /// Writes what is queued, and closes.
    pub async fn close(&self) {
        match &self.engine {
            Engine::Sqlite(sqlite) => sqlite.close(),
            Engine::Postgres(postgres) => postgres.close().await,
        }
    }
}
