//! Security keys that a server keeps: their public halves, for the time when it cannot be reached.
//!
//! Each is a device with the server's number for it in `offline`; it counts only with the proof that no server can be
//! reached. What the server does not list any more goes at the next contact, and comes by none that may be older.

use std::sync::Arc;

use oss2fa_core::ids::{DeviceId, DeviceName, UserName};
use oss2fa_core::verdict::FactorKind;
use rusqlite::{Connection, params};

use super::asked::{Question, Turn, Why};
use super::audit::{AuditEntry, Context, Event, append};
use super::device::{self, AccountId, Device, Vouched};
use super::error::StoreError;
use super::joining::Joining;
use super::keys::Keys;
use super::security_key::{self, Credential, NewKey, next_after};
use super::{Store, outbox};
use crate::outside::Random;

/// A key as the server lists it.
#[derive(Debug, Clone, PartialEq)]
pub struct ListedKey {
    /// The server's number for it.
    pub number: i64,
    /// FIDO2 or U2F.
    pub kind: FactorKind,
    /// What its owner calls it.
    pub name: DeviceName,
    /// Its public half.
    pub credential: Credential,
    /// The last signature counter that the server saw.
    pub sign_count: u32,
}

impl Device {
    /// Whether it is the public half of a key of the server.
    #[must_use]
    pub fn is_of_server(&self) -> bool {
        self.offline.is_some() && self.kind.is_security_key()
    }
}

/// What came of keeping the keys that the server lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// They are those of the list.
    All,
    /// Another list was taken since the question for this one: none was added. The server can be asked again.
    Overtaken,
}

/// How much of a list is believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Believed {
    /// All of it.
    All,
    /// What it says of keys that are kept already.
    OfKnown,
    /// What is not in it, or is not there as it was: a newer list may have said otherwise of the rest.
    Gone,
}

impl Store {
    /// Begins to ask the server for the keys of a user; before that is asked, and before the store is.
    #[must_use]
    pub fn ask_for_keys(&self, user: &UserName, why: Why) -> Question {
        self.asked.ask(user, why)
    }

    /// Makes the user's keys of the server be those of `listed`: new ones come, counters rise, others go. For a question that
    /// came after a proof.
    ///
    /// # Errors
    /// A [`StoreError`].
    pub fn keep_server_keys(
        &self,
        context: Context,
        question: Question,
        listed: Vec<ListedKey>,
    ) -> Result<Kept, StoreError> {
        let (keys, random, place) = (Arc::clone(&self.keys), Arc::clone(&self.random), question.place());
        let kept = self.writer.run(move |connection, events| {
            let account = device::account_for(connection, &place.user)?;
            let list = List { connection, keys: &keys, random: random.as_ref(), account, listed: &listed };
            let turn = place.take();
            let believed = if turn == Turn::First { Believed::All } else { Believed::Gone };
            list.apply(&context, events, believed)?;
            Ok(if turn == Turn::First { Kept::All } else { Kept::Overtaken })
        });
        // Durable by now: whoever takes an answer from here on sees what was added.
        drop(question);
        kept
    }

    /// What `listed` does not have is gone, and what it has changes where it is known; nothing comes. `known` are the user's
    /// devices as they were after the question was begun.
    ///
    /// # Errors
    /// A [`StoreError`].
    pub fn hear_of_server_keys(
        &self,
        context: Context,
        question: &Question,
        known: &[Device],
        listed: Vec<ListedKey>,
    ) -> Result<(), StoreError> {
        let place = question.place();
        let turn = place.take();
        // Most users have none, and nobody writes for them.
        if turn == Turn::First && !known.iter().any(Device::is_of_server) {
            return Ok(());
        }
        let believed = if turn == Turn::First { Believed::OfKnown } else { Believed::Gone };
        let (keys, random) = (Arc::clone(&self.keys), Arc::clone(&self.random));
        self.writer.run(move |connection, events| {
            let Some((account, _)) = device::account(connection, &place.user)? else { return Ok(()) };
            let list = List { connection, keys: &keys, random: random.as_ref(), account, listed: &listed };
            list.apply(&context, events, believed)
        })
    }

    /// Names of the users of whom keys of the server are kept.
    ///
    /// # Errors
    /// Those of SQLite.
    pub fn users_with_server_keys(&self) -> Result<Vec<String>, StoreError> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT DISTINCT a.name FROM device d JOIN account a ON a.id = d.account
                 WHERE d.offline IS NOT NULL AND d.kind IN ('fido2', 'u2f') AND d.status = 'active'
                 ORDER BY a.name",
            )?;
            let names = statement.query_map([], |row| row.get(0))?;
            Ok(names.collect::<Result<_, _>>()?)
        })
    }
}

/// Tells the server, once it is back, what one of its keys has signed here; within the caller's transaction.
///
/// # Errors
/// Those of SQLite.
pub(super) fn tell_touch(
    connection: &Connection,
    context: &Context,
    device: DeviceId,
    signed: &super::touch::Signed,
    detail: &str,
) -> Result<(), StoreError> {
    let number: Option<i64> = connection
        .prepare_cached("SELECT offline FROM device WHERE id = ?1")?
        .query_row([device.0], |row| row.get(0))?;
    let number = number.ok_or(StoreError::Corrupt("a touch of a key that no server keeps"))?;
    outbox::add_signed(connection, context, Event::OfflineTouch.as_str(), detail, &signed.told(number))
}

fn of_server(connection: &Connection, account: AccountId) -> Result<Vec<Device>, StoreError> {
    let mut all = device::devices(connection, account)?;
    all.retain(|device| device.is_of_server() && device.is_usable_offline());
    Ok(all)
}

fn is_same(there: &Device, listed: &ListedKey, keys: &Keys) -> bool {
    there.offline == Some(listed.number)
        && there.kind == listed.kind
        // One that does not open any more is put there anew.
        && there.credential(keys).ok().flatten().is_some_and(|known| {
            let Credential { id, public_key, rp, .. } = &listed.credential;
            (&known.id, &known.public_key, &known.rp) == (id, public_key, rp)
        })
}

/// A list that is being taken, in the transaction of that.
struct List<'a> {
    connection: &'a Connection,
    keys: &'a Keys,
    random: &'a dyn Random,
    account: AccountId,
    listed: &'a [ListedKey],
}

impl List<'_> {
    fn apply(
        &self,
        context: &Context,
        events: &mut Vec<AuditEntry>,
        believed: Believed,
    ) -> Result<(), StoreError> {
        let mut said = Vec::new();
        for there in of_server(self.connection, self.account)? {
            let stays = self.listed.iter().any(|listed| {
                is_same(&there, listed, self.keys)
                    && (believed != Believed::Gone || asks_the_same(&there, listed, self.keys))
            });
            if !stays && device::remove(self.connection, self.account, there.id)? {
                said.push((Event::OfflineRevoked, there.kind, there.id, there.offline));
            }
        }
        let kept = of_server(self.connection, self.account)?;
        for listed in self.listed {
            match kept.iter().find(|kept| kept.offline == Some(listed.number)) {
                Some(kept) if believed != Believed::Gone => self.update(kept, listed)?,
                None if believed == Believed::All => {
                    let id = self.add(listed, context.now)?;
                    said.push((Event::KeyKept, listed.kind, id, Some(listed.number)));
                }
                Some(_) | None => {}
            }
        }
        for (event, kind, id, number) in said {
            let number = number.unwrap_or_default();
            let detail = format!("{kind} device={id} at the server device={number}");
            append(self.connection, self.keys, events, context, event, &detail)?;
        }
        Ok(())
    }

    // Its name, and what a login must ask of it, are the server's to say. What was counted here while that was away may be
    // more than it has heard of.
    fn update(&self, kept: &Device, listed: &ListedKey) -> Result<(), StoreError> {
        if kept.credential(self.keys)?.is_none_or(|known| known != listed.credential) {
            let row = (kept.id, kept.account, kept.kind);
            security_key::seal(self.connection, self.keys, self.random, row, &listed.credential)?;
        }
        if kept.name != listed.name {
            self.connection
                .prepare_cached("UPDATE device SET name = ?2 WHERE id = ?1")?
                .execute(params![kept.id.0, listed.name.as_str()])?;
        }
        self.connection
            .prepare_cached("UPDATE device SET next_position = ?2 WHERE id = ?1 AND next_position < ?2")?
            .execute(params![kept.id.0, next_after(listed.sign_count)])?;
        Ok(())
    }

    fn add(&self, listed: &ListedKey, now: u64) -> Result<DeviceId, StoreError> {
        let new = NewKey {
            kind: listed.kind,
            name: listed.name.clone(),
            credential: listed.credential.clone(),
            sign_count: listed.sign_count,
            // The server does.
            vouched: Vouched::Yes,
            event: Event::KeyKept,
        };
        let Self { connection, keys, random, account, .. } = *self;
        let id = security_key::place(&Joining { connection, keys, random, account, now }, &new)?;
        self.connection
            .prepare_cached("UPDATE device SET offline = ?2 WHERE id = ?1")?
            .execute(params![id.0, listed.number])?;
        Ok(id)
    }
}

fn asks_the_same(there: &Device, listed: &ListedKey, keys: &Keys) -> bool {
    let known = there.credential(keys).ok().flatten();
    known.is_some_and(|known| known.verification == listed.credential.verification)
}
