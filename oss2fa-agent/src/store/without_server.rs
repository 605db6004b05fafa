//! Verbs of a host that asks a server: what it remembers of it, and what it does while the server is away.

use std::sync::Arc;

use oss2fa_core::factor::otp::OtpParameters;
use oss2fa_core::ids::{DeviceId, DeviceName, UserName};
use oss2fa_core::verdict::FactorKind;
use rusqlite::Connection;

use super::audit::{Context, Event, append};
use super::device::{AccountId, NewDevice, Vouched};
use super::error::StoreError;
use super::outbox::{self, Waiting};
use super::verbs::{Enrollment, fresh_secret, has_room};
use super::{Store, device};
use crate::admin::DeviceStatus;

/// An offline device, as far as the server is concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfflineDevice {
    /// Its number here.
    pub id: DeviceId,
    /// Whose.
    pub account: AccountId,
    /// Their name.
    pub user: String,
    /// Its number at the server.
    pub credential: i64,
    /// Whether it was removed here.
    pub removed: Removed,
}

/// Whether a device was removed here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removed {
    /// It was.
    Yes,
    /// It is there.
    No,
}

impl Store {
    /// Makes a counter device for the time without a server, which the server lists as `credential`; it waits for its
    /// first code. `None` where the user has too many already.
    ///
    /// # Errors
    /// A [`StoreError`].
    pub fn enroll_offline(
        &self,
        context: Context,
        user: UserName,
        name: DeviceName,
        credential: i64,
    ) -> Result<Option<Enrollment>, StoreError> {
        let (keys, random) = (Arc::clone(&self.keys), Arc::clone(&self.random));
        self.writer.run(move |connection, events| {
            let account = device::account_for(connection, &user)?;
            if !has_room(connection, account, context.now)? {
                return Ok(None);
            }
            let parameters = OtpParameters::default();
            let secret = fresh_secret(random.as_ref(), parameters)?;
            let new = NewDevice {
                kind: FactorKind::Hotp,
                name: &name,
                secret: &secret,
                parameters,
                next_position: 0,
                drift: 0,
                status: DeviceStatus::Pending,
                // Root, or a fresh code that the server has spent.
                vouched: Vouched::Yes,
                offline: Some(credential),
            };
            let device = device::add(connection, &keys, random.as_ref(), account, &new, context.now)?;
            let detail = format!("offline hotp device={device} credential={credential}");
            append(connection, &keys, events, &context, Event::Enrolled, &detail)?;
            Ok(Some(Enrollment { device, secret }))
        })
    }

    /// All offline devices that make codes, those that were removed here as well.
    ///
    /// # Errors
    /// Those of SQLite.
    pub fn offline_devices(&self) -> Result<Vec<OfflineDevice>, StoreError> {
        self.read(offline_devices)
    }

    /// Removes an offline device that does not count at the server any more.
    ///
    /// # Errors
    /// A [`StoreError`].
    pub fn drop_revoked(&self, gone: OfflineDevice) -> Result<bool, StoreError> {
        let context = Context { user: gone.user, ..Context::of_agent(self.now()) };
        let detail = format!("device={} credential={}", gone.id, gone.credential);
        self.change(context, Event::OfflineRevoked, detail, move |connection| {
            device::remove(connection, gone.account, gone.id)
        })
    }

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

    /// How many events the server has not heard of.
    ///
    /// # Errors
    /// Those of SQLite.
    pub fn count_waiting(&self) -> Result<u64, StoreError> {
        self.read(|connection| {
            let count: i64 = connection.query_row("SELECT count(*) FROM outbox", [], |row| row.get(0))?;
            Ok(count.cast_unsigned())
        })
    }

    /// The server has heard of these, up to this place.
    ///
    /// # Errors
    /// A [`StoreError`].
    pub fn told_events(&self, up_to: i64) -> Result<(), StoreError> {
        self.writer.run(move |connection, _| outbox::told(connection, up_to))
    }
}

fn offline_devices(connection: &Connection) -> Result<Vec<OfflineDevice>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT d.id, d.account, a.name, d.offline, d.status = 'removed'
         FROM device d JOIN account a ON a.id = d.account
         WHERE d.offline IS NOT NULL AND d.kind = 'hotp' ORDER BY d.id",
    )?;
    let rows = statement.query_map([], |row| {
        Ok(OfflineDevice {
            id: DeviceId(row.get(0)?),
            account: AccountId(row.get(1)?),
            user: row.get(2)?,
            credential: row.get(3)?,
            removed: if row.get(4)? { Removed::Yes } else { Removed::No },
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}
