//! `pam`: the stacks of this host's programs.

use clap::Subcommand;

use super::context::Context;
use super::failure::{Failure, OwnCode};
use super::{pam_install, pam_remove, pam_try};

/// Put the second factor into a program's stack, take it out again, or try a login (root)
#[derive(Debug, clap::Args)]
pub(crate) struct Pam {
    #[command(subcommand)]
    command: PamCommand,
}

#[derive(Debug, Subcommand)]
enum PamCommand {
    Install(pam_install::Install),
    Remove(pam_remove::Remove),
    Try(pam_try::Try),
}

impl Pam {
    pub(crate) fn run(&self, context: &mut Context<'_, '_>) -> Result<(), Failure> {
        match &self.command {
            PamCommand::Install(command) => command.run(context),
            PamCommand::Remove(command) => command.run(context),
            PamCommand::Try(command) => command.run(context),
        }
    }
}

/// The files stay as they are, for this reason.
pub(super) fn unchanged(message: impl Into<String>) -> Failure {
    Failure::new(OwnCode::StackUnchanged, message)
}

/// Shows the differences and asks whether they shall be.
pub(super) fn confirm(
    context: &mut Context<'_, '_>,
    differences: &[String],
    question: &str,
    confirmed: Confirmed,
) -> Result<(), Failure> {
    for line in differences.iter().flat_map(|difference| difference.lines()) {
        context.console.say(line)?;
    }
    if confirmed == Confirmed::Beforehand {
        return Ok(());
    }
    if !context.can_ask() {
        return Err(unchanged("nothing was changed: say --yes to confirm what is shown above"));
    }
    let answer = context.console.ask(&format!("{question} [y/N] "))?;
    match answer.expose().to_ascii_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(unchanged("nothing was changed")),
    }
}

/// Whether somebody has agreed already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Confirmed {
    /// By `--yes`.
    Beforehand,
    /// Not yet.
    NotYet,
}

impl Confirmed {
    pub(super) fn of(yes: bool) -> Self {
        if yes { Self::Beforehand } else { Self::NotYet }
    }
}

/// Only root writes stacks.
pub(super) fn needs_root(context: &Context<'_, '_>) -> Result<(), Failure> {
    if context.is_root() {
        return Ok(());
    }
    Err(unchanged("only root may do that: try it with sudo"))
}
