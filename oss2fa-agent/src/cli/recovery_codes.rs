//! `recovery-codes`: ten codes on paper, for the day the phone is lost.

use oss2fa_core::secret::SecretText;
use serde::Serialize;

use super::context::{Context, Form, Output, Whose};
use super::failure::Failure;
use super::proof::Proof;
use crate::admin::{Request, Response};

/// Make ten new recovery codes; the old ones no longer work
///
/// Each code works once in place of a device. They are shown now and never again.
#[derive(Debug, clap::Args)]
pub(crate) struct RecoveryCodes {
    #[command(flatten)]
    whose: Whose,
    #[command(flatten)]
    proof: Proof,
    #[command(flatten)]
    pub(crate) output: Output,
}

#[derive(Serialize)]
struct Codes {
    codes: Vec<SecretText>,
}

impl RecoveryCodes {
    pub(crate) fn run(&self, context: &mut Context<'_, '_>) -> Result<(), Failure> {
        let user = context.user(&self.whose)?;
        let agent = context.agent()?;
        let request = |proof| Request::RecoveryCodes { user: user.clone(), proof };
        let codes = match self.proof.send(&agent, context, request)? {
            Response::RecoveryCodes { codes } => codes,
            other => return Err(Failure::out_of_place(&other)),
        };
        if context.form == Form::Json {
            return context.console.json(&Codes { codes });
        }
        context
            .console
            .say(&format!("Recovery codes of {user}. Each works once; older ones no longer work.\n"))?;
        for code in &codes {
            context.console.say(&format!("  {}", code.expose()))?;
        }
        context
            .console
            .say("\nWrite them down and keep them apart from the device: they are not shown again.")
    }
}
