//! Another implementation makes the codes: oathtool, of OATH Toolkit.
#![cfg(feature = "factors")]

use std::process::Command;

use data_encoding::HEXLOWER;
use oss2fa_core::factor::hotp::Hotp;
use oss2fa_core::factor::otp::{Algorithm, Digits, OtpParameters, Period};
use oss2fa_core::factor::totp::Totp;
use oss2fa_core::ids::DeviceId;
use oss2fa_core::otpauth::Provisioning;
use oss2fa_core::secret::SecretBytes;
use oss2fa_core::verdict::FactorKind;
use proptest::prelude::*;

fn oathtool(arguments: &[&str]) -> Result<String, TestCaseError> {
    let output = Command::new("oathtool").args(arguments).output().map_err(|error| {
        TestCaseError::fail(format!("oathtool is needed (apt-get install oathtool): {error}"))
    })?;
    let error = String::from_utf8_lossy(&output.stderr);
    prop_assert!(output.status.success(), "oathtool {arguments:?}: {error}");
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20))]

    #[test]
    fn codes_of_oathtool_pass(
        bytes in prop::collection::vec(any::<u8>(), 10..=64), digits in 6_u8..=8,
        period in 15_u16..=300, now in 0_u64..4_000_000_000, counter in 0_u64..1 << 40,
    ) {
        let hex = HEXLOWER.encode(&bytes);
        let secret = SecretBytes::new(bytes);
        let digits = Digits::new(digits).unwrap_or_default();
        let period = Period::new(period).unwrap_or_default();
        let (d, s, n) = (format!("-d{digits}"), format!("-s{period}s"), format!("-N@{now}"));
        for algorithm in [Algorithm::Sha1, Algorithm::Sha256, Algorithm::Sha512] {
            let parameters = OtpParameters { algorithm, digits, period };
            let code = oathtool(&[&format!("--totp={algorithm}"), &d, &s, &n, &hex])?;
            let step = now / u64::from(period.value());
            let totp = Totp { device: DeviceId(1), secret: &secret, parameters, skew: 0, drift: 0, next_step: 0 };
            prop_assert_eq!(totp.check(&code, now).map(|verified| verified.position()), Some(step));
            prop_assert!(totp.check(&code, now + 2 * u64::from(period.value())).is_none());

            // The secret as an authenticator application reads it from the URI gives the same codes.
            let provisioning = Provisioning {
                kind: FactorKind::Totp,
                issuer: "OSS2FA".to_owned(),
                account: "ferris".to_owned(),
                secret: secret.clone(),
                parameters,
                counter: 0,
            };
            let uri = provisioning.to_uri();
            let base32 = uri.expose().split(['=', '&']).nth(1).unwrap_or_default();
            prop_assert_eq!(oathtool(&[&format!("--totp={algorithm}"), &d, &s, &n, "-b", base32])?, code);
        }
        let code = oathtool(&[&d, &format!("-c{counter}"), &hex])?;
        let parameters = OtpParameters { digits, ..OtpParameters::default() };
        let hotp = Hotp { device: DeviceId(1), secret: &secret, parameters, next_counter: counter };
        prop_assert_eq!(hotp.check(&code).map(|verified| verified.position()), Some(counter));
    }
}
