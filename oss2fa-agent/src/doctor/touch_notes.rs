//! Where policy counts the touch of keys of OpenSSH: whether sshd insists on it, and who else could say that one was used.

use std::ffi::CString;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::unistd::{Gid, Uid, User, getgrouplist};

use super::sshd_config::SshdConfig;
use super::stack::Stack;
use super::tree::Tree;
use crate::config::Config;
use crate::sshd::insists;

/// For one service, whose stack asks the agent.
pub(super) fn notes(
    tree: &Tree,
    config: &Result<Config, String>,
    service: &str,
    stack: &Stack,
) -> Vec<String> {
    let Ok(config) = config else { return Vec::new() };
    if !config.counts_ssh_touch(service) {
        return Vec::new();
    }
    let (path, by) =
        (&config.keys.sshd_config, format!("(`ssh_touch_services` in {})", config.path.display()));
    let mut notes = Vec::new();
    match insists(tree, path, None, config.policy.rules(service).user_verification) {
        Ok(_) => notes.push(format!(
            "whoever logs in with an enrolled ssh key that lives on a security key, and touches it, is asked for no code {by}"
        )),
        Err(why) => notes.push(format!(
            "the touch of an ssh key is to count {by}, and does not, or not for everybody: {why}. Whoever it does not count \
             for is asked for a code. Write `PubkeyAuthOptions touch-required` above the other lines of sshd, and \
             `verify-required` behind it where user_verification is \"required\""
        )),
    }
    if tree.is_running_system() {
        notes.extend(unreadable(tree, path, &config.agent.user).map(|file| {
            let user = &config.agent.user;
            format!(
                "the agent, as {user}, cannot read {file}, so no touch of an ssh key counts: chgrp {user} {file}; chmod g+r \
                 {file}"
            )
        }));
    }
    // It can overwrite what sshd says, and the file is the user's.
    let home_file = |argument: &String| argument.starts_with("user_readenv") && !argument.ends_with("=0");
    let reader = stack
        .auth
        .iter()
        .find(|link| link.module_name().starts_with("pam_env") && link.arguments.iter().any(home_file));
    if let Some(link) = reader {
        notes.push(format!(
            "{} lets users say by a file of their own which key they have used, and the touch of an ssh key counts {by}: take \
             user_readenv out of that line",
            link.place
        ));
    }
    notes
}

/// The first file of sshd's configuration that this user may not read.
fn unreadable(tree: &Tree, path: &Path, user: &str) -> Option<String> {
    let (config, _) = SshdConfig::read(tree, path).ok()??;
    let user = User::from_name(user).ok()??;
    let name = CString::new(user.name.as_str()).ok()?;
    let groups = getgrouplist(&name, user.gid).ok()?;
    config.files.iter().find(|file| !may_read(file, user.uid, &groups)).map(|file| file.display().to_string())
}

fn may_read(file: &Path, uid: Uid, groups: &[Gid]) -> bool {
    let Ok(meta) = std::fs::metadata(file) else { return false };
    let bit = match (meta.uid() == uid.as_raw(), groups.iter().any(|gid| gid.as_raw() == meta.gid())) {
        (true, _) => 0o400,
        (false, true) => 0o040,
        (false, false) => 0o004,
    };
    meta.mode() & bit != 0
}
