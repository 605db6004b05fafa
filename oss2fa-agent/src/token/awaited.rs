//! A file that is there while somebody is to touch a key: desktops can watch it and say so.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

/// The file, and how many touches are awaited.
#[derive(Debug, Clone)]
pub(super) struct Awaited(Arc<(PathBuf, Mutex<usize>)>);

/// While it lives, a touch is awaited.
#[derive(Debug)]
pub(super) struct TouchAwaited(Awaited);

impl Awaited {
    /// A file that an agent before this one left is taken away.
    pub(super) fn at(path: PathBuf) -> Self {
        let _none_there = fs::remove_file(&path);
        Self(Arc::new((path, Mutex::new(0))))
    }

    pub(super) fn begin(&self) -> TouchAwaited {
        let (path, count) = &*self.0;
        let mut count = count.lock().unwrap_or_else(PoisonError::into_inner);
        *count += 1;
        if *count == 1 {
            // It says that a touch is awaited, and nothing of whose. Nothing depends on it.
            let made = OpenOptions::new().write(true).create_new(true).mode(0o644).open(path);
            if let Err(error) = made {
                tracing::debug!(%error, path = %path.display(), "nobody is shown that a touch is awaited");
            }
        }
        TouchAwaited(self.clone())
    }
}

impl Drop for TouchAwaited {
    fn drop(&mut self) {
        let (path, count) = &*self.0.0;
        let mut count = count.lock().unwrap_or_else(PoisonError::into_inner);
        *count = count.saturating_sub(1);
        if *count == 0 {
            let _none_there = fs::remove_file(path);
        }
    }
}
