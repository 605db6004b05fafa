//! `remove`: a device, or all that is known of a user.

use clap::ArgGroup;
use oss2fa_core::ids::DeviceId;

use super::arguments::{device_id, shown_id};
use super::context::{Context, Output, Whose};
use super::failure::Failure;
use super::proof::Proof;
use crate::admin::{Request, Response};

/// Remove a device, or forget a user
///
/// Removing devices does not turn the second factor off: somebody who was enrolled once must always
/// show one. Only root can make the agent forget that, with --all --forget.
#[derive(Debug, clap::Args)]
#[command(group = ArgGroup::new("which").required(true).args(["device", "all"]))]
pub(crate) struct Remove {
    #[command(flatten)]
    whose: Whose,
    /// Number of the device
    #[arg(long, short, value_name = "ID", allow_negative_numbers = true, value_parser = device_id, conflicts_with = "forget")]
    device: Option<DeviceId>,
    /// All devices of the user; needs --forget
    #[arg(long, requires = "forget", requires = "user")]
    all: bool,
    /// Also forget that the user was ever enrolled; needs --all
    #[arg(long, requires = "all")]
    forget: bool,
    #[command(flatten)]
    proof: Proof,
    #[command(flatten)]
    pub(crate) output: Output,
}

impl Remove {
    pub(crate) fn run(&self, context: &mut Context<'_, '_>) -> Result<(), Failure> {
        let user = context.user(&self.whose)?;
        let agent = context.agent()?;
        let (answer, words) = match self.device {
            Some(device) => (
                self.proof.send(&agent, context, |proof| Request::Remove {
                    user: user.clone(),
                    device,
                    proof,
                })?,
                format!("Device {} of {user} is removed.", shown_id(device)),
            ),
            None => (
                agent.done(&Request::Forget { user: user.clone() })?,
                format!(
                    "All devices of {user} are removed, and that {user} was ever enrolled is forgotten: \
                     the policy for users without a device holds from now on."
                ),
            ),
        };
        match answer {
            Response::Done {} => context.done(&words),
            other => Err(Failure::out_of_place(&other)),
        }
    }
}
