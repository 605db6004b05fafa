//! The file of an embedded store: its mode, its name, the length of its log.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::error::StoreError;

/// Length of the write-ahead log at which it is brought into the database (1000 pages of 4 KiB with their headers),
/// and what comes meanwhile under load.
const LOG_LENGTH: u64 = 1250 * (4096 + 24);

/// Which files are open; by another name or behind the same name there may be others.
#[derive(Debug)]
pub(super) struct OpenFile {
    store: Named,
    /// What SQLite keeps beside it for as long as anybody has it open: what was committed last stands in the log
    /// alone, and who opens the store next finds it by its name.
    beside: Vec<Named>,
}

/// A file, by its name and by what it is.
#[derive(Debug)]
struct Named {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl Named {
    fn of(path: PathBuf, meta: &Metadata) -> Self {
        Self { path, device: meta.dev(), inode: meta.ino() }
    }

    fn is_there(&self) -> bool {
        fs::metadata(&self.path).is_ok_and(|meta| (meta.dev(), meta.ino()) == (self.device, self.inode))
    }
}

impl OpenFile {
    /// The same with what SQLite has put beside it, which stays there until the last connection closes.
    pub(super) fn with_log(mut self) -> Result<Self, StoreError> {
        for end in ["-wal", "-shm"] {
            let path = beside(&self.store.path, end);
            let meta = fs::metadata(&path).map_err(|error| StoreError::File {
                path: path.clone(),
                what: format!("the store's log cannot be looked at: {error}"),
            })?;
            self.beside.push(Named::of(path, &meta));
        }
        Ok(self)
    }

    /// Whether the files that are open still have their names.
    pub(super) fn still_there(&self) -> Result<(), StoreError> {
        if !self.store.is_there() {
            return Err(StoreError::File {
                path: self.store.path.clone(),
                what: "the store was removed or replaced while it is open, so nothing is written any more: stop \
                       the server, put the right file back, start the server"
                    .to_owned(),
            });
        }
        let Some(gone) = self.beside.iter().find(|file| !file.is_there()) else { return Ok(()) };
        Err(StoreError::File {
            path: gone.path.clone(),
            what: "this part of the store was removed or replaced while it is open, so nothing is written any more. \
                   Stop the server by SIGTERM (systemctl stop), which still brings into the store what was written \
                   before; and start it again"
                .to_owned(),
        })
    }
}

fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    name.into()
}

/// Makes the file where it is missing, with mode 0600 from its first moment: what SQLite puts beside it gets
/// the same mode.
pub(super) fn closed_to_others(path: &Path) -> Result<OpenFile, StoreError> {
    let refuse = |what: String| Err(StoreError::File { path: path.to_owned(), what });
    let opened = OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)
        .and_then(|file| file.metadata());
    let meta = match opened {
        Ok(meta) => meta,
        Err(error) => {
            return refuse(format!(
                "the store cannot be opened for writing by uid {}: {error}. The file and its folder must be \
                 that user's own",
                nix::unistd::geteuid()
            ));
        }
    };
    if !meta.is_file() {
        return refuse("the store is not a regular file".to_owned());
    }
    if meta.mode() & 0o077 != 0 {
        return refuse(format!(
            "the store has mode {:04o}, so others than its owner could read or change it. Mend it with: \
             chmod 0600 {}",
            meta.mode() & 0o7777,
            path.display()
        ));
    }
    Ok(OpenFile { store: Named::of(path.to_owned(), &meta), beside: Vec::new() })
}

// SQLite writes over the log from its beginning again and again. Where the file has its full length from
// the start, a sync writes the data alone; where it grows, the file system's own books as well, which
// takes several times as long. What follows the last valid frame is no part of the log.
pub(super) fn lay_out_log(path: &Path) -> io::Result<()> {
    let log = beside(path, "-wal");
    let mut file: File = OpenOptions::new().append(true).create(true).mode(0o600).open(&log)?;
    let length = file.metadata()?.len();
    io::copy(&mut io::repeat(0).take(LOG_LENGTH.saturating_sub(length)), &mut file)?;
    file.sync_all()
}
