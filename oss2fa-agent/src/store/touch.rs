//! A try with a security key: lock, verdict and audit in one transaction, as for codes.
//!
//! That a key's answer was right is [`Asserted`], which only its verification makes. The verdict is the row count
//! of the update that raises the counter.

use std::sync::Arc;

use data_encoding::BASE64URL_NOPAD;
use oss2fa_core::ids::{DeviceId, UserName};
use oss2fa_core::verdict::FactorKind;
use oss2fa_ctap::ctap2::get_assertion::Assertion;
use oss2fa_ctap::verify::{Asserted, ClientData, Refusal, User};
use rusqlite::{Connection, OptionalExtension, params};

use super::Store;
use super::attempt::{self, Admitted, Purpose, Verdict};
use super::audit::{AuditEntry, Context, Event, append};
use super::device::AccountId;
use super::error::StoreError;
use super::keys::Keys;
use super::lock::{Locks, OpenKinds};
use super::outbox::{self, Report};
use super::security_key::next_after;
use super::server_keys;
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
    /// What the key has signed, where a server keeps its credential: told to it, it raises the counter there.
    pub signed: Option<Signed>,
}

/// What a key has signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// `clientDataJSON`.
    pub client_data: String,
    /// `authenticatorData`.
    pub auth_data: Vec<u8>,
    /// The signature.
    pub signature: Vec<u8>,
}

impl Signed {
    /// Of an answer of a key.
    #[must_use]
    pub fn of(client_data: &ClientData, assertion: &Assertion) -> Self {
        Self {
            client_data: client_data.json().to_owned(),
            auth_data: assertion.auth_data.clone(),
            signature: assertion.signature.clone(),
        }
    }

    /// As the server takes it, of its device of this number.
    pub(super) fn told(&self, number: i64) -> String {
        let text = |bytes: &[u8]| BASE64URL_NOPAD.encode(bytes);
        serde_json::json!({
            "device": number,
            "client_data": text(self.client_data.as_bytes()),
            "authenticator_data": text(&self.auth_data),
            "signature": text(&self.signature),
        })
        .to_string()
    }
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
    /// What for: a login, with a server or without one.
    pub purpose: Purpose,
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
    let Answer { device, kind, verified, signed } = touch.answer;
    if !matches!(kind, FactorKind::Fido2 | FactorKind::U2f)
        || locks.open_kinds(connection, &[kind])? != OpenKinds::All
    {
        append(connection, keys, events, &context, Event::Locked, kind.as_str())?;
        attempt::report_refusal(connection, &context, touch.purpose, touch.report, "locked")?;
        return Ok(Verdict::Locked);
    }
    let refusal = match verified {
        Ok(asserted) => match raise(connection, touch.account, kind, &asserted, touch.purpose, now)? {
            Some(admitted) => {
                locks.count_success(connection, kind)?;
                let how = match asserted.user() {
                    User::Present => "touched",
                    User::Verified => "touched, and knows its user",
                };
                let detail = format!("{kind} device={} {how}", admitted.device());
                let event =
                    if touch.purpose == Purpose::Offline { Event::OfflineTouch } else { Event::Accepted };
                append(connection, keys, events, &context, event, &detail)?;
                match (touch.report, signed) {
                    (Report::Server, Some(signed)) => {
                        server_keys::tell_touch(connection, &context, admitted.device(), &signed, &detail)?;
                    }
                    (Report::Server, None) => outbox::add(connection, &context, "local_login", &detail)?,
                    (Report::Nobody, _) => {}
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
        _ if touch.purpose == Purpose::Offline => Event::OfflineRefused,
        _ => Event::Refused,
    };
    let device = device.map_or_else(String::new, |device| format!(" device={device}"));
    let detail = format!("{kind}{device}: {refusal}");
    append(connection, keys, events, &context, event, &detail)?;
    attempt::report_refusal(connection, &context, touch.purpose, touch.report, &detail)?;
    Ok(Verdict::Refused)
}

// A counter of 0 is taken again as long as none was ever higher: the key does not count.
fn raise(
    connection: &Connection,
    account: AccountId,
    kind: FactorKind,
    asserted: &Asserted,
    purpose: Purpose,
    now: u64,
) -> Result<Option<Admitted>, StoreError> {
    let (device, seen) = (asserted.device(), asserted.sign_count());
    let update = match purpose {
        Purpose::Offline => {
            "UPDATE device SET next_position = ?3, last_used_at = ?4
             WHERE id = ?1 AND account = ?5 AND kind = ?6 AND status = 'active' AND offline IS NOT NULL
               AND next_position <= ?2"
        }
        Purpose::Login | Purpose::Change | Purpose::Confirm(_) | Purpose::Resync { .. } => {
            "UPDATE device SET next_position = ?3, last_used_at = ?4
             WHERE id = ?1 AND account = ?5 AND kind = ?6 AND status = 'active' AND offline IS NULL
               AND next_position <= ?2"
        }
    };
    let rows = connection.prepare_cached(update)?.execute(params![
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
