//! CRC16 as the YubiKey computes it: ISO 13239, reflected polynomial 0x8408, begun with all ones.

/// What [`crc16`] gives over data with its own inverted checksum behind it.
pub const GOOD_RESIDUAL: u16 = 0xf0b8;

/// The checksum of `bytes`.
///
/// ```
/// use oss2fa_ctap::yubikey::{GOOD_RESIDUAL, crc16};
/// // The check value of CRC-16/X-25 is that of this sum, inverted.
/// assert_eq!(crc16(b"123456789"), !0x906e);
/// let checksum = (!crc16(b"a reply")).to_le_bytes();
/// assert_eq!(crc16(&[b"a reply".as_slice(), &checksum].concat()), GOOD_RESIDUAL);
/// ```
#[must_use]
pub fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0xffff, |sum, byte| {
        (0..8)
            .fold(sum ^ u16::from(*byte), |sum, _| if sum & 1 == 1 { (sum >> 1) ^ 0x8408 } else { sum >> 1 })
    })
}
