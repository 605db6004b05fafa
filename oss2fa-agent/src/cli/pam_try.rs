//! `pam try`: a whole login through libpam, by a program that does nothing else.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

use super::context::Context;
use super::doctor;
use super::failure::{Failure, OwnCode};
use super::pam::{needs_root, unchanged};
use crate::doctor::{Tree, find_stack};
use crate::pam_stack::{Mode, plan::Plan};

const PROGRAM: &str = "/usr/bin/pamtester";

const FOLDER: &str = "/etc/pam.d";

/// Log somebody in through libpam, and see whether the stack lets them
///
/// Asks what the program would ask, in the auth and the account phase, and opens no session. With
/// --mode it tries the stack that `pam install` would write: in a mount namespace of its own, so that
/// no other program sees it. A code that is typed is spent, and a wrong one counts. It takes pamtester(1).
#[derive(Debug, clap::Args)]
pub(crate) struct Try {
    /// The PAM service
    service: String,
    /// Who logs in
    user: String,
    /// Try the stack of this mode in place of the one in force
    #[arg(long, value_enum)]
    mode: Option<Mode>,
}

impl Try {
    pub(crate) fn run(&self, context: &mut Context<'_, '_>) -> Result<(), Failure> {
        needs_root(context)?;
        let service = doctor::service(&self.service)?;
        // It becomes an argument of another program.
        if self.user.is_empty() || self.user.starts_with('-') {
            return Err(Failure::new(OwnCode::BadUsage, "name the user who logs in"));
        }
        if !is_program(Path::new(PROGRAM)) {
            return Err(unchanged(format!(
                "{PROGRAM} is not there, and a login through libpam takes it: apt install pamtester"
            )));
        }
        let mut tree = doctor::tree(Path::new("/"))?;
        if let Some(mode) = self.mode {
            let plan =
                Plan::make(&tree, &service, mode, doctor::touches(context, &tree)).map_err(unchanged)?;
            set_apart(&plan).map_err(|error| {
                unchanged(format!("a place apart for the stack could not be made: {error}"))
            })?;
            tree = plan.applied(&tree);
        }
        context
            .console
            .note(&format!("{} logs in by {service}; nothing is changed, but a code is spent.", self.user))?;
        let mut command = Command::new(PROGRAM);
        command.env_clear().current_dir("/");
        if wants_a_key(&tree, &service) {
            // What sshd says of a key that it has checked.
            command.args(["-E", "SSH_AUTH_INFO_0=publickey tried-by-oss2fa-agent"]);
        }
        command.args([service.as_str(), self.user.as_str(), "authenticate", "acct_mgmt"]);
        let status = command
            .status()
            .map_err(|error| unchanged(format!("{PROGRAM} could not be started: {error}")))?;
        if status.success() {
            return context.console.say(&format!("libpam lets {} in by {service}.", self.user));
        }
        let message = format!(
            "libpam does not let {} in by {service}; the system log says why (journalctl -t pamtester -t oss2fa-agent)",
            self.user
        );
        Err(Failure::new(OwnCode::LoginRefused, message))
    }
}

fn is_program(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
}

fn wants_a_key(tree: &Tree, service: &str) -> bool {
    matches!(find_stack(tree, service), Ok(Some((_, text))) if text.contains("SSH_AUTH_INFO_0"))
}

/// From here on, this process and what it starts see another `/etc/pam.d`: a copy, with the plan's stacks.
fn set_apart(plan: &Plan) -> io::Result<()> {
    let mut files = Vec::new();
    for entry in fs::read_dir(FOLDER)? {
        let path = entry?.path();
        if path.is_file() {
            files.push((path.clone(), fs::read(&path)?));
        }
    }
    let nothing: Option<&str> = None;
    unshare(CloneFlags::CLONE_NEWNS)?;
    mount(nothing, "/", nothing, MsFlags::MS_REC | MsFlags::MS_PRIVATE, nothing)?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some("tmpfs"), FOLDER, Some("tmpfs"), flags, Some("mode=0755"))?;
    for (path, bytes) in files {
        fs::write(&path, bytes)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644))?;
    }
    let stacks = plan.changes.iter().filter(|change| change.path.starts_with(FOLDER));
    for change in stacks {
        fs::write(&change.path, change.new.as_deref().unwrap_or_default())?;
    }
    Ok(())
}
