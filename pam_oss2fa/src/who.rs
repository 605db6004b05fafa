//! Who logs in where: the PAM items, copied before anybody is asked anything.
#![forbid(unsafe_code)]

use oss2fa_core::wire::{Login, MAX_SSH_AUTH_INFO, SSH_AUTH_INFO, SshAuthInfo};

use crate::outcome::Failure;
use crate::pam::{Item, Pam};

/// Reads the items of this login.
///
/// Without a user name that is text there is no login; without a service there is no rule to go by.
/// Terminal, remote host and remote user may be missing. Where one of these is not text it is sent
/// with U+FFFD in place of what is not: a remote login with an odd host name must not look local.
///
/// # Errors
/// [`Failure::NoUser`], [`Failure::NoService`], or what libpam failed at.
pub fn logs_in(pam: &mut impl Pam) -> Result<Login, Failure> {
    let user = text(pam.user()?).ok_or(Failure::NoUser)?;
    let service = pam.item(Item::Service)?.and_then(text).ok_or(Failure::NoService)?;
    Ok(Login {
        user,
        service,
        tty: optional(pam, Item::Tty)?,
        rhost: optional(pam, Item::RemoteHost)?,
        ruser: optional(pam, Item::RemoteUser)?,
    })
}

/// Whether `PAM_USER` is still who the login was decided for: the application may change it at any
/// prompt, and what the agent said is about the name that it was asked.
///
/// # Errors
/// [`Failure::UserChanged`] where it is not, or what libpam failed at.
pub fn is_still(pam: &impl Pam, login: &Login) -> Result<(), Failure> {
    if pam.item(Item::User)?.as_deref() == Some(login.user.as_bytes()) {
        Ok(())
    } else {
        Err(Failure::UserChanged)
    }
}

/// By which methods sshd has let this user pass so far, where an sshd says so.
///
/// Anybody's program may say it of its own user: whether it counts is the agent's to decide. What sshd does
/// not write is left out, and a code is asked for.
pub fn by_ssh(pam: &impl Pam) -> Option<SshAuthInfo> {
    let value = pam.variable(SSH_AUTH_INFO, MAX_SSH_AUTH_INFO)?;
    SshAuthInfo::new(&value).ok()
}

fn text(bytes: Vec<u8>) -> Option<String> {
    String::from_utf8(bytes).ok().filter(|text| !text.is_empty())
}

fn optional(pam: &impl Pam, item: Item) -> Result<Option<String>, Failure> {
    let bytes = pam.item(item)?.filter(|bytes| !bytes.is_empty());
    Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
}
