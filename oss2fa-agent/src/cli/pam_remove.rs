//! `pam remove`: the stack of a service as it was before `pam install`.

use std::path::PathBuf;

use super::context::Context;
use super::doctor;
use super::failure::Failure;
use super::pam::{Confirmed, confirm, needs_root, unchanged};
use crate::doctor::SSHD;
use crate::pam_stack::{diff, kept};

/// Put back the stack of a program as it was before `pam install`
///
/// Shows the difference first. From then on the program asks for what it asked for before.
#[derive(Debug, clap::Args)]
pub(crate) struct Remove {
    /// The PAM service
    service: String,
    /// Write without asking; not where somebody has changed the files since
    #[arg(long, short)]
    yes: bool,
    /// Write below this folder instead of the system that runs
    #[arg(long, value_name = "DIR", default_value = "/")]
    root: PathBuf,
}

impl Remove {
    pub(crate) fn run(&self, context: &mut Context<'_, '_>) -> Result<(), Failure> {
        needs_root(context)?;
        let service = doctor::service(&self.service)?;
        let tree = doctor::tree(&self.root)?;
        let kept = kept::of(&tree, &service)
            .map_err(|error| unchanged(format!("what was kept of {service} cannot be read: {error}")))?
            .ok_or_else(|| {
                unchanged(format!(
                    "{service} was not installed by `pam install`, and nothing is kept of it: take the lines that \
                     name pam_oss2fa.so out by hand"
                ))
            })?;
        let mut confirmed = Confirmed::of(self.yes);
        for path in &kept.changed_since {
            let path = tree.shown(path).display().to_string();
            context.console.note(&format!("{path} was changed since, and what was changed would be lost"))?;
            if !context.can_ask() {
                return Err(unchanged(format!(
                    "nothing was changed: confirm at a terminal that {path} may go"
                )));
            }
            confirmed = Confirmed::NotYet;
        }
        let differences: Vec<String> = kept
            .back
            .iter()
            .map(|change| {
                let path = tree.shown(&change.path).display().to_string();
                diff::unified(&path, change.old.as_deref(), change.new.as_deref())
            })
            .collect();
        confirm(context, &differences, "Put this back?", confirmed)?;
        kept::remove(&tree, &kept).map_err(|error| {
            unchanged(format!(
                "not everything could be put back: {error}. Mend that, and say `pam remove` again"
            ))
        })?;
        context
            .console
            .say(&format!("\n{service} is as it was before, without the second factor of this command."))?;
        if service == SSHD && tree.is_running_system() {
            context.console.say("sshd goes by it after: systemctl reload ssh")?;
        }
        Ok(())
    }
}
