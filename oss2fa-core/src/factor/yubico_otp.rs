//! Yubico OTP: what a YubiKey types at a touch, opened with the AES key that was written into it.
//!
//! A password is the public id of the key in modhex, then 32 letters of modhex: one block of AES-128 with the
//! private id, the counters, a clock and a checksum ("YubiKey Manual" of Yubico, sections 2.4 and 6.1). The
//! position of the evidence is the session counter in front of the use counter, which only grows.

use std::fmt;

use aes::Aes128;
use aes::cipher::{BlockCipherDecrypt, KeyInit};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::modhex;
use crate::ids::DeviceId;
use crate::secret::SecretBytes;
use crate::verdict::{FactorKind, Verified};

/// Letters of the encrypted block.
const BLOCK: usize = 32;

/// Bytes of a private id.
pub const PRIVATE_ID: usize = 6;

/// Bytes of a key.
pub const KEY: usize = 16;

/// Most bytes of a public id.
pub const LONGEST_PUBLIC_ID: usize = 16;

/// What a checksum over a whole block leaves (ISO/IEC 13239).
const RESIDUE: u16 = 0xf0b8;

/// The part of a password that says which key typed it: 1 to 16 bytes, as small letters of modhex. Not a secret.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicId(String);

/// A text that is no public id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadPublicId;

impl fmt::Display for BadPublicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a public id is 2 to 32 letters of modhex (cbdefghijklnrtuv), an even number of them")
    }
}

impl std::error::Error for BadPublicId {}

impl PublicId {
    /// Reads one, in any case.
    ///
    /// # Errors
    /// [`BadPublicId`].
    pub fn parse(text: &str) -> Result<Self, BadPublicId> {
        if text.len() > 2 * LONGEST_PUBLIC_ID {
            return Err(BadPublicId);
        }
        let bytes = modhex::decode(text).filter(|bytes| !bytes.is_empty()).ok_or(BadPublicId)?;
        Ok(Self(modhex::encode(&bytes)))
    }

    /// Of these bytes; `None` where they are none or too many.
    #[must_use]
    pub fn of_bytes(bytes: &[u8]) -> Option<Self> {
        (1..=LONGEST_PUBLIC_ID).contains(&bytes.len()).then(|| Self(modhex::encode(bytes)))
    }

    /// The letters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// As it is shown: the last four letters.
    #[must_use]
    pub fn masked(&self) -> String {
        let kept = self.0.len().saturating_sub(4).max(self.0.len() / 2);
        self.0.char_indices().map(|(n, letter)| if n < kept { '*' } else { letter }).collect()
    }
}

impl fmt::Display for PublicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A password by its look: it is not known yet whether any key typed it.
#[derive(Clone, PartialEq, Eq)]
pub struct TypedOtp {
    public_id: PublicId,
    block: Zeroizing<[u8; 16]>,
}

impl fmt::Debug for TypedOtp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TypedOtp").field("public_id", &self.public_id).finish_non_exhaustive()
    }
}

impl TypedOtp {
    /// Reads what was typed, in any case and with blanks around it. A password without a public id is none:
    /// nobody could say of which key it is.
    #[must_use]
    pub fn read(typed: &str) -> Option<Self> {
        let typed = typed.trim_matches([' ', '\t', '\r', '\n']);
        if !typed.is_ascii() || typed.len() > 2 * LONGEST_PUBLIC_ID + BLOCK {
            return None;
        }
        let (public_id, block) = typed.split_at_checked(typed.len().checked_sub(BLOCK)?)?;
        let public_id = PublicId::parse(public_id).ok()?;
        let decoded = Zeroizing::new(modhex::decode(block)?);
        let block = Zeroizing::new(<[u8; 16]>::try_from(decoded.as_slice()).ok()?);
        Some(Self { public_id, block })
    }

    /// Which key is said to have typed it.
    #[must_use]
    pub fn public_id(&self) -> &PublicId {
        &self.public_id
    }

    /// The whole in small letters. Each call is a place to look at in a review.
    #[must_use]
    pub fn expose(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(2 * LONGEST_PUBLIC_ID + BLOCK));
        text.push_str(self.public_id.as_str());
        text.push_str(&Zeroizing::new(modhex::encode(self.block.as_slice())));
        text
    }
}

/// A key whose secrets are known here.
#[derive(Clone, Copy)]
pub struct Yubikey<'a> {
    /// Which device.
    pub device: DeviceId,
    /// The public id.
    pub public_id: &'a PublicId,
    /// The private id, [`PRIVATE_ID`] bytes; another length matches nothing.
    pub private_id: &'a SecretBytes,
    /// The AES key, [`KEY`] bytes; another length matches nothing.
    pub key: &'a SecretBytes,
    /// The lowest position that may still be accepted.
    pub next_position: u64,
}

/// The counters of a touch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Touch {
    /// How often the key had been plugged in and used.
    pub session: u16,
    /// How many passwords it had typed since, from 0.
    pub used: u8,
    /// Its clock of 8 Hz, of 24 bits, which begins anywhere when the key is plugged in.
    pub clock: u32,
}

impl Touch {
    /// What only grows: the session counter in front of the use counter.
    #[must_use]
    pub fn position(self) -> u64 {
        u64::from(self.session) << 8 | u64::from(self.used)
    }
}

/// What a password turned out to be.
#[derive(Debug, PartialEq, Eq)]
pub enum Opened {
    /// The key typed it after all that were accepted.
    Fresh(Verified, Touch),
    /// The key typed it, and it or a later one was accepted.
    Passed(Touch),
    /// The key did not type it.
    Foreign,
}

impl Yubikey<'_> {
    /// Opens a password and holds it against what the key has in it.
    #[must_use]
    pub fn open(&self, typed: &TypedOtp) -> Opened {
        match self.decrypt(typed) {
            None => Opened::Foreign,
            Some(touch) if touch.position() < self.next_position => Opened::Passed(touch),
            Some(touch) => {
                Opened::Fresh(Verified::by_check(self.device, FactorKind::YubicoOtp, touch.position()), touch)
            }
        }
    }

    /// The evidence for a password that the key typed after all that were accepted.
    #[must_use]
    pub fn check(&self, typed: &TypedOtp) -> Option<Verified> {
        match self.open(typed) {
            Opened::Fresh(verified, _) => Some(verified),
            Opened::Passed(_) | Opened::Foreign => None,
        }
    }

    fn decrypt(&self, typed: &TypedOtp) -> Option<Touch> {
        if typed.public_id != *self.public_id || self.private_id.expose().len() != PRIVATE_ID {
            return None;
        }
        let cipher = Aes128::new_from_slice(self.key.expose()).ok()?;
        let mut plain = typed.block.clone();
        cipher.decrypt_block((&mut *plain).into());
        let right = checksum(plain.as_slice()).ct_eq(&RESIDUE)
            & plain.get(..PRIVATE_ID)?.ct_eq(self.private_id.expose());
        if !bool::from(right) {
            return None;
        }
        // All numbers have their low byte first.
        let [_, _, _, _, _, _, session_low, session_high, clock_0, clock_1, clock_2, used, ..] = *plain;
        Some(Touch {
            session: u16::from_le_bytes([session_low, session_high]),
            used,
            clock: u32::from_le_bytes([clock_0, clock_1, clock_2, 0]),
        })
    }
}

impl fmt::Debug for Yubikey<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Yubikey").field("device", &self.device).finish_non_exhaustive()
    }
}

/// CRC-16 of ISO/IEC 13239, low bit first, without its last inversion.
fn checksum(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0xffff, |sum, byte| {
        (0..8).fold(sum ^ u16::from(*byte), |sum, _| if sum & 1 == 1 { sum >> 1 ^ 0x8408 } else { sum >> 1 })
    })
}
