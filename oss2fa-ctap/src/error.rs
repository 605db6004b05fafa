//! Why talking to a key failed, in words for whoever holds it.

use std::fmt;

use oss2fa_core::random::NoRandomness;

use crate::ctap2::status::Status;
use crate::hid::{FramingError, HidErrorCode};
use crate::transport::TransportError;
use crate::u2f::StatusWord;

/// What a key sent is not what the specification says. Names the thing; never repeats what was received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed(pub &'static str);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the security key sent something that is no {}", self.0)
    }
}

impl std::error::Error for Malformed {}

/// Why a key gave no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyError {
    /// It could not be reached.
    Transport(TransportError),
    /// The deadline passed.
    TimedOut,
    /// Nobody wanted the answer any more.
    Cancelled,
    /// Reports that do not make a message.
    Framing(FramingError),
    /// An error of the CTAPHID layer.
    Hid(HidErrorCode),
    /// An earlier call left it in the middle of something: open it again.
    OutOfStep,
    /// It refused, by a status of CTAP2.
    Status(Status),
    /// It refused, by a status word of U2F.
    StatusWord(StatusWord),
    /// It sent something else than what it was asked for.
    Malformed(Malformed),
    /// It cannot do what was asked.
    Unsupported(&'static str),
    /// None of the credentials that were asked for is on it.
    NoCredential,
    /// The credential to be made is on it already.
    AlreadyEnrolled,
    /// The PIN was wrong.
    WrongPin {
        /// How many tries are left.
        left: u8,
    },
    /// So few tries are left that none is risked here: at none the key erases itself.
    FewPinTries {
        /// How many tries are left.
        left: u8,
    },
    /// The PIN has been wrong three times in a row: the key wants to be plugged in anew.
    PlugInAgain,
    /// No tries are left.
    PinBlocked,
    /// It has no PIN.
    NoPin,
    /// A PIN must have 4 to 63 bytes.
    PinLength,
    /// The finger was not recognised, or whatever else the key looks at.
    NotRecognised {
        /// How many tries are left, where the key tells.
        left: Option<u8>,
    },
    /// It no longer looks at fingers: the PIN is the way on.
    RecognitionBlocked,
    /// A YubiKey answers different challenges alike: whoever has seen one answer has all of them.
    SameAnswer,
    /// The system gave no random bytes.
    NoRandomness,
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::Transport(error) => return error.fmt(f),
            Self::Framing(error) => return error.fmt(f),
            Self::Hid(code) => return code.fmt(f),
            Self::Status(status) => return status.fmt(f),
            Self::StatusWord(word) => return word.fmt(f),
            Self::Malformed(what) => return what.fmt(f),
            Self::Unsupported(what) => {
                return write!(f, "this security key cannot do {what}: use another one");
            }
            Self::WrongPin { left } => return write!(f, "wrong PIN, {left} tries left"),
            Self::FewPinTries { left } => {
                return write!(
                    f,
                    "the PIN was wrong so often that {left} tries are left before the security key locks \
                     itself: unlock it with its maker's program, and come back"
                );
            }
            Self::NotRecognised { left: Some(left) } => {
                return write!(f, "the security key did not recognise you, {left} tries left");
            }
            Self::NotRecognised { left: None } => "the security key did not recognise you",
            Self::TimedOut => "the security key did not answer in time",
            Self::Cancelled => "cancelled",
            Self::OutOfStep => "the security key is busy with an earlier request: plug it in again",
            Self::NoCredential => "this security key is not enrolled here",
            Self::AlreadyEnrolled => "this security key is enrolled already",
            Self::PlugInAgain => {
                "wrong PIN three times in a row: pull the security key out and plug it in again"
            }
            Self::PinBlocked => "the security key is locked: it has to be reset, which erases it",
            Self::NoPin => "the security key has no PIN: set one with its maker's program",
            Self::PinLength => "a PIN has 4 to 63 bytes",
            Self::RecognitionBlocked => {
                "the security key did not recognise you too often, and looks no more: its PIN unlocks it, \
                 where that is asked for or in its maker's program"
            }
            Self::SameAnswer => {
                "the YubiKey answers every challenge alike: its firmware is broken, use another one"
            }
            Self::NoRandomness => "the system gave no random bytes",
        };
        f.write_str(text)
    }
}

impl std::error::Error for KeyError {}

impl From<TransportError> for KeyError {
    fn from(error: TransportError) -> Self {
        Self::Transport(error)
    }
}

impl From<FramingError> for KeyError {
    fn from(error: FramingError) -> Self {
        Self::Framing(error)
    }
}

impl From<Malformed> for KeyError {
    fn from(error: Malformed) -> Self {
        Self::Malformed(error)
    }
}

impl From<NoRandomness> for KeyError {
    fn from(_: NoRandomness) -> Self {
        Self::NoRandomness
    }
}
