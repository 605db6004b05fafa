//! [`Pam`] on a real PAM handle.

use std::ffi::{CStr, CString, c_char, c_int};

use oss2fa_core::secret::SecretText;
use oss2fa_core::wire::Echo;
use pam::constants::{
    PAM_ERROR_MSG, PAM_PROMPT_ECHO_OFF, PAM_PROMPT_ECHO_ON, PAM_TEXT_INFO, PamMessageStyle, PamResultCode,
};
use pam::conv::Conv;
use pam::items::{RHost, RUser, Service, Tty, User};
use pam::module::PamHandle;
use pam::secret::SecretBytes;

use crate::pam::{Item, Pam, PamError, Severity, Style, answer};
use crate::proof::Proof;

unsafe extern "C" {
    // pam_syslog(3): to LOG_AUTHPRIV, with module, service and phase in front.
    fn pam_syslog(pamh: *const PamHandle, priority: c_int, format: *const c_char, ...);
    // pam_getenv(3): libpam's own copy of a value, or null.
    fn pam_getenv(pamh: *const PamHandle, name: *const c_char) -> *const c_char;
}

/// The handle that libpam called the module with.
pub(super) struct Handle<'h> {
    pamh: &'h mut PamHandle,
}

// What is kept on the handle between the phases.
struct Kept(Option<Proof>);

impl<'h> Handle<'h> {
    pub(super) fn new(pamh: &'h mut PamHandle) -> Self {
        Self { pamh }
    }

    fn converse(&self, style: PamMessageStyle, text: &str) -> Result<Option<SecretBytes>, PamError> {
        let conversation = self.pamh.get_item::<Conv<'_>>().map_err(in_conversation)?;
        conversation.ok_or(PamError::Conversation)?.send(style, text).map_err(in_conversation)
    }
}

impl Pam for Handle<'_> {
    fn user(&mut self) -> Result<Vec<u8>, PamError> {
        if self.item(Item::User)?.is_none() {
            self.pamh.get_user(None).map_err(in_conversation)?;
        }
        // The item again, because `get_user` takes a name that is not UTF-8 for a failure.
        self.item(Item::User)?.ok_or(PamError::Libpam)
    }

    fn item(&self, item: Item) -> Result<Option<Vec<u8>>, PamError> {
        let found = match item {
            Item::User => self.pamh.get_item::<User<'_>>().map(|it| it.map(|it| it.to_bytes().to_vec())),
            Item::Service => {
                self.pamh.get_item::<Service<'_>>().map(|it| it.map(|it| it.to_bytes().to_vec()))
            }
            Item::Tty => self.pamh.get_item::<Tty<'_>>().map(|it| it.map(|it| it.to_bytes().to_vec())),
            Item::RemoteHost => {
                self.pamh.get_item::<RHost<'_>>().map(|it| it.map(|it| it.to_bytes().to_vec()))
            }
            Item::RemoteUser => {
                self.pamh.get_item::<RUser<'_>>().map(|it| it.map(|it| it.to_bytes().to_vec()))
            }
        };
        found.map_err(in_libpam)
    }

    fn variable(&self, name: &CStr, most: usize) -> Option<Vec<u8>> {
        // SAFETY: a live handle, and a C string that libpam only reads.
        let value = unsafe { pam_getenv(&raw const *self.pamh, name.as_ptr()) };
        if value.is_null() {
            return None;
        }
        // SAFETY: not null, so a C string of libpam's that stays until the environment is changed through
        // this handle; it is copied before anything else is called.
        let value = unsafe { CStr::from_ptr(value) }.to_bytes();
        (value.len() <= most).then(|| value.to_vec())
    }

    fn prompt(&mut self, echo: Echo, text: &str) -> Result<SecretText, PamError> {
        let style = match echo {
            Echo::Off => PAM_PROMPT_ECHO_OFF,
            Echo::On => PAM_PROMPT_ECHO_ON,
        };
        let typed = self.converse(style, text)?.ok_or(PamError::Conversation)?;
        Ok(answer(typed.as_bytes()))
    }

    fn message(&mut self, style: Style, text: &str) -> Result<(), PamError> {
        let style = match style {
            Style::Info => PAM_TEXT_INFO,
            Style::Error => PAM_ERROR_MSG,
        };
        self.converse(style, text).map(drop)
    }

    fn keep(&mut self, proof: Option<Proof>) -> Result<(), PamError> {
        self.pamh.set_data(&data_name(), Box::new(Kept(proof))).map_err(in_libpam)
    }

    fn kept(&self) -> Result<Option<Proof>, PamError> {
        // SAFETY: only `keep` stores under this name, always a `Kept`, and the name tells this copy
        // of the module from any other in the process, which may lay the type out differently.
        match unsafe { self.pamh.get_data::<Kept>(&data_name()) } {
            Ok(kept) => Ok(kept.0.clone()),
            Err(PamResultCode::PAM_NO_MODULE_DATA) => Ok(None),
            Err(code) => Err(in_libpam(code)),
        }
    }

    fn log(&self, severity: Severity, line: &str) {
        let priority = match severity {
            Severity::Error => libc::LOG_ERR,
            Severity::Notice => libc::LOG_NOTICE,
            Severity::Debug => libc::LOG_DEBUG,
        };
        let Ok(line) = CString::new(line) else { return };
        // SAFETY: a live handle, and a format that takes the one C string that follows.
        unsafe { pam_syslog(&raw const *self.pamh, priority, c"%s".as_ptr(), line.as_ptr()) }
    }
}

fn data_name() -> String {
    static THIS_COPY: u8 = 0;
    format!("oss2fa_second_factor_{:p}", &raw const THIS_COPY)
}

fn in_libpam(code: PamResultCode) -> PamError {
    match code {
        PamResultCode::PAM_BUF_ERR => PamError::Memory,
        PamResultCode::PAM_CONV_ERR => PamError::Conversation,
        _ => PamError::Libpam,
    }
}

// Applications answer a prompt that was left with all sorts of codes.
fn in_conversation(code: PamResultCode) -> PamError {
    match code {
        PamResultCode::PAM_BUF_ERR => PamError::Memory,
        _ => PamError::Conversation,
    }
}
