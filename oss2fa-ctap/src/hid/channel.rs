//! A channel to one key: one request at a time, its answer, and how to stop waiting for it.

use std::fmt;
use std::time::Duration;

use oss2fa_core::random::Random;
use zeroize::Zeroizing;

use super::packet::{Assembler, ChannelId, Command, FramingError, Message, fragment};
use crate::error::KeyError;
use crate::transport::{Go, HidTransport, Meanwhile, Patience, Pause, Read};

/// How long to leave a key alone that is busy with somebody else.
const BUSY_PAUSE: Duration = Duration::from_millis(100);
/// After a cancel: how often nothing may come, some tenth of a second each, before the key is given up.
const QUIET_AFTER_CANCEL: usize = 8;
/// After a cancel: how long past the deadline its answer may take.
const GRACE: Duration = Duration::from_millis(800);
/// After a cancel: how many more reports are looked at.
const REPORTS_AFTER_CANCEL: usize = 512;
/// The version of CTAPHID that this speaks (CTAP 2.1 section 11.2.9.1.3).
const PROTOCOL: u8 = 2;

/// An error of the CTAPHID layer (CTAP 2.1 section 11.2.9.1.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HidErrorCode(pub u8);

impl HidErrorCode {
    /// The command is not known to the key.
    pub const INVALID_COMMAND: Self = Self(0x01);
    /// Somebody else is being served.
    pub const CHANNEL_BUSY: Self = Self(0x06);
}

impl fmt::Display for HidErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let meaning = match self.0 {
            0x01 => "it does not know the command",
            0x02 => "a parameter is wrong",
            0x03 => "a length is wrong",
            0x04 => "parts came out of order",
            0x05 => "the request did not come in time",
            0x06 => "it is busy with another program",
            0x0a => "another program has locked it",
            0x0b => "the channel is not valid",
            _ => "an error of its own",
        };
        write!(f, "the security key refused (CTAPHID error 0x{:02x}): {meaning}", self.0)
    }
}

/// What a key said it can do when its channel was opened (CTAP 2.1 section 11.2.9.1.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    flags: u8,
    /// Version of its firmware, as the maker counts: major, minor, build.
    pub version: [u8; 3],
}

impl Capabilities {
    /// Whether it blinks when it is asked to.
    #[must_use]
    pub fn winks(self) -> bool {
        self.flags & 0x01 != 0
    }

    /// Whether it speaks CTAP2.
    #[must_use]
    pub fn speaks_ctap2(self) -> bool {
        self.flags & 0x04 != 0
    }

    /// Whether it speaks U2F.
    #[must_use]
    pub fn speaks_u2f(self) -> bool {
        self.flags & 0x08 == 0
    }
}

/// An open channel to one key.
#[derive(Debug)]
pub struct Channel<T> {
    transport: T,
    id: ChannelId,
    capabilities: Capabilities,
    in_step: bool,
}

enum Awaited {
    Message(Message),
    NotAwaited(KeyError),
}

impl<T: HidTransport> Channel<T> {
    /// Asks the key for a channel: CTAPHID_INIT with a random nonce, by which our answer is told from those
    /// of other programs (CTAP 2.1 section 11.2.9.1.3).
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn open(
        mut transport: T,
        random: &dyn Random,
        patience: &mut Patience<'_>,
    ) -> Result<Self, KeyError> {
        let mut nonce = [0; 8];
        random.fill(&mut nonce)?;
        let request = fragment(ChannelId::BROADCAST, Command::INIT, &nonce)?;
        for packet in &request {
            transport.write(packet)?;
        }
        loop {
            let report = match transport.read(patience.deadline())? {
                Read::Report(report) => report,
                Read::TimeUp => return Err(KeyError::TimedOut),
                Read::Quiet if patience.ask(Meanwhile::Quiet) == Go::On => continue,
                Read::Quiet => return Err(KeyError::Cancelled),
            };
            // One packet holds the whole answer. What others were sent on this channel may be anything.
            let Ok(Some(message)) = Assembler::new(ChannelId::BROADCAST).push(&report) else { continue };
            if message.command == Command::ERROR {
                match message.data.first() {
                    Some(code) if HidErrorCode(*code) == HidErrorCode::CHANNEL_BUSY => {
                        pause(&mut transport, patience)?;
                        for packet in &request {
                            transport.write(packet)?;
                        }
                    }
                    // Nothing says whom it is for.
                    _ => {}
                }
                continue;
            }
            let Some((echo, answer)) = message.data.split_first_chunk::<8>() else { continue };
            if message.command != Command::INIT || *echo != nonce {
                continue;
            }
            let Some((id, rest)) = answer.split_first_chunk::<4>() else {
                return Err(FramingError::Init.into());
            };
            let ([protocol, major, minor, build, flags, ..], id) = (rest, ChannelId(*id)) else {
                return Err(FramingError::Init.into());
            };
            if !id.is_allocatable() {
                return Err(FramingError::Init.into());
            }
            if *protocol != PROTOCOL {
                return Err(KeyError::Unsupported("version 2 of CTAPHID"));
            }
            let capabilities = Capabilities { flags: *flags, version: [*major, *minor, *build] };
            return Ok(Self { transport, id, capabilities, in_step: true });
        }
    }

    /// What the key said it can do.
    #[must_use]
    pub fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    /// The transport below, which is of use for another channel.
    #[must_use]
    pub fn into_transport(self) -> T {
        self.transport
    }

    pub(crate) fn pause(&mut self, patience: &mut Patience<'_>) -> Result<(), KeyError> {
        pause(&mut self.transport, patience)
    }

    /// Sends a request and waits for its answer. A key that is busy with another program is asked again;
    /// what it says meanwhile goes to `patience`. Where nobody waits any more or the deadline has passed,
    /// the key is told to stop (CTAP 2.1 section 11.2.9.1.5).
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn transact(
        &mut self,
        command: Command,
        data: &[u8],
        patience: &mut Patience<'_>,
    ) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        if !self.in_step {
            return Err(KeyError::OutOfStep);
        }
        let packets = Zeroizing::new(fragment(self.id, command, data)?);
        loop {
            for packet in packets.iter() {
                self.in_step = false;
                self.transport.write(packet)?;
            }
            let message = match self.await_message(patience) {
                Ok(Awaited::Message(message)) => message,
                Ok(Awaited::NotAwaited(why)) => {
                    self.cancel(command, patience)?;
                    return Err(why);
                }
                Err(error) => return Err(error),
            };
            if message.command == command {
                self.in_step = true;
                return Ok(message.data);
            }
            if message.command != Command::ERROR {
                return Err(FramingError::Unexpected.into());
            }
            self.in_step = true;
            let code = HidErrorCode(message.data.first().copied().unwrap_or(0x7f));
            if code != HidErrorCode::CHANNEL_BUSY {
                return Err(KeyError::Hid(code));
            }
            self.pause(patience)?;
        }
    }

    fn await_message(&mut self, patience: &mut Patience<'_>) -> Result<Awaited, KeyError> {
        let mut assembler = Assembler::new(self.id);
        loop {
            let what = match self.transport.read(patience.deadline())? {
                Read::TimeUp => return Ok(Awaited::NotAwaited(KeyError::TimedOut)),
                Read::Quiet => Meanwhile::Quiet,
                Read::Report(report) => match assembler.push(&report)? {
                    None => continue,
                    Some(message) if message.command == Command::KEEPALIVE => meant(&message),
                    Some(message) => return Ok(Awaited::Message(message)),
                },
            };
            if patience.ask(what) == Go::Cancel {
                return Ok(Awaited::NotAwaited(KeyError::Cancelled));
            }
        }
    }

    // The answer to what was cancelled still comes: whoever asked next would take it for theirs.
    fn cancel(&mut self, command: Command, patience: &Patience<'_>) -> Result<(), KeyError> {
        for packet in fragment(self.id, Command::CANCEL, &[])? {
            self.transport.write(&packet)?;
        }
        let deadline = patience.deadline().checked_add(GRACE).unwrap_or(patience.deadline());
        let mut assembler = Assembler::new(self.id);
        let mut quiet = 0;
        for _ in 0..REPORTS_AFTER_CANCEL {
            match self.transport.read(deadline)? {
                Read::TimeUp => break,
                Read::Quiet => {
                    quiet += 1;
                    if quiet == QUIET_AFTER_CANCEL {
                        break;
                    }
                }
                Read::Report(report) => match assembler.push(&report) {
                    Ok(Some(message)) if message.command == command || message.command == Command::ERROR => {
                        self.in_step = true;
                        break;
                    }
                    // The rest of an answer whose beginning was read before, too.
                    Ok(_) | Err(_) => {}
                },
            }
        }
        Ok(())
    }
}

fn meant(keep_alive: &Message) -> Meanwhile {
    match keep_alive.data.first() {
        Some(2) => Meanwhile::TouchNeeded,
        Some(_) | None => Meanwhile::Processing,
    }
}

fn pause<T: HidTransport>(transport: &mut T, patience: &mut Patience<'_>) -> Result<(), KeyError> {
    match transport.pause(BUSY_PAUSE, patience.deadline()) {
        Pause::Over if patience.ask(Meanwhile::Quiet) == Go::On => Ok(()),
        Pause::Over => Err(KeyError::Cancelled),
        Pause::TimeUp => Err(KeyError::TimedOut),
    }
}
