//! The master keys' file: 64 hexadecimal digits a line; the first line wraps, all of them unwrap.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, chown};
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER_PERMISSIVE;
use hkdf::Hkdf;
use nix::fcntl::OFlag;
use oss2fa_core::keys::{KEY_LENGTH, KeyBytes, MacKey};
use oss2fa_core::random::Random;
use oss2fa_core::secret::SecretText;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::store::error::StoreError;

/// Most keys in one file.
const MOST: usize = 16;

/// Bytes of a key's id.
const ID_LENGTH: usize = 8;

/// Where the master keys come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MasterKeySource {
    /// A file, made on the first start.
    File(PathBuf),
    /// A credential that systemd passed; its full path.
    Credential(PathBuf),
    /// A text of at least 32 characters, which the key is derived from.
    Secret(SecretText),
}

impl MasterKeySource {
    /// The path, wherever it comes from.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            Self::File(path) | Self::Credential(path) => path,
            Self::Secret(_) => Path::new("SECRET_KEY of the environment"),
        }
    }
}

/// The keys of the file, at least one.
pub struct MasterKeys {
    first: ([u8; ID_LENGTH], KeyBytes),
    older: Vec<([u8; ID_LENGTH], KeyBytes)>,
}

impl MasterKeys {
    /// Reads the file.
    ///
    /// # Errors
    /// [`StoreError::File`] where it is not there, is no list of keys, or others could have read it.
    pub fn read(source: &MasterKeySource) -> Result<Self, StoreError> {
        if let MasterKeySource::Secret(secret) = source {
            let key = derived(secret)?;
            return Ok(Self { first: (id_of(&key), key), older: Vec::new() });
        }
        let path = source.path();
        let text = read_private(source).map_err(|what| StoreError::File { path: path.to_owned(), what })?;
        let mut keys = Vec::new();
        for line in text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty())
        {
            let bytes = HEXLOWER_PERMISSIVE.decode(line).map(Zeroizing::new).ok();
            let key = bytes.and_then(|bytes| KeyBytes::from_slice(&bytes));
            keys.push(key.ok_or_else(|| refused(path, "each line must be a key: 64 hexadecimal digits"))?);
        }
        if keys.len() > MOST {
            return Err(refused(path, "there are more than 16 keys: take out those that wrap nothing"));
        }
        let mut keys = keys.into_iter().map(|key| (id_of(&key), key));
        let first = keys.next().ok_or_else(|| refused(path, "the master key file is empty"))?;
        Ok(Self { first, older: keys.collect() })
    }

    /// Makes a new key in a new file, mode 0600, synced to disk.
    ///
    /// # Errors
    /// [`StoreError::File`] where it cannot be written, or is there already.
    pub fn create(path: &Path, random: &dyn Random) -> Result<Self, StoreError> {
        let key = KeyBytes::generate(random)?;
        write_new(path, &[&key])
            .map_err(|error| refused(path, &format!("the master key cannot be made: {error}")))?;
        Ok(Self { first: (id_of(&key), key), older: Vec::new() })
    }

    /// Whether there is such a file.
    #[must_use]
    pub fn is_there(path: &Path) -> bool {
        path.symlink_metadata().is_ok()
    }

    /// Puts a new key in front of those of the file, which is replaced at once or not at all.
    ///
    /// # Errors
    /// [`StoreError::File`].
    pub fn prepend(self, path: &Path, random: &dyn Random) -> Result<Self, StoreError> {
        if self.count() >= MOST {
            return Err(refused(path, "there are 16 keys in it already: finish the last rotation first"));
        }
        let key = KeyBytes::generate(random)?;
        let Self { first, mut older } = self;
        older.insert(0, first);
        let fresh = Self { first: (id_of(&key), key), older };
        fresh.replace(path)?;
        Ok(fresh)
    }

    /// Drops all keys but the first, in the file too.
    ///
    /// # Errors
    /// [`StoreError::File`].
    pub fn keep_first(self, path: &Path) -> Result<Self, StoreError> {
        let fresh = Self { first: self.first, older: Vec::new() };
        fresh.replace(path)?;
        Ok(fresh)
    }

    /// How many keys there are.
    #[must_use]
    pub fn count(&self) -> usize {
        1 + self.older.len()
    }

    pub(super) fn ids(&self) -> Vec<Vec<u8>> {
        std::iter::once(&self.first).chain(&self.older).map(|(id, _)| id.to_vec()).collect()
    }

    pub(super) fn first(&self) -> (&[u8], &KeyBytes) {
        (&self.first.0, &self.first.1)
    }

    pub(super) fn knows(&self, id: &[u8]) -> bool {
        self.by_id(id).is_some()
    }

    pub(super) fn by_id(&self, id: &[u8]) -> Option<&KeyBytes> {
        std::iter::once(&self.first)
            .chain(&self.older)
            .find(|(known, _)| known.as_slice() == id)
            .map(|(_, key)| key)
    }

    fn replace(&self, path: &Path) -> Result<(), StoreError> {
        let keys: Vec<&KeyBytes> =
            std::iter::once(&self.first).chain(&self.older).map(|(_, key)| key).collect();
        let mut fresh = path.as_os_str().to_owned();
        fresh.push(".new");
        let fresh = PathBuf::from(fresh);
        let write = || {
            if fresh.symlink_metadata().is_ok() {
                std::fs::remove_file(&fresh)?;
            }
            write_new(&fresh, &keys)?;
            // Root does this for the server's own user, who must be able to read it afterwards.
            let owner = path.metadata()?;
            chown(&fresh, Some(owner.uid()), Some(owner.gid()))?;
            std::fs::rename(&fresh, path)?;
            path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
        };
        write().map_err(|error| refused(path, &format!("the master key file cannot be replaced: {error}")))
    }
}

fn id_of(key: &KeyBytes) -> [u8; ID_LENGTH] {
    let id = MacKey::new(&key.derive(b"oss2fa server master key id 1")).mac(&[]);
    let mut short = [0; ID_LENGTH];
    short.iter_mut().zip(id).for_each(|(to, from)| *to = from);
    short
}

/// HKDF-SHA-256 (RFC 5869) over the text.
fn derived(secret: &SecretText) -> Result<KeyBytes, StoreError> {
    let mut bytes = Zeroizing::new([0; KEY_LENGTH]);
    Hkdf::<Sha256>::new(Some(b"oss2fa server"), secret.expose().as_bytes())
        .expand(b"master key from SECRET_KEY 1", bytes.as_mut_slice())
        .ok()
        .and_then(|()| KeyBytes::from_slice(bytes.as_slice()))
        .ok_or(StoreError::Corrupt("a secret that no key can be derived from"))
}

fn write_new(path: &Path, keys: &[&KeyBytes]) -> std::io::Result<()> {
    let mut text = Zeroizing::new(String::with_capacity(keys.len() * (2 * KEY_LENGTH + 1)));
    for key in keys {
        let line = Zeroizing::new(HEXLOWER_PERMISSIVE.encode(key.expose()));
        text.push_str(&line);
        text.push('\n');
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

fn read_private(source: &MasterKeySource) -> Result<Zeroizing<Vec<u8>>, String> {
    let path = source.path();
    let cannot = |error: std::io::Error| format!("the master key cannot be read: {error}");
    let flags = (OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(cannot)?;
    let meta = file.metadata().map_err(cannot)?;
    if !meta.is_file() {
        return Err("the master key is not a regular file".to_owned());
    }
    // Systemd made the folder of a credential for this service alone.
    if matches!(source, MasterKeySource::File(_)) && meta.mode() & 0o077 != 0 {
        return Err(format!(
            "the master key has mode {:04o}, so others than its owner could read it. \
             Mend it with: chmod 0600 {}",
            meta.mode() & 0o7777,
            path.display()
        ));
    }
    let mut text = Zeroizing::new(Vec::with_capacity(4096));
    file.take(4096).read_to_end(&mut text).map_err(cannot)?;
    Ok(text)
}

fn refused(path: &Path, what: &str) -> StoreError {
    StoreError::File { path: path.to_owned(), what: what.to_owned() }
}
