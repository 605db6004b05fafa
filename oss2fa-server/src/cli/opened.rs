//! The store under a command's hands: the same verbs as the server's, beside it while it runs.

use std::future::Future;

use super::context::Environment;
use super::failure::{Code, Failure};
use crate::config::Config;
use crate::open::open_existing;
use crate::store::Store;
use crate::store::error::StoreError;
use crate::store::verb::{Query, Verb};
use crate::store::verbs::Page;
use tokio::runtime::{Builder, Runtime};

/// Rows that are read at a time.
const PAGE: u32 = 1000;

/// An open store, and what its waiting runs on.
pub(crate) struct Opened {
    runtime: Runtime,
    store: Store,
}

impl Opened {
    /// Opens the store of the configuration; makes nothing.
    pub(crate) fn open(config: &Config, environment: &Environment) -> Result<Self, Failure> {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Failure::new(Code::StoreUnavailable, format!("no runtime: {error}")))?;
        let random = environment.random.clone();
        let store = runtime.block_on(open_existing(config, environment.credentials.as_deref(), random))?;
        Ok(Self { runtime, store })
    }

    /// Runs a verb; returns when it is durable.
    pub(crate) fn write<V: Verb>(&self, verb: V) -> Result<V::Output, Failure> {
        self.run(self.store.write(verb))
    }

    /// Asks a question.
    pub(crate) fn read<Q: Query>(&self, query: Q) -> Result<Q::Output, Failure> {
        self.run(self.store.read(query))
    }

    /// Asks for all pages of a list.
    pub(crate) fn all<Q: Query<Output = Vec<T>>, T>(
        &self,
        ask: impl Fn(Page) -> Q,
        pk: impl Fn(&T) -> i64,
    ) -> Result<Vec<T>, Failure> {
        let mut all: Vec<T> = Vec::new();
        loop {
            let after = all.last().map_or(0, &pk);
            let page = self.read(ask(Page { after, limit: PAGE }))?;
            let is_last = page.len() < PAGE as usize;
            all.extend(page);
            if is_last {
                return Ok(all);
            }
        }
    }

    /// Waits for something that works with the store.
    pub(crate) fn run<T>(&self, work: impl Future<Output = Result<T, StoreError>>) -> Result<T, Failure> {
        Ok(self.runtime.block_on(work)?)
    }

    /// The store itself.
    pub(crate) fn store(&self) -> &Store {
        &self.store
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        self.runtime.block_on(self.store.close());
    }
}
