//! How the secret of a one-time-password device is written down before it is sealed: in as few bytes as can be, for
//! each verification reads it.
//!
//! | byte | |
//! |---|---|
//! | 0 | 1 |
//! | 1 | 1: SHA-1, 2: SHA-256, 3: SHA-512 |
//! | 2 | digits |
//! | 3, 4 | period in seconds, the high byte first |
//! | 5 to 12 | counter, the high byte first |
//! | 13 to the end | secret |
//!
//! Releases before wrote JSON, which is read as well.

use data_encoding::BASE32_NOPAD;
use oss2fa_core::factor::otp::{Algorithm, Digits, OtpParameters, Period};
use oss2fa_core::secret::{SecretBytes, SecretText};
use serde::Deserialize;

use super::otp::Material;
use crate::store::error::StoreError;

/// The form that is written.
const COMPACT: u8 = 1;

/// Bytes before the secret.
const HEAD: usize = 13;

/// As earlier releases wrote it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Json {
    secret: SecretText,
    parameters: OtpParameters,
    #[serde(default)]
    counter: u64,
}

impl Material {
    /// Reads either form.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`].
    pub(super) fn read(kept: &SecretBytes) -> Result<Self, StoreError> {
        let kept = kept.expose();
        let read = if kept.first() == Some(&b'{') { of_json(kept) } else { of_compact(kept) };
        read.ok_or(StoreError::Corrupt("a device without its secret"))
    }

    /// In the compact form.
    pub(super) fn keep(&self) -> SecretBytes {
        let OtpParameters { algorithm, digits, period } = self.parameters;
        let secret = self.secret.expose();
        // Reserved whole, so that no half of the secret stays in a buffer that was grown out of.
        let mut kept = Vec::with_capacity(HEAD + secret.len());
        kept.extend([COMPACT, number(algorithm), digits.value()]);
        kept.extend(period.value().to_be_bytes());
        kept.extend(self.counter.to_be_bytes());
        kept.extend(secret);
        SecretBytes::new(kept)
    }
}

fn number(algorithm: Algorithm) -> u8 {
    match algorithm {
        Algorithm::Sha1 => 1,
        Algorithm::Sha256 => 2,
        Algorithm::Sha512 => 3,
    }
}

fn of_compact(kept: &[u8]) -> Option<Material> {
    let (&[form, algorithm, digits, p0, p1, ref counter @ ..], secret) = kept.split_first_chunk::<HEAD>()?;
    if form != COMPACT || secret.is_empty() {
        return None;
    }
    let algorithms = [Algorithm::Sha1, Algorithm::Sha256, Algorithm::Sha512];
    let algorithm = algorithms.into_iter().find(|known| number(*known) == algorithm)?;
    Some(Material {
        secret: SecretBytes::new(secret.to_vec()),
        parameters: OtpParameters {
            algorithm,
            digits: Digits::new(digits).ok()?,
            period: Period::new(u16::from_be_bytes([p0, p1])).ok()?,
        },
        counter: u64::from_be_bytes(*counter),
    })
}

fn of_json(kept: &[u8]) -> Option<Material> {
    let Json { secret, parameters, counter } = serde_json::from_slice(kept).ok()?;
    let secret = SecretBytes::new(BASE32_NOPAD.decode(secret.expose().as_bytes()).ok()?);
    Some(Material { secret, parameters, counter })
}

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;
    use oss2fa_core::factor::otp::{Algorithm, Digits, OtpParameters, Period};
    use oss2fa_core::secret::SecretBytes;

    use super::Material;

    const SECRET: &[u8; 20] = b"12345678901234567890";

    fn read(kept: &[u8]) -> Option<Material> {
        Material::read(&SecretBytes::new(kept.to_vec())).ok()
    }

    #[test]
    fn each_byte_is_where_the_table_says() {
        for (algorithm, digits, period, counter, head) in [
            (Algorithm::Sha1, 6, 30, 0, "010106001e0000000000000000"),
            (Algorithm::Sha256, 7, 60, 0x0102, "010207003c0000000000000102"),
            (Algorithm::Sha512, 8, 300, u64::MAX, "010308012cffffffffffffffff"),
        ] {
            let parameters = OtpParameters {
                algorithm,
                digits: Digits::new(digits).unwrap(),
                period: Period::new(period).unwrap(),
            };
            let secret = SecretBytes::new(SECRET.to_vec());
            let kept = Material { secret, parameters, counter }.keep();
            assert_eq!(
                kept.expose(),
                [&HEXLOWER.decode(head.as_bytes()).unwrap(), SECRET.as_slice()].concat()
            );
            let again = read(kept.expose()).unwrap();
            assert_eq!((again.parameters, again.counter), (parameters, counter));
            assert_eq!(again.secret.expose(), SECRET);
        }
    }

    #[test]
    fn what_earlier_releases_wrote_is_read() {
        let kept = br#"{"secret":"GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ","parameters":{"algorithm":"sha256","digits":8,"period":60},"counter":7}"#;
        let material = read(kept).unwrap();
        let OtpParameters { algorithm, digits, period } = material.parameters;
        assert_eq!((algorithm, digits.value(), period.value()), (Algorithm::Sha256, 8, 60));
        assert_eq!((material.secret.expose(), material.counter), (SECRET.as_slice(), 7));
    }

    #[test]
    fn anything_else_is_refused() {
        let good = HEXLOWER.decode(b"010106001e000000000000000031").unwrap();
        assert!(read(&good).is_some());
        for (at, wrong) in [(0, 0), (0, 2), (1, 0), (1, 4), (2, 5), (2, 9), (3, 0xff), (4, 14)] {
            let mut kept = good.clone();
            kept[at] = wrong;
            assert!(read(&kept).is_none(), "{wrong} at {at}");
        }
        for length in 0..good.len() {
            assert!(read(&good[..length]).is_none(), "{length} bytes");
        }
        for json in
            [&b"{}"[..], br#"{"secret":"GE","parameters":{"algorithm":"md5","digits":6,"period":30}}"#]
        {
            assert!(read(json).is_none());
        }
    }
}
