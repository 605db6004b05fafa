//! Opening the database: file modes, pragmas, migrations, keys.

use std::fs;
use std::io::Read;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, chown};
use std::path::Path;

use oss2fa_core::keys::KeyBytes;
use rusqlite::{Connection, OpenFlags, OptionalExtension, params};

use super::error::StoreError;
use super::keys::{Keys, unwrap_key, wrap};
use super::master_key::{Found, Owner};
use super::schema;
use crate::config::{MasterKeySource, StoreConfig};
use crate::outside::Random;

/// Length of the write-ahead log at which SQLite brings it into the database (1000 pages of 4 KiB with
/// their headers), and some more.
const LOG_LENGTH: u64 = 1100 * (4096 + 24);

/// Makes the store's folder where it is missing, owned by the agent's user and closed to others.
///
/// # Errors
/// [`StoreError::File`].
pub fn prepare_folder(path: &Path, owner: Owner) -> Result<(), StoreError> {
    let Some(folder) = path.parent().filter(|folder| !folder.exists()) else { return Ok(()) };
    let make = || {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        if nix::unistd::geteuid().is_root() {
            chown(folder, Some(owner.uid), Some(owner.gid))?;
        }
        Ok(())
    };
    make().map_err(|error: std::io::Error| StoreError::File {
        path: folder.to_owned(),
        what: format!("the store's folder cannot be made: {error}"),
    })
}

/// Opens the database for writing, with its keys. `create_key` makes the master key on the very first
/// start.
///
/// # Errors
/// A [`StoreError`] that says what is wrong and what to do.
pub fn open(
    config: &StoreConfig,
    master: Found,
    owner: Owner,
    random: &dyn Random,
    now: u64,
) -> Result<(Connection, Keys), StoreError> {
    let path = &config.path;
    not_lost(config, &master)?;
    closed_to_others(path, owner)?;
    let mut connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    schema::migrate(&mut connection, path, now)?;
    let wrapped: Option<Vec<u8>> = wrapped_data_key(&connection)?;
    let data = match (wrapped, master) {
        (Some(wrapped), Found::Key(master)) => {
            unwrap_key(&master, &wrapped).ok_or_else(|| wrong_key(config))?
        }
        (None, Found::Key(master)) => match &config.master_key {
            MasterKeySource::File(key) => return Err(lost(config, key)),
            MasterKeySource::Credential(_) => new_data_key(&connection, &master, random, now)?,
        },
        // The key gets its name when the store has been made with it: where both are there, or one of
        // them is not, it is clear what has happened.
        (None, Found::Missing(file)) => {
            let master = super::master_key::create(&file, owner, random)?;
            let data = new_data_key(&connection, &master, random, now)?;
            super::master_key::put_in_place(&file)?;
            data
        }
        (Some(wrapped), Found::Missing(file)) if super::master_key::is_half_made(&file) => {
            let master = super::master_key::half_made(&file, owner)?;
            let data = unwrap_key(&master, &wrapped).ok_or_else(|| wrong_key(config))?;
            super::master_key::put_in_place(&file)?;
            data
        }
        (Some(_), Found::Missing(file)) => {
            return Err(StoreError::File {
                path: file,
                what: format!(
                    "the master key is missing, and the store {} was made with one. Restore the key from \
                     where you keep it; without it no device works",
                    path.display()
                ),
            });
        }
    };
    // Slower without, no worse.
    if let Err(error) = lay_out_log(path) {
        tracing::warn!(%error, "the store's log could not be laid out in its full length");
    }
    Ok((connection, Keys::derive(&data)))
}

// A key without its store is a store that was lost, deleted or cut off. A new one would be empty: with
// `unenrolled = "skip"` everybody would pass. Whether systemd's credential was ever used cannot be told.
fn not_lost(config: &StoreConfig, master: &Found) -> Result<(), StoreError> {
    let empty = match fs::symlink_metadata(&config.path) {
        Ok(meta) => meta.is_file() && meta.len() == 0,
        Err(error) => error.kind() == std::io::ErrorKind::NotFound,
    };
    match (master, &config.master_key) {
        (Found::Key(_), MasterKeySource::File(key)) if empty => Err(lost(config, key)),
        _ => Ok(()),
    }
}

fn lost(config: &StoreConfig, key: &Path) -> StoreError {
    StoreError::File {
        path: config.path.clone(),
        what: format!(
            "the store is gone, but its master key {} is there. Restore the store from a backup; or, to begin \
             anew without any device, remove the key as well",
            key.display()
        ),
    }
}

/// Opens the database of a running or stopped agent for reading only, without its keys.
///
/// # Errors
/// As [`open`].
pub fn open_for_reading(path: &Path) -> Result<Connection, StoreError> {
    if let Err(error) = fs::metadata(path) {
        let what = match error.kind() {
            std::io::ErrorKind::NotFound => {
                "there is no store here yet: the agent makes it when it first starts".to_owned()
            }
            _ => format!("the store cannot be reached: {error}"),
        };
        return Err(StoreError::File { path: path.to_owned(), what });
    }
    let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    schema::check_applied(&connection, path)?;
    connection.pragma_update(None, "query_only", true)?;
    Ok(connection)
}

/// The keys of a database that is open for reading.
///
/// # Errors
/// As [`open`].
pub fn keys_of(connection: &Connection, config: &StoreConfig, master: Found) -> Result<Keys, StoreError> {
    let wrapped = wrapped_data_key(connection)?.ok_or(StoreError::Corrupt("no data key"))?;
    let master = match master {
        Found::Key(master) => master,
        Found::Missing(path) => {
            let what = "the master key is missing. Restore it from where you keep it".to_owned();
            return Err(StoreError::File { path, what });
        }
    };
    let data = unwrap_key(&master, &wrapped).ok_or_else(|| wrong_key(config))?;
    Ok(Keys::derive(&data))
}

/// One more connection for reading beside the writer.
///
/// # Errors
/// Those of SQLite.
pub fn reader(path: &Path) -> Result<Connection, StoreError> {
    let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    connection.pragma_update(None, "query_only", true)?;
    Ok(connection)
}

fn connect(path: &Path, flags: OpenFlags) -> Result<Connection, StoreError> {
    let flags = flags | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    // What a row held must not stay readable in the file after it was changed.
    connection.pragma_update(None, "secure_delete", "fast")?;
    connection.pragma_update(None, "cache_size", -512)?;
    connection.pragma_update(None, "temp_store", "memory")?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

fn wrapped_data_key(connection: &Connection) -> Result<Option<Vec<u8>>, StoreError> {
    Ok(connection.query_row("SELECT wrapped FROM data_key WHERE id = 1", [], |row| row.get(0)).optional()?)
}

fn new_data_key(
    connection: &Connection,
    master: &KeyBytes,
    random: &dyn Random,
    now: u64,
) -> Result<KeyBytes, StoreError> {
    let data = KeyBytes::generate(random)?;
    connection.execute(
        "INSERT INTO data_key (id, wrapped, created_at) VALUES (1, ?1, ?2)",
        params![wrap(master, &data, random)?, now.cast_signed()],
    )?;
    Ok(data)
}

// SQLite writes over the log from its beginning again and again. Where the file has its full length from
// the start, a sync writes the data alone; where it grows, the file system's own books as well, which
// takes several times as long. What follows the last valid frame is no part of the log.
fn lay_out_log(path: &Path) -> std::io::Result<()> {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    let mut file = fs::OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .custom_flags(nix::fcntl::OFlag::O_NOFOLLOW.bits())
        .open(&log)?;
    let length = file.metadata()?.len();
    std::io::copy(&mut std::io::repeat(0).take(LOG_LENGTH.saturating_sub(length)), &mut file)?;
    file.sync_all()
}

fn wrong_key(config: &StoreConfig) -> StoreError {
    let key = match &config.master_key {
        MasterKeySource::File(path) => path.display().to_string(),
        MasterKeySource::Credential(name) => format!("credential:{name}"),
    };
    StoreError::WrongKey { key, path: config.path.clone() }
}

// Made here with its mode, so that there is no moment in which others could open it.
fn closed_to_others(path: &Path, owner: Owner) -> Result<(), StoreError> {
    let refuse = |what: String| Err(StoreError::File { path: path.to_owned(), what });
    let opened = fs::OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .mode(0o600)
        .custom_flags(nix::fcntl::OFlag::O_NOFOLLOW.bits())
        .open(path)
        .and_then(|file| file.metadata());
    let meta = match opened {
        Ok(meta) => meta,
        Err(error) => {
            return refuse(format!(
                "the store cannot be opened by uid {}: {error}. The folders above must let that user through, \
                 and the last one must be the user's own",
                nix::unistd::geteuid()
            ));
        }
    };
    if !meta.is_file() {
        return refuse("the store is not a regular file".to_owned());
    }
    if meta.uid() != owner.uid && meta.uid() != 0 {
        return refuse(format!("the store belongs to uid {}, not to the agent's user", meta.uid()));
    }
    if meta.mode() & 0o077 != 0 {
        return refuse(format!(
            "the store has mode {:04o}, so others than its owner could read or change it. Mend it with: \
             chmod 0600 {}",
            meta.mode() & 0o7777,
            path.display()
        ));
    }
    Ok(())
}
