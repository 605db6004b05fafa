//! What is in force at the moment: the configuration, and how it is reloaded.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::JoinHandle;

use super::courier;

use crate::config::Config;
use crate::directory::Directory;
use crate::outside::System;
use crate::server::{Server, ServerError};
use crate::store::Store;
use crate::token::bus::Bus;
use crate::token::ports::Ports;
use crate::validation::ValidationServers;

/// What every connection needs.
pub(super) struct Live {
    in_force: RwLock<InForce>,
    reload_error: Mutex<Option<String>>,
    courier: Mutex<Option<JoinHandle<()>>>,
    pub(super) store: Store,
    pub(super) directory: Box<dyn Directory>,
    pub(super) bus: Bus,
    pub(super) started_at: u64,
}

/// A configuration, and the servers that it names.
#[derive(Clone)]
pub(super) struct InForce {
    pub(super) config: Arc<Config>,
    pub(super) server: Option<Arc<Server>>,
    pub(super) validators: Option<Arc<ValidationServers>>,
}

impl InForce {
    // The threads that ask others start here, where there are to be any.
    fn of(config: Config) -> Result<Self, ServerError> {
        let server =
            config.server.clone().map(|server| Server::start(server, Arc::new(System))).transpose()?;
        let validators = config.yubico.as_ref();
        let validators = validators.map(|yubico| ValidationServers::start(yubico, Arc::new(System)));
        let validators = validators.transpose().map_err(ServerError)?.map(Arc::new);
        Ok(Self { config: Arc::new(config), server: server.map(Arc::new), validators })
    }
}

impl Live {
    pub(super) fn new(
        config: Config,
        store: Store,
        directory: Box<dyn Directory>,
        ports: Arc<dyn Ports>,
    ) -> Result<Self, ServerError> {
        let started_at = store.now();
        let bus = Bus::new(ports, Arc::new(System), config.keys.touch_file.clone());
        Ok(Self {
            in_force: RwLock::new(InForce::of(config)?),
            reload_error: Mutex::new(None),
            courier: Mutex::new(None),
            store,
            directory,
            bus,
            started_at,
        })
    }

    /// The configuration in force and its server; a login keeps those that it began with.
    pub(super) fn in_force(&self) -> InForce {
        self.in_force.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Has somebody tell the server what happens without it, where there is one.
    pub(super) fn keep_courier(self: &Arc<Self>) -> std::io::Result<()> {
        let mut courier = self.courier.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted = self.in_force().server.is_some();
        if wanted && courier.as_ref().is_none_or(JoinHandle::is_finished) {
            *courier = Some(courier::start(self)?);
        }
        Ok(())
    }

    /// The configuration in force; a login keeps the one that it began with.
    pub(super) fn config(&self) -> Arc<Config> {
        self.in_force().config
    }

    /// Reads the file again. A broken one is refused, and the old one stays in force.
    pub(super) fn reload(&self) -> Result<Vec<&'static str>, String> {
        let old = self.config();
        let path: PathBuf = old.path.clone();
        // With its token and its authorities read again, and with connections of their own.
        let result = Config::load(&path)
            .and_then(|config| config.keys.attestation.demand().map(|_| config))
            .map_err(|error| error.to_string())
            .and_then(|config| InForce::of(config).map_err(|error| error.to_string()));
        *self.reload_error.lock().unwrap_or_else(PoisonError::into_inner) = result.as_ref().err().cloned();
        let in_force = result?;
        let new = &in_force.config;
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
        if new.keys.touch_file != old.keys.touch_file {
            needs_restart.push("[keys] touch_file");
        }
        let before = {
            let mut place = self.in_force.write().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *place, in_force)
        };
        // Whoever waits for the old server goes on with the new one.
        if let Some(server) = before.server {
            server.wake();
        }
        Ok(needs_restart)
    }

    pub(super) fn reload_error(&self) -> Option<String> {
        self.reload_error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
