//! `confirm`: the first code of a device that waits for it.

use oss2fa_core::ids::{DeviceId, DeviceName};

use super::arguments::{device_id, device_name, shown_id};
use super::code::Code;
use super::context::{Context, Output, Whose};
use super::failure::Failure;
use crate::admin::{Request, Response};

/// Show the first code of a new device, so that it counts
#[derive(Debug, clap::Args)]
pub(crate) struct Confirm {
    #[command(flatten)]
    whose: Whose,
    /// Number of the device
    #[arg(long, short, value_name = "ID", allow_negative_numbers = true, value_parser = device_id)]
    device: DeviceId,
    /// Name it, where "enroll" could not: a server gives its devices their names when they are confirmed
    #[arg(long, short, value_parser = device_name)]
    name: Option<DeviceName>,
    /// Its first code; "-" reads it from standard input
    code: Code,
    #[command(flatten)]
    pub(crate) output: Output,
}

impl Confirm {
    pub(crate) fn run(&self, context: &mut Context<'_, '_>) -> Result<(), Failure> {
        let user = context.user(&self.whose)?;
        let agent = context.agent()?;
        let code = self.code.read(context.console)?;
        match agent.done(&Request::Confirm { user, device: self.device, code, name: self.name.clone() })? {
            Response::Device(view) => {
                let words = format!(
                    "Device {} ({}) of {} is active and counts from the next login on.",
                    shown_id(view.device),
                    view.name,
                    view.user
                );
                context.answer(&view, &words)
            }
            other => Err(Failure::out_of_place(&other)),
        }
    }
}
