//! Packets: a message in pieces of one report each (CTAP 2.1 section 11.2.4).

use std::fmt;

use zeroize::{Zeroize, Zeroizing};

use crate::transport::{REPORT, Report};

/// Longest message, in bytes: a first packet and 128 more.
pub const MAX_MESSAGE: usize = FIRST_DATA + 128 * NEXT_DATA;

const FIRST_DATA: usize = REPORT - 7;
const NEXT_DATA: usize = REPORT - 5;
const FIRST: u8 = 0x80;

/// Who a packet belongs to (CTAP 2.1 section 11.2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ChannelId(pub [u8; 4]);

impl ChannelId {
    /// For those who have no channel yet.
    pub const BROADCAST: Self = Self([0xff; 4]);

    /// Whether a key may give it to somebody: neither 0, which is reserved, nor the broadcast channel.
    #[must_use]
    pub fn is_allocatable(self) -> bool {
        self != Self::BROADCAST && self.0 != [0; 4]
    }
}

/// What a message is (CTAP 2.1 section 11.2.9), without the bit that marks a first packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Command(pub u8);

impl Command {
    /// Echo (section 11.2.9.1.4).
    pub const PING: Self = Self(0x01);
    /// A message of U2F (section 11.2.9.1.1).
    pub const MSG: Self = Self(0x03);
    /// Allocates a channel (section 11.2.9.1.3).
    pub const INIT: Self = Self(0x06);
    /// Blinks (section 11.2.9.2.1).
    pub const WINK: Self = Self(0x08);
    /// A message of CTAP2 (section 11.2.9.1.2).
    pub const CBOR: Self = Self(0x10);
    /// Ends what is under way (section 11.2.9.1.5).
    pub const CANCEL: Self = Self(0x11);
    /// What the key is about (section 11.2.9.1.7).
    pub const KEEPALIVE: Self = Self(0x3b);
    /// An error of this layer (section 11.2.9.1.6).
    pub const ERROR: Self = Self(0x3f);
}

/// Why reports do not make a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FramingError {
    /// More than [`MAX_MESSAGE`] bytes, announced by the key or to be sent.
    TooLong(usize),
    /// A later packet with another number than the next one.
    Sequence,
    /// A later packet without a first.
    NoFirst,
    /// A new message in the middle of one.
    Interrupted,
    /// The answer to something that was not asked.
    Unexpected,
    /// An answer to INIT that is none.
    Init,
}

impl fmt::Display for FramingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong(length) => {
                write!(
                    f,
                    "a message for or from the security key has {length} bytes, the limit is {MAX_MESSAGE}"
                )
            }
            Self::Sequence => f.write_str("the security key sent the parts of a message out of order"),
            Self::NoFirst => f.write_str("the security key sent a message without its beginning"),
            Self::Interrupted => f.write_str("the security key began a message in the middle of another one"),
            Self::Unexpected => f.write_str("the security key answered something that was not asked"),
            Self::Init => f.write_str("the security key gave no channel: plug it in again"),
        }
    }
}

impl std::error::Error for FramingError {}

/// A whole message. What it carries may be derived from a PIN: it is wiped on drop.
#[derive(Debug, PartialEq, Eq)]
pub struct Message {
    /// What it is.
    pub command: Command,
    /// What it carries.
    pub data: Zeroizing<Vec<u8>>,
}

/// The packets of one message, filled up with zeroes.
///
/// # Errors
/// [`FramingError::TooLong`] above [`MAX_MESSAGE`].
pub fn fragment(channel: ChannelId, command: Command, data: &[u8]) -> Result<Vec<Report>, FramingError> {
    let too_long = FramingError::TooLong(data.len());
    if data.len() > MAX_MESSAGE {
        return Err(too_long);
    }
    let length = u16::try_from(data.len()).map_err(|_| too_long)?;
    let (first, rest) = data.split_at(data.len().min(FIRST_DATA));
    let head = [channel.0.as_slice(), &[command.0 | FIRST], &length.to_be_bytes()].concat();
    let mut packets = vec![filled(&head, first)];
    for (sequence, piece) in (0_u8..).zip(rest.chunks(NEXT_DATA)) {
        let head = [channel.0.as_slice(), &[sequence]].concat();
        packets.push(filled(&head, piece));
    }
    Ok(packets)
}

fn filled(head: &[u8], data: &[u8]) -> Report {
    let mut report = [0; REPORT];
    for (to, from) in report.iter_mut().zip(head.iter().chain(data)) {
        *to = *from;
    }
    report
}

/// Puts the packets of one channel together.
#[derive(Debug)]
pub struct Assembler {
    channel: ChannelId,
    begun: Option<Begun>,
}

#[derive(Debug)]
struct Begun {
    command: Command,
    length: usize,
    data: Zeroizing<Vec<u8>>,
    next: u8,
}

impl Assembler {
    /// For the packets of `channel`; those of others are ignored (CTAP 2.1 section 11.2.3).
    #[must_use]
    pub fn new(channel: ChannelId) -> Self {
        Self { channel, begun: None }
    }

    /// Takes a packet, and gives the message that it makes whole.
    ///
    /// # Errors
    /// A [`FramingError`]; what was held is thrown away.
    pub fn push(&mut self, report: &Report) -> Result<Option<Message>, FramingError> {
        let Some((channel, body)) = report.split_first_chunk::<4>() else { return Ok(None) };
        if ChannelId(*channel) != self.channel {
            return Ok(None);
        }
        let Some((kind, body)) = body.split_first() else { return Ok(None) };
        let held = self.begun.take();
        let mut begun = if kind & FIRST == 0 {
            let mut begun = held.ok_or(FramingError::NoFirst)?;
            if *kind != begun.next {
                return Err(FramingError::Sequence);
            }
            begun.next = begun.next.saturating_add(1);
            begun.add(body);
            begun
        } else {
            if held.is_some() {
                return Err(FramingError::Interrupted);
            }
            let (length, data) = body.split_first_chunk::<2>().ok_or(FramingError::NoFirst)?;
            let length = usize::from(u16::from_be_bytes(*length));
            if length > MAX_MESSAGE {
                return Err(FramingError::TooLong(length));
            }
            // Reserved whole: a buffer that grows leaves what it held behind.
            let data_room = Zeroizing::new(Vec::with_capacity(length));
            let mut begun = Begun { command: Command(kind & !FIRST), length, data: data_room, next: 0 };
            begun.add(data);
            begun
        };
        if begun.data.len() < begun.length {
            self.begun = Some(begun);
            return Ok(None);
        }
        Ok(Some(Message { command: begun.command, data: std::mem::take(&mut begun.data) }))
    }
}

impl Begun {
    fn add(&mut self, piece: &[u8]) {
        let missing = self.length.saturating_sub(self.data.len());
        self.data.extend(piece.iter().take(missing));
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        self.data.zeroize();
    }
}
