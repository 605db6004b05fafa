//! A code at or below the last accepted position never passes, and windows end where they should.
#![cfg(feature = "factors")]

use oss2fa_core::factor::hotp::{Hotp, LOOK_AHEAD, RESYNC_LOOK_AHEAD};
use oss2fa_core::factor::otp::{Algorithm, Digits, MAX_POSITION, OtpParameters, Period, looks_like};
use oss2fa_core::factor::totp::{RESYNC_STEPS, Totp};
use oss2fa_core::ids::DeviceId;
use oss2fa_core::secret::SecretBytes;
use proptest::prelude::*;

const DEVICE: DeviceId = DeviceId(1);

/// What the device shows, from the library underneath; `oathtool_agrees.rs` checks it from outside.
fn shown(secret: &SecretBytes, parameters: OtpParameters, position: u64) -> String {
    totp_rs::Builder::new()
        .with_algorithm(match parameters.algorithm {
            Algorithm::Sha1 => totp_rs::Algorithm::SHA1,
            Algorithm::Sha256 => totp_rs::Algorithm::SHA256,
            Algorithm::Sha512 => totp_rs::Algorithm::SHA512,
        })
        .with_digits(parameters.digits.value())
        .with_step_duration(1)
        .with_secret(totp_rs::Secret::new(secret.expose().into()))
        .build_noncompliant()
        .generate(position)
        .to_string()
}

fn eight_digits() -> OtpParameters {
    OtpParameters { digits: "8".parse().unwrap_or_default(), ..OtpParameters::default() }
}

prop_compose! {
    fn any_secret()(bytes in prop::collection::vec(any::<u8>(), 1..80)) -> SecretBytes {
        SecretBytes::new(bytes)
    }
}

prop_compose! {
    fn any_parameters()(
        algorithm in prop::sample::select(vec![Algorithm::Sha1, Algorithm::Sha256, Algorithm::Sha512]),
        digits in 6_u8..=8,
        period in 15_u16..=300,
    ) -> OtpParameters {
        let digits = Digits::new(digits).unwrap_or_default();
        OtpParameters { algorithm, digits, period: Period::new(period).unwrap_or_default() }
    }
}

proptest! {
    #[test]
    fn totp_passes_at_its_step_and_never_below_next_step(
        secret in any_secret(), parameters in any_parameters(), step in 200_u64..1 << 40,
        used in 0_u64..150, skew in 0_u8..5, drift in -100_i64..100,
    ) {
        let code = shown(&secret, parameters, step);
        let now = step.saturating_add_signed(-drift) * u64::from(parameters.period.value());
        let fresh = Totp { device: DEVICE, secret: &secret, parameters, skew, drift, next_step: step };
        prop_assert_eq!(fresh.check(&code, now).map(|verified| verified.position()), Some(step));
        let spent = Totp { next_step: step + 1 + used, ..fresh };
        // Another step of the window may have the same code, by chance; it is a fresh one then.
        prop_assert!(spent.check(&code, now).is_none_or(|verified| verified.position() > step + used));
    }

    #[test]
    fn totp_resync_takes_no_code_below_next_step(
        secret in any_secret(), step in 200_u64..1 << 40, off in -119_i64..=119, used in 0_u64..3,
    ) {
        let parameters = eight_digits();
        let (first, second) = (shown(&secret, parameters, step), shown(&secret, parameters, step + 1));
        let now = step.saturating_add_signed(off) * 30;
        let fresh = Totp { device: DEVICE, secret: &secret, parameters, skew: 1, drift: 0, next_step: step };
        let found = fresh.resync(&first, &second, now).map(|found| (found.verified.position(), found.drift));
        prop_assert_eq!(found, Some((step + 1, 1 - off)));
        let spent = Totp { next_step: step + 1 + used, ..fresh };
        prop_assert_eq!(spent.resync(&first, &second, now), None);
        prop_assert_eq!(fresh.resync(&second, &first, now), None);
        prop_assert_eq!(fresh.resync(&first, &first, now), None);
        // What was learnt is right: the next code passes with that drift and no skew at all.
        let learnt = Totp { skew: 0, drift: 1 - off, next_step: step + 2, ..fresh };
        let third = shown(&secret, parameters, step + 2);
        prop_assert!(learnt.check(&third, now + 30).is_some());
    }

    #[test]
    fn hotp_passes_ahead_and_never_below_next_counter(
        secret in any_secret(), parameters in any_parameters(), counter in 50_u64..1 << 60,
        ahead in 0..=LOOK_AHEAD, used in 0_u64..20,
    ) {
        let code = shown(&secret, parameters, counter);
        let fresh = Hotp { device: DEVICE, secret: &secret, parameters, next_counter: counter - ahead };
        let position = fresh.check(&code).map(|verified| verified.position());
        prop_assert!(position.is_some_and(|position| (counter - ahead..=counter).contains(&position)));
        let spent = Hotp { next_counter: counter + 1 + used, ..fresh };
        prop_assert!(spent.check(&code).is_none_or(|verified| verified.position() > counter + used));
    }

    #[test]
    fn hotp_resync_takes_no_code_below_next_counter(
        secret in any_secret(), counter in 0_u64..1 << 60, used in 0_u64..2,
    ) {
        let parameters = eight_digits();
        let (first, second) = (shown(&secret, parameters, counter), shown(&secret, parameters, counter + 1));
        let fresh = Hotp { device: DEVICE, secret: &secret, parameters, next_counter: counter };
        prop_assert_eq!(fresh.resync(&first, &second).map(|found| found.position()), Some(counter + 1));
        let spent = Hotp { next_counter: counter + 1 + used, ..fresh };
        prop_assert_eq!(spent.resync(&first, &second), None);
    }

    #[test]
    fn no_number_is_too_extreme(
        now in prop_oneof![Just(0), Just(u64::MAX), any::<u64>()],
        drift in prop_oneof![Just(i64::MIN), Just(i64::MAX), any::<i64>()],
        next in prop_oneof![Just(0), Just(MAX_POSITION), Just(u64::MAX), any::<u64>()],
        skew in any::<u8>(), code in "[0-9]{6}",
    ) {
        let secret = SecretBytes::new(b"12345678901234567890".to_vec());
        let parameters = OtpParameters::default();
        let totp = Totp { device: DEVICE, secret: &secret, parameters, skew, drift, next_step: next };
        let hotp = Hotp { device: DEVICE, secret: &secret, parameters, next_counter: next };
        let fits = |position: u64| (next..=MAX_POSITION).contains(&position);
        prop_assert!(totp.check(&code, now).is_none_or(|verified| fits(verified.position())));
        prop_assert!(totp.resync(&code, &code, now).is_none_or(|found| fits(found.verified.position())));
        prop_assert!(hotp.check(&code).is_none_or(|verified| fits(verified.position())));
    }

    #[test]
    fn whatever_is_typed_does_no_harm(code in any::<String>()) {
        let secret = SecretBytes::new(vec![7; 20]);
        let parameters = OtpParameters::default();
        let hotp = Hotp { device: DEVICE, secret: &secret, parameters, next_counter: 0 };
        if hotp.check(&code).is_some() {
            prop_assert!(looks_like(&code, parameters.digits));
        }
    }
}

#[test]
fn the_totp_window_ends_at_the_skew() {
    let secret = SecretBytes::new(b"12345678901234567890".to_vec());
    let parameters = eight_digits();
    let totp = Totp { device: DEVICE, secret: &secret, parameters, skew: 2, drift: 3, next_step: 0 };
    for off in -6_i64..=6 {
        let code = shown(&secret, parameters, 1003_u64.saturating_add_signed(off));
        assert_eq!(totp.check(&code, 1000 * 30 + 29).is_some(), off.abs() <= 2, "{off}");
    }
}

#[test]
fn the_totp_resync_window_ends_after_its_steps() {
    let secret = SecretBytes::new(b"12345678901234567890".to_vec());
    let parameters = eight_digits();
    let totp = Totp { device: DEVICE, secret: &secret, parameters, skew: 1, drift: 999, next_step: 0 };
    let found = |first: u64| {
        let (first, second) = (shown(&secret, parameters, first), shown(&secret, parameters, first + 1));
        totp.resync(&first, &second, 1000 * 30).map(|found| found.drift)
    };
    assert_eq!(found(1000 - RESYNC_STEPS), Some(-119));
    assert_eq!(found(1000 - RESYNC_STEPS - 1), None);
    assert_eq!(found(1000 + RESYNC_STEPS - 1), Some(120));
    assert_eq!(found(1000 + RESYNC_STEPS), None);
}

#[test]
fn the_hotp_windows_end_after_their_codes() {
    let secret = SecretBytes::new(b"12345678901234567890".to_vec());
    let parameters = eight_digits();
    let hotp = Hotp { device: DEVICE, secret: &secret, parameters, next_counter: 100 };
    let at = |counter| shown(&secret, parameters, counter);
    assert!(hotp.check(&at(100 + LOOK_AHEAD)).is_some());
    assert!(hotp.check(&at(100 + LOOK_AHEAD + 1)).is_none());
    assert!(hotp.check(&at(99)).is_none());
    let last = 100 + RESYNC_LOOK_AHEAD;
    assert!(hotp.resync(&at(last - 1), &at(last)).is_some());
    assert!(hotp.resync(&at(last), &at(last + 1)).is_none());
    assert!(hotp.resync(&at(99), &at(100)).is_none());
}

#[test]
fn the_last_position_is_the_last() {
    let secret = SecretBytes::new(b"12345678901234567890".to_vec());
    let parameters = eight_digits();
    let code = shown(&secret, parameters, MAX_POSITION);
    let hotp = Hotp { device: DEVICE, secret: &secret, parameters, next_counter: MAX_POSITION };
    assert_eq!(hotp.check(&code).map(|verified| verified.position()), Some(MAX_POSITION));
    let over = shown(&secret, parameters, MAX_POSITION + 1);
    assert_eq!(Hotp { next_counter: MAX_POSITION + 1, ..hotp }.check(&over), None);
}

#[test]
fn a_device_without_a_secret_matches_nothing() {
    let secret = SecretBytes::new(Vec::new());
    let parameters = OtpParameters::default();
    let code = shown(&secret, parameters, 0);
    let hotp = Hotp { device: DEVICE, secret: &secret, parameters, next_counter: 0 };
    assert!(hotp.has_shape(&code));
    assert_eq!(hotp.check(&code), None);
    let next = shown(&secret, parameters, 1);
    assert_eq!(hotp.resync(&code, &next), None);
    let totp = Totp { device: DEVICE, secret: &secret, parameters, skew: 1, drift: 0, next_step: 0 };
    assert_eq!(totp.check(&code, 0), None);
    assert_eq!(totp.resync(&code, &next, 0), None);
}

#[test]
fn a_code_has_one_spelling_apart_from_blanks_and_dashes() {
    let six = Digits::default();
    for typed in ["123456", " 123456\n", "123 456", "123-456", "1 2 3 4 5 6", "123\u{a0}456"] {
        assert!(looks_like(typed, six), "{typed:?}");
    }
    for typed in [
        "",
        " ",
        "-",
        "12345",
        "1234567",
        "12345a",
        "+12345",
        "123.456",
        "１２３４５６",
        "١٢٣٤٥٦",
        "12345\u{0}",
        "123456x",
        "0x1234",
    ] {
        assert!(!looks_like(typed, six), "{typed:?}");
    }
    assert!(looks_like("1234 5678", "8".parse().unwrap()));
}

#[test]
fn parameters_hold_no_nonsense() {
    for digits in [0_i64, 5, 9, 262, -6] {
        assert!(Digits::try_from(digits).is_err(), "{digits}");
    }
    for period in [0_i64, 14, 301, 65536 + 30, -30] {
        assert!(Period::try_from(period).is_err(), "{period}");
    }
    for text in ["", "+6", "6.0", "six", " 6", "٦"] {
        assert!(text.parse::<Digits>().is_err(), "{text:?}");
    }
    for text in ["", "+30", "30s", "99999999999"] {
        assert!(text.parse::<Period>().is_err(), "{text:?}");
    }
    assert_eq!("SHA256".parse(), Ok(Algorithm::Sha256));
    assert!("md5".parse::<Algorithm>().is_err());
    let text = r#"{"algorithm":"sha512","digits":8,"period":60}"#;
    let read: OtpParameters = serde_json::from_str(text).unwrap();
    assert_eq!(serde_json::to_string(&read).unwrap(), text);
    assert!(serde_json::from_str::<OtpParameters>(&text.replace('8', "9")).is_err());
}
