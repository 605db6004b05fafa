//! Modhex: hexadecimal in the sixteen letters that stand at the same place on most keyboards, which is what a
//! YubiKey types ("YubiKey Manual" of Yubico, section 6.2).

/// The letter of each value from 0 to 15.
const LETTERS: &[u8; 16] = b"cbdefghijklnrtuv";

/// The bytes that a text of letters stands for, in any case. `None` for another letter or half a byte.
#[must_use]
pub fn decode(text: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    pairs.iter().map(|[high, low]| Some(value(*high)? << 4 | value(*low)?)).collect()
}

/// The letters of bytes.
#[must_use]
pub fn encode(bytes: &[u8]) -> String {
    let letter = |value: u8| LETTERS.get(usize::from(value)).copied().map_or('c', char::from);
    bytes.iter().flat_map(|byte| [letter(byte >> 4), letter(byte & 15)]).collect()
}

fn value(letter: u8) -> Option<u8> {
    let small = letter.to_ascii_lowercase();
    (0..16).zip(LETTERS).find(|(_, known)| **known == small).map(|(value, _)| value)
}
