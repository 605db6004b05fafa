//! What is in force at the moment: the configuration, and how it is reloaded.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use crate::config::Config;
use crate::directory::Directory;
use crate::store::Store;

/// What every connection needs.
pub(super) struct Live {
    config: RwLock<Arc<Config>>,
    reload_error: Mutex<Option<String>>,
    pub(super) store: Store,
    pub(super) directory: Box<dyn Directory>,
    pub(super) started_at: u64,
}

impl Live {
    pub(super) fn new(config: Config, store: Store, directory: Box<dyn Directory>) -> Self {
        let started_at = store.now();
        Self {
            config: RwLock::new(Arc::new(config)),
            reload_error: Mutex::new(None),
            store,
            directory,
            started_at,
        }
    }

    /// The configuration in force; a login keeps the one that it began with.
    pub(super) fn config(&self) -> Arc<Config> {
        Arc::clone(&self.config.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads the file again. A broken one is refused, and the old one stays in force.
    pub(super) fn reload(&self) -> Result<Vec<&'static str>, String> {
        let old = self.config();
        let path: PathBuf = old.path.clone();
        let result = Config::load(&path).map_err(|error| error.to_string());
        *self.reload_error.lock().unwrap_or_else(PoisonError::into_inner) = result.as_ref().err().cloned();
        let new = result?;
        let mut needs_restart = Vec::new();
        if new.agent.socket != old.agent.socket || new.agent.user != old.agent.user {
            needs_restart.push("[agent] socket, user");
        }
        if new.agent.log_level != old.agent.log_level {
            needs_restart.push("[agent] log_level");
        }
        if new.store != old.store {
            needs_restart.push("[store]");
        }
        if new.audit != old.audit {
            needs_restart.push("[audit]");
        }
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(new);
        Ok(needs_restart)
    }

    pub(super) fn reload_error(&self) -> Option<String> {
        self.reload_error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
