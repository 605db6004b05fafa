//! A try with a code: lock, verdict and audit in one transaction.
//!
//! The verdict is the row count of one conditional update. It alone makes an [`Admitted`].

use oss2fa_core::ids::{DeviceId, UserName};
use oss2fa_core::verdict::{FactorKind, Verified};
use rusqlite::{Connection, params};

use super::audit::{AuditEntry, Context, Event, append};
use super::device::{AccountId, PENDING_FOR, mark_enrolled};
use super::error::StoreError;
use super::keys::Keys;
use super::lock::{Locks, OpenKinds};
use super::outbox::{self, Report};
use crate::config::LockLimits;
use crate::source::Source;

/// A code was right and this try, and no other, has spent it; that is on disk.
///
/// Only the store makes one, from the row count of its update:
///
/// ```compile_fail
/// use oss2fa_agent::store::Admitted;
/// let forged = Admitted { device: oss2fa_core::ids::DeviceId(1) };
/// ```
#[derive(Debug, PartialEq, Eq)]
pub struct Admitted {
    device: DeviceId,
}

impl Admitted {
    /// `rows` is what the one conditional update of a device's row has changed.
    pub(super) fn by_update(rows: usize, device: DeviceId) -> Option<Self> {
        (rows == 1).then_some(Self { device })
    }

    /// The device whose code it was.
    #[must_use]
    pub fn device(&self) -> DeviceId {
        self.device
    }
}

/// What the store says to a try.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Right, and spent.
    Admitted(Admitted),
    /// Wrong, used before, or of no device.
    Refused,
    /// Too many tries: of this kind of code, or of one of the kinds that it could be of.
    Locked,
}

/// What a right code is spent for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// A login, or `verify`.
    Login,
    /// A login while no server can be reached.
    Offline,
    /// A change of the user's own devices.
    Change,
    /// To make a pending device active.
    Confirm(DeviceId),
    /// To find a device again; what the drift becomes.
    Resync {
        /// In steps.
        drift: i64,
    },
}

/// One try.
#[derive(Debug)]
pub struct Attempt {
    /// Whose account.
    pub account: AccountId,
    /// Their name, for the audit.
    pub user: UserName,
    /// The PAM service, or `cli`.
    pub service: String,
    /// Where from.
    pub source: Source,
    /// The kinds that the code could be of.
    pub kinds: Vec<FactorKind>,
    /// That it matched, where it did.
    pub verified: Option<Verified>,
    /// What for.
    pub purpose: Purpose,
    /// Whether the server hears of it once it is back.
    pub report: Report,
}

/// Judges a try within the caller's transaction.
///
/// # Errors
/// Those of SQLite; the try then has no verdict, which is a refusal.
pub fn judge(
    connection: &Connection,
    keys: &Keys,
    events: &mut Vec<AuditEntry>,
    limits: &LockLimits,
    attempt: Attempt,
    now: u64,
) -> Result<Verdict, StoreError> {
    let context = Context::new(now, &attempt.user, &attempt.service, &attempt.source);
    let locks = Locks { account: attempt.account, source: &attempt.source, limits, now };
    let mut kinds = attempt.kinds;
    // What is right of a kind must also count for that kind.
    if let Some(kind) = attempt.verified.as_ref().map(Verified::kind).filter(|kind| !kinds.contains(kind)) {
        kinds.push(kind);
    }
    // Where one kind is locked, a code that is right for it is a wrong one for the others: it must be
    // answered and counted as any wrong code, or the answers would tell the right one.
    let (open, refusal) = match locks.open_kinds(connection, &kinds)? {
        OpenKinds::All => (kinds, Verdict::Refused),
        OpenKinds::Some(open) => (open, Verdict::Locked),
        OpenKinds::None => {
            append(connection, keys, events, &context, Event::Locked, &words(&kinds))?;
            report_refusal(connection, &context, attempt.purpose, attempt.report, "locked")?;
            return Ok(Verdict::Locked);
        }
    };
    if let Some(verified) = attempt.verified.filter(|verified| open.contains(&verified.kind())) {
        let kind = verified.kind();
        if let Some(admitted) = spend(connection, attempt.account, verified, attempt.purpose, now)? {
            locks.count_success(connection, kind)?;
            let event = match attempt.purpose {
                Purpose::Login | Purpose::Change => Event::Accepted,
                Purpose::Offline => Event::OfflineCode,
                Purpose::Confirm(_) => {
                    mark_enrolled(connection, attempt.account, now)?;
                    Event::Confirmed
                }
                Purpose::Resync { .. } => Event::Resynced,
            };
            let detail = format!("{kind} device={}", admitted.device());
            append(connection, keys, events, &context, event, &detail)?;
            if attempt.report == Report::Server {
                let word = if attempt.purpose == Purpose::Offline { "offline_code" } else { "local_login" };
                outbox::add(connection, &context, word, &detail)?;
            }
            return Ok(Verdict::Admitted(admitted));
        }
    }
    locks.count_failure(connection, &open)?;
    let event = if attempt.purpose == Purpose::Offline { Event::OfflineRefused } else { Event::Refused };
    append(connection, keys, events, &context, event, &words(&open))?;
    report_refusal(connection, &context, attempt.purpose, attempt.report, &words(&open))?;
    Ok(refusal)
}

pub(super) fn report_refusal(
    connection: &Connection,
    context: &Context,
    purpose: Purpose,
    report: Report,
    detail: &str,
) -> Result<(), StoreError> {
    match (purpose, report) {
        (Purpose::Offline, Report::Server) => outbox::add(connection, context, "offline_refused", detail),
        _ => Ok(()),
    }
}

fn spend(
    connection: &Connection,
    account: AccountId,
    verified: Verified,
    purpose: Purpose,
    now: u64,
) -> Result<Option<Admitted>, StoreError> {
    let device = verified.device();
    let position = i64::try_from(verified.position())
        .ok()
        .filter(|position| *position < i64::MAX)
        .ok_or(StoreError::Corrupt("a position beyond every counter"))?;
    let oldest = now.saturating_sub(PENDING_FOR).cast_signed();
    let now = now.cast_signed();
    let rows = match (verified.kind(), purpose) {
        (FactorKind::RecoveryCode, Purpose::Login | Purpose::Change) => {
            let rows = connection
                .prepare_cached(
                    "UPDATE recovery_code SET used_at = ?3
                     WHERE device = ?1 AND number = ?2 AND used_at IS NULL
                       AND EXISTS (SELECT 1 FROM device
                                   WHERE id = ?1 AND account = ?4 AND status = 'active')",
                )?
                .execute(params![device.0, position, now, account.0])?;
            if rows == 1 {
                connection
                    .prepare_cached("UPDATE device SET last_used_at = ?2 WHERE id = ?1")?
                    .execute(params![device.0, now])?;
            }
            rows
        }
        // It proves no device, and has no clock to be found again.
        (FactorKind::RecoveryCode, Purpose::Confirm(_) | Purpose::Resync { .. } | Purpose::Offline) => 0,
        // No device of a host has such codes.
        (FactorKind::SentCode, _) => 0,
        // No code is a security key's: those go by their touch.
        (FactorKind::Fido2 | FactorKind::U2f | FactorKind::YubikeyHmac | FactorKind::SshSk, _) => 0,
        // One key may be of several accounts: what passed for one of them passes for no other.
        (FactorKind::YubicoOtp, Purpose::Login | Purpose::Change) => connection
            .prepare_cached(
                "UPDATE device SET next_position = ?2 + 1, last_used_at = ?3
                 WHERE id = ?1 AND account = ?4 AND kind = 'yubico_otp' AND status = 'active' AND offline IS NULL
                   AND next_position <= ?2
                   AND NOT EXISTS (
                        SELECT 1 FROM device other WHERE other.fingerprint = device.fingerprint
                                                     AND other.status <> 'removed' AND other.next_position > ?2)",
            )?
            .execute(params![device.0, position, now, account.0])?,
        // It is proved when it is enrolled, and a counter in it is never lost.
        (FactorKind::YubicoOtp, Purpose::Confirm(_) | Purpose::Resync { .. } | Purpose::Offline) => 0,
        (FactorKind::Totp | FactorKind::Hotp, Purpose::Login | Purpose::Change) => connection
            .prepare_cached(
                "UPDATE device SET next_position = ?2 + 1, last_used_at = ?3
                 WHERE id = ?1 AND account = ?4 AND status = 'active' AND offline IS NULL
                   AND next_position <= ?2",
            )?
            .execute(params![device.0, position, now, account.0])?,
        (FactorKind::Totp | FactorKind::Hotp, Purpose::Offline) => connection
            .prepare_cached(
                "UPDATE device SET next_position = ?2 + 1, last_used_at = ?3
                 WHERE id = ?1 AND account = ?4 AND status = 'active' AND offline IS NOT NULL
                   AND next_position <= ?2",
            )?
            .execute(params![device.0, position, now, account.0])?,
        (FactorKind::Totp | FactorKind::Hotp, Purpose::Resync { drift }) => connection
            .prepare_cached(
                "UPDATE device SET next_position = ?2 + 1, last_used_at = ?3, drift = ?5
                 WHERE id = ?1 AND account = ?4 AND status = 'active' AND next_position <= ?2",
            )?
            .execute(params![device.0, position, now, account.0, drift])?,
        // A device that nobody vouched for may be the first of its owner, never one more.
        (FactorKind::Totp | FactorKind::Hotp, Purpose::Confirm(pending)) => connection
            .prepare_cached(
                "UPDATE device SET status = 'active', next_position = ?2 + 1, last_used_at = ?3
                 WHERE id = ?1 AND id = ?5 AND account = ?4 AND status = 'pending' AND next_position <= ?2
                   AND created_at >= ?6
                   AND (vouched = 1 OR NOT EXISTS (
                        SELECT 1 FROM device other WHERE other.account = ?4 AND other.status = 'active'
                                                     AND other.offline IS NULL))",
            )?
            .execute(params![device.0, position, now, account.0, pending.0, oldest])?,
    };
    Ok(Admitted::by_update(rows, device))
}

fn words(kinds: &[FactorKind]) -> String {
    if kinds.is_empty() {
        return "the code has the shape of no device".to_owned();
    }
    kinds.iter().map(|kind| kind.as_str()).collect::<Vec<_>>().join(" ")
}
