//! The test values of RFC 4226 and RFC 6238, through the checks that logins use.
#![cfg(feature = "factors")]

use std::collections::BTreeMap;

use oss2fa_core::factor::hotp::Hotp;
use oss2fa_core::factor::otp::{Digits, OtpParameters};
use oss2fa_core::factor::totp::Totp;
use oss2fa_core::ids::DeviceId;
use oss2fa_core::secret::SecretBytes;
use oss2fa_core::verdict::FactorKind;
use serde::Deserialize;

#[derive(Deserialize)]
struct AppendixD {
    secret: String,
    codes: Vec<String>,
}

#[derive(Deserialize)]
struct AppendixB {
    secret: BTreeMap<String, String>,
    vector: Vec<Vector>,
}

#[derive(Deserialize)]
struct Vector {
    time: u64,
    step: u64,
    #[serde(flatten)]
    codes: BTreeMap<String, String>,
}

#[test]
fn hotp_values_of_rfc_4226_appendix_d() {
    let data: AppendixD = toml::from_str(include_str!("data/rfc4226_appendix_d.toml")).unwrap();
    let secret = SecretBytes::new(data.secret.into_bytes());
    assert_eq!(data.codes.len(), 10);
    for (counter, code) in (0..).zip(&data.codes) {
        for next_counter in 0..=counter {
            let device = DeviceId(4);
            let hotp = Hotp { device, secret: &secret, parameters: OtpParameters::default(), next_counter };
            let verified = hotp.check(code).unwrap();
            assert_eq!(verified.position(), counter);
            assert_eq!((verified.device(), verified.kind()), (device, FactorKind::Hotp));
        }
    }
}

#[test]
fn totp_values_of_rfc_6238_appendix_b() {
    let data: AppendixB = toml::from_str(include_str!("data/rfc6238_appendix_b.toml")).unwrap();
    assert_eq!((data.secret.len(), data.vector.len()), (3, 6));
    for (algorithm, secret) in &data.secret {
        let parameters = OtpParameters {
            algorithm: algorithm.parse().unwrap(),
            digits: Digits::new(8).unwrap(),
            ..OtpParameters::default()
        };
        assert_eq!(secret.len(), parameters.algorithm.secret_length());
        let secret = SecretBytes::new(secret.clone().into_bytes());
        for vector in &data.vector {
            assert_eq!(vector.codes.len(), 3);
            let totp = Totp {
                device: DeviceId(6),
                secret: &secret,
                parameters,
                skew: 0,
                drift: 0,
                next_step: vector.step,
            };
            let verified = totp.check(&vector.codes[algorithm], vector.time).unwrap();
            assert_eq!(verified.position(), vector.step, "{algorithm} at {}", vector.time);
            assert_eq!(verified.kind(), FactorKind::Totp);
            let spent = Totp { next_step: vector.step + 1, ..totp };
            assert_eq!(spent.check(&vector.codes[algorithm], vector.time), None);
        }
    }
}
