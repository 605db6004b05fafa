//! Holding a code against the devices of a user. Pure but for the store's keys: nothing is spent here.

use std::time::Instant;

use oss2fa_core::factor::recovery_code;
use oss2fa_core::factor::yubico_otp::TypedOtp;
use oss2fa_core::verdict::{FactorKind, Verified};

use super::live::Live;
use crate::server::Unreachable;
use crate::store::yubico_otp::JudgedBy;
use crate::store::{Device, Purpose, StoreError};
use crate::validation::{NoAnswer, ValidationServers};

/// What a code turned out to be.
#[derive(Debug)]
pub(super) struct Held {
    /// The kinds that it could have been of.
    pub(super) kinds: Vec<FactorKind>,
    /// That it is right.
    pub(super) verified: Option<Verified>,
}

/// Who is asked about a code that this host cannot judge.
#[derive(Clone, Copy)]
pub(super) struct Elsewhere<'a> {
    /// Those who know the secrets of YubiKeys.
    pub(super) servers: Option<&'a ValidationServers>,
    /// When an answer comes too late.
    pub(super) deadline: Instant,
}

/// Why nobody can say whether a code is right: it is refused, and is no wrong try.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotHeld {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Those who know did not say.
    #[error(transparent)]
    NoAnswer(#[from] NoAnswer),
}

/// Which devices of this host count.
#[derive(Clone, Copy)]
pub(super) enum Which<'a> {
    /// Those that always do.
    Always,
    /// Those that do while no server can be reached: it takes the proof.
    Offline(
        #[expect(dead_code, reason = "evidence: it is asked for, and nothing is read of it")] &'a Unreachable,
    ),
}

impl Which<'_> {
    /// What a code of them is spent for.
    pub(super) fn purpose(self) -> Purpose {
        match self {
            Self::Always => Purpose::Login,
            Self::Offline(_) => Purpose::Offline,
        }
    }

    fn has(self, device: &Device) -> bool {
        match self {
            Self::Always => device.is_usable_here(),
            Self::Offline(_) => device.is_usable_offline(),
        }
    }
}

/// Holds `code` against each active device of an allowed kind that it could be of.
pub(super) fn hold(
    live: &Live,
    devices: &[Device],
    which: Which<'_>,
    allowed: &[FactorKind],
    code: &str,
    skew: u8,
    elsewhere: &Elsewhere<'_>,
) -> Result<Held, NotHeld> {
    let mut held = Held { kinds: Vec::new(), verified: None };
    let now = live.store.now();
    let candidates = devices
        .iter()
        .filter(|device| which.has(device) && allowed.contains(&device.kind) && device.fits(code));
    for device in candidates {
        if !held.kinds.contains(&device.kind) {
            held.kinds.push(device.kind);
        }
        if held.verified.is_some() {
            continue;
        }
        held.verified = match device.kind {
            FactorKind::RecoveryCode => recovery(live, device, code)?,
            // Never in a store of the agent.
            FactorKind::SentCode => None,
            FactorKind::YubicoOtp => password(live, device, code, elsewhere)?,
            // A touch, not a code.
            FactorKind::Fido2 | FactorKind::U2f | FactorKind::YubikeyHmac | FactorKind::SshSk => None,
            FactorKind::Totp | FactorKind::Hotp => {
                // One damaged row must not keep the owner of another device out.
                device.check(live.store.keys(), code, skew, now).unwrap_or_else(|error| {
                    tracing::error!(code = "seal", %error, "a device is skipped");
                    None
                })
            }
        };
    }
    Ok(held)
}

fn password(
    live: &Live,
    device: &Device,
    code: &str,
    elsewhere: &Elsewhere<'_>,
) -> Result<Option<Verified>, NoAnswer> {
    let Some(typed) = TypedOtp::read(code) else { return Ok(None) };
    let typist = device.typist(live.store.keys()).unwrap_or_else(|error| {
        tracing::error!(code = "seal", %error, "a device is skipped");
        None
    });
    // Nobody hears of a password of another key.
    let Some(typist) = typist.filter(|typist| typist.public_id == *typed.public_id()) else {
        return Ok(None);
    };
    match typist.judged_by {
        JudgedBy::Here(_) => Ok(typist.check(device.id, device.next_position(), &typed)),
        JudgedBy::Servers => {
            let servers = elsewhere.servers.ok_or(NoAnswer::NotConfigured)?;
            servers.judge(device.id, typed, elsewhere.deadline)
        }
    }
}

fn recovery(live: &Live, device: &Device, code: &str) -> Result<Option<Verified>, StoreError> {
    let Some(code) = recovery_code::canonical(code) else { return Ok(None) };
    let presented = live.store.keys().recovery_digest(device.account.0, code.expose_canonical());
    let stored = live.store.unused_codes(device.id)?;
    Ok(recovery_code::check(device.id, &presented, &stored))
}
