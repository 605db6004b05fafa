//! `backup`: a copy of the embedded store, while the server runs or not.

use std::fs::File;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::context::Context;
use super::failure::{Code, Failure};
use crate::config::{MasterKeySource, StoreUrl};

/// Copy the embedded store to a new file that only its owner can read
///
/// The server may run meanwhile. The master key is not in the copy. A PostgreSQL store is backed up by pg_dump.
#[derive(Debug, clap::Args)]
pub(crate) struct Backup {
    /// The new file; one that is there already is not touched
    file: PathBuf,
}

#[derive(Debug, Serialize)]
struct Report<'a> {
    backup: &'a Path,
    bytes: u64,
    master_key: &'a str,
}

impl Backup {
    pub(crate) fn run(&self, context: &mut Context<'_, '_>) -> Result<(), Failure> {
        let config = context.config()?;
        let key = match &config.master_key {
            MasterKeySource::File(path) => path.display().to_string(),
            MasterKeySource::Credential(name) => format!("the systemd credential {name}"),
            MasterKeySource::Secret(_) => "derived from SECRET_KEY of the environment".to_owned(),
        };
        if let StoreUrl::Postgres(url) = &config.store {
            return Err(Failure::new(
                Code::BadUsage,
                format!(
                    "the store is {url}: back it up by pg_dump, and keep a copy of the master key ({key}) in another \
                     place, for without it the dump is worth nothing"
                ),
            ));
        }
        let store = context.open()?;
        let file = &self.file;
        let bad = |what: String| Failure::new(Code::BadFile, format!("{}: {what}", file.display()));
        if file.symlink_metadata().is_ok() {
            return Err(
                bad("it is there already: name a file that is not, or move that one away".to_owned()),
            );
        }
        let copied = store
            .store()
            .backup(file)
            .map_err(|error| Failure::new(Code::BadFile, error.to_string()))
            .and_then(|()| keep(file).map_err(|error| bad(format!("the copy cannot be synced: {error}"))));
        let bytes = copied?;
        let words = format!(
            "The store is copied to {} ({bytes} bytes).\nThe master key ({key}) belongs to it and is not in it. Keep a \
             copy of the key in another place: without it no device in this backup works.",
            file.display()
        );
        context.answer(&Report { backup: file, bytes, master_key: &key }, &words)
    }
}

/// Brings the file and its name to the disk; gives its length.
fn keep(file: &Path) -> std::io::Result<u64> {
    let copy = File::open(file)?;
    copy.sync_all()?;
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()?;
    Ok(copy.metadata()?.len())
}
