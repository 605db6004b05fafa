//! `backup`: a copy of the store, while the daemon runs or not.

use std::path::PathBuf;

use super::context::{Context, Form, Output};
use super::failure::{Failure, OwnCode};
use crate::config::MasterKeySource;
use crate::store;

/// Copy the store to a new file that only root can read (root)
///
/// The agent may run meanwhile. The master key is not in the copy.
#[derive(Debug, clap::Args)]
pub(crate) struct Backup {
    /// The new file; one that is there already is not touched
    file: PathBuf,
    #[command(flatten)]
    pub(crate) output: Output,
}

impl Backup {
    pub(crate) fn run(&self, context: &mut Context<'_, '_>) -> Result<(), Failure> {
        let config = context.config()?;
        let file = self.file.display();
        if self.file.symlink_metadata().is_ok() {
            let message = format!("{file} is there already: name a file that is not, or move that one away");
            return Err(Failure::new(OwnCode::BadFile, message));
        }
        let mut shown = Ok(());
        let result = store::backup(&config, &self.file, &mut |left, all| {
            let percent = (all.saturating_sub(left) * 100).checked_div(all).unwrap_or(100);
            shown = context.console.progress(&format!("{percent} %"));
        });
        context.console.end_progress()?;
        shown?;
        result.map_err(|error| context.store_failure(&error))?;
        let key = match &config.store.master_key {
            MasterKeySource::File(path) => path.display().to_string(),
            MasterKeySource::Credential(name) => format!("the systemd credential {name}"),
        };
        if context.form == Form::Json {
            return context.console.json(&serde_json::json!({ "backup": self.file, "master_key": key }));
        }
        context.console.say(&format!(
            "The store is copied to {file}.\nThe master key ({key}) is not in it. Keep a copy of the key in another \
             place: without it no device in this backup works."
        ))
    }
}
