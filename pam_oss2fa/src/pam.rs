//! What the module needs from libpam, as a safe trait.
#![forbid(unsafe_code)]

use std::ffi::CStr;
use std::fmt;

use oss2fa_core::secret::SecretText;
use oss2fa_core::wire::Echo;

use crate::proof::Proof;

/// The PAM transaction that the module was called for.
pub trait Pam {
    /// `pam_get_user`: the name of who logs in, as bytes. It may prompt for it.
    ///
    /// # Errors
    /// Where there is no name and none could be asked for.
    fn user(&mut self) -> Result<Vec<u8>, PamError>;

    /// A copy of an item; the application may change the item at any prompt.
    ///
    /// # Errors
    /// Where libpam does not give it. An item that is not set is `None`.
    fn item(&self, item: Item) -> Result<Option<Vec<u8>>, PamError>;

    /// A copy of a variable of the PAM environment, which the application and other modules fill (pam_getenv(3)); never
    /// one of the process. `None` where it is not set, or longer than `most` bytes.
    fn variable(&self, name: &CStr, most: usize) -> Option<Vec<u8>>;

    /// Asks the user, and waits for as long as the application does.
    ///
    /// # Errors
    /// [`PamError::Conversation`] where there is nobody to ask, or no answer came back.
    fn prompt(&mut self, echo: Echo, text: &str) -> Result<SecretText, PamError>;

    /// Shows a message.
    ///
    /// # Errors
    /// Where the application did not take it. Many do not; nothing may depend on it.
    fn message(&mut self, style: Style, text: &str) -> Result<(), PamError>;

    /// Keeps what this transaction has seen for the account phase, in place of what was kept.
    ///
    /// # Errors
    /// Where libpam does not keep it.
    fn keep(&mut self, proof: Option<Proof>) -> Result<(), PamError>;

    /// What the auth phase of this transaction kept.
    ///
    /// # Errors
    /// Where libpam fails; nothing kept is `None`.
    fn kept(&self) -> Result<Option<Proof>, PamError>;

    /// One line for the system log. Text from outside belongs into it only as `{:?}`, a code never.
    fn log(&self, severity: Severity, line: &str);
}

/// The items the module reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Item {
    /// `PAM_USER`, without a prompt.
    User,
    /// `PAM_SERVICE`.
    Service,
    /// `PAM_TTY`.
    Tty,
    /// `PAM_RHOST`.
    RemoteHost,
    /// `PAM_RUSER`.
    RemoteUser,
}

/// How a message is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// `PAM_TEXT_INFO`.
    Info,
    /// `PAM_ERROR_MSG`.
    Error,
}

/// Importance of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// An administrator should look.
    Error,
    /// Normal, but worth a line: the user left at the prompt.
    Notice,
    /// Only with the argument `debug`.
    Debug,
}

/// What libpam or the application behind it did not do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PamError {
    /// No conversation, Ctrl-D, or no answer.
    Conversation,
    /// Out of memory, or a text that cannot be a C string.
    Memory,
    /// Anything else.
    Libpam,
}

impl fmt::Display for PamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Conversation => {
                "no answer at the prompt: the user left, or the program that asks cannot show prompts"
            }
            Self::Memory => "out of memory, or a text with a zero byte",
            Self::Libpam => "libpam refused a call",
        })
    }
}

/// Longest answer that is passed on, in bytes (`PAM_MAX_RESP_SIZE`).
pub const MAX_ANSWER: usize = 512;

/// What was typed, as text. Bytes that are not UTF-8, or too many of them, cannot be a code: they
/// become a text that matches none, so that the agent counts the try like any other.
#[must_use]
pub fn answer(typed: &[u8]) -> SecretText {
    let text = std::str::from_utf8(typed).ok().filter(|text| text.len() <= MAX_ANSWER);
    SecretText::new(text.unwrap_or("\u{fffd}").to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_passed_on_as_typed() {
        assert_eq!(answer(b" 123 456 ").expose(), " 123 456 ");
        assert_eq!(answer(b"").expose(), "");
        assert_eq!(answer(&[b'7'; MAX_ANSWER]).expose().len(), MAX_ANSWER);
    }

    #[test]
    fn what_cannot_be_a_code_matches_none() {
        assert_eq!(answer(b"12345\xff").expose(), "\u{fffd}");
        assert_eq!(answer(&[b'7'; MAX_ANSWER + 1]).expose(), "\u{fffd}");
    }
}
