//! [`Handle`] on a handle of real libpam, with an application that answers as it is told.
//!
//! libpam takes data only from a module that it called itself, so `keep` and `kept` are tried where
//! the built module is loaded.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::{fs, ptr};

use oss2fa_core::wire::Echo;
use pam::module::PamHandle;
use tempfile::TempDir;

use super::handle::Handle;
use crate::pam::{Item, Pam, PamError, Style};

#[repr(C)]
struct Message {
    style: c_int,
    text: *const c_char,
}

#[repr(C)]
struct Response {
    text: *mut c_char,
    code: c_int,
}

type Converse = unsafe extern "C" fn(c_int, *mut *const Message, *mut *mut Response, *mut c_void) -> c_int;

#[repr(C)]
struct Conversation {
    converse: Option<Converse>,
    data: *mut c_void,
}

unsafe extern "C" {
    fn pam_start_confdir(
        service: *const c_char,
        user: *const c_char,
        conversation: *const Conversation,
        folder: *const c_char,
        pamh: *mut *mut PamHandle,
    ) -> c_int;
    fn pam_set_item(pamh: *mut PamHandle, item: c_int, value: *const c_void) -> c_int;
    fn pam_putenv(pamh: *mut PamHandle, name_value: *const c_char) -> c_int;
    fn pam_end(pamh: *mut PamHandle, status: c_int) -> c_int;
}

/// What the application does when it is asked.
enum Reply {
    Text(&'static CStr),
    NullText,
    NullResponse,
    Code(c_int),
}

struct Application {
    reply: Reply,
    seen: Vec<(c_int, String)>,
}

unsafe extern "C" fn converse(
    count: c_int,
    messages: *mut *const Message,
    responses: *mut *mut Response,
    data: *mut c_void,
) -> c_int {
    assert_eq!(count, 1);
    // SAFETY: libpam's contract for a conversation; `data` is the `Application` that the test holds,
    // and nothing else uses it during the call. The response is made by malloc, as its reader frees it.
    unsafe {
        let application = &mut *data.cast::<Application>();
        let message = &**messages;
        let text = CStr::from_ptr(message.text).to_str().unwrap().to_owned();
        application.seen.push((message.style, text));
        let text = match application.reply {
            Reply::Code(code) => return code,
            Reply::NullResponse => {
                *responses = ptr::null_mut();
                return 0;
            }
            Reply::NullText => ptr::null_mut(),
            Reply::Text(text) => libc::strdup(text.as_ptr()),
        };
        let response = libc::calloc(1, size_of::<Response>()).cast::<Response>();
        (*response).text = text;
        *responses = response;
        0
    }
}

/// A transaction, from pam_start to pam_end.
struct Transaction {
    pamh: *mut PamHandle,
    application: *mut Application,
    _folder: TempDir,
}

impl Transaction {
    fn new(user: Option<&CStr>, reply: Reply) -> Self {
        Self::with(user, reply, Some(converse))
    }

    fn with(user: Option<&CStr>, reply: Reply, converse: Option<Converse>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("oss2fa-test"), "auth required pam_deny.so\n").unwrap();
        let path = CString::new(folder.path().to_str().unwrap()).unwrap();
        let application = Box::into_raw(Box::new(Application { reply, seen: Vec::new() }));
        let conversation = Conversation { converse, data: application.cast() };
        let mut pamh = ptr::null_mut();
        let user = user.map_or(ptr::null(), CStr::as_ptr);
        // SAFETY: all pointers are valid for the call, and libpam copies what they point to.
        let code = unsafe {
            pam_start_confdir(
                c"oss2fa-test".as_ptr(),
                user,
                &raw const conversation,
                path.as_ptr(),
                &raw mut pamh,
            )
        };
        assert_eq!(code, 0);
        Self { pamh, application, _folder: folder }
    }

    fn set(&self, item: c_int, value: &CStr) {
        // SAFETY: a live handle and a C string, which libpam copies.
        assert_eq!(unsafe { pam_set_item(self.pamh, item, value.as_ptr().cast()) }, 0);
    }

    fn handle(&mut self) -> Handle<'_> {
        // SAFETY: a live handle, borrowed for as long as this transaction is.
        Handle::new(unsafe { &mut *self.pamh })
    }

    fn seen(&self) -> &[(c_int, String)] {
        // SAFETY: made by `with`, freed on drop, and no conversation is under way.
        unsafe { &(*self.application).seen }
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        // SAFETY: both were made by `with` and are not used again.
        unsafe {
            pam_end(self.pamh, 0);
            drop(Box::from_raw(self.application));
        }
    }
}

#[test]
fn items_are_copied_as_bytes_and_may_be_missing() {
    let mut transaction = Transaction::new(Some(c"ferr\xffs"), Reply::NullText);
    transaction.set(4, c"192.0.2.7");
    transaction.set(8, c"");
    let mut handle = transaction.handle();
    assert_eq!(handle.user().unwrap(), b"ferr\xffs");
    assert_eq!(handle.item(Item::User).unwrap().unwrap(), b"ferr\xffs");
    assert_eq!(handle.item(Item::Service).unwrap().unwrap(), b"oss2fa-test");
    assert_eq!(handle.item(Item::RemoteHost).unwrap().unwrap(), b"192.0.2.7");
    assert_eq!(handle.item(Item::RemoteUser).unwrap().unwrap(), b"");
    assert_eq!(handle.item(Item::Tty).unwrap(), None);
    assert!(transaction.seen().is_empty());
}

#[test]
fn variables_are_those_of_the_transaction_and_never_of_the_process() {
    let mut transaction = Transaction::new(Some(c"ferris"), Reply::NullText);
    for set in [c"SSH_AUTH_INFO_0=publickey x\n", c"EMPTY="] {
        // SAFETY: a live handle and a C string, which libpam copies.
        assert_eq!(unsafe { pam_putenv(transaction.pamh, set.as_ptr()) }, 0);
    }
    let handle = transaction.handle();
    assert_eq!(handle.variable(c"SSH_AUTH_INFO_0", 12).unwrap(), b"publickey x\n");
    assert_eq!(handle.variable(c"SSH_AUTH_INFO_0", 11), None);
    assert_eq!(handle.variable(c"SSH_AUTH_INFO", 100), None);
    assert_eq!(handle.variable(c"EMPTY", 0).unwrap(), b"");
    assert_eq!(handle.variable(c"PATH", 100_000), None);
}

#[test]
fn a_user_who_is_not_named_is_asked_for() {
    let mut transaction = Transaction::new(None, Reply::Text(c"ferris"));
    assert_eq!(transaction.handle().item(Item::User).unwrap(), None);
    assert_eq!(transaction.handle().user().unwrap(), b"ferris");
    assert_eq!(transaction.seen().len(), 1);

    for reply in [Reply::NullResponse, Reply::NullText, Reply::Code(19)] {
        assert!(Transaction::new(None, reply).handle().user().is_err());
    }
}

#[test]
fn a_prompt_shows_its_text_and_brings_what_was_typed() {
    let mut transaction = Transaction::new(Some(c"ferris"), Reply::Text(c"123456"));
    assert_eq!(transaction.handle().prompt(Echo::Off, "Code: ").unwrap().expose(), "123456");
    assert_eq!(transaction.handle().prompt(Echo::On, "Name: ").unwrap().expose(), "123456");
    assert_eq!(transaction.seen(), [(1, "Code: ".to_owned()), (2, "Name: ".to_owned())]);

    let mut transaction = Transaction::new(Some(c"ferris"), Reply::Text(c""));
    assert_eq!(transaction.handle().prompt(Echo::Off, "Code: ").unwrap().expose(), "");
    let mut transaction = Transaction::new(Some(c"ferris"), Reply::Text(c"12\xff"));
    assert_eq!(transaction.handle().prompt(Echo::Off, "Code: ").unwrap().expose(), "\u{fffd}");
}

#[test]
fn a_prompt_without_an_answer_is_an_error() {
    // 19 PAM_CONV_ERR, 26 PAM_ABORT, 6 PAM_PERM_DENIED, 99 nothing that libpam knows.
    let codes = [19, 26, 6, 99].map(Reply::Code);
    for reply in [Reply::NullText, Reply::NullResponse].into_iter().chain(codes) {
        let mut transaction = Transaction::new(Some(c"ferris"), reply);
        let error = transaction.handle().prompt(Echo::Off, "Code: ").unwrap_err();
        assert_eq!(error, PamError::Conversation);
    }
    let mut transaction = Transaction::new(Some(c"ferris"), Reply::Code(5));
    assert_eq!(transaction.handle().prompt(Echo::Off, "Code: ").unwrap_err(), PamError::Memory);
    let mut transaction = Transaction::with(Some(c"ferris"), Reply::NullText, None);
    assert_eq!(transaction.handle().prompt(Echo::Off, "Code: ").unwrap_err(), PamError::Conversation);
    // A text that C cannot hold is not cut short.
    let mut transaction = Transaction::new(Some(c"ferris"), Reply::Text(c"x"));
    assert_eq!(transaction.handle().prompt(Echo::Off, "a\0b").unwrap_err(), PamError::Memory);
    assert!(transaction.seen().is_empty());
}

#[test]
fn a_message_shows_its_text_and_may_bring_nothing_back() {
    let mut transaction = Transaction::new(Some(c"ferris"), Reply::NullText);
    assert_eq!(transaction.handle().message(Style::Info, "Hello"), Ok(()));
    assert_eq!(transaction.handle().message(Style::Error, "No"), Ok(()));
    assert_eq!(transaction.seen(), [(4, "Hello".to_owned()), (3, "No".to_owned())]);

    let mut transaction = Transaction::new(Some(c"ferris"), Reply::NullResponse);
    assert!(transaction.handle().message(Style::Info, "Hello").is_err());
    assert_eq!(transaction.seen().len(), 1);
}
