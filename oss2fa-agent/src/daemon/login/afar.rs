//! A key of OpenSSH that was touched at the other end of ssh: sshd has taken it before anybody is asked here.

use std::path::Path;

use oss2fa_core::factor::ssh_sk::{Presented, SkKey, presented};
use oss2fa_core::ids::DeviceId;
use oss2fa_core::wire::SshAuthInfo;

use super::{Case, Ruling, Serving, Which};
use crate::daemon::peer::Caller;
use crate::directory::Account;
use crate::doctor::Tree;
use crate::policy::address_of;
use crate::sshd::{Insisted, NotInsisted, Whom, insists};
use crate::store::{Admitted, Device, SshTouch, Verdict};

impl Serving<'_> {
    /// The store's evidence, where the key that this login was made with counts. Whatever else is found out, or is not:
    /// `None`, and the user is asked as ever.
    pub(super) fn shown_afar(&self) -> Option<Admitted> {
        // Anybody can say in a program of their own what sshd would say; root has no need to.
        let (Caller::Root, Some(ssh)) = (self.caller, &self.ssh) else { return None };
        let Some(Case { account: Some(account), devices, ruling: Ruling::Prove }) = &self.case else {
            return None;
        };
        let config = &self.in_force.config;
        if !config.counts_ssh_touch(&self.login.service) {
            return None;
        }
        let id = devices.first().map(|device| device.account)?;
        let presented = self.presented(ssh, devices)?;
        let insisted = match self.insisted(account) {
            Ok(insisted) => insisted,
            Err(why) => {
                let (user, device) = (account.name.as_str(), presented.device().0);
                tracing::warn!(code = "ssh_touch", user, device, %why, "the touch of an ssh key does not count");
                return None;
            }
        };
        let touch = SshTouch {
            account: id,
            user: account.name.clone(),
            service: self.login.service.clone(),
            source: self.source.clone(),
            presented,
            insisted,
            report: self.report(Which::Always),
        };
        match self.live.store.judge_ssh_touch(touch, config.locks) {
            Ok(Verdict::Admitted(admitted)) => Some(admitted),
            Ok(Verdict::Refused | Verdict::Locked) => None,
            Err(error) => {
                let user = account.name.as_str();
                tracing::error!(code = "store", %error, user, "the touch of an ssh key could not be judged");
                None
            }
        }
    }

    fn presented(&self, ssh: &SshAuthInfo, devices: &[Device]) -> Option<Presented> {
        let key = |device: &Device| -> Option<(DeviceId, SkKey)> {
            // One damaged row must not keep the owner of another device out.
            let key = device.ssh_key(self.live.store.keys()).unwrap_or_else(|error| {
                tracing::error!(code = "seal", %error, "a device is skipped");
                None
            });
            Some((device.id, key?))
        };
        let enrolled: Vec<_> =
            devices.iter().filter(|device| device.is_usable_here()).filter_map(key).collect();
        presented(ssh, &enrolled)
    }

    fn insisted(&self, account: &Account) -> Result<Insisted, NotInsisted> {
        let config = &self.in_force.config;
        let whom = Whom {
            account,
            named: &self.login.user,
            address: self.login.rhost.as_deref().and_then(address_of),
            directory: self.live.directory.as_ref(),
        };
        let wanted = config.policy.rules(&self.login.service).user_verification;
        insists(&Tree::new(Path::new("/")), &config.keys.sshd_config, Some(&whom), wanted)
    }
}
