//! Secrets in base32 (RFC 4648 section 6), as people copy them: in any case, with blanks, dashes, padding.

use zeroize::Zeroizing;

use crate::secret::SecretBytes;

/// Longest secret that is taken over, in bytes: the block of SHA-512, above which HMAC gains nothing.
pub(crate) const MAX_SECRET: usize = 128;

/// A secret of 1 to [`MAX_SECRET`] bytes; `None` for anything else. Bits that do not fill a byte are
/// dropped, as authenticator applications do.
pub(crate) fn decode(text: &str) -> Option<SecretBytes> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_SECRET));
    let (mut held, mut bits, mut characters) = (0_u16, 0_u32, 0_usize);
    let unpadded = text.trim_end_matches(['=', ' ']);
    for c in unpadded.bytes().filter(|c| !matches!(c, b' ' | b'-')) {
        let value = match c.to_ascii_uppercase() {
            letter @ b'A'..=b'Z' => letter - b'A',
            digit @ b'2'..=b'7' => digit - b'2' + 26,
            _ => return None,
        };
        characters += 1;
        held = (held << 5) | u16::from(value);
        bits += 5;
        if bits >= 8 {
            if bytes.len() == MAX_SECRET {
                return None;
            }
            bits -= 8;
            bytes.push((held >> bits) as u8);
            held &= (1 << bits) - 1;
        }
    }
    // These lengths cannot come from whole bytes: a character was lost on the way.
    if matches!(characters % 8, 1 | 3 | 6) || bytes.is_empty() {
        return None;
    }
    Some(SecretBytes::new(std::mem::take(&mut *bytes)))
}
