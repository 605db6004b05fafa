//! `rename`: another name for a device.

use oss2fa_core::ids::{DeviceId, DeviceName};

use super::arguments::{device_id, device_name};
use super::context::{Context, Output, Whose};
use super::failure::Failure;
use crate::admin::{Request, Response};

/// Give a device another name
#[derive(Debug, clap::Args)]
pub(crate) struct Rename {
    #[command(flatten)]
    whose: Whose,
    /// Number of the device
    #[arg(long, short, value_name = "ID", allow_negative_numbers = true, value_parser = device_id)]
    device: DeviceId,
    /// The new name, up to 64 characters
    #[arg(value_parser = device_name)]
    name: DeviceName,
    #[command(flatten)]
    pub(crate) output: Output,
}

impl Rename {
    pub(crate) fn run(&self, context: &mut Context<'_, '_>) -> Result<(), Failure> {
        let user = context.user(&self.whose)?;
        let request = Request::Rename { user, device: self.device, name: self.name.clone() };
        match context.agent()?.done(&request)? {
            Response::Device(view) => {
                let words = format!("Device {} of {} is now called {}.", view.device, view.user, view.name);
                context.answer(&view, &words)
            }
            other => Err(Failure::out_of_place(&other)),
        }
    }
}
