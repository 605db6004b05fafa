//! `unlock`: end a user's pauses after wrong codes.

use super::context::{Context, Output};
use super::failure::Failure;
use crate::admin::{Request, Response};

/// End the pauses that wrong codes have brought a user (root)
///
/// They also end by themselves.
#[derive(Debug, clap::Args)]
pub(crate) struct Unlock {
    /// Whose
    #[arg(long, short)]
    user: String,
    #[command(flatten)]
    pub(crate) output: Output,
}

impl Unlock {
    pub(crate) fn run(&self, context: &mut Context<'_, '_>) -> Result<(), Failure> {
        match context.agent()?.done(&Request::Unlock { user: self.user.clone() })? {
            Response::Done {} => context.done(&format!("{} is not locked any more.", self.user)),
            other => Err(Failure::out_of_place(&other)),
        }
    }
}
