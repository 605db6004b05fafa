//! A copy of the store that is being written: under a name of its own until it is whole, so that nobody takes half of
//! it for a backup, whenever whoever makes it ends.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use nix::unistd::geteuid;

use super::error::StoreError;

/// `FILE.part`, until it becomes `FILE`.
pub(super) struct Part {
    /// Locked for as long as somebody writes: what is there without a lock was left, and is written over.
    file: File,
    /// Empty once the file has its name.
    part: String,
    whole: PathBuf,
}

impl Part {
    /// Begins an empty one, mode 0600.
    ///
    /// # Errors
    /// [`StoreError::File`]: there is something of the whole's name, somebody else is at it, or it cannot be made.
    pub(super) fn of(whole: &Path) -> Result<Self, StoreError> {
        let refuse = |what: String| StoreError::File { path: whole.to_owned(), what };
        let part = whole.to_str().ok_or_else(|| refuse("a backup's path must be text".to_owned()))?;
        let part = format!("{part}.part");
        let cannot = |error: io::Error| refuse(format!("no new file can be made here: {error}"));
        let file = opened(&part).map_err(cannot)?;
        // Where there are no locks, as on some network's disk, nobody is kept away.
        let locked = !matches!(file.try_lock(), Err(TryLockError::WouldBlock));
        // Whoever had the lock before may have given the file its name meanwhile.
        if !locked || !is_named(&file, &part) {
            return Err(refuse(format!("somebody else writes {part} just now")));
        }
        is_free(whole)?;
        // With pages of an earlier try in it SQLite would take it for a database that is there.
        file.set_len(0).map_err(cannot)?;
        let _ = fs::remove_file(format!("{part}-journal"));
        Ok(Self { file, part, whole: whole.to_owned() })
    }

    /// Where to write.
    pub(super) fn path(&self) -> &str {
        &self.part
    }

    /// Gives it its name, once it is on the disk.
    ///
    /// # Errors
    /// [`StoreError::File`], also where that name was taken meanwhile.
    pub(super) fn finish(mut self) -> Result<(), StoreError> {
        is_free(&self.whole)?;
        let finished = self.file.sync_all().and_then(|()| fs::rename(&self.part, &self.whole));
        // The name, too. A folder that cannot be opened has it all the same, a moment later.
        let folder =
            self.whole.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let _ = File::open(folder).and_then(|folder| folder.sync_all());
        finished.map_err(|error| StoreError::File {
            path: self.whole.clone(),
            what: format!("the copy could not be put in place: {error}"),
        })?;
        self.part.clear();
        Ok(())
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if !self.part.is_empty() {
            let _ = fs::remove_file(&self.part);
        }
    }
}

fn is_free(whole: &Path) -> Result<(), StoreError> {
    if whole.symlink_metadata().is_err() {
        return Ok(());
    }
    Err(StoreError::File { path: whole.to_owned(), what: "it is there already".to_owned() })
}

fn is_named(file: &File, name: &str) -> bool {
    match (file.metadata(), fs::symlink_metadata(name)) {
        (Ok(open), Ok(there)) => (open.dev(), open.ino()) == (there.dev(), there.ino()),
        _ => false,
    }
}

/// A new file, or one that an earlier try of ours has left: nothing that others made or could read.
fn opened(part: &str) -> io::Result<File> {
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(part);
    if !made.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::AlreadyExists) {
        return made;
    }
    let flags = (OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits();
    let file = OpenOptions::new().write(true).custom_flags(flags).open(part)?;
    let meta = file.metadata()?;
    let ours =
        meta.is_file() && meta.uid() == geteuid().as_raw() && meta.mode() & 0o077 == 0 && meta.nlink() == 1;
    if ours { Ok(file) } else { Err(io::Error::other(format!("{part} is there: move it away"))) }
}
