//! `completions`: for the shell.

use clap_complete::Shell;

use super::context::Context;
use super::failure::Failure;

/// Print the completions for a shell
#[derive(Debug, clap::Args)]
pub(crate) struct Completions {
    /// Which shell
    shell: Shell,
}

impl Completions {
    pub(crate) fn run(&self, context: &mut Context<'_, '_>) -> Result<(), Failure> {
        // Into memory first: the generator gives up with a panic where it cannot write.
        let mut script = Vec::new();
        let mut command = super::command();
        let name = command.get_name().to_owned();
        clap_complete::generate(self.shell, &mut command, name, &mut script);
        let script = String::from_utf8_lossy(&script);
        context.console.draw(&match self.shell {
            // The generator names the states of a program with a dash one way where it enters them and
            // another way where it leaves them; below the first word nothing would be completed.
            Shell::Bash => script.replace("oss2fa__subcmd__server", "oss2fa__server"),
            _ => script.into_owned(),
        })
    }
}
