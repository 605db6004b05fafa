//! From the configuration to an open store: folders, keys, the first start.

use std::fs::{DirBuilder, File};
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::unistd::{AccessFlags, User, access, getuid};
use oss2fa_core::random::Random;

use crate::config::{Config, MasterKeySource as Configured, StoreUrl};
use crate::keys::{KeyRing, MasterKeySource, MasterKeys};
use crate::outside::Clock;
use crate::service::credential::{Credentials, hex};
use crate::store::error::StoreError;
use crate::store::verbs::integrations::Integration;
use crate::store::verbs::tenants::{Age, BeginServer, Begun, IsNew, Tenant};
use crate::store::{Place, Store};

/// What the first start has made; what proves the integration is shown now and never again.
pub struct First {
    /// The first tenant.
    pub tenant: Tenant,
    /// Its integration.
    pub integration: Integration,
    /// The token and the pair of that.
    pub credentials: Credentials,
}

/// Opens the store of the configuration; on the first start makes it, with its master key.
///
/// # Errors
/// A [`StoreError`] that says what is wrong and what to do.
pub async fn open(
    config: &Config,
    credentials: Option<&Path>,
    clock: &dyn Clock,
    random: Arc<dyn Random>,
) -> Result<(Store, Option<First>), StoreError> {
    let place = place(config);
    make_folder(&config.data_dir)?;
    let (source, found) = find_key(config, credentials, &*random)?;
    let (keys, state) = found;
    let ring = Arc::new(KeyRing::new(keys, source.clone(), Arc::clone(&random)));
    let store = Store::open(&place, ring, clock).await?;
    let age = store.read(IsNew).await?;
    match (state, age) {
        (KeyState::Made, Age::Old) => {
            // It was made a moment ago and has wrapped nothing.
            let _ = std::fs::remove_file(beside(source.path()));
            return Err(lost_key(source.path()));
        }
        (KeyState::There, Age::New)
            if matches!((&place, &source), (Place::Sqlite(_), MasterKeySource::File(_))) =>
        {
            return Err(lost_store(&place, source.path()));
        }
        _ => {}
    }
    let new = Credentials::generate(&*random)?;
    let begin = BeginServer { now: clock.now(), public_id: hex(&*random)?, credentials: new.digests() };
    let begun = store.write(begin).await?;
    if state != KeyState::There {
        put_in_place(source.path())?;
        store.ring().moved(MasterKeySource::File(source.path().to_owned()));
    }
    Ok(match begun {
        Begun::New(made) => {
            let (tenant, integration) = *made;
            (store, Some(First { tenant, integration, credentials: new }))
        }
        Begun::Before => (store, None),
    })
}

/// Opens the store of the configuration for a command beside the server: makes neither store nor key.
///
/// # Errors
/// [`StoreError::NoStore`] before the server's first start, and what else keeps it from opening.
pub async fn open_existing(
    config: &Config,
    credentials: Option<&Path>,
    random: Arc<dyn Random>,
) -> Result<Store, StoreError> {
    let place = place(config);
    if let Place::Sqlite(path) = &place {
        match path.metadata() {
            Ok(meta) if meta.len() > 0 => {}
            Err(error) if error.kind() != ErrorKind::NotFound => {
                let what = format!("the store cannot be read: {error}");
                return Err(StoreError::File { path: path.clone(), what });
            }
            _ => return Err(StoreError::NoStore(path.display().to_string())),
        }
    }
    let source = key_source(config, credentials)?;
    if matches!(source, MasterKeySource::File(_)) && !MasterKeys::is_there(source.path()) {
        return Err(lost_key(source.path()));
    }
    let keys = MasterKeys::read(&source)?;
    Store::open_existing(&place, Arc::new(KeyRing::new(keys, source, random))).await
}

/// Where the configuration has the store.
#[must_use]
pub fn place(config: &Config) -> Place {
    match &config.store {
        StoreUrl::Sqlite(path) => Place::Sqlite(path.clone()),
        StoreUrl::Postgres(url) => Place::Postgres {
            url: url.clone(),
            authorities: config.store_ca_file.clone(),
            connections: config.store_connections.get() as usize,
        },
    }
}

/// Whether what a first start makes has a folder to be in; makes none.
///
/// # Errors
/// [`StoreError::File`] where such a start would fail.
pub fn check_folders(config: &Config) -> Result<(), StoreError> {
    let data = &config.data_dir;
    let refuse = |path: &Path, what: String| Err(StoreError::File { path: path.to_owned(), what });
    // What is missing of the way there is made.
    if let Some(there) = data.ancestors().find(|path| path.symlink_metadata().is_ok())
        && !there.is_dir()
    {
        return refuse(there, format!("it is no folder, and the data folder {} must be one", data.display()));
    }
    let store = match &config.store {
        StoreUrl::Sqlite(path) => Some(("store", path)),
        StoreUrl::Postgres(_) => None,
    };
    let key = match &config.master_key {
        Configured::File(path) => Some(("master_key", path)),
        Configured::Credential(_) | Configured::Secret(_) => None,
    };
    for (name, file) in store.into_iter().chain(key) {
        if file.is_dir() {
            return refuse(file, format!("it is a folder, and `{name}` must be a file"));
        }
        match file.parent() {
            Some(folder) if !folder.is_dir() && !data.starts_with(folder) => {
                let what = format!(
                    "there is no such folder, and `{name}` is to lie in it. Make it for the user that runs the server"
                );
                return refuse(folder, what);
            }
            _ => {}
        }
        // A store is written beside itself, too; a key that is there is read.
        let written = match name {
            "store" => [file.parent(), Some(file)],
            _ if file.exists() => [None, None],
            _ => [file.parent(), None],
        };
        for path in written.into_iter().flatten() {
            check_writable(path, name)?;
        }
    }
    Ok(())
}

/// Whether the user that asks could write what is there of the way to it.
fn check_writable(path: &Path, name: &str) -> Result<(), StoreError> {
    let Some(there) = path.ancestors().find(|path| path.exists()) else { return Ok(()) };
    let needed = if there.is_dir() { AccessFlags::W_OK | AccessFlags::X_OK } else { AccessFlags::W_OK };
    access(there, needed).map_err(|error| {
        let what = format!(
            "{} cannot write it ({}), and `{name}` needs it. Look as the user that runs the server; give it to that user",
            User::from_uid(getuid()).ok().flatten().map_or_else(|| "this user".to_owned(), |user| user.name),
            error.desc()
        );
        StoreError::File { path: there.to_owned(), what }
    })
}

/// What was found of the master key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum KeyState {
    /// It was there.
    There,
    /// A first start made it and came to no end.
    HalfMade,
    /// This start has made it. It gets its name when the store was made with it.
    Made,
}

type FoundKey = (MasterKeySource, (MasterKeys, KeyState));

/// Where the master key is, or will be made.
///
/// # Errors
/// [`StoreError::File`] where it is a credential and systemd passed none.
pub fn key_source(config: &Config, credentials: Option<&Path>) -> Result<MasterKeySource, StoreError> {
    match &config.master_key {
        Configured::File(path) => Ok(MasterKeySource::File(path.clone())),
        Configured::Secret(secret) => Ok(MasterKeySource::Secret(secret.clone())),
        Configured::Credential(name) => {
            let folder = credentials.ok_or_else(|| StoreError::File {
                path: PathBuf::from(format!("credential:{name}")),
                what: format!(
                    "systemd passed no credentials. For the server add LoadCredential={name}:PATH to its unit, or \
                     name a file. Before a command beside it set CREDENTIALS_DIRECTORY=/run/credentials/UNIT"
                ),
            })?;
            Ok(MasterKeySource::Credential(folder.join(name)))
        }
    }
}

fn find_key(
    config: &Config,
    credentials: Option<&Path>,
    random: &dyn Random,
) -> Result<FoundKey, StoreError> {
    let source = key_source(config, credentials)?;
    let path = match &source {
        MasterKeySource::Credential(_) | MasterKeySource::Secret(_) => {
            return Ok((source.clone(), (MasterKeys::read(&source)?, KeyState::There)));
        }
        MasterKeySource::File(path) => path.clone(),
    };
    if MasterKeys::is_there(&path) {
        return Ok((source.clone(), (MasterKeys::read(&source)?, KeyState::There)));
    }
    let half = beside(&path);
    if MasterKeys::is_there(&half) {
        let keys = MasterKeys::read(&MasterKeySource::File(half))?;
        return Ok((source, (keys, KeyState::HalfMade)));
    }
    Ok((source, (MasterKeys::create(&half, random)?, KeyState::Made)))
}

fn make_folder(folder: &Path) -> Result<(), StoreError> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(|error| StoreError::File {
        path: folder.to_owned(),
        what: format!(
            "the data folder cannot be made: {error}. Make it for the user that runs the server, or name another \
             with --data-dir"
        ),
    })
}

fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    PathBuf::from(name)
}

fn put_in_place(path: &Path) -> Result<(), StoreError> {
    std::fs::rename(beside(path), path)
        .and_then(|()| path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all()))
        .map_err(|error| StoreError::File {
            path: path.to_owned(),
            what: format!("the master key cannot be put in place: {error}"),
        })
}

fn lost_key(path: &Path) -> StoreError {
    StoreError::File {
        path: path.to_owned(),
        what:
            "the master key is gone, and without it nothing in the store opens: put it back from its backup"
                .to_owned(),
    }
}

fn lost_store(place: &Place, key: &Path) -> StoreError {
    let path = match place {
        Place::Sqlite(path) => path.clone(),
        Place::Postgres { .. } => PathBuf::new(),
    };
    // An empty database made by this very start must not be taken for a new one by the next.
    StoreError::File {
        path,
        what: format!(
            "the store is gone or empty, but its master key {} is there: put the store back from its backup. \
             If you want to begin anew, move the key away first",
            key.display()
        ),
    }
}
