//! Status codes (CTAP 2.1 section 8.2).

use std::fmt;

use crate::error::KeyError;

/// The first byte of each answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status(pub u8);

impl Status {
    /// Done.
    pub const OK: Self = Self(0x00);
    /// A credential that is excluded is there.
    pub const CREDENTIAL_EXCLUDED: Self = Self(0x19);
    /// The user refused, at the key.
    pub const OPERATION_DENIED: Self = Self(0x27);
    /// It was cancelled by us.
    pub const KEEPALIVE_CANCEL: Self = Self(0x2d);
    /// None of the credentials is there.
    pub const NO_CREDENTIALS: Self = Self(0x2e);
    /// Nobody touched it in time.
    pub const USER_ACTION_TIMEOUT: Self = Self(0x2f);
    /// The PIN was wrong.
    pub const PIN_INVALID: Self = Self(0x31);
    /// No tries are left.
    pub const PIN_BLOCKED: Self = Self(0x32);
    /// Three wrong PINs in a row.
    pub const PIN_AUTH_BLOCKED: Self = Self(0x34);
    /// It has no PIN.
    pub const PIN_NOT_SET: Self = Self(0x35);
    /// The user has to be verified by a token first.
    pub const TOKEN_REQUIRED: Self = Self(0x36);
    /// The built-in verification no longer works.
    pub const UV_BLOCKED: Self = Self(0x3c);
    /// The user was not recognised.
    pub const UV_INVALID: Self = Self(0x3f);
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let meaning = match self.0 {
            0x01 => "it does not know the command",
            0x02 => "a parameter is wrong",
            0x03 => "a length is wrong",
            0x04 | 0x05 | 0x06 | 0x0b => "it did not follow the exchange",
            0x11 | 0x12 | 0x14 | 0x15 => "it did not understand the request",
            0x19 => "it is enrolled already",
            0x22 => "the credential is not one of its own",
            0x26 => "it knows none of the algorithms",
            0x27 => "it was refused at the key",
            0x28 => "its memory is full",
            0x2b | 0x2c => "it cannot do what an option asks",
            0x2d => "it was cancelled",
            0x2e => "it is not enrolled here",
            0x2f | 0x3a => "it was not touched in time",
            0x30 => "it does not allow that",
            0x31 => "the PIN is wrong",
            0x32 => "it is locked after too many wrong PINs",
            0x33 => "the proof of the PIN is wrong",
            0x34 => "it wants to be plugged in again, after wrong PINs",
            0x35 => "it has no PIN",
            0x36 => "it wants a PIN",
            0x37 => "the PIN has to be changed first",
            0x39 => "the request is too large",
            0x3c => "it no longer recognises fingers",
            0x3f => "it did not recognise the user",
            0x40 => "the permission for that is missing",
            _ => "an error of its own",
        };
        write!(f, "the security key refused (CTAP2 status 0x{:02x}): {meaning}", self.0)
    }
}

// Those that every command may give, and that the caller acts on.
impl From<Status> for KeyError {
    fn from(status: Status) -> Self {
        match status {
            Status::CREDENTIAL_EXCLUDED => Self::AlreadyEnrolled,
            Status::NO_CREDENTIALS => Self::NoCredential,
            Status::KEEPALIVE_CANCEL => Self::Cancelled,
            Status::USER_ACTION_TIMEOUT => Self::TimedOut,
            Status::PIN_BLOCKED => Self::PinBlocked,
            Status::PIN_AUTH_BLOCKED => Self::PlugInAgain,
            Status::PIN_NOT_SET => Self::NoPin,
            Status::UV_BLOCKED => Self::RecognitionBlocked,
            Status::UV_INVALID => Self::NotRecognised { left: None },
            other => Self::Status(other),
        }
    }
}
