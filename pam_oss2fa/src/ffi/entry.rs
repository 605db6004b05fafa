//! The functions that libpam calls.
//!
//! The module has no password and no session part: those functions are left out, so that a stack
//! that names it there fails loudly instead of passing on a function that does nothing.

use std::ffi::{CStr, c_char, c_int};

use oss2fa_core::wire::Conversation;
use pam::constants::PAM_SILENT;
use pam::module::PamHandle;

use super::guard::guarded;
use super::handle::Handle;
use super::os::Os;
use crate::outcome::{Ending, Failure};
use crate::pam::Pam;
use crate::{account, login};

/// Asks for the second factor (pam_sm_authenticate(3)).
///
/// # Safety
/// As libpam calls it: `pamh` is null or a live handle that nothing else uses during the call, and
/// `argv` points to `argc` C strings.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn pam_sm_authenticate(
    pamh: *mut PamHandle,
    flags: c_int,
    argc: c_int,
    argv: *const *const c_char,
) -> c_int {
    // SAFETY: passed on from this function's own contract.
    unsafe {
        enter(pamh, argc, argv, |handle, arguments| login::authenticate(handle, &Os, arguments, shown(flags)))
    }
}

/// There are no credentials to set (pam_sm_setcred(3)).
///
/// # Safety
/// As for [`pam_sm_authenticate`].
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn pam_sm_setcred(
    pamh: *mut PamHandle,
    _flags: c_int,
    argc: c_int,
    argv: *const *const c_char,
) -> c_int {
    // SAFETY: passed on from this function's own contract.
    unsafe { enter(pamh, argc, argv, |_, _| Ending::NothingToSet) }
}

/// With `enforce`, refuses a login without a second factor (pam_sm_acct_mgmt(3)).
///
/// # Safety
/// As for [`pam_sm_authenticate`].
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn pam_sm_acct_mgmt(
    pamh: *mut PamHandle,
    flags: c_int,
    argc: c_int,
    argv: *const *const c_char,
) -> c_int {
    // SAFETY: passed on from this function's own contract.
    unsafe {
        enter(pamh, argc, argv, |handle, arguments| account::manage(handle, &Os, arguments, shown(flags)))
    }
}

/// # Safety
/// As for [`pam_sm_authenticate`].
unsafe fn enter(
    pamh: *mut PamHandle,
    argc: c_int,
    argv: *const *const c_char,
    body: impl FnOnce(&mut Handle<'_>, &[Vec<u8>]) -> Ending,
) -> c_int {
    let defect = Ending::Failed(Failure::Defect).code().number();
    // SAFETY: null or a live handle of libpam's for the length of this call, by the contract above.
    let Some(pamh) = (unsafe { pamh.as_mut() }) else { return defect };
    let mut handle = Handle::new(pamh);
    let code = guarded(|| {
        // SAFETY: libpam's own pair of argc and argv, by the contract above.
        match unsafe { copy_arguments(argc, argv) } {
            Some(arguments) => body(&mut handle, &arguments).code().number(),
            None => defect,
        }
    });
    code.unwrap_or_else(|_| {
        // The log has its own guard: what panicked once may do so again.
        drop(guarded(|| handle.log(Failure::Defect.severity(), &Failure::Defect.to_string())));
        defect
    })
}

/// # Safety
/// `argv` is null, or points to `argc` pointers that are each null or a C string.
unsafe fn copy_arguments(argc: c_int, argv: *const *const c_char) -> Option<Vec<Vec<u8>>> {
    let count = usize::try_from(argc).ok()?;
    if count == 0 {
        return Some(Vec::new());
    }
    if argv.is_null() {
        return None;
    }
    // SAFETY: not null, and `count` pointers long by the contract above.
    let pointers = unsafe { std::slice::from_raw_parts(argv, count) };
    pointers
        .iter()
        .map(|&pointer| {
            // SAFETY: only a pointer that is not null gets here, and it is a C string by the contract.
            (!pointer.is_null()).then(|| unsafe { CStr::from_ptr(pointer) }.to_bytes().to_vec())
        })
        .collect()
}

fn shown(flags: c_int) -> Conversation {
    if flags.cast_unsigned() & PAM_SILENT == 0 { Conversation::Messages } else { Conversation::PromptsOnly }
}

#[cfg(test)]
mod tests {
    use std::ptr;

    use super::*;
    use crate::outcome::PamCode;

    #[test]
    fn a_null_handle_is_pam_abort_at_every_entry_point() {
        for entry in [pam_sm_authenticate, pam_sm_setcred, pam_sm_acct_mgmt] {
            // SAFETY: a null handle is within the contract, and there are no arguments.
            let code = unsafe { entry(ptr::null_mut(), 0, 0, ptr::null()) };
            assert_eq!(code, PamCode::Abort.number());
        }
    }

    #[test]
    fn arguments_that_are_not_there_are_a_defect_and_not_an_empty_list() {
        let one = [c"echo".as_ptr(), ptr::null()];
        // SAFETY: each pair is within the contract of `copy_arguments`.
        unsafe {
            assert_eq!(copy_arguments(0, ptr::null()), Some(Vec::new()));
            assert_eq!(copy_arguments(-1, one.as_ptr()), None);
            assert_eq!(copy_arguments(1, ptr::null()), None);
            assert_eq!(copy_arguments(2, one.as_ptr()), None);
            assert_eq!(copy_arguments(1, one.as_ptr()), Some(vec![b"echo".to_vec()]));
        }
    }

    #[test]
    fn pam_silent_leaves_only_prompts() {
        assert_eq!(shown(0), Conversation::Messages);
        assert_eq!(shown(0x0001), Conversation::Messages);
        assert_eq!(shown(0x8000), Conversation::PromptsOnly);
        assert_eq!(shown(0x8001), Conversation::PromptsOnly);
    }
}
