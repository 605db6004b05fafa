//! Holding a code against the devices of a user. Pure but for the store's keys: nothing is spent here.

use oss2fa_core::factor::recovery_code;
use oss2fa_core::verdict::{FactorKind, Verified};

use super::live::Live;
use crate::admin::DeviceStatus;
use crate::store::{Device, StoreError};

/// What a code turned out to be.
#[derive(Debug)]
pub(super) struct Held {
    /// The kinds that it could have been of.
    pub(super) kinds: Vec<FactorKind>,
    /// That it is right.
    pub(super) verified: Option<Verified>,
}

/// Holds `code` against each active device of an allowed kind that it could be of.
pub(super) fn hold(
    live: &Live,
    devices: &[Device],
    allowed: &[FactorKind],
    code: &str,
    skew: u8,
) -> Result<Held, StoreError> {
    let mut held = Held { kinds: Vec::new(), verified: None };
    let now = live.store.now();
    let candidates = devices.iter().filter(|device| {
        device.status == DeviceStatus::Active && allowed.contains(&device.kind) && device.fits(code)
    });
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
            FactorKind::SentCode | FactorKind::YubicoOtp => None,
            // A touch, not a code.
            FactorKind::Fido => None,
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

fn recovery(live: &Live, device: &Device, code: &str) -> Result<Option<Verified>, StoreError> {
    let Some(code) = recovery_code::canonical(code) else { return Ok(None) };
    let presented = live.store.keys().recovery_digest(device.account.0, code.expose_canonical());
    let stored = live.store.unused_codes(device.id)?;
    Ok(recovery_code::check(device.id, &presented, &stored))
}
