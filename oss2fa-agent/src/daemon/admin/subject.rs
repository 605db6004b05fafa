//! The user that a request is about.

use oss2fa_core::ids::DeviceId;
use oss2fa_core::verdict::FactorKind;

use super::Answer;
use super::refusal::unknown_device;
use crate::directory::Account;
use crate::store::{AccountView, Device};

/// A user that this caller may ask for, with what the store knows.
pub(super) struct Subject {
    pub(super) account: Account,
    pub(super) view: AccountView,
}

impl Subject {
    pub(super) fn device(&self, id: DeviceId) -> Answer<&Device> {
        self.view
            .devices
            .iter()
            .find(|device| device.id == id)
            .ok_or_else(|| unknown_device(&self.account.name, id))
    }

    pub(super) fn active(&self) -> impl Iterator<Item = &Device> {
        self.view.devices.iter().filter(|device| device.is_usable_here())
    }

    pub(super) fn has_any(&self) -> bool {
        self.active().next().is_some()
    }

    /// Whether there is anything that recovery codes could stand in for.
    pub(super) fn has_own(&self) -> bool {
        self.active().any(|device| device.kind != FactorKind::RecoveryCode)
    }

    pub(super) fn is_last(&self, id: DeviceId) -> bool {
        // Keys of OpenSSH open nothing at the host itself.
        let stands_in = |kind| !matches!(kind, FactorKind::RecoveryCode | FactorKind::SshSk);
        !self.active().any(|device| device.id != id && stands_in(device.kind))
    }
}
