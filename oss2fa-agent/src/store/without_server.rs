//! Verbs of a host that asks a server: what it remembers of it, and what it does while the server is away.

use std::sync::Arc;

use oss2fa_core::ids::UserName;

use super::audit::{Context, Event, append};
use super::error::StoreError;
use super::outbox::{self, Waiting};
use super::{Store, device};

impl Store {
    /// Writes down that the server asked this user for a device: nobody who was seen with one is ever taken for
    /// somebody who has not enrolled yet.
    ///
    /// # Errors
    /// A [`StoreError`].
    pub fn remember_enrolled(&self, user: UserName) -> Result<(), StoreError> {
        let now = self.now();
        self.writer.run(move |connection, _| {
            let account = device::account_for(connection, &user)?;
            device::mark_enrolled(connection, account, now)
        })
    }

    /// Somebody passes because no server can be reached: in the audit now, and at the server once it is back.
    ///
    /// # Errors
    /// A [`StoreError`]: nobody passes then.
    pub fn note_fail_open(&self, context: Context, detail: String) -> Result<(), StoreError> {
        let keys = Arc::clone(&self.keys);
        self.writer.run(move |connection, events| {
            append(connection, &keys, events, &context, Event::FailOpen, &detail)?;
            outbox::add(connection, &context, Event::FailOpen.as_str(), &detail)
        })
    }

    /// The oldest events that the server has not heard of.
    ///
    /// # Errors
    /// Those of SQLite.
    pub fn waiting_events(&self, limit: usize) -> Result<Vec<Waiting>, StoreError> {
        self.read(|connection| outbox::oldest(connection, limit))
    }

    /// The server has heard of these, up to this place.
    ///
    /// # Errors
    /// A [`StoreError`].
    pub fn told_events(&self, up_to: i64) -> Result<(), StoreError> {
        self.writer.run(move |connection, _| outbox::told(connection, up_to))
    }
}
