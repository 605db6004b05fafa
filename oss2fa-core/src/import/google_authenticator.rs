//! The state file of libpam-google-authenticator, usually `~/.google_authenticator`.
//!
//! The first line is the secret in base32; then come options (`" NAME VALUE`) and scratch codes of
//! eight digits. The format is described in FILEFORMAT of that project. Codes have six digits and are
//! made with SHA-1, always.

use super::{ImportError, ImportedDevice};
use crate::base32;
use crate::factor::otp::{OtpParameters, Period};
use crate::secret::SecretText;
use crate::verdict::FactorKind;

/// Longest file, in bytes.
pub const MAX_FILE: usize = 64 * 1024;

/// The most scratch codes that are taken from one file.
pub const MAX_SCRATCH_CODES: usize = 100;

// The peer searches 25 hours of half-minute steps around now before it writes a skew.
const MAX_SKEW: i64 = 25 * 60;

/// What was in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GoogleAuthenticator {
    /// The device; its `user` is `None`, because the file does not say whose it is.
    pub device: ImportedDevice,
    /// The scratch codes that are still unused, eight digits each.
    pub scratch_codes: Vec<SecretText>,
    /// What the administrator should know: options that are not taken over. Free of secrets.
    pub notes: Vec<String>,
}

#[derive(Default)]
struct Options {
    totp: Option<()>,
    next_counter: Option<u64>,
    next_step: Option<u64>,
    period: Option<Period>,
    drift: Option<i64>,
}

/// Reads a file.
///
/// # Errors
/// The first line that is wrong: the file is taken over whole or not at all.
pub fn parse(text: &str) -> Result<GoogleAuthenticator, ImportError> {
    if text.len() > MAX_FILE {
        return Err(ImportError::at(
            1,
            "the file is longer than 64 KiB: this is not a google-authenticator file",
        ));
    }
    let mut lines = (1..).zip(text.lines());
    let secret = lines.next().and_then(|(_, line)| base32::decode(line.trim()));
    let secret =
        secret.ok_or_else(|| ImportError::at(1, "this is not a secret in base32 of 1 to 128 bytes"))?;
    let mut options = Options::default();
    let mut scratch_codes = Vec::new();
    let mut notes = Vec::new();
    for (number, line) in lines {
        let line = line.trim_end();
        let read = match line.strip_prefix('"') {
            None if line.is_empty() => Ok(()),
            None => scratch_code(line, &mut scratch_codes),
            Some(option) => match option.strip_prefix(' ') {
                Some(option) => options.read(option, &mut notes),
                None => Err("an option is a quotation mark, a blank and a name"),
            },
        };
        read.map_err(|reason| ImportError::at(number, reason))?;
    }
    let (kind, next_position) = options.kind(&mut notes).map_err(|reason| ImportError::at(1, reason))?;
    let period = options.period.unwrap_or_default();
    let parameters = OtpParameters { period, ..OtpParameters::default() };
    let drift = options.drift.unwrap_or(0);
    let device = ImportedDevice { line: 1, user: None, kind, secret, parameters, next_position, drift };
    Ok(GoogleAuthenticator { device, scratch_codes, notes })
}

fn scratch_code(line: &str, codes: &mut Vec<SecretText>) -> Result<(), &'static str> {
    // With a zero in front the peer does not accept it either.
    if line.len() != 8 || line.starts_with('0') || !line.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("this is neither an option nor a scratch code of eight digits");
    }
    if codes.len() == MAX_SCRATCH_CODES {
        return Err("there are more than 100 scratch codes");
    }
    let code = SecretText::new(line.to_owned());
    if codes.contains(&code) {
        return Err("this scratch code is in the file twice: remove one");
    }
    codes.push(code);
    Ok(())
}

impl Options {
    fn read(&mut self, option: &str, notes: &mut Vec<String>) -> Result<(), &'static str> {
        let (name, value) = option.split_once([' ', '\t']).unwrap_or((option, ""));
        let value = value.trim();
        let again = match name {
            "TOTP_AUTH" => self.totp.replace(()).is_some(),
            "HOTP_COUNTER" => {
                let counter = super::position(value).filter(|counter| *counter > 0);
                let counter = counter.ok_or("HOTP_COUNTER is not a number from 1")?;
                self.next_counter.replace(counter).is_some()
            }
            "DISALLOW_REUSE" => self.next_step.replace(above_used_steps(value)?).is_some(),
            "STEP_SIZE" => {
                // The peer knows 1 to 60.
                let period = value.parse().ok().filter(|period: &Period| period.value() <= 60);
                let period = period.ok_or("STEP_SIZE is not a number of 15 to 60 seconds")?;
                self.period.replace(period).is_some()
            }
            "TIME_SKEW" => {
                let skew = value.parse().ok().filter(|skew| (-MAX_SKEW..=MAX_SKEW).contains(skew));
                let skew = skew.ok_or("TIME_SKEW is not a number of steps from -1500 to 1500")?;
                self.drift.replace(skew).is_some()
            }
            _ => {
                notes.push(not_carried(name)?);
                false
            }
        };
        if again { Err("this option is in the file twice") } else { Ok(()) }
    }

    /// The kind of the device and its next position.
    fn kind(&self, notes: &mut Vec<String>) -> Result<(FactorKind, u64), &'static str> {
        // With both, the counter wins.
        if let Some(counter) = self.next_counter {
            return Ok((FactorKind::Hotp, counter));
        }
        self.totp.ok_or(
            "the file has neither TOTP_AUTH nor HOTP_COUNTER, so it cannot be told what device it is",
        )?;
        if self.next_step.is_none() {
            notes.push(
                "DISALLOW_REUSE was not set, so the file does not say which codes are used: \
                 a code that was used in the last minutes may be accepted once more"
                    .to_owned(),
            );
        }
        Ok((FactorKind::Totp, self.next_step.unwrap_or(0)))
    }
}

/// One above the highest of the used time steps.
fn above_used_steps(list: &str) -> Result<u64, &'static str> {
    let mut next = 0;
    for step in list.split_whitespace() {
        let step = super::position(step).ok_or("DISALLOW_REUSE has something other than time steps")?;
        next = next.max(step + 1);
    }
    Ok(next)
}

fn not_carried(name: &str) -> Result<String, &'static str> {
    let plain = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    if !(1..=40).contains(&name.len()) || !name.bytes().all(plain) {
        return Err("an option is a quotation mark, a blank and a name in capital letters");
    }
    Ok(match name {
        "RATE_LIMIT" => "RATE_LIMIT is not taken over: tries are limited by the agent's own locks".to_owned(),
        "WINDOW_SIZE" => "WINDOW_SIZE is not taken over: the window is the agent's own".to_owned(),
        "RESETTING_TIME_SKEW" => {
            "RESETTING_TIME_SKEW is not taken over: where the device's clock is wrong, resynchronise it"
                .to_owned()
        }
        // When and from where the last logins came.
        _ if matches!(name.strip_prefix("LAST"), Some(number) if number.len() == 1) => {
            format!("{name} is not taken over")
        }
        // Its name is not repeated: a secret may have got onto that line.
        _ => "an option that is not known here is not taken over".to_owned(),
    })
}
