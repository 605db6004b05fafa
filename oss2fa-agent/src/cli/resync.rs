//! `resync`: find a device again whose clock or counter has run away.

use oss2fa_core::ids::DeviceId;

use super::arguments::device_id;
use super::code::Code;
use super::context::{Context, Output, Whose};
use super::failure::Failure;
use crate::admin::{Request, Response};

/// Bring a device back in step by two codes in a row
///
/// For a token whose button was pressed too often, or whose clock runs wrong.
#[derive(Debug, clap::Args)]
pub(crate) struct Resync {
    #[command(flatten)]
    whose: Whose,
    /// Number of the device
    #[arg(long, short, value_name = "ID", allow_negative_numbers = true, value_parser = device_id)]
    device: DeviceId,
    /// A code of it; "-" reads it from standard input
    #[arg(value_name = "CODE1")]
    first: Code,
    /// The very next one; "-" reads it from standard input
    #[arg(value_name = "CODE2")]
    second: Code,
    #[command(flatten)]
    pub(crate) output: Output,
}

impl Resync {
    pub(crate) fn run(&self, context: &mut Context<'_, '_>) -> Result<(), Failure> {
        let user = context.user(&self.whose)?;
        let agent = context.agent()?;
        let first = self.first.read(context.console)?;
        let second = self.second.read(context.console)?;
        match agent.done(&Request::Resync { user, device: self.device, first, second })? {
            Response::Device(view) => {
                let words =
                    format!("Device {} ({}) of {} is in step again.", view.device, view.name, view.user);
                context.answer(&view, &words)
            }
            other => Err(Failure::out_of_place(&other)),
        }
    }
}
