//! Recovery codes: single-use, made at random, kept only as keyed hashes.

use std::fmt;

use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::ids::DeviceId;
use crate::secret::SecretText;
use crate::verdict::{FactorKind, Verified};

/// How many codes are made at once.
pub const COUNT: usize = 10;

/// Randomness in one code, in bytes: 80 bits, so that a stolen list of hashes is of no use.
pub const ENTROPY: usize = 10;

/// Characters of a code, without its dashes: five bits each.
const LENGTH: usize = 16;
/// Digits of a scratch code of google-authenticator.
const SCRATCH_LENGTH: usize = 8;
const GROUP: usize = 4;
// Without i, l, o and u: what is read aloud or from paper cannot be mistaken.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// One code in its canonical spelling. Wiped on drop.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct RecoveryCode(String);

impl RecoveryCode {
    /// The canonical spelling, which is what gets hashed.
    #[must_use]
    pub fn expose_canonical(&self) -> &str {
        &self.0
    }

    /// As it is shown to its owner: groups of four, with dashes between them.
    #[must_use]
    pub fn to_display(&self) -> SecretText {
        let mut shown = String::with_capacity(self.0.len() + self.0.len() / GROUP);
        for (position, c) in self.0.chars().enumerate() {
            if position > 0 && position % GROUP == 0 {
                shown.push('-');
            }
            shown.push(c);
        }
        SecretText::new(shown)
    }
}

impl fmt::Debug for RecoveryCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecoveryCode(***)")
    }
}

/// The code that these random bytes spell.
///
/// ```
/// use oss2fa_core::factor::recovery_code::from_random;
/// assert_eq!(from_random(&[0xff; 10]).to_display().expose(), "zzzz-zzzz-zzzz-zzzz");
/// ```
#[must_use]
pub fn from_random(random: &[u8; ENTROPY]) -> RecoveryCode {
    let bits = Zeroizing::new(random.iter().fold(0_u128, |bits, byte| (bits << 8) | u128::from(*byte)));
    let mut code = String::with_capacity(LENGTH);
    for place in (0..LENGTH).rev() {
        let five_bits = (*bits >> (place * 5)) as usize & 0x1f;
        code.extend(ALPHABET.get(five_bits).map(|c| char::from(*c)));
    }
    RecoveryCode(code)
}

/// Brings what was typed to its canonical spelling: case, blanks and dashes do not matter, and what
/// looks like 0 or 1 is. Eight digits are a code too: a scratch code of google-authenticator that
/// was imported. `None` for whatever cannot be a code.
#[must_use]
pub fn canonical(typed: &str) -> Option<RecoveryCode> {
    let mut kept = Zeroizing::new(String::with_capacity(LENGTH));
    for c in typed.chars().filter(|c| !c.is_whitespace() && *c != '-') {
        if kept.len() == LENGTH || !c.is_ascii_alphanumeric() {
            return None;
        }
        kept.push(c.to_ascii_lowercase());
    }
    if kept.len() == SCRATCH_LENGTH && kept.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(RecoveryCode(kept.as_str().to_owned()));
    }
    if kept.len() != LENGTH {
        return None;
    }
    let mut code = RecoveryCode(String::with_capacity(LENGTH));
    for c in kept.chars() {
        code.0.push(match c {
            'o' => '0',
            'i' | 'l' => '1',
            other => other,
        });
    }
    code.0.bytes().all(|byte| ALPHABET.contains(&byte)).then_some(code)
}

/// An unused code as the store keeps it.
#[derive(Clone)]
pub struct StoredCode {
    /// Its number on the list.
    pub number: u64,
    /// Keyed hash of its canonical spelling.
    pub digest: [u8; 32],
}

impl fmt::Debug for StoredCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredCode").field("number", &self.number).finish_non_exhaustive()
    }
}

/// Looks for the keyed hash of what was typed among the unused codes, in a time that tells neither
/// whether nor where it was found. The position of the evidence is the number of the code.
#[must_use]
pub fn check(device: DeviceId, presented: &[u8; 32], stored: &[StoredCode]) -> Option<Verified> {
    let mut found = Choice::from(0);
    let mut number = 0;
    for code in stored {
        let same = code.digest.ct_eq(presented);
        number.conditional_assign(&code.number, same);
        found |= same;
    }
    bool::from(found).then(|| Verified::by_check(device, FactorKind::RecoveryCode, number))
}
