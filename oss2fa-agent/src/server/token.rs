//! The token with which this host shows the server who it is: a file that root or the daemon's user alone can read.

use std::fs::OpenOptions;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use nix::fcntl::OFlag;
use oss2fa_core::secret::SecretText;

/// Longest file, in bytes.
const LONGEST: u64 = 1024;

/// Reads the token.
///
/// # Errors
/// What is wrong with the file, and how to mend it.
pub fn read(path: &Path) -> Result<SecretText, String> {
    read_as(path, "token file", "the integration's token")
}

/// The same for another secret: what the file is called, and what it holds.
///
/// # Errors
/// As [`read`].
pub fn read_as(path: &Path, file_is: &str, holds: &str) -> Result<SecretText, String> {
    let shown = path.display();
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(OFlag::O_NONBLOCK.bits() | OFlag::O_NOCTTY.bits())
        .open(path)
        .map_err(|error| {
            format!(
                "the {file_is} {shown} cannot be read: {error}. It must be readable for the agent's user: \
                 chown root:oss2fa {shown}; chmod 640 {shown}"
            )
        })?;
    let meta = file.metadata().map_err(|error| format!("the {file_is} {shown} cannot be read: {error}"))?;
    let own = nix::unistd::geteuid().as_raw();
    let wrong = if !meta.is_file() {
        Some("is not a regular file".to_owned())
    } else if meta.uid() != 0 && meta.uid() != own {
        Some(format!("belongs to uid {}, who could read and replace it", meta.uid()))
    } else if meta.mode() & 0o037 != 0 {
        Some(format!("has mode {:04o}, so others could read or replace it", meta.mode() & 0o7777))
    } else {
        None
    };
    if let Some(wrong) = wrong {
        return Err(format!(
            "the {file_is} {shown} {wrong}. Mend it with: chown root:oss2fa {shown}; chmod 640 {shown}"
        ));
    }
    let mut text = String::new();
    let read = file.take(LONGEST + 1).read_to_string(&mut text);
    let text = SecretText::new(text);
    let token = text.expose().trim();
    if read.is_err() || token.is_empty() || text.expose().len() as u64 > LONGEST || !is_word(token) {
        return Err(format!("the {file_is} {shown} must hold {holds} on one line, and nothing else"));
    }
    Ok(SecretText::new(token.to_owned()))
}

fn is_word(token: &str) -> bool {
    token.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_token_that_others_could_read_or_that_is_none_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let with = |text: &str, mode: u32| {
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            read(&path)
        };
        for mode in [0o600, 0o640, 0o400, 0o440] {
            assert_eq!(with("0123abcd\n", mode).unwrap().expose(), "0123abcd", "{mode:o}");
        }
        for mode in [0o644, 0o604, 0o660, 0o620, 0o601] {
            assert!(with("0123abcd\n", mode).unwrap_err().contains("chmod 640"), "{mode:o}");
        }
        for text in ["", "\n", "two words", "two\nlines", &"x".repeat(2000)] {
            assert!(with(text, 0o600).unwrap_err().contains("on one line"), "{text:?}");
        }
        assert!(read(folder.path()).unwrap_err().contains("not a regular file"));
        assert!(read(Path::new("/nowhere/token")).unwrap_err().contains("cannot be read"));
    }
}
