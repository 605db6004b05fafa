//! One-time passwords at a position (RFC 4226 section 5.3), compared in constant time.

use std::fmt::Write;
use std::ops::RangeInclusive;

use subtle::ConstantTimeEq;
use totp_rs::{Builder, Secret, Totp};
use zeroize::Zeroizing;

use super::otp::{Algorithm, Digits, OtpParameters};
use crate::secret::SecretBytes;

/// A code as somebody typed it, brought down to its ASCII digits. Wiped on drop.
pub(crate) struct TypedCode(Zeroizing<Vec<u8>>);

impl TypedCode {
    /// `None` unless exactly `digits` ASCII digits are left when blanks and dashes are gone. Digits
    /// of other scripts are not digits here: a code has one spelling.
    pub(crate) fn read(typed: &str, digits: Digits) -> Option<Self> {
        let wanted = usize::from(digits.value());
        typed_digits(typed, wanted).filter(|kept| kept.len() == wanted).map(Self)
    }
}

/// The ASCII digits of what was typed, without blanks and dashes; `None` where there are more than `most`
/// of them, or something else.
pub(crate) fn typed_digits(typed: &str, most: usize) -> Option<Zeroizing<Vec<u8>>> {
    // Reserved whole, so that no half of it stays behind in a buffer that was grown out of.
    let mut kept = Zeroizing::new(Vec::with_capacity(most));
    for c in typed.chars().filter(|c| !c.is_whitespace() && *c != '-') {
        if kept.len() == most || !c.is_ascii_digit() {
            return None;
        }
        kept.push(u8::try_from(c).ok()?);
    }
    Some(kept)
}

/// Makes the codes of one device.
pub(crate) struct Generator(Totp);

impl Generator {
    /// `None` for a device without a secret: whoever knows that it has none would know its codes.
    pub(crate) fn new(secret: &SecretBytes, parameters: OtpParameters) -> Option<Self> {
        if secret.expose().is_empty() {
            return None;
        }
        let algorithm = match parameters.algorithm {
            Algorithm::Sha1 => totp_rs::Algorithm::SHA1,
            Algorithm::Sha256 => totp_rs::Algorithm::SHA256,
            Algorithm::Sha512 => totp_rs::Algorithm::SHA512,
        };
        // With steps of one second the "time" is the position itself. The checked `build` would
        // refuse imported secrets below 128 bits; its cap on the digits is `Digits`.
        let totp = Builder::new()
            .with_algorithm(algorithm)
            .with_digits(parameters.digits.value())
            .with_step_duration(1)
            .with_secret(Secret::new(secret.expose().into()))
            .build_noncompliant();
        Some(Self(totp))
    }

    /// Whether `typed` is the code at `position`; the time this takes does not depend on how much
    /// of it is right.
    pub(crate) fn is_at(&self, position: u64, typed: &TypedCode) -> bool {
        // Room for any code: a string that grows leaves what it held behind.
        let mut code = Zeroizing::new(String::with_capacity(16));
        if write!(code, "{}", self.0.generate(position)).is_err() {
            return false;
        }
        code.as_bytes().ct_eq(&typed.0).into()
    }

    /// The earliest position in `window` whose code is `typed`.
    pub(crate) fn find(&self, mut window: RangeInclusive<u64>, typed: &TypedCode) -> Option<u64> {
        window.find(|position| self.is_at(*position, typed))
    }

    /// The earliest position in `window` whose code is `first`, and the one after it `second`: gives
    /// the position of `second`. Both lie in the window.
    pub(crate) fn find_pair(
        &self,
        window: RangeInclusive<u64>,
        first: &TypedCode,
        second: &TypedCode,
    ) -> Option<u64> {
        let (start, end) = window.into_inner();
        let mut firsts = start..end;
        firsts.find(|at| self.is_at(*at, first) && self.is_at(at + 1, second)).map(|at| at + 1)
    }
}
