//! Frames of the OTP interface: requests of 70 bytes and replies, in parts of one feature report each (`ykdef.h` of
//! yubikey-personalization: `frame_st`, and the flags of a report's last byte, `SLOT_WRITE_FLAG` and `RESP_PENDING_FLAG`).

use zeroize::Zeroizing;

use super::crc::{GOOD_RESIDUAL, crc16};
use crate::error::Malformed;
use crate::transport::{FEATURE, Feature};

/// Length of the payload of a request, in bytes.
pub const PAYLOAD: usize = 64;

/// Length of a request, in bytes: payload, slot, checksum, three bytes of filler.
pub const FRAME: usize = PAYLOAD + 6;

/// A slot may be written: set by us in each part, cleared by the key that took it.
pub(super) const WRITE: u8 = 0x80;
/// A part of a reply.
pub(super) const RESPONSE: u8 = 0x40;
/// The key waits for its touch.
pub(super) const TOUCH_AWAITED: u8 = 0x20;
const SEQUENCE: u8 = 0x1f;
const PART: usize = FEATURE - 1;
const LAST_PART: u8 = 9;
/// Longest reply, in bytes: a whole payload and its checksum.
const MAX_RESPONSE: usize = PAYLOAD + 2;

/// Ends whatever the key was about.
pub(super) const RESET: Feature = [0, 0, 0, 0, 0, 0, 0, 0x8f];

/// The parts of a request: those of zeroes alone are left out, but for the first and the last.
#[must_use]
pub fn request(slot: u8, payload: &[u8; PAYLOAD]) -> Vec<Zeroizing<Feature>> {
    let checksum = crc16(payload).to_le_bytes();
    let frame = Zeroizing::new([payload.as_slice(), &[slot], &checksum, &[0; 3]].concat());
    let mut parts = Vec::new();
    for (sequence, piece) in (0_u8..).zip(frame.chunks(PART)) {
        let needed = sequence == 0 || sequence == LAST_PART || piece.iter().any(|byte| *byte != 0);
        if needed {
            let mut part = Zeroizing::new([0; FEATURE]);
            for (to, from) in part.iter_mut().zip(piece.iter().chain([&(WRITE | sequence)])) {
                *to = *from;
            }
            parts.push(part);
        }
    }
    parts
}

/// What a feature report that was read is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// The key has taken nothing yet of what was written.
    Busy,
    /// It waits for its touch.
    TouchAwaited,
    /// A part of a reply.
    Reply,
    /// It is about nothing: what the report says is its state.
    Idle,
}

pub(super) fn part(feature: &Feature) -> Part {
    let [.., flags] = feature;
    match flags {
        flags if flags & RESPONSE != 0 => Part::Reply,
        flags if flags & TOUCH_AWAITED != 0 => Part::TouchAwaited,
        flags if flags & WRITE != 0 => Part::Busy,
        _ => Part::Idle,
    }
}

/// Puts the parts of a reply together.
#[derive(Debug, Default)]
pub struct ResponseAssembler {
    data: Zeroizing<Vec<u8>>,
    next: u8,
}

impl ResponseAssembler {
    /// Takes a part; gives the whole reply, checksum and filler included, with the part that ends it.
    ///
    /// # Errors
    /// [`Malformed`] for parts out of order and for more of them than a reply has.
    pub fn push(&mut self, feature: &Feature) -> Result<Option<Zeroizing<Vec<u8>>>, Malformed> {
        const WHAT: Malformed = Malformed("reply of a YubiKey");
        let [data @ .., flags] = feature;
        let sequence = flags & SEQUENCE;
        if flags & RESPONSE == 0 {
            return Err(WHAT);
        }
        if sequence == 0 && self.next > 0 {
            return Ok(Some(std::mem::take(&mut self.data)));
        }
        if sequence != self.next || self.data.len() + PART > MAX_RESPONSE + PART {
            return Err(WHAT);
        }
        self.next += 1;
        // Reserved whole: a buffer that grows leaves what it held behind.
        self.data.reserve_exact(MAX_RESPONSE + 2 * PART);
        self.data.extend_from_slice(data);
        Ok(None)
    }
}

/// The first `length` bytes of a reply, whose checksum stands behind them.
pub(super) fn checked(reply: &[u8], length: usize) -> Result<Zeroizing<Vec<u8>>, Malformed> {
    const WHAT: Malformed = Malformed("reply of a YubiKey with a right checksum");
    let with_checksum = reply.get(..length + 2).ok_or(WHAT)?;
    if crc16(with_checksum) != GOOD_RESIDUAL {
        return Err(WHAT);
    }
    with_checksum.get(..length).map(|data| Zeroizing::new(data.to_vec())).ok_or(WHAT)
}
