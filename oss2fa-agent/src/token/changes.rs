//! The system's word for a key that comes, goes, or may be opened from now on: the folder of their files is watched.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

/// What has changed in a folder since it was looked at.
#[derive(Debug)]
pub struct Changes(Inotify);

impl Changes {
    /// `None` where the system has no more of them to give: then somebody has to look now and then.
    pub(super) fn of(folder: &Path) -> Option<Self> {
        let watched = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK).and_then(|watch| {
            // udev lets the daemon's group at a file some time after it was made.
            let all = AddWatchFlags::IN_CREATE
                | AddWatchFlags::IN_DELETE
                | AddWatchFlags::IN_MOVED_TO
                | AddWatchFlags::IN_ATTRIB;
            watch.add_watch(folder, all).map(|_| Self(watch))
        });
        watched
            .inspect_err(
                |error| tracing::warn!(code = "keys", %error, "keys that come and go are looked for"),
            )
            .ok()
    }

    /// Forgets what was told.
    pub(super) fn take(&self) {
        // Each read takes what fits; none is left when it fails.
        while self.0.read_events().is_ok_and(|events| !events.is_empty()) {}
    }
}

impl AsFd for Changes {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

    use super::*;

    #[test]
    fn a_file_that_comes_may_be_opened_or_goes_is_told_once() {
        let folder = tempfile::tempdir().unwrap();
        let changes = Changes::of(folder.path()).unwrap();
        let told = || {
            let told =
                poll(&mut [PollFd::new(changes.as_fd(), PollFlags::POLLIN)], PollTimeout::ZERO).unwrap();
            changes.take();
            told == 1
        };
        let file = folder.path().join("hidraw0");
        assert!(!told());
        File::create(&file).unwrap();
        assert!(told() && !told());
        fs::set_permissions(&file, Permissions::from_mode(0o660)).unwrap();
        assert!(told() && !told());
        fs::remove_file(&file).unwrap();
        assert!(told() && !told());
        assert!(Changes::of(&folder.path().join("nowhere")).is_none());
    }
}
