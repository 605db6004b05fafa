//! `export`: provisioning URIs, to move devices elsewhere.

use oss2fa_core::ids::DeviceId;
use oss2fa_core::secret::SecretText;
use serde::Serialize;

use super::arguments::device_id;
use super::context::{Context, Form, Output};
use super::failure::{Failure, OwnCode};
use super::list;
use crate::admin::{DeviceStatus, Request, Response};

/// Print the provisioning URI of a user's devices, one a line (root)
///
/// The URI holds the secret: whoever reads it can make the user's codes. Each export is in the audit.
/// Recovery codes cannot be exported: the agent does not know them.
#[derive(Debug, clap::Args)]
pub(crate) struct Export {
    /// Whose
    #[arg(long, short)]
    user: String,
    /// Only this device
    #[arg(long, short, value_name = "ID", allow_negative_numbers = true, value_parser = device_id)]
    device: Option<DeviceId>,
    #[command(flatten)]
    pub(crate) output: Output,
}

#[derive(Serialize)]
struct Exported {
    device: DeviceId,
    provisioning_uri: SecretText,
}

impl Export {
    pub(crate) fn run(&self, context: &mut Context<'_, '_>) -> Result<(), Failure> {
        let agent = context.agent()?;
        let devices = match self.device {
            Some(device) => vec![device],
            None => list::all(&agent, Some(&self.user))?
                .into_iter()
                .filter(|view| view.kind.is_made_by_device() && view.status == DeviceStatus::Active)
                .map(|view| view.device)
                .collect(),
        };
        if devices.is_empty() {
            let message = format!("{} has no device that could be exported", self.user);
            return Err(Failure::new(OwnCode::NothingThere, message));
        }
        let mut all = Vec::with_capacity(devices.len());
        for device in devices {
            match agent.done(&Request::Export { user: self.user.clone(), device })? {
                Response::Exported { provisioning_uri } => all.push(Exported { device, provisioning_uri }),
                other => return Err(Failure::out_of_place(&other)),
            }
        }
        if context.form == Form::Json {
            return context.console.json(&all);
        }
        all.iter().try_for_each(|one| context.console.say(one.provisioning_uri.expose()))
    }
}
