//! `serve`: the daemon.

use super::context::Context;
use super::failure::{Failure, OwnCode};
use crate::daemon::{self, ServeError, ServeOptions};

/// Run the daemon in the foreground
///
/// Started by root it becomes the system user that [agent] user names. SIGTERM finishes the logins
/// under way and ends it; SIGHUP reads the configuration again.
#[derive(Debug, clap::Args)]
pub(crate) struct Serve {}

impl Serve {
    pub(crate) fn run(&self, context: &mut Context<'_, '_>) -> Result<(), Failure> {
        let options = ServeOptions {
            config: context.config_path().to_owned(),
            credentials: context.credentials().map(ToOwned::to_owned),
        };
        daemon::serve(&options).map_err(|error| {
            let code = match error {
                ServeError::Config(_) => OwnCode::BadConfiguration,
                _ => OwnCode::CannotServe,
            };
            Failure::new(code, error.to_string())
        })
    }
}
