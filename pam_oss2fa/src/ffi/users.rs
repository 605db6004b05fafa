//! The uid of a system user.

use std::ffi::{CStr, c_char};
use std::io;
use std::mem::MaybeUninit;
use std::ptr;

use crate::system::Uid;

const FIRST_BUFFER: usize = 1024;
const LAST_BUFFER: usize = 1024 * 1024;

/// Looks a user up (getpwnam_r(3)); `None` where the directory has no such user.
pub(super) fn uid_of(name: &CStr) -> io::Result<Option<Uid>> {
    let mut size = FIRST_BUFFER;
    loop {
        let mut buffer: Vec<c_char> = vec![0; size];
        let mut entry = MaybeUninit::<libc::passwd>::uninit();
        let mut found: *mut libc::passwd = ptr::null_mut();
        // SAFETY: all pointers are valid for the call, and the buffer is as long as it says.
        let code = unsafe {
            libc::getpwnam_r(
                name.as_ptr(),
                entry.as_mut_ptr(),
                buffer.as_mut_ptr(),
                buffer.len(),
                &raw mut found,
            )
        };
        match code {
            // SAFETY: not null after success means that `entry` was filled; only its number is read.
            0 if !found.is_null() => return Ok(Some(Uid(unsafe { (*found).pw_uid }))),
            // The last ones are what some directories say for "no such user", against POSIX.
            0 | libc::ENOENT | libc::ESRCH => return Ok(None),
            libc::EINTR => {}
            libc::ERANGE if size < LAST_BUFFER => size *= 4,
            code => return Err(io::Error::from_raw_os_error(code)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_is_found_and_nobody_by_a_name_that_does_not_exist() {
        assert_eq!(uid_of(c"root").unwrap(), Some(Uid::ROOT));
        assert_eq!(uid_of(c"oss2fa-no-such-user").unwrap(), None);
    }
}
