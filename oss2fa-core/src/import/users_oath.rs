//! The users file of pam_oath (OATH Toolkit), usually `/etc/users.oath`.
//!
//! A line is `TYPE USER PIN SECRET [COUNTER [LASTOTP [TIMESTAMP]]]`, the secret in hexadecimal. The
//! last three are what pam_oath writes after a login. As version 2.6.7 was seen to do it:
//!
//! - HOTP: COUNTER is that of the code that was used last, and LASTOTP is what keeps it from being
//!   used again. An administrator may write COUNTER alone; then that one is still unused.
//! - TOTP: COUNTER is how far the step was from the expected one, without its sign, and so cannot
//!   be used. TIMESTAMP is the local time of the host, without its zone.

use data_encoding::HEXLOWER_PERMISSIVE;

use super::{ImportError, ImportedDevice, MAX_ENTRIES, local_time};
use crate::base32::MAX_SECRET;
use crate::factor::generator::{Generator, TypedCode};
use crate::factor::otp::{Digits, OtpParameters, Period};
use crate::secret::SecretBytes;
use crate::verdict::FactorKind;

/// Longest line, in bytes.
pub const MAX_LINE: usize = 1024;

// pam_oath accepts codes of steps before and after the expected one, as many as `window=` says.
const WINDOW: u64 = 60;

// Local time runs from 12 hours behind UTC to 14 hours ahead.
const HOURS_BEHIND: i64 = 12;
const HOURS_AHEAD: i64 = 14;

/// Reads every line. Blank lines and lines that begin with `#` are skipped. A bad line is an error
/// of its own and changes nothing about the others; a user may have many lines.
#[must_use]
pub fn parse(text: &str) -> Vec<Result<ImportedDevice, ImportError>> {
    super::entries(text)
        .take(MAX_ENTRIES)
        .map(|(number, line)| entry(number, line).map_err(|reason| ImportError::at(number, reason)))
        .chain(super::too_many(text))
        .collect()
}

fn entry(number: usize, line: &str) -> Result<ImportedDevice, &'static str> {
    if line.len() > MAX_LINE {
        return Err("the line is longer than 1024 bytes");
    }
    let mut fields = line.split([' ', '\t', '\r']).filter(|field| !field.is_empty());
    let token = fields.next().and_then(token).ok_or(
        "the type is none of HOTP, HOTP/E, HOTP/T30 and HOTP/T60 (to the last three /6, /7 or /8 may be added)",
    )?;
    let user = fields.next().ok_or("the line ends before the user name")?;
    if user.chars().any(char::is_control) {
        return Err("the user name has control characters");
    }
    if !matches!(fields.next().ok_or("the line ends before the PIN")?, "-" | "+") {
        return Err("the user has a PIN in this file, and PINs are not taken over: put - in its place, \
                    and have PAM ask for the password as well");
    }
    let secret = secret(fields.next().ok_or("the line ends before the secret")?)
        .ok_or("the secret is not hexadecimal of 1 to 128 bytes")?;
    let log = Log { counter: fields.next(), last_code: fields.next(), timestamp: fields.next() };
    if fields.next().is_some() {
        return Err("the line goes on after the timestamp");
    }
    let next_position = match token.kind {
        FactorKind::Hotp => log.next_counter(token.parameters)?,
        _ => log.next_step(&secret, token.parameters)?,
    };
    let user = Some(user.to_owned());
    let Token { kind, parameters } = token;
    Ok(ImportedDevice { line: number, user, kind, secret, parameters, next_position, drift: 0 })
}

struct Token {
    kind: FactorKind,
    parameters: OtpParameters,
}

fn token(text: &str) -> Option<Token> {
    let mut parts = text.split('/');
    if parts.next()? != "HOTP" {
        return None;
    }
    let (kind, seconds) = match parts.next() {
        None | Some("E") => (FactorKind::Hotp, 30),
        Some("T30") => (FactorKind::Totp, 30),
        Some("T60") => (FactorKind::Totp, 60),
        Some(_) => return None,
    };
    let digits = match parts.next() {
        None => Digits::default(),
        Some(digits @ ("6" | "7" | "8")) => digits.parse().ok()?,
        Some(_) => return None,
    };
    let parameters = OtpParameters { digits, period: Period::new(seconds).ok()?, ..OtpParameters::default() };
    parts.next().is_none().then_some(Token { kind, parameters })
}

fn secret(hex: &str) -> Option<SecretBytes> {
    let bytes = SecretBytes::new(HEXLOWER_PERMISSIVE.decode(hex.as_bytes()).ok()?);
    (1..=MAX_SECRET).contains(&bytes.expose().len()).then_some(bytes)
}

/// What pam_oath wrote after the last login.
struct Log<'a> {
    counter: Option<&'a str>,
    last_code: Option<&'a str>,
    timestamp: Option<&'a str>,
}

impl Log<'_> {
    fn next_counter(&self, parameters: OtpParameters) -> Result<u64, &'static str> {
        self.seconds()?;
        let Some(counter) = self.counter else { return Ok(0) };
        let counter = super::position(counter).ok_or("the counter is not a number that can be used")?;
        Ok(if self.last_code(parameters)?.is_some() { counter + 1 } else { counter })
    }

    fn next_step(&self, secret: &SecretBytes, parameters: OtpParameters) -> Result<u64, &'static str> {
        let plain = |text: &str| super::position(text.trim_start_matches('-')).is_some();
        if !self.counter.is_none_or(plain) {
            return Err("the search position is not a number");
        }
        let Some(last_code) = self.last_code(parameters)? else { return Ok(0) };
        let local = self.seconds()?.ok_or(
            "there is a last code without its timestamp, so it cannot be told which codes are used: \
             add the time of the last login",
        )?;
        let step_at = |hours: i64| {
            let seconds = u64::try_from(local.saturating_add(hours * 3600)).unwrap_or(0);
            parameters.period.step_at(seconds)
        };
        let earliest = step_at(-HOURS_AHEAD).saturating_sub(WINDOW);
        let latest = step_at(HOURS_BEHIND);
        let generator = Generator::new(secret, parameters).ok_or("the secret is empty")?;
        // The zone is not known. Of several steps with this code the latest is taken, and where there
        // is none, the latest that the timestamp can mean: never is a used code accepted again. The
        // price is a wait of at most a day, for a device that was used within the last day.
        let mut steps = (earliest..=latest.saturating_add(WINDOW)).rev();
        let used = steps.find(|step| generator.is_at(*step, &last_code)).unwrap_or(latest);
        Ok(used.saturating_add(1))
    }

    fn last_code(&self, parameters: OtpParameters) -> Result<Option<TypedCode>, &'static str> {
        let read = |code| TypedCode::read(code, parameters.digits);
        let wrong = "the last code does not have as many digits as the type says";
        self.last_code.map(|code| read(code).ok_or(wrong)).transpose()
    }

    fn seconds(&self) -> Result<Option<i64>, &'static str> {
        let wrong = "the timestamp is not of the form 2026-01-31T23:59:59L";
        self.timestamp.map(|text| local_time::seconds(text).ok_or(wrong)).transpose()
    }
}
