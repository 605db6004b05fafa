//! A store on either database, and nodes that use it.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use oss2fa_server::config::StoreUrl;
use oss2fa_server::ids::SERVER;
use oss2fa_server::keys::{KeyRing, MasterKeySource, MasterKeys};
use oss2fa_server::outside::{Clock, SECOND, System, Timestamp};
use oss2fa_server::store::error::StoreError;
use oss2fa_server::store::verbs::Doer;
use oss2fa_server::store::verbs::integrations::CredentialDigests;
use oss2fa_server::store::verbs::tenants::BeginServer;
use oss2fa_server::store::{Place, Store};
use tempfile::TempDir;

use crate::cluster::Cluster;

/// A clock that is set by hand.
pub(crate) struct Hand(AtomicI64);

impl Clock for Hand {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

/// Where a store is, and what opens it.
pub(crate) struct World {
    folder: TempDir,
    place: Place,
    clock: Arc<Hand>,
}

/// The place that a URL names.
pub(crate) fn place(url: &str) -> Place {
    match url.parse().unwrap() {
        StoreUrl::Sqlite(path) => Place::Sqlite(path),
        StoreUrl::Postgres(url) => Place::Postgres { url, authorities: None, connections: 8 },
    }
}

impl World {
    pub(crate) fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::Sqlite(folder.path().join("server.db"));
        Self::at(folder, place)
    }

    pub(crate) fn postgres(cluster: &Cluster) -> Self {
        Self::at(tempfile::tempdir().unwrap(), place(&cluster.database()))
    }

    pub(crate) fn at(folder: TempDir, place: Place) -> Self {
        MasterKeys::create(&folder.path().join("master.key"), &System).unwrap();
        Self { folder, place, clock: Arc::new(Hand(AtomicI64::new(1_800_000_000 * SECOND))) }
    }

    pub(crate) fn place(&self) -> &Place {
        &self.place
    }

    pub(crate) fn key(&self) -> PathBuf {
        self.folder.path().join("master.key")
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(crate) fn clock(&self) -> &dyn Clock {
        &*self.clock
    }

    /// An empty place elsewhere, with this one's master key.
    pub(crate) fn elsewhere(&self, place: Option<Place>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let place = place.unwrap_or_else(|| Place::Sqlite(folder.path().join("server.db")));
        let world = Self::at(folder, place);
        std::fs::copy(self.key(), world.key()).unwrap();
        world
    }

    /// Time goes by.
    pub(crate) fn pass(&self, seconds: i64) {
        self.clock.0.fetch_add(seconds * SECOND, Ordering::SeqCst);
    }

    /// The keys as a node reads them when it starts.
    pub(crate) fn ring(&self) -> Arc<KeyRing> {
        let source = MasterKeySource::File(self.key());
        Arc::new(KeyRing::new(MasterKeys::read(&source).unwrap(), source, Arc::new(System)))
    }

    /// One more node, with keys in a memory of its own.
    pub(crate) async fn node(&self) -> Store {
        self.try_node().await.unwrap()
    }

    pub(crate) async fn try_node(&self) -> Result<Store, StoreError> {
        Store::open(&self.place, self.ring(), &*self.clock).await
    }

    /// A node of a store that was begun.
    pub(crate) async fn begun(&self) -> Store {
        let store = self.node().await;
        store.write(self.begin()).await.unwrap();
        store
    }

    pub(crate) fn begin(&self) -> BeginServer {
        BeginServer { now: self.now(), public_id: "a".repeat(40), credentials: digests(0) }
    }

    /// The server itself, in its audit.
    pub(crate) fn server(&self) -> Doer {
        Doer {
            tenant: SERVER,
            integration: None,
            actor: "server".into(),
            source: String::new(),
            now: self.now(),
            whereabouts: Default::default(),
        }
    }
}

/// What proves something; another number, another secret.
pub(crate) fn digests(number: u8) -> CredentialDigests {
    CredentialDigests { token: [number; 32], access_key: format!("key{number}"), secret: [!number; 32] }
}
