//! Who the daemon is: it drops root, for good, before it opens the store or hears a word.

use nix::sys::prctl;
use nix::sys::resource::{Resource, setrlimit};
use nix::unistd::{User, getegid, geteuid, setgroups, setresgid, setresuid};
use thiserror::Error;

use crate::store::Owner;

/// The daemon could not become the user that it must be.
#[derive(Debug, Error)]
pub enum PrivilegeError {
    /// There is no such system user.
    #[error(
        "there is no system user {0}, which the agent runs as. Make it with: \
         useradd --system --home-dir /var/lib/oss2fa --shell /usr/sbin/nologin {0}"
    )]
    NoSuchUser(String),
    /// The system refused.
    #[error("the agent cannot become the user {user}: {reason}")]
    Refused {
        /// Which user.
        user: String,
        /// What the system said.
        reason: String,
    },
}

/// Who owns the agent's files: the configured user where there is one, else whoever asks.
#[must_use]
pub fn owner_of_files(user: &str) -> Owner {
    match User::from_name(user) {
        Ok(Some(user)) => Owner { uid: user.uid.as_raw(), gid: user.gid.as_raw() },
        _ => Owner { uid: geteuid().as_raw(), gid: getegid().as_raw() },
    }
}

/// Whom the daemon will be: the configured user when root starts it, else whoever started it.
///
/// # Errors
/// [`PrivilegeError::NoSuchUser`].
pub fn owner_when_serving(user: &str) -> Result<Owner, PrivilegeError> {
    if !geteuid().is_root() {
        return Ok(Owner { uid: geteuid().as_raw(), gid: getegid().as_raw() });
    }
    match User::from_name(user) {
        Ok(Some(found)) if !found.uid.is_root() => {
            Ok(Owner { uid: found.uid.as_raw(), gid: found.gid.as_raw() })
        }
        _ => Err(PrivilegeError::NoSuchUser(user.to_owned())),
    }
}

/// Gives up root for good: no groups, no capabilities, no way back, no core dumps.
///
/// # Errors
/// [`PrivilegeError::Refused`]; the process must then end.
pub fn drop_to(owner: Owner, user: &str) -> Result<(), PrivilegeError> {
    let refused =
        |reason: nix::Error| PrivilegeError::Refused { user: user.to_owned(), reason: reason.to_string() };
    if geteuid().is_root() {
        let (uid, gid) = (owner.uid.into(), owner.gid.into());
        setgroups(&[]).map_err(refused)?;
        setresgid(gid, gid, gid).map_err(refused)?;
        // From 0 to another uid in all three: the kernel clears every capability with it.
        setresuid(uid, uid, uid).map_err(refused)?;
        if geteuid().is_root() || setresuid(0.into(), 0.into(), 0.into()).is_ok() {
            return Err(PrivilegeError::Refused {
                user: user.to_owned(),
                reason: "root could be had back".to_owned(),
            });
        }
    }
    prctl::set_no_new_privs().map_err(refused)?;
    // Seeds pass through this memory: no core dump, and no debugger of the same user.
    prctl::set_dumpable(false).map_err(refused)?;
    match setrlimit(Resource::RLIMIT_CORE, 0, 0) {
        // A unit's system call filter may forbid it; no dump is made of what is not dumpable anyway.
        Ok(()) | Err(nix::Error::EPERM) => Ok(()),
        Err(errno) => Err(refused(errno)),
    }
}
