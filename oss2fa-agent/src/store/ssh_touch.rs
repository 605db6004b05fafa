//! A login with a touched key of OpenSSH: lock, verdict and audit in one transaction, as for codes.
//!
//! That sshd has taken the key of a device is [`Presented`], that it insists on a touch is [`Insisted`]. The verdict is
//! the row count of the update that writes down when the device was used: it is still there, and its owner's.

use std::sync::Arc;

use oss2fa_core::factor::ssh_sk::Presented;
use oss2fa_core::ids::UserName;
use oss2fa_core::verdict::FactorKind;
use rusqlite::{Connection, params};

use super::Store;
use super::attempt::{Admitted, Verdict};
use super::audit::{AuditEntry, Context, Event, append};
use super::device::AccountId;
use super::error::StoreError;
use super::keys::Keys;
use super::lock::{Locks, OpenKinds};
use super::outbox::{self, Report};
use crate::config::LockLimits;
use crate::source::Source;
use crate::sshd::Insisted;

/// One login. It takes both pieces of evidence, and uses them up.
#[derive(Debug)]
pub struct SshTouch {
    /// Whose account.
    pub account: AccountId,
    /// Their name, for the audit.
    pub user: UserName,
    /// The PAM service.
    pub service: String,
    /// Where from.
    pub source: Source,
    /// Which key sshd has taken.
    pub presented: Presented,
    /// That sshd takes none without a touch.
    pub insisted: Insisted,
    /// Whether the server hears of it once it is back.
    pub report: Report,
}

impl Store {
    /// Judges a login with a key that was touched; durable before the verdict is known.
    ///
    /// [`Verdict::Refused`] says that the device has gone meanwhile. Nothing is counted as a wrong try: whoever gets
    /// here has the key, and is asked for a code instead.
    ///
    /// # Errors
    /// A [`StoreError`]: the login has no verdict, which is a refusal.
    pub fn judge_ssh_touch(&self, touch: SshTouch, limits: LockLimits) -> Result<Verdict, StoreError> {
        let (keys, now) = (Arc::clone(&self.keys), self.now());
        self.writer.run(move |connection, events| judge(connection, &keys, events, &limits, touch, now))
    }
}

fn judge(
    connection: &Connection,
    keys: &Keys,
    events: &mut Vec<AuditEntry>,
    limits: &LockLimits,
    touch: SshTouch,
    now: u64,
) -> Result<Verdict, StoreError> {
    let SshTouch { account, user, service, source, presented, insisted, report } = touch;
    let context = Context::new(now, &user, &service, &source);
    let locks = Locks { account, source: &source, limits, now };
    let kind = FactorKind::SshSk;
    if locks.open_kinds(connection, &[kind])? != OpenKinds::All {
        append(connection, keys, events, &context, Event::Locked, kind.as_str())?;
        return Ok(Verdict::Locked);
    }
    let device = presented.device();
    let rows = connection
        .prepare_cached(
            "UPDATE device SET last_used_at = ?2
             WHERE id = ?1 AND account = ?3 AND kind = ?4 AND status = 'active' AND offline IS NULL",
        )?
        .execute(params![device.0, now.cast_signed(), account.0, kind.as_str()])?;
    let Some(admitted) = Admitted::by_update(rows, device) else { return Ok(Verdict::Refused) };
    locks.count_success(connection, kind)?;
    let detail = format!("{kind} device={device} {}, {}", presented.fingerprint(), insisted.words());
    append(connection, keys, events, &context, Event::Accepted, &detail)?;
    if report == Report::Server {
        outbox::add(connection, &context, "local_login", &detail)?;
    }
    Ok(Verdict::Admitted(admitted))
}
