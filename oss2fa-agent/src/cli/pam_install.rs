//! `pam install`: our module into the stack of a service, and what sshd needs for it.

use std::path::PathBuf;

use nix::unistd::Group;
use oss2fa_core::verdict::FactorKind;

use super::context::Context;
use super::doctor;
use super::failure::Failure;
use super::list;
use super::pam::{Confirmed, confirm, needs_root, unchanged};
use crate::admin::{DeviceStatus, DeviceView};
use crate::directory::{Account, Directory, Membership, Nss};
use crate::doctor::{SSHD, Tree, with_login_shells};
use crate::pam_stack::{Mode, diff, kept, plan::Plan};

/// Members of these groups become root on most hosts.
const ROOTS_GROUPS: [&str; 3] = ["admin", "sudo", "wheel"];

/// Put the second factor into the stack of a program
///
/// Writes /etc/pam.d/SERVICE (and that of `sudo -i`, `su -`) and, for sshd,
/// /etc/ssh/sshd_config.d/00-oss2fa.conf; shows the difference
/// first, and keeps what was there for `pam remove`. It does not write what would leave the service
/// open or nobody a way in, nor while no account that can become root has two devices, or a device
/// and recovery codes. Keep a root shell open until you have logged in from a second terminal.
#[derive(Debug, clap::Args)]
pub(crate) struct Install {
    /// The PAM service: sshd, sudo, su, ...
    service: String,
    /// What a login shall ask for
    #[arg(long, value_enum)]
    mode: Mode,
    /// Write without asking
    #[arg(long, short)]
    yes: bool,
    /// Write below this folder instead of the system that runs
    #[arg(long, value_name = "DIR", default_value = "/")]
    root: PathBuf,
    /// Write although nobody who can become root has two devices, or although that cannot be seen
    #[arg(long)]
    danger_no_way_back: bool,
}

impl Install {
    pub(crate) fn run(&self, context: &mut Context<'_, '_>) -> Result<(), Failure> {
        needs_root(context)?;
        let service = doctor::service(&self.service)?;
        let tree = doctor::tree(&self.root)?;
        if kept::is_installed(&tree, &service) {
            return Err(unchanged(format!(
                "{service} has been installed already: `oss2fa-agent pam remove {service}` first, then install it anew"
            )));
        }
        if !self.danger_no_way_back {
            somebody_has_a_way_back(context, &tree)?;
        }
        let plan =
            Plan::make(&tree, &service, self.mode, doctor::touches(context, &tree)).map_err(unchanged)?;
        let differences: Vec<String> = plan
            .changes
            .iter()
            .map(|change| {
                let path = tree.shown(&change.path).display().to_string();
                diff::unified(&path, change.old.as_deref(), change.new.as_deref())
            })
            .collect();
        confirm(context, &differences, "Write this?", Confirmed::of(self.yes))?;
        kept::install(&tree, &service, &plan).map_err(|error| {
            unchanged(format!(
                "not everything could be written: {error}. `oss2fa-agent pam remove {service}` puts back what was there"
            ))
        })?;
        context
            .console
            .say(&format!("\nWritten. `oss2fa-agent pam remove {service}` puts back what was there."))?;
        if service == SSHD && tree.is_running_system() {
            context.console.say(
                "sshd goes by it after: systemctl reload ssh\n\
                 Keep this shell open, and log in from a second terminal before you close it.",
            )?;
        }
        let report = doctor::examine(context, &tree, &with_login_shells(&tree, vec![service]));
        doctor::show(context, &report)
    }
}

/// A second device or a recovery code must be able to bring root back when a phone is lost.
fn somebody_has_a_way_back(context: &Context<'_, '_>, tree: &Tree) -> Result<(), Failure> {
    if !tree.is_running_system() {
        return Err(unchanged(
            "the devices of a system in a folder cannot be seen from here. Where somebody who can become root has two \
             of them, or recovery codes, say --danger-no-way-back",
        ));
    }
    let agent = context.agent()?;
    let devices = match context.config()?.server {
        None => list::all(&agent, None)?,
        // A server lists the devices of one name at a time.
        Some(_) => {
            let each: Result<Vec<_>, _> =
                candidates()?.iter().map(|user| list::all(&agent, Some(user))).collect();
            each?.concat()
        }
    };
    let mut users: Vec<&str> = devices.iter().map(|device| device.user.as_str()).collect();
    users.sort_unstable();
    users.dedup();
    for user in users.into_iter().filter(|user| is_prepared(&devices, user)) {
        if can_become_root(user)? {
            return Ok(());
        }
    }
    Err(unchanged(
        "nobody who can become root (root itself, or a member of sudo, wheel or admin) has two devices, or a device \
         and recovery codes: with a lost phone, nobody could mend this host. Prepare one of them with: \
         oss2fa-agent enroll totp --user NAME, and oss2fa-agent recovery-codes --user NAME",
    ))
}

fn is_prepared(devices: &[DeviceView], user: &str) -> bool {
    let of_user =
        || devices.iter().filter(|device| device.user == user && device.status == DeviceStatus::Active);
    // What opens nothing at the host itself is no way back.
    let is_token = |device: &&DeviceView| device.codes_left.is_none() && device.kind != FactorKind::SshSk;
    let tokens = of_user().filter(is_token).count();
    let has_codes = of_user().any(|device| device.codes_left.is_some_and(|left| left > 0));
    tokens >= 2 || (tokens == 1 && has_codes)
}

/// Root, and who is listed in a group of those that can become root.
fn candidates() -> Result<Vec<String>, Failure> {
    let mut names = vec!["root".to_owned()];
    for group in ROOTS_GROUPS {
        let found = Group::from_name(group).map_err(|errno| unchanged(errno.desc()))?;
        names.extend(found.into_iter().flat_map(|group| group.mem));
    }
    names.retain(|name| matches!(Nss.account(name), Ok(Some(_))));
    Ok(names)
}

fn can_become_root(user: &str) -> Result<bool, Failure> {
    let failed = |error: crate::directory::DirectoryError| unchanged(error.to_string());
    let Some(account) = Nss.account(user).map_err(failed)? else { return Ok(false) };
    let Account { uid, .. } = account;
    if uid == 0 {
        return Ok(true);
    }
    for group in ROOTS_GROUPS {
        if Nss.membership(&account, group).map_err(failed)? == Membership::Member {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use oss2fa_core::ids::{DeviceId, DeviceName};

    use super::*;

    #[test]
    fn a_way_back_is_one_that_opens_the_host_itself() {
        let view = |kind, codes_left| DeviceView {
            device: DeviceId(1),
            user: "ferris".to_owned(),
            name: DeviceName::new("x").unwrap(),
            kind,
            status: DeviceStatus::Active,
            parameters: None,
            codes_left,
            created_at: 0,
            last_used_at: None,
            shown_as: None,
        };
        use FactorKind::{Fido2, RecoveryCode, SshSk, Totp};
        for (devices, prepared) in [
            (vec![view(Totp, None), view(Fido2, None)], true),
            (vec![view(Totp, None), view(RecoveryCode, Some(10))], true),
            (vec![view(Totp, None), view(SshSk, None)], false),
            (vec![view(SshSk, None), view(SshSk, None)], false),
            (vec![view(SshSk, None), view(RecoveryCode, Some(10))], false),
            (vec![view(Totp, None), view(RecoveryCode, Some(0))], false),
        ] {
            assert_eq!(is_prepared(&devices, "ferris"), prepared, "{devices:?}");
        }
    }
}
