//! How bytes get to a key and back: the only thing here that the caller implements.

use std::fmt;
use std::time::{Duration, Instant};

/// Length of a report of the FIDO interface, in bytes, without a report number (CTAP 2.1 section 11.2.4).
pub const REPORT: usize = 64;

/// Length of a feature report of the YubiKey's OTP interface, in bytes, without a report number.
pub const FEATURE: usize = 8;

/// One report of the FIDO interface.
pub type Report = [u8; REPORT];

/// One feature report of the YubiKey's OTP interface.
pub type Feature = [u8; FEATURE];

/// What reading gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Read {
    /// The key sent this.
    Report(Report),
    /// Nothing came for about a tenth of a second: the moment to see whether anybody still waits.
    Quiet,
    /// The deadline has passed.
    TimeUp,
}

/// How a pause ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pause {
    /// It is over.
    Over,
    /// The deadline has passed before that.
    TimeUp,
}

/// Why a key could not be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TransportError {
    /// It was pulled out.
    Gone,
    /// The system does not let this process at it.
    Forbidden,
    /// Anything else.
    Failed,
}

impl fmt::Display for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gone => "the security key was pulled out: plug it in again",
            Self::Forbidden => {
                "the system does not let this process at the security key: look at the udev rules"
            }
            Self::Failed => "the security key cannot be read or written: pull it out and plug it in again",
        })
    }
}

impl std::error::Error for TransportError {}

/// One HID interface of one key, opened.
///
/// The clock is the implementation's: a deadline goes in, and whether it has passed comes out. It must say
/// so even while the key goes on sending, since that is what ends every loop here.
pub trait HidTransport {
    /// Sends a report to the FIDO interface.
    ///
    /// # Errors
    /// [`TransportError`].
    fn write(&mut self, report: &Report) -> Result<(), TransportError>;

    /// Waits for a report of the FIDO interface.
    ///
    /// # Errors
    /// [`TransportError`].
    fn read(&mut self, deadline: Instant) -> Result<Read, TransportError>;

    /// Sends a feature report to the YubiKey's OTP interface.
    ///
    /// # Errors
    /// [`TransportError`].
    fn write_feature(&mut self, feature: &Feature) -> Result<(), TransportError>;

    /// Reads a feature report of the YubiKey's OTP interface.
    ///
    /// # Errors
    /// [`TransportError`].
    fn read_feature(&mut self) -> Result<Feature, TransportError>;

    /// Lets time pass, for what has to be polled.
    fn pause(&mut self, length: Duration, deadline: Instant) -> Pause;
}

impl<T: HidTransport + ?Sized> HidTransport for Box<T> {
    fn write(&mut self, report: &Report) -> Result<(), TransportError> {
        (**self).write(report)
    }

    fn read(&mut self, deadline: Instant) -> Result<Read, TransportError> {
        (**self).read(deadline)
    }

    fn write_feature(&mut self, feature: &Feature) -> Result<(), TransportError> {
        (**self).write_feature(feature)
    }

    fn read_feature(&mut self) -> Result<Feature, TransportError> {
        (**self).read_feature()
    }

    fn pause(&mut self, length: Duration, deadline: Instant) -> Pause {
        (**self).pause(length, deadline)
    }
}

/// What a key is about while its answer is awaited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meanwhile {
    /// It computes.
    Processing,
    /// It wants to be touched.
    TouchNeeded,
    /// It says nothing.
    Quiet,
}

/// Whether to go on waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Go {
    /// Somebody still wants the answer.
    On,
    /// Nobody does: the key is told, and the call ends with [`crate::error::KeyError::Cancelled`].
    Cancel,
}

/// For how long, and whether still, an answer is wanted.
pub struct Patience<'a> {
    deadline: Instant,
    watch: &'a mut dyn FnMut(Meanwhile) -> Go,
}

impl<'a> Patience<'a> {
    /// Until `deadline`; `watch` is asked some ten times a second, and whenever the key says what it is about.
    pub fn until(deadline: Instant, watch: &'a mut dyn FnMut(Meanwhile) -> Go) -> Self {
        Self { deadline, watch }
    }

    /// When it ends.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    pub(crate) fn ask(&mut self, what: Meanwhile) -> Go {
        (self.watch)(what)
    }
}

impl fmt::Debug for Patience<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Patience").field("deadline", &self.deadline).finish_non_exhaustive()
    }
}
