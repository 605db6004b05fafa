//! What the tools write that put keys into YubiKeys: lines of values with commas between them.
//!
//! - The log of the YubiKey Personalization Tool in its "traditional" form:
//!   `Yubico OTP,TIME,SLOT,PUBLIC,PRIVATE,KEY,...`, with `LOGGING START,TIME` in front.
//! - Its "Yubico" form, which `ykman` and the key storage module of Yubico have as well ("Key Provisioning Data
//!   Format"): `SERIAL,PUBLIC,PRIVATE,KEY,LOCK,CREATED,ACCESSED`, with `# comment` anywhere.
//!
//! The public id is modhex, private id and key are hexadecimal.

use data_encoding::HEXLOWER_PERMISSIVE;

use super::{ImportError, MAX_ENTRIES};
use crate::factor::yubico_otp::{KEY, PRIVATE_ID, PublicId};
use crate::secret::SecretBytes;

/// Longest line, in bytes.
pub const MAX_LINE: usize = 1024;

/// The first value of what is taken over of the traditional form.
const YUBICO_OTP: &str = "Yubico OTP";

/// A YubiKey that was found in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportedYubikey {
    /// Line of the file, from 1.
    pub line: usize,
    /// What stands on the key, where the file says it.
    pub serial: Option<u32>,
    /// Its public id.
    pub public_id: PublicId,
    /// Its private id, 6 bytes.
    pub private_id: SecretBytes,
    /// Its AES key, 16 bytes.
    pub key: SecretBytes,
}

/// Reads every line. Blank lines and comments are skipped, and where a log begins. A bad line, and one about
/// something else than Yubico OTP, is an error of its own and changes nothing about the others.
#[must_use]
pub fn parse(text: &str) -> Vec<Result<ImportedYubikey, ImportError>> {
    super::entries(text)
        .filter(|(_, line)| !line.trim_start().starts_with("LOGGING START"))
        .take(MAX_ENTRIES)
        .map(|(number, line)| entry(number, line).map_err(|reason| ImportError::at(number, reason)))
        .chain(super::too_many(text))
        .collect()
}

fn entry(line: usize, text: &str) -> Result<ImportedYubikey, &'static str> {
    if text.len() > MAX_LINE {
        return Err("the line is longer than 1024 bytes");
    }
    let plain = text.split_once('#').map_or(text, |(plain, _)| plain);
    let mut values = plain.split(',').map(|value| value.trim().trim_matches('"'));
    let first = values.next().unwrap_or_default();
    let serial = if first == YUBICO_OTP {
        // When, and into which of the two slots.
        let slot = values.nth(1).ok_or("the line ends before the slot")?;
        if !matches!(slot, "1" | "2") {
            return Err("the slot is neither 1 nor 2");
        }
        None
    } else if first.bytes().all(|byte| byte.is_ascii_digit()) {
        (!first.is_empty())
            .then(|| first.parse())
            .transpose()
            .map_err(|_| "the serial number is too large")?
    } else {
        return Err(
            "this is no entry of Yubico OTP: it begins with none of \"Yubico OTP\" and a serial number",
        );
    };
    let public_id = values.next().ok_or("the line ends before the public id")?;
    let public_id = PublicId::parse(public_id).map_err(
        |_| "the public id is not 2 to 32 letters of modhex: without one nobody knows the key again",
    )?;
    let private_id = bytes(values.next().ok_or("the line ends before the private id")?, PRIVATE_ID)
        .ok_or("the private id is not 12 hexadecimal digits: the entry is not of Yubico OTP")?;
    let key = bytes(values.next().ok_or("the line ends before the key")?, KEY)
        .ok_or("the key is not 32 hexadecimal digits: the entry is not of Yubico OTP")?;
    Ok(ImportedYubikey { line, serial, public_id, private_id, key })
}

fn bytes(hex: &str, length: usize) -> Option<SecretBytes> {
    let decoded = SecretBytes::new(HEXLOWER_PERMISSIVE.decode(hex.as_bytes()).ok()?);
    (decoded.expose().len() == length).then_some(decoded)
}
