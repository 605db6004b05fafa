//! Reading a file that somebody else may own and may have put a trap in.

use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::fcntl::OFlag;
use zeroize::Zeroizing;

use super::failure::{Failure, OwnCode};

/// Largest file that is read, in bytes.
pub(crate) const MAX_FILE: u64 = 16 * 1024 * 1024;

/// The text of a regular file. A link, a pipe or a device is refused: the folder may be a user's, who
/// could make root read something else, or wait for ever.
pub(crate) fn read(path: &Path) -> Result<Zeroizing<String>, Failure> {
    let refuse = |what: &str| Failure::new(OwnCode::BadFile, format!("{} {what}", path.display()));
    let cannot = |error: io::Error| {
        if error.raw_os_error() == Some(nix::libc::ELOOP) {
            refuse("is a symbolic link: name the file itself")
        } else {
            refuse(&format!("could not be read: {error}"))
        }
    };
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let file = OpenOptions::new().read(true).custom_flags(flags.bits()).open(path).map_err(cannot)?;
    let metadata = file.metadata().map_err(cannot)?;
    if !metadata.is_file() {
        return Err(refuse("is not a regular file"));
    }
    let too_long = || refuse("is longer than 16 MiB: split it");
    if metadata.len() > MAX_FILE {
        return Err(too_long());
    }
    // Reserved whole, so that no copy of a secret stays behind in a buffer that was grown out of.
    let capacity = usize::try_from(metadata.len()).unwrap_or(0) + 1;
    let mut bytes = Zeroizing::new(Vec::with_capacity(capacity));
    // It may grow meanwhile.
    file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(cannot)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(too_long());
    }
    match String::from_utf8(std::mem::take(&mut *bytes)) {
        Ok(text) => Ok(Zeroizing::new(text)),
        Err(error) => {
            drop(Zeroizing::new(error.into_bytes()));
            Err(refuse("is not text in UTF-8"))
        }
    }
}
