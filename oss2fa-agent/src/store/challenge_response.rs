//! YubiKeys that answer challenges: what a key is asked at its next login, and the answer that is expected then.
//!
//! Both are sealed under their row, and each login replaces them: the verdict is the row count of the update that puts
//! the next challenge in the place of the one that was answered, where the row still holds that one. So of two logins
//! that have had the same challenge answered one gets in, and an answer that was heard once is worth nothing later.

use std::sync::Arc;

use data_encoding::HEXLOWER;
use oss2fa_core::ids::{DeviceId, DeviceName, UserName};
use oss2fa_core::secret::{SecretBytes, SecretText};
use oss2fa_core::verdict::FactorKind;
use oss2fa_ctap::yubikey::{Challenge, ExpectedAnswer, Proven, Slot};
use rusqlite::{Connection, params};
use serde::{Deserialize, Serialize};

use super::Store;
use super::attempt::{Admitted, Verdict};
use super::audit::{AuditEntry, Context, Event, append};
use super::device::{AccountId, Device, Vouched};
use super::error::StoreError;
use super::joining::{Joining, Newcomer};
use super::keys::Keys;
use super::lock::{Locks, OpenKinds};
use super::outbox::{self, Report};
use super::security_key::KeyAdded;
use crate::config::LockLimits;
use crate::outside::Random;
use crate::source::Source;

const KIND: FactorKind = FactorKind::YubikeyHmac;

/// What is kept of a key between two logins.
#[derive(Debug, Clone)]
pub struct Kept {
    /// Which of its configurations answers.
    pub slot: Slot,
    /// Its serial number, where it tells it: by that it is known before it is asked.
    pub serial: Option<u32>,
    /// What it is asked at the next login.
    pub challenge: Challenge,
    /// What it answers then.
    pub answer: SecretBytes,
}

/// The same, as it stands in the row of its device.
#[derive(Debug, Clone)]
pub struct Outstanding {
    /// What is kept.
    pub kept: Kept,
    /// Whose answer is expected.
    pub expected: ExpectedAnswer,
    sealed: Vec<u8>,
}

/// A key to be added.
#[derive(Debug)]
pub struct NewYubikey {
    /// What the owner calls it.
    pub name: DeviceName,
    /// What it was asked, and has answered.
    pub kept: Kept,
    /// Who stands behind it.
    pub vouched: Vouched,
}

/// One try: a key has given the answer that was expected.
#[derive(Debug)]
pub struct Exchange {
    /// Whose account.
    pub account: AccountId,
    /// Their name, for the audit.
    pub user: UserName,
    /// The PAM service.
    pub service: String,
    /// Where from.
    pub source: Source,
    /// What stood in the row when the key was asked.
    pub before: Outstanding,
    /// That its answer was right, and what it is to be asked next.
    pub proven: Proven,
    /// Whether the server hears of it once it is back.
    pub report: Report,
}

/// What the store says to an exchange.
#[derive(Debug, PartialEq, Eq)]
pub enum Exchanged {
    /// It has a verdict.
    Judged(Verdict),
    /// Another login has had the same challenge answered, or the device is gone: the right answer lets nobody in.
    Outrun,
}

impl Store {
    /// Adds a key that has answered; it counts at once.
    ///
    /// # Errors
    /// A [`StoreError`].
    pub fn add_yubikey(
        &self,
        context: Context,
        user: UserName,
        new: NewYubikey,
    ) -> Result<KeyAdded, StoreError> {
        let words = |id| format!("{KIND} device={id}");
        self.join(context, user, Event::Confirmed, move |account| add(account, &new), words)
    }

    /// Judges an exchange; the next challenge is durable before the verdict is known.
    ///
    /// # Errors
    /// A [`StoreError`]: the try has no verdict, which is a refusal.
    pub fn judge_exchange(&self, exchange: Exchange, limits: LockLimits) -> Result<Exchanged, StoreError> {
        let (keys, random, now) = (Arc::clone(&self.keys), Arc::clone(&self.random), self.now());
        self.writer.run(move |connection, events| {
            judge(connection, &keys, random.as_ref(), events, &limits, &exchange, now)
        })
    }
}

fn judge(
    connection: &Connection,
    keys: &Keys,
    random: &dyn Random,
    events: &mut Vec<AuditEntry>,
    limits: &LockLimits,
    exchange: &Exchange,
    now: u64,
) -> Result<Exchanged, StoreError> {
    let context = Context::new(now, &exchange.user, &exchange.service, &exchange.source);
    let locks = Locks { account: exchange.account, source: &exchange.source, limits, now };
    if locks.open_kinds(connection, &[KIND])? != OpenKinds::All {
        append(connection, keys, events, &context, Event::Locked, KIND.as_str())?;
        return Ok(Exchanged::Judged(Verdict::Locked));
    }
    let Some(admitted) = replace(connection, keys, random, exchange, now)? else {
        return Ok(Exchanged::Outrun);
    };
    locks.count_success(connection, KIND)?;
    let detail = format!("{KIND} device={}", admitted.device());
    append(connection, keys, events, &context, Event::Accepted, &detail)?;
    if exchange.report == Report::Server {
        outbox::add(connection, &context, "local_login", &detail)?;
    }
    Ok(Exchanged::Judged(Verdict::Admitted(admitted)))
}

fn replace(
    connection: &Connection,
    keys: &Keys,
    random: &dyn Random,
    exchange: &Exchange,
    now: u64,
) -> Result<Option<Admitted>, StoreError> {
    let Exchange { account, before, proven, .. } = exchange;
    let device = proven.answered().device();
    // Whoever has answered for one device has not for another.
    if device != before.expected.device {
        return Ok(None);
    }
    let (challenge, answer) = proven.next();
    let next = Kept { challenge: challenge.clone(), answer: answer.clone(), ..before.kept.clone() };
    let sealed = keys.seal(&spelled(&next)?, &associated(device, *account), random)?;
    // No two seals are alike: where the bytes are the same, so is what was asked.
    let rows = connection
        .prepare_cached(
            "UPDATE device SET sealed = ?3, next_position = next_position + 1, last_used_at = ?4
             WHERE id = ?1 AND account = ?5 AND kind = ?6 AND status = 'active' AND offline IS NULL
               AND sealed = ?2",
        )?
        .execute(params![device.0, before.sealed, sealed, now.cast_signed(), account.0, KIND.as_str()])?;
    Ok(Admitted::by_update(rows, device))
}

fn add(joining: &Joining<'_>, new: &NewYubikey) -> Result<KeyAdded, StoreError> {
    // A key may be of several accounts: each has challenges of its own.
    let named =
        |serial: u32| joining.keys.device_fingerprint(KIND, format!("{serial} {}", number(new.kept.slot)));
    let fingerprint = new.kept.serial.map(named);
    if let Some(refused) = joining.refusal(fingerprint.as_ref(), new.vouched)? {
        return Ok(refused);
    }
    let newcomer = Newcomer {
        kind: KIND,
        name: &new.name,
        vouched: new.vouched,
        fingerprint: fingerprint.as_ref(),
        next_position: 0,
    };
    joining.admit(&newcomer, &spelled(&new.kept)?, |id| associated(id, joining.account))
}

impl Device {
    /// What a YubiKey is asked next, and what it answers; `None` for every other device.
    ///
    /// # Errors
    /// [`StoreError::Seal`] where it was changed or belongs to another row.
    pub fn challenge(&self, keys: &Keys) -> Result<Option<Outstanding>, StoreError> {
        if self.kind != KIND {
            return Ok(None);
        }
        let sealed = self.sealed.clone().ok_or(StoreError::Seal(self.id.0))?;
        let plain = keys.open(&sealed, &associated(self.id, self.account));
        let kept = read(plain.ok_or(StoreError::Seal(self.id.0))?.expose());
        let kept = kept.ok_or(StoreError::Corrupt("what a YubiKey is to be asked"))?;
        let expected = ExpectedAnswer { device: self.id, answer: kept.answer.clone() };
        Ok(Some(Outstanding { kept, expected, sealed }))
    }
}

fn associated(id: DeviceId, account: AccountId) -> Vec<u8> {
    format!("device.sealed id={id} account={} kind={KIND} challenge", account.0).into_bytes()
}

/// How it is written down; this must be read for ever.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Spelled {
    slot: u8,
    serial: Option<u32>,
    challenge: String,
    answer: SecretText,
}

fn number(slot: Slot) -> u8 {
    match slot {
        Slot::One => 1,
        Slot::Two => 2,
    }
}

fn spelled(kept: &Kept) -> Result<SecretBytes, StoreError> {
    let spelled = Spelled {
        slot: number(kept.slot),
        serial: kept.serial,
        challenge: HEXLOWER.encode(kept.challenge.as_bytes()),
        answer: SecretText::new(HEXLOWER.encode(kept.answer.expose())),
    };
    let written = serde_json::to_vec(&spelled).map(SecretBytes::new);
    written.map_err(|_| StoreError::Corrupt("a challenge that cannot be written down"))
}

fn read(plain: &[u8]) -> Option<Kept> {
    let spelled: Spelled = serde_json::from_slice(plain).ok()?;
    let bytes = |text: &str| HEXLOWER.decode(text.as_bytes()).ok();
    Some(Kept {
        slot: match spelled.slot {
            1 => Slot::One,
            2 => Slot::Two,
            _ => return None,
        },
        serial: spelled.serial,
        challenge: Challenge::from_bytes(&bytes(&spelled.challenge)?)?,
        answer: SecretBytes::new(bytes(spelled.answer.expose())?),
    })
}
