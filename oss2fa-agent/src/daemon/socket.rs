//! The listening socket: systemd's, or our own.

use std::fs;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use listenfd::ListenFd;

use super::start::ServeError;

/// Whose socket it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Made {
    /// Systemd's: it stays when the agent goes, and queues who comes meanwhile.
    BySystemd,
    /// Our own.
    ByUs,
}

/// Takes the socket that systemd passed, or binds `path`.
pub(super) fn listen(path: &Path, passed: &mut ListenFd) -> Result<(UnixListener, Made), ServeError> {
    let failed = |what: &str, error: std::io::Error| ServeError::Socket {
        path: path.to_owned(),
        what: format!("{what}: {error}"),
    };
    let taken = passed
        .take_unix_listener(0)
        .map_err(|error| failed("systemd passed something else than a Unix stream socket", error))?;
    let (listener, made) = match taken {
        Some(listener) => (listener, Made::BySystemd),
        None => (bind(path)?, Made::ByUs),
    };
    listener.set_nonblocking(true).map_err(|error| failed("it cannot be set up", error))?;
    Ok((listener, made))
}

// Bound under another name and moved, so that nobody meets it with the wrong mode, and so that a
// socket left by a crash is replaced in one step.
fn bind(path: &Path) -> Result<UnixListener, ServeError> {
    let failed = |what: &str, error: std::io::Error| ServeError::Socket {
        path: path.to_owned(),
        what: format!("{what}: {error}"),
    };
    if let Some(folder) = path.parent().filter(|folder| !folder.exists()) {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(folder)
            .map_err(|error| failed("its folder cannot be made", error))?;
    }
    if let Ok(meta) = fs::symlink_metadata(path) {
        if !meta.file_type().is_socket() {
            return Err(ServeError::Socket {
                path: path.to_owned(),
                what: "something that is not a socket is in its place".to_owned(),
            });
        }
        if UnixStream::connect(path).is_ok() {
            return Err(ServeError::AlreadyRunning(path.to_owned()));
        }
    }
    let mut fresh = path.as_os_str().to_owned();
    fresh.push(".new");
    let fresh = Path::new(&fresh);
    let _ = fs::remove_file(fresh);
    let listener = UnixListener::bind(fresh).map_err(|error| failed("it cannot be made", error))?;
    // Everybody may connect: the peer's uid decides about each request.
    fs::set_permissions(fresh, fs::Permissions::from_mode(0o666))
        .and_then(|()| fs::rename(fresh, path))
        .map_err(|error| failed("it cannot be put in place", error))?;
    Ok(listener)
}
