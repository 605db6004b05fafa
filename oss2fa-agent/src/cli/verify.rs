//! `verify`: check a code, and spend it.

use super::code::Code;
use super::context::{Context, Output, Whose};
use super::failure::Failure;
use crate::admin::{Request, Response};

/// Check a code the way a login does; the exit status says whether it was right
///
/// A right code is spent by this and does not work again. Wrong ones count towards the locks.
#[derive(Debug, clap::Args)]
pub(crate) struct Verify {
    #[command(flatten)]
    whose: Whose,
    /// The code; "-" reads it from standard input
    code: Code,
    #[command(flatten)]
    pub(crate) output: Output,
}

impl Verify {
    pub(crate) fn run(&self, context: &mut Context<'_, '_>) -> Result<(), Failure> {
        let user = context.user(&self.whose)?;
        let agent = context.agent()?;
        let code = self.code.read(context.console)?;
        match agent.done(&Request::Verify { user: user.clone(), code })? {
            Response::Done {} => {
                context.done(&format!("The code of {user} was right. It is spent and does not work again."))
            }
            other => Err(Failure::out_of_place(&other)),
        }
    }
}
