//! The files of a host below its root folder, with changes that are only planned laid over them.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};
use nix::sys::stat::Mode;

/// Longest file that is read, in bytes: no stack and no configuration of sshd comes near it.
const LONGEST: u64 = 1024 * 1024;

/// A host's files. Paths in it begin with `/` and are meant from its root.
#[derive(Debug, Clone)]
pub struct Tree {
    root: PathBuf,
    planned: BTreeMap<PathBuf, Option<String>>,
}

impl Tree {
    /// The host whose root folder is `root`.
    #[must_use]
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_owned(), planned: BTreeMap::new() }
    }

    /// The same host after `path` has got this text, or has gone.
    #[must_use]
    pub fn with(mut self, path: &Path, text: Option<String>) -> Self {
        self.planned.insert(path.to_owned(), text);
        self
    }

    /// Whether this is the running system and not a folder with another one in it.
    #[must_use]
    pub fn is_running_system(&self) -> bool {
        self.root == Path::new("/")
    }

    /// Where a path of the host is on this machine: what messages name.
    #[must_use]
    pub fn shown(&self, path: &Path) -> PathBuf {
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// The text of a file; `None` where there is none. Bytes that are not UTF-8 become U+FFFD.
    ///
    /// # Errors
    /// Where it is there and cannot be read, or is longer than 1 MiB.
    pub fn read(&self, path: &Path) -> io::Result<Option<String>> {
        if let Some(planned) = self.planned.get(path) {
            return Ok(planned.clone());
        }
        let file = match self.open(path, OFlag::O_RDONLY) {
            Ok(file) => file,
            Err(error) => return missing_is_none(error),
        };
        if !file.metadata()?.is_file() {
            return Err(io::Error::other("it is not a regular file"));
        }
        let mut bytes = Vec::new();
        file.take(LONGEST + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > LONGEST {
            return Err(io::Error::other(format!("it is longer than {LONGEST} bytes")));
        }
        Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// Names in a folder, sorted; none where there is no such folder.
    ///
    /// # Errors
    /// Where it is there and cannot be read.
    pub fn names(&self, folder: &Path) -> io::Result<Vec<String>> {
        let mut names = match self.open(folder, OFlag::O_DIRECTORY) {
            Err(error) => missing_is_none(error)?.unwrap_or_default(),
            Ok(opened) => {
                let mut names = Vec::new();
                // By its number: the way there was resolved within the root already.
                let path = format!("/proc/self/fd/{}", opened.as_raw_fd());
                for entry in std::fs::read_dir(path)? {
                    names.push(entry?.file_name().to_string_lossy().into_owned());
                }
                names
            }
        };
        for (path, text) in &self.planned {
            let Some(name) = path.file_name().filter(|_| path.parent() == Some(folder)) else { continue };
            let name = name.to_string_lossy().into_owned();
            names.retain(|other| *other != name);
            if text.is_some() {
                names.push(name);
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    /// Whether there is something of this name.
    #[must_use]
    pub fn has(&self, path: &Path) -> bool {
        match self.planned.get(path) {
            Some(planned) => planned.is_some(),
            None => self.open(path, OFlag::O_PATH).is_ok(),
        }
    }

    // Links in a host's folder mean that host, also those that begin with `/`.
    fn open(&self, path: &Path, flags: OFlag) -> io::Result<File> {
        let flags = match flags.contains(OFlag::O_PATH) {
            true => OFlag::O_PATH | OFlag::O_CLOEXEC,
            false => flags | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK | OFlag::O_NOCTTY,
        };
        if self.is_running_system() {
            return OpenOptions::new().read(true).custom_flags(flags.bits()).open(path);
        }
        let root = File::open(&self.root)?;
        let how = OpenHow::new().flags(flags).mode(Mode::empty()).resolve(ResolveFlag::RESOLVE_IN_ROOT);
        Ok(File::from(openat2(root.as_fd(), path, how)?))
    }
}

fn missing_is_none<T>(error: io::Error) -> io::Result<Option<T>> {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Ok(None),
        _ => Err(error),
    }
}
