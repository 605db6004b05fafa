//! The user directory, through NSS. An error of it is an error, never "not in the group".

use std::ffi::CString;

use nix::unistd::{Gid, Group, Uid, User, getgrouplist};
use oss2fa_core::ids::{MAX_USER_NAME, UserName};
use thiserror::Error;

/// An account of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// In canonical form.
    pub name: UserName,
    /// Its uid.
    pub uid: u32,
    /// Its primary group.
    pub gid: u32,
}

/// Whether somebody is in a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Membership {
    /// In it.
    Member,
    /// Not in it.
    Outsider,
    /// There is no such group.
    NoSuchGroup,
}

/// The directory failed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the user directory failed to look up {what}: {reason}")]
pub struct DirectoryError {
    /// What was looked up.
    pub what: String,
    /// What the system said.
    pub reason: String,
}

/// Who is who.
pub trait Directory: Send + Sync {
    /// The account of this name, `None` where there is none.
    ///
    /// # Errors
    /// [`DirectoryError`]: the caller must refuse.
    fn account(&self, name: &str) -> Result<Option<Account>, DirectoryError>;

    /// Whether the account is in the group.
    ///
    /// # Errors
    /// [`DirectoryError`]: the caller must refuse.
    fn membership(&self, account: &Account, group: &str) -> Result<Membership, DirectoryError>;
}

/// The host's own directory: `getpwnam_r`, `getgrnam_r`, `getgrouplist`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Nss;

impl Directory for Nss {
    fn account(&self, name: &str) -> Result<Option<Account>, DirectoryError> {
        if name.is_empty() || name.len() > MAX_USER_NAME || name.contains('\0') {
            return Ok(None);
        }
        let failed = |reason: String| DirectoryError { what: format!("user {name:?}"), reason };
        match User::from_name(name) {
            Ok(None) => Ok(None),
            Ok(Some(user)) => match UserName::from_directory(&user.name) {
                Ok(canonical) => {
                    Ok(Some(Account { name: canonical, uid: user.uid.as_raw(), gid: user.gid.as_raw() }))
                }
                Err(bad) => Err(failed(bad.to_string())),
            },
            Err(errno) => Err(failed(errno.to_string())),
        }
    }

    fn membership(&self, account: &Account, group: &str) -> Result<Membership, DirectoryError> {
        let failed = |reason: String| DirectoryError { what: format!("group {group:?}"), reason };
        let found = match Group::from_name(group) {
            Ok(Some(found)) => found,
            Ok(None) => return Ok(Membership::NoSuchGroup),
            Err(errno) => return Err(failed(errno.to_string())),
        };
        // By number: two groups may share a name in two directories, never a gid that counts.
        if found.gid.as_raw() == account.gid || found.mem.iter().any(|name| name == account.name.as_str()) {
            return Ok(Membership::Member);
        }
        // Some directories do not list members of a group, but know the groups of a member.
        let name = CString::new(account.name.as_str()).map_err(|error| failed(error.to_string()))?;
        let groups =
            getgrouplist(&name, Gid::from_raw(account.gid)).map_err(|errno| failed(errno.to_string()))?;
        Ok(if groups.contains(&found.gid) { Membership::Member } else { Membership::Outsider })
    }
}

/// The name of a uid, for messages.
#[must_use]
pub fn name_of(uid: u32) -> String {
    match User::from_uid(Uid::from_raw(uid)) {
        Ok(Some(user)) => user.name,
        _ => format!("uid {uid}"),
    }
}
