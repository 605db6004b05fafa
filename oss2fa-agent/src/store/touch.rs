//! A try with a security key: lock, verdict and audit in one transaction, as for codes.
//!
//! That a key's answer was right is [`Asserted`], which only its verification makes. The verdict is the row count
//! of the update that raises the counter.

use std::sync::Arc;

use oss2fa_core::ids::{DeviceId, UserName};
use oss2fa_core::verdict::FactorKind;
use oss2fa_ctap::verify::{Asserted, Refusal, User};
use rusqlite::{Connection, OptionalExtension, params};

use super::Store;
use super::attempt::{Admitted, Verdict};
use super::audit::{AuditEntry, Context, Event, append};
use super::device::AccountId;
use super::error::StoreError;
use super::keys::Keys;
use super::lock::{Locks, OpenKinds};
use super::outbox::{self, Report};
use super::security_key::next_after;
use crate::config::LockLimits;
use crate::source::Source;

/// What a key answered, once it was verified.
#[derive(Debug)]
pub struct Answer {
    /// The device that the key says it is; for the audit alone.
    pub device: Option<DeviceId>,
    /// The kind of the device.
    pub kind: FactorKind,
    /// Evidence, or why the answer is not believed.
    pub verified: Result<Asserted, Refusal>,
}

/// One try.
#[derive(Debug)]
pub struct Touch {
    /// Whose account.
    pub account: AccountId,
    /// Their name, for the audit.
    pub user: UserName,
    /// The PAM service, or `cli`.
    pub service: String,
    /// Where from.
    pub source: Source,
    /// What the key answered.
    pub answer: Answer,
    /// Whether the server hears of it once it is back.
    pub report: Report,
}

impl Store {
    /// Judges the answer of a key; durable before the verdict is known.
    ///
    /// # Errors
    /// A [`StoreError`]: the try has no verdict, which is a refusal.
    pub fn judge_touch(&self, touch: Touch, limits: LockLimits) -> Result<Verdict, StoreError> {
        let (keys, now) = (Arc::clone(&self.keys), self.now());
        self.writer.run(move |connection, events| judge(connection, &keys, events, &limits, touch, now))
    }
}

fn judge(
    connection: &Connection,
    keys: &Keys,
    events: &mut Vec<AuditEntry>,
    limits: &LockLimits,
    touch: Touch,
    now: u64,
) -> Result<Verdict, StoreError> {
    let context = Context::new(now, &touch.user, &touch.service, &touch.source);
    let locks = Locks { account: touch.account, source: &touch.source, limits, now };
    let Answer { device, kind, verified } = touch.answer;
    if !matches!(kind, FactorKind::Fido2 | FactorKind::U2f)
        || locks.open_kinds(connection, &[kind])? != OpenKinds::All
    {
        append(connection, keys, events, &context, Event::Locked, kind.as_str())?;
        return Ok(Verdict::Locked);
    }
    let refusal = match verified {
        Ok(asserted) => match raise(connection, touch.account, kind, &asserted, now)? {
            Some(admitted) => {
                locks.count_success(connection, kind)?;
                let how = match asserted.user() {
                    User::Present => "touched",
                    User::Verified => "touched, and knows its user",
                };
                let detail = format!("{kind} device={} {how}", admitted.device());
                append(connection, keys, events, &context, Event::Accepted, &detail)?;
                if touch.report == Report::Server {
                    outbox::add(connection, &context, "local_login", &detail)?;
                }
                return Ok(Verdict::Admitted(admitted));
            }
            None => outrun(connection, touch.account, &asserted)?,
        },
        Err(refusal) => refusal,
    };
    locks.count_failure(connection, &[kind])?;
    let event = match refusal {
        Refusal::Cloned { .. } => Event::ClonedKey,
        _ => Event::Refused,
    };
    let device = device.map_or_else(String::new, |device| format!(" device={device}"));
    append(connection, keys, events, &context, event, &format!("{kind}{device}: {refusal}"))?;
    Ok(Verdict::Refused)
}

// A counter of 0 is taken again as long as none was ever higher: the key does not count.
fn raise(
    connection: &Connection,
    account: AccountId,
    kind: FactorKind,
    asserted: &Asserted,
    now: u64,
) -> Result<Option<Admitted>, StoreError> {
    let (device, seen) = (asserted.device(), asserted.sign_count());
    let rows = connection
        .prepare_cached(
            "UPDATE device SET next_position = ?3, last_used_at = ?4
             WHERE id = ?1 AND account = ?5 AND kind = ?6 AND status = 'active' AND offline IS NULL
               AND next_position <= ?2",
        )?
        .execute(params![
            device.0,
            i64::from(seen),
            next_after(seen),
            now.cast_signed(),
            account.0,
            kind.as_str()
        ])?;
    Ok(Admitted::by_update(rows, device))
}

// The counter was right when the answer was looked at: another login was faster, or the device is gone.
fn outrun(connection: &Connection, account: AccountId, asserted: &Asserted) -> Result<Refusal, StoreError> {
    let next: Option<i64> = connection
        .prepare_cached(
            "SELECT next_position FROM device WHERE id = ?1 AND account = ?2 AND status = 'active'",
        )?
        .query_row(params![asserted.device().0, account.0], |row| row.get(0))
        .optional()?;
    Ok(match next.map(|next| u32::try_from(next - 1)) {
        Some(Ok(stored)) => Refusal::Cloned { stored, seen: asserted.sign_count() },
        Some(Err(_)) | None => Refusal::UnknownCredential,
    })
}
