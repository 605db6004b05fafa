//! A server in the making: the words before `start`.

use std::path::PathBuf;

use toml::{Table, Value};

use crate::network::Network;
use crate::server::cluster::PostgresCluster;
use crate::server::node::Server;
use crate::server::place::Place;

/// Where a server keeps its rows.
#[derive(Debug, Clone, Copy)]
pub enum Store<'c> {
    /// The embedded default, in the data folder.
    Sqlite,
    /// A database of its own in this cluster.
    Postgres(&'c PostgresCluster),
}

/// A server in the making.
#[derive(Debug)]
pub struct Plan {
    pub(crate) settings: Table,
    pub(crate) token: Option<String>,
    network: Option<String>,
    bare: bool,
    disk: Option<u32>,
}

impl Server {
    /// Begins the sentence.
    #[expect(clippy::new_ret_no_self, reason = "tests read as a sentence that ends with `start`")]
    #[must_use]
    pub fn new() -> Plan {
        Plan { settings: Table::new(), token: None, network: None, bare: false, disk: None }
    }
}

impl Plan {
    /// With this store. SQLite, where this is not said.
    #[must_use]
    pub fn on(mut self, store: Store<'_>) -> Self {
        if let Store::Postgres(cluster) = store {
            self.settings.insert("store".to_owned(), Value::String(cluster.database()));
        }
        self
    }

    /// With these lines of `server.toml`; a later word for a key wins over an earlier one.
    ///
    /// # Panics
    /// Where it is no TOML.
    #[must_use]
    pub fn config(mut self, snippet: &str) -> Self {
        let table: Table = snippet.parse().unwrap_or_else(|error| panic!("{error}: {snippet}"));
        merge(&mut self.settings, table);
        self
    }

    /// One more node of the installation that `first` belongs to: its store, its master key, its token.
    #[must_use]
    pub fn beside(mut self, first: &Server) -> Self {
        self.settings = first.settings().clone();
        let key = self.settings.entry("master_key");
        let _own =
            key.or_insert_with(|| Value::String(first.data().join("master.key").display().to_string()));
        self.token = Some(first.token.clone());
        self
    }

    /// In this network, which must outlive the server.
    #[must_use]
    pub fn in_network(mut self, network: &Network) -> Self {
        self.network = Some(network.namespace());
        self
    }

    /// On a machine of its own (root): no configuration, no flags, the default folder and the default
    /// address, `oss2fa-server serve` alone.
    #[must_use]
    pub fn without_configuration(mut self) -> Self {
        self.bare = true;
        self
    }

    /// On a machine of its own, as [`Plan::without_configuration`], whose data folder is a disk of so many MiB.
    #[must_use]
    pub fn on_a_disk_of(mut self, mebibytes: u32) -> Self {
        self.disk = Some(mebibytes);
        self.without_configuration()
    }

    /// Starts it and waits for the end of its banner.
    ///
    /// # Panics
    /// Where it ends instead, with what it wrote; or where the banner does not come within a minute.
    #[must_use]
    pub fn start(self) -> Server {
        // Another program may take the port between the look and the start: then again with another.
        let mut last = String::new();
        for _try in 0..5 {
            let server = Server::prepare(self.place(), &self);
            match server.launch() {
                Ok(banner) => return server.with_banner(&banner, self.token.as_deref()),
                Err(log) if log.to_lowercase().contains("in use") => last = log,
                Err(log) => panic!("the server does not start:\n{log}"),
            }
        }
        panic!("no port was free:\n{last}");
    }

    /// Starts it where it is expected to refuse: what it wrote, and its exit status.
    ///
    /// # Panics
    /// Where it starts.
    #[must_use]
    pub fn refused(self) -> (i32, String) {
        let server = Server::prepare(self.place(), &self);
        let Err(log) = server.launch() else { panic!("the server has started:\n{}", server.log()) };
        (server.wait(), log)
    }

    fn place(&self) -> Place {
        if self.bare { Place::machine(self.disk) } else { Place::folder(self.network.clone()) }
    }

    /// The data folder and flags that go without saying.
    pub(crate) fn flags(&self, place: &Place) -> Vec<String> {
        if self.bare {
            return Vec::new();
        }
        let config = place.outside("server.toml");
        // An empty file is what a full disk leaves, and the server refuses it.
        let text = format!("# Of a test.\n{}", toml::to_string(&self.settings).unwrap());
        std::fs::write(&config, text).unwrap();
        let words: [PathBuf; 4] = ["--config".into(), config, "--data-dir".into(), place.data()];
        words.iter().map(|word| word.display().to_string()).collect()
    }
}

fn merge(into: &mut Table, from: Table) {
    for (key, value) in from {
        match (into.get_mut(&key), value) {
            (Some(Value::Table(old)), Value::Table(new)) => merge(old, new),
            (_, value) => drop(into.insert(key, value)),
        }
    }
}
