//! A password that stands in a file of its own, so that the configuration can be shown to people.

use std::io::{ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use oss2fa_core::secret::SecretText;
use zeroize::Zeroizing;

use super::{ConfigError, file};

const LONGEST: u64 = 16 * 1024;

/// Where a password is, and which key named it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PasswordFile {
    path: PathBuf,
    key: &'static str,
}

impl PasswordFile {
    pub(super) fn new(path: PathBuf, key: &'static str) -> Self {
        Self { path, key }
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the password: one line of text in UTF-8, without its line end. Nothing is kept, so that a
    /// changed file counts from the next call.
    ///
    /// # Errors
    /// [`ConfigError::Password`] if it cannot be read, is open to everybody (mode bits 0007), or is not one line.
    pub fn read(&self) -> Result<SecretText, ConfigError> {
        let bad = |what: String| ConfigError::Password { path: self.path.clone(), key: self.key, what };
        let failed = |error: std::io::Error| bad(format!("cannot be read: {error}"));
        let file = file::open(&self.path).map_err(failed)?;
        let meta = file.metadata().map_err(failed)?;
        if !meta.is_file() {
            return Err(bad("is not a regular file".to_owned()));
        }
        if meta.mode() & 0o007 != 0 {
            let (mode, path) = (meta.mode() & 0o7777, self.path.display());
            return Err(bad(format!(
                "has mode {mode:04o}: everybody on this machine can get at the password. Mend it with: chmod o-rwx {path}; then change the password"
            )));
        }
        // Room for all of it from the start: a buffer that grows leaves copies behind.
        let mut text = Zeroizing::new(String::with_capacity(LONGEST as usize + 64));
        file.take(LONGEST + 1).read_to_string(&mut text).map_err(|error| match error.kind() {
            ErrorKind::InvalidData => bad("is not text in UTF-8".to_owned()),
            _ => failed(error),
        })?;
        if text.len() as u64 > LONGEST {
            return Err(bad(format!("is longer than {LONGEST} bytes")));
        }
        let line = text.strip_suffix('\n').unwrap_or(&text);
        let line = line.strip_suffix('\r').unwrap_or(line);
        if line.is_empty() {
            return Err(bad("is empty: write the password into it".to_owned()));
        }
        if line.chars().any(char::is_control) {
            return Err(bad("must hold the password in one line, without control characters".to_owned()));
        }
        Ok(SecretText::new(line.to_owned()))
    }
}
