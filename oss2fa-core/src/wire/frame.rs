//! Frames: a 4-byte big-endian length, then versioned JSON, the cap checked before anything is kept.

use std::fmt;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use zeroize::Zeroize;

/// Version of the protocol that this build speaks; the only one it accepts.
pub const VERSION: u16 = 1;

/// The largest JSON body, in bytes. A longer one is refused by its header alone.
pub const MAX_FRAME: usize = 64 * 1024;

const HEADER: usize = 4;
// Room for a usual message: a buffer that has to grow leaves a copy of what it held behind.
const ROOM: usize = 2048;

#[derive(Serialize)]
struct Outgoing<'a, M> {
    version: u16,
    message: &'a M,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Incoming<'a> {
    version: u16,
    #[serde(borrow)]
    message: &'a RawValue,
}

/// Why bytes are not a frame of this protocol. None of the texts repeats what was received.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum FrameError {
    /// The header announced more than [`MAX_FRAME`] bytes.
    TooLong(u32),
    /// The body was not the JSON of a known message.
    Malformed,
    /// The peer speaks another version of the protocol.
    Version(u16),
    /// A message of ours would not fit into a frame.
    DoesNotFit(usize),
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong(length) => {
                write!(f, "a frame of {length} bytes was announced, the limit is {MAX_FRAME}")
            }
            Self::Malformed => f.write_str("a frame did not hold a known message"),
            Self::Version(other) => write!(
                f,
                "the peer speaks version {other} of the protocol, this is version {VERSION}: \
                 install the same release of module and agent"
            ),
            Self::DoesNotFit(length) => {
                write!(f, "a message of {length} bytes does not fit into a frame of {MAX_FRAME}")
            }
        }
    }
}

impl std::error::Error for FrameError {}

/// The bytes of one frame that carries `message`.
///
/// # Errors
/// [`FrameError::DoesNotFit`] where the JSON is longer than [`MAX_FRAME`].
pub fn encode<M: Serialize>(message: &M) -> Result<Vec<u8>, FrameError> {
    let mut bytes = Vec::with_capacity(ROOM);
    bytes.resize(HEADER, 0);
    serde_json::to_writer(&mut bytes, &Outgoing { version: VERSION, message })
        .map_err(|_| FrameError::Malformed)?;
    let length = bytes.len() - HEADER;
    match (u32::try_from(length), bytes.get_mut(..HEADER)) {
        (Ok(announced), Some(header)) if length <= MAX_FRAME => {
            header.copy_from_slice(&announced.to_be_bytes());
            Ok(bytes)
        }
        _ => Err(FrameError::DoesNotFit(length)),
    }
}

/// Collects received bytes and gives out whole messages.
///
/// What it holds may be a code that somebody typed, so it is wiped as it is consumed and on drop.
#[derive(Default)]
pub struct Decoder {
    held: Vec<u8>,
}

impl Decoder {
    /// Adds what was read from the socket.
    pub fn push(&mut self, bytes: &[u8]) {
        let needed = self.held.len().saturating_add(bytes.len());
        if needed > self.held.capacity() {
            let mut larger = Vec::with_capacity(needed.saturating_mul(2).max(ROOM));
            larger.extend_from_slice(&self.held);
            self.held.zeroize();
            self.held = larger;
        }
        self.held.extend_from_slice(bytes);
    }

    /// How many more bytes make the frame whole, 0 when one is ready. A reader that asks for no
    /// more than this never holds bytes of a second frame.
    ///
    /// # Errors
    /// [`FrameError::TooLong`] as soon as the header says so, before any of the body is read.
    pub fn missing(&self) -> Result<usize, FrameError> {
        match self.body_length()? {
            None => Ok(HEADER - self.held.len()),
            Some(body) => Ok((HEADER + body).saturating_sub(self.held.len())),
        }
    }

    /// The next whole message, `None` while bytes are missing.
    ///
    /// # Errors
    /// A [`FrameError`]; the connection is then of no further use.
    #[expect(clippy::should_implement_trait, reason = "each call may want another type of message")]
    pub fn next<M: DeserializeOwned>(&mut self) -> Result<Option<M>, FrameError> {
        let Some(body) = self.body_length()? else { return Ok(None) };
        let Some(bytes) = self.held.get(HEADER..HEADER + body) else { return Ok(None) };
        let message = decode(bytes);
        let rest = self.held.split_off(HEADER + body);
        self.held.zeroize();
        self.held = rest;
        message.map(Some)
    }

    fn body_length(&self) -> Result<Option<usize>, FrameError> {
        let Some(header) = self.held.first_chunk::<HEADER>() else { return Ok(None) };
        let announced = u32::from_be_bytes(*header);
        match usize::try_from(announced) {
            Ok(length) if length <= MAX_FRAME => Ok(Some(length)),
            _ => Err(FrameError::TooLong(announced)),
        }
    }
}

impl Drop for Decoder {
    fn drop(&mut self) {
        self.held.zeroize();
    }
}

fn decode<M: DeserializeOwned>(body: &[u8]) -> Result<M, FrameError> {
    let incoming: Incoming<'_> = serde_json::from_slice(body).map_err(|_| FrameError::Malformed)?;
    if incoming.version != VERSION {
        return Err(FrameError::Version(incoming.version));
    }
    serde_json::from_str(incoming.message.get()).map_err(|_| FrameError::Malformed)
}
