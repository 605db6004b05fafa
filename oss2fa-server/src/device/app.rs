//! The device of an app of ungleich-otp: TOTP with SHA-1, 6 digits and 30 seconds, as pyotp has it by default.

use data_encoding::{BASE32_NOPAD, Encoding, Specification};
use oss2fa_core::factor::otp::OtpParameters;
use oss2fa_core::factor::totp::Totp;
use oss2fa_core::random::{NoRandomness, Random};
use oss2fa_core::secret::{SecretBytes, SecretText};
use oss2fa_core::verdict::Verified;
use std::sync::LazyLock;
use zeroize::Zeroizing;

use super::otp::Material;
use super::{NewDevice, StoredDevice};
use crate::outside::Timestamp;
use crate::store::error::StoreError;

/// The name of the kind: the locks of an app's tokens are those of any TOTP device.
pub const KIND: &str = "TOTP";

/// Bytes of a seed that is made here (RFC 4226 section 4, R6).
const NEW_SEED: usize = 20;

/// Fewest and most bytes of a seed that is brought along. pyotp once made 16 characters, which are 10 bytes.
const SEED: std::ops::RangeInclusive<usize> = 10..=128;

/// Last bits that do not fill a byte are left out, as pyotp does.
static LENIENT: LazyLock<Option<Encoding>> = LazyLock::new(|| {
    let mut specification = Specification::new();
    specification.symbols.push_str("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567");
    specification.check_trailing_bits = false;
    specification.encoding().ok()
});

/// The seed of an app.
#[derive(Debug, Clone)]
pub struct Seed(SecretBytes);

/// A text that is no seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a seed is 16 to 205 characters of base32: A to Z and 2 to 7")]
pub struct BadSeed;

impl Seed {
    /// A new one.
    ///
    /// # Errors
    /// [`NoRandomness`].
    pub fn generate(random: &dyn Random) -> Result<Self, NoRandomness> {
        let mut bytes = vec![0; NEW_SEED];
        random.fill(&mut bytes)?;
        Ok(Self(SecretBytes::new(bytes)))
    }

    /// Takes one that was made elsewhere: base32 in any case, with or without its filling.
    ///
    /// # Errors
    /// [`BadSeed`].
    pub fn parse(written: &str) -> Result<Self, BadSeed> {
        if written.len() > 512 {
            return Err(BadSeed);
        }
        let plain = Zeroizing::new(written.trim_end_matches('=').to_ascii_uppercase());
        let decoded = LENIENT.as_ref().ok_or(BadSeed)?.decode(plain.as_bytes()).map_err(|_| BadSeed)?;
        let bytes = SecretBytes::new(decoded);
        if SEED.contains(&bytes.expose().len()) { Ok(Self(bytes)) } else { Err(BadSeed) }
    }

    /// What a stored device has.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`].
    pub fn of(material: &SecretBytes) -> Result<Self, StoreError> {
        Material::read(material).map(|material| Self(material.secret))
    }

    /// In base32, as apps take it.
    #[must_use]
    pub fn text(&self) -> SecretText {
        SecretText::new(BASE32_NOPAD.encode(self.0.expose()))
    }

    /// The device that checks it.
    #[must_use]
    pub fn device(&self) -> NewDevice {
        let material = Material { secret: self.0.clone(), parameters: OtpParameters::default(), counter: 0 };
        NewDevice {
            name: "Seed".to_owned(),
            shown: None,
            material: material.keep(),
            code_secret: Some(self.0.clone()),
            next_position: 0,
            codes: Vec::new(),
            public_id: None,
        }
    }
}

/// Which steps a token may be of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Steps {
    /// Any in the window.
    Any,
    /// Those in the window that no token was accepted of or after.
    Unused,
}

/// Holds a token against an app's device: `window` steps before and after now are taken.
///
/// # Errors
/// [`StoreError::Corrupt`].
pub fn check(
    device: &StoredDevice,
    token: &str,
    window: u8,
    steps: Steps,
    now: Timestamp,
) -> Result<Option<Verified>, StoreError> {
    let material = Material::read(&device.material)?;
    let next_step = match steps {
        Steps::Any => 0,
        Steps::Unused => device.next_position,
    };
    let parameters = material.parameters;
    let totp =
        Totp { device: device.pk, secret: &material.secret, parameters, skew: window, drift: 0, next_step };
    Ok(totp.check(token, now.seconds()))
}

#[cfg(test)]
mod tests {
    use super::Seed;

    #[test]
    fn a_seed_is_taken_as_pyotp_takes_it() {
        for (written, given) in [
            ("JBSWY3DPEHPK3PXP", "JBSWY3DPEHPK3PXP"),
            ("jbswy3dpehpk3pxp", "JBSWY3DPEHPK3PXP"),
            ("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ", "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"),
            ("GEZDGNBVGY3TQOJQGEZDGNBVGY======", "GEZDGNBVGY3TQOJQGEZDGNBVGY"),
            ("GEZDGNBVGY3TQOJQGEZDGNBVGZ", "GEZDGNBVGY3TQOJQGEZDGNBVGY"),
        ] {
            assert_eq!(Seed::parse(written).unwrap().text().expose(), given, "{written}");
        }
        for written in ["", "JBSWY3DP", "JBSWY3DPEHPK3PX1", "JBSWY3DPEHPK3PX ", &"A".repeat(513)] {
            assert!(Seed::parse(written).is_err(), "{written:?}");
        }
    }
}
