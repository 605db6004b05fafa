//! The master key's file: made on first start, and refused when anybody else could read it.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER_PERMISSIVE;
use nix::fcntl::OFlag;
use oss2fa_core::keys::{KEY_LENGTH, KeyBytes};
use zeroize::Zeroizing;

use super::error::StoreError;
use crate::config::MasterKeySource;
use crate::outside::Random;

/// Who the agent runs as: the only one, beside root, who may own its files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    /// Uid.
    pub uid: u32,
    /// Gid.
    pub gid: u32,
}

/// What is known of the key before the store is open.
pub enum Found {
    /// It is there.
    Key(KeyBytes),
    /// There is no such file. Right on the very first start, fatal on any later one.
    Missing(PathBuf),
}

/// Reads the key.
///
/// # Errors
/// [`StoreError::File`] where it cannot be read, is not a key, or where others could have read it.
pub fn find(source: &MasterKeySource, owner: Owner, credentials: Option<&Path>) -> Result<Found, StoreError> {
    match source {
        MasterKeySource::File(path) => read(path, Some(owner)),
        MasterKeySource::Credential(name) => {
            let Some(folder) = credentials else {
                return Err(StoreError::File {
                    path: PathBuf::from(format!("credential:{name}")),
                    what: format!(
                        "systemd passed no credentials. Add LoadCredential={name}:PATH to the unit, or name a file"
                    ),
                });
            };
            // Systemd made that folder for this service alone.
            match read(&folder.join(name), None)? {
                Found::Missing(path) => Err(StoreError::File {
                    path,
                    what: format!(
                        "there is no credential of this name. Add LoadCredential={name}:PATH to the unit"
                    ),
                }),
                found => Ok(found),
            }
        }
    }
}

/// Makes a new key beside `path`, mode 0600, and syncs it to disk. [`put_in_place`] gives it its name.
///
/// # Errors
/// [`StoreError::File`] where it cannot be written.
pub fn create(path: &Path, owner: Owner, random: &dyn Random) -> Result<KeyBytes, StoreError> {
    let key = KeyBytes::generate(random)?;
    let text = Zeroizing::new(format!("{}\n", HEXLOWER_PERMISSIVE.encode(key.expose())));
    let write = || -> std::io::Result<()> {
        // What a start left behind that did not come to its end.
        let fresh = beside(path);
        if fresh.symlink_metadata().is_ok() {
            std::fs::remove_file(&fresh)?;
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
        if nix::unistd::geteuid().is_root() {
            fchown(&file, Some(owner.uid), Some(owner.gid))?;
        }
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
    };
    write().map_err(|error| StoreError::File {
        path: path.to_owned(),
        what: format!("the master key cannot be made: {error}"),
    })?;
    Ok(key)
}

/// Gives the key that [`create`] made its name.
///
/// # Errors
/// [`StoreError::File`].
pub fn put_in_place(path: &Path) -> Result<(), StoreError> {
    std::fs::rename(beside(path), path)
        .and_then(|()| path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all()))
        .map_err(|error| StoreError::File {
            path: path.to_owned(),
            what: format!("the master key cannot be put in place: {error}"),
        })
}

/// Whether the first start was cut short between making the store and naming its key.
#[must_use]
pub fn is_half_made(path: &Path) -> bool {
    beside(path).symlink_metadata().is_ok()
}

/// That key.
///
/// # Errors
/// As [`find`].
pub fn half_made(path: &Path, owner: Owner) -> Result<KeyBytes, StoreError> {
    match read(&beside(path), Some(owner))? {
        Found::Key(key) => Ok(key),
        Found::Missing(path) => {
            Err(StoreError::File { path, what: "the master key has gone meanwhile".to_owned() })
        }
    }
}

fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    PathBuf::from(name)
}

fn read(path: &Path, owner: Option<Owner>) -> Result<Found, StoreError> {
    let refuse = |what: String| Err(StoreError::File { path: path.to_owned(), what });
    let opened =
        OpenOptions::new().read(true).custom_flags((OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits()).open(path);
    let file = match opened {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Ok(Found::Missing(path.to_owned()));
        }
        Err(error) => return refuse(format!("the master key cannot be read: {error}")),
    };
    let meta = match file.metadata() {
        Ok(meta) => meta,
        Err(error) => return refuse(format!("the master key cannot be read: {error}")),
    };
    if !meta.is_file() {
        return refuse("the master key is not a regular file".to_owned());
    }
    if let Some(owner) = owner {
        if meta.uid() != 0 && meta.uid() != owner.uid {
            return refuse(format!(
                "the master key belongs to uid {}, not to root or to the agent's user (uid {}). \
                 Whoever that is may have read it: make a new store, or chown it if you are sure",
                meta.uid(),
                owner.uid
            ));
        }
        if meta.mode() & 0o077 != 0 {
            return refuse(format!(
                "the master key has mode {:04o}, so others than its owner could read it. \
                 Mend it with: chmod 0600 {}",
                meta.mode() & 0o7777,
                path.display()
            ));
        }
    }
    let mut text = Zeroizing::new(Vec::with_capacity(4 * KEY_LENGTH));
    if let Err(error) = file.take(4 * KEY_LENGTH as u64).read_to_end(&mut text) {
        return refuse(format!("the master key cannot be read: {error}"));
    }
    let decoded = HEXLOWER_PERMISSIVE.decode(text.trim_ascii()).map(Zeroizing::new);
    match decoded.ok().as_deref().and_then(|bytes| KeyBytes::from_slice(bytes)) {
        Some(key) => Ok(Found::Key(key)),
        None => refuse(format!("the master key is not {KEY_LENGTH} bytes in hexadecimal")),
    }
}
