//! Reading a file that decides who gets in: whole, a plain file, and written by nobody else.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use nix::fcntl::OFlag;

use super::ConfigError;

const LARGEST_FILE: u64 = 1024 * 1024;

/// The text of the configuration at `path`.
pub(super) fn read(path: &Path) -> Result<String, ConfigError> {
    let failed = |source| ConfigError::Read { path: path.to_owned(), source };
    let not_understood = |what: String| ConfigError::Syntax { path: path.to_owned(), what };
    let file = open(path).map_err(failed)?;
    let meta = file.metadata().map_err(failed)?;
    if !meta.is_file() {
        return Err(not_understood("it is not a regular file".to_owned()));
    }
    written_by_nobody_else(path, &meta)?;
    let mut text = String::new();
    file.take(LARGEST_FILE + 1).read_to_string(&mut text).map_err(|error| match error.kind() {
        ErrorKind::InvalidData => not_understood("it is not text in UTF-8".to_owned()),
        _ => failed(error),
    })?;
    // Half of a file is another configuration than the whole.
    if text.len() as u64 > LARGEST_FILE {
        return Err(not_understood(format!("it is longer than {LARGEST_FILE} bytes")));
    }
    if text.is_empty() {
        return Err(ConfigError::Empty { path: path.to_owned() });
    }
    Ok(text)
}

/// Opens without waiting for the other end of a pipe.
pub(super) fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(OFlag::O_NONBLOCK.bits() | OFlag::O_NOCTTY.bits()).open(path)
}

fn written_by_nobody_else(path: &Path, meta: &Metadata) -> Result<(), ConfigError> {
    let insecure = |what: String| Err(ConfigError::Insecure { path: path.to_owned(), what });
    if meta.uid() != 0 && meta.uid() != nix::unistd::geteuid().as_raw() {
        return insecure(format!("belongs to uid {}", meta.uid()));
    }
    if meta.mode() & 0o022 != 0 {
        return insecure(format!("has mode {:04o}", meta.mode() & 0o7777));
    }
    Ok(())
}
