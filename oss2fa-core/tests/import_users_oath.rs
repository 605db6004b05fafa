//! The users file of pam_oath: what it says, what is refused, and that used codes stay used.
#![cfg(feature = "factors")]

use oss2fa_core::factor::hotp::Hotp;
use oss2fa_core::factor::totp::Totp;
use oss2fa_core::ids::DeviceId;
use oss2fa_core::import::users_oath::parse;
use oss2fa_core::import::{ImportError, ImportedDevice};
use oss2fa_core::verdict::FactorKind;
use proptest::prelude::*;

const HEX: &str = "3132333435363738393031323334353637383930";

fn hotp(device: &ImportedDevice) -> Hotp<'_> {
    assert_eq!(device.kind, FactorKind::Hotp);
    let ImportedDevice { secret, parameters, next_position, .. } = device;
    Hotp { device: DeviceId(1), secret, parameters: *parameters, next_counter: *next_position }
}

fn totp(device: &ImportedDevice) -> Totp<'_> {
    assert_eq!(device.kind, FactorKind::Totp);
    let ImportedDevice { secret, parameters, next_position, drift, .. } = device;
    let (parameters, next_step) = (*parameters, *next_position);
    Totp { device: DeviceId(1), secret, parameters, skew: 20, drift: *drift, next_step }
}

#[test]
fn a_file_that_pam_oath_wrote() {
    let devices: Vec<_> =
        parse(include_str!("data/users.oath")).into_iter().collect::<Result<_, ImportError>>().unwrap();
    let named = |user: &str| {
        let found: Vec<_> = devices.iter().filter(|device| device.user.as_deref() == Some(user)).collect();
        assert_eq!(found.len(), 1, "{user}");
        found[0]
    };
    assert_eq!(devices.len(), 10);
    assert_eq!((devices[0].line, devices[1].line), (3, 5));

    assert_eq!(named("unused").next_position, 0);
    assert!(hotp(named("unused")).check("755224").is_some());
    // Written by hand: what pam_oath would accept next is that very counter.
    assert_eq!(named("counter-set").next_position, 5);
    // Written after a login: that counter is used.
    assert_eq!(named("first-used").next_position, 1);
    assert_eq!(hotp(named("first-used")).check("755224"), None);
    assert!(hotp(named("first-used")).check("287082").is_some());
    assert_eq!(named("ahead").next_position, 5);
    assert_eq!(hotp(named("ahead")).check("338314"), None);
    assert!(hotp(named("ahead")).check("254676").is_some());

    assert_eq!(named("totp-unused").next_position, 0);
    for (user, code, step) in [
        ("now", "239004", 1_795_378_320 / 30),
        ("ahead-90s", "562818", 1_795_378_320 / 30 + 3),
        ("behind-60s", "760678", 1_795_378_466 / 30 - 2),
        ("zone", "375838", 1_795_378_466 / 30 + 3),
    ] {
        let device = named(user);
        assert_eq!(device.next_position, step + 1, "{user}");
        let unspent = Totp { next_step: step, ..totp(device) };
        assert_eq!(unspent.check(code, step * 30).map(|verified| verified.position()), Some(step), "{user}");
        assert_eq!(totp(device).check(code, step * 30), None, "{user}");
    }
    let minutes = named("minutes");
    assert_eq!((minutes.parameters.digits.value(), minutes.parameters.period.value()), (8, 60));
    assert_eq!(minutes.next_position, 1_795_378_466 / 60 + 1);
}

#[test]
fn a_last_code_that_cannot_be_placed_is_the_latest_its_time_can_mean() {
    let line = format!("HOTP/T30 ferris - {HEX} 0 000000 2026-11-22T20:12:00L");
    let device = parse(&line).remove(0).unwrap();
    assert_eq!(device.next_position, (1_795_378_320 + 12 * 3600) / 30 + 1);
}

#[test]
fn every_type_of_line() {
    for (token, kind, digits, period) in [
        ("HOTP", FactorKind::Hotp, 6, 30),
        ("HOTP/E", FactorKind::Hotp, 6, 30),
        ("HOTP/E/7", FactorKind::Hotp, 7, 30),
        ("HOTP/E/8", FactorKind::Hotp, 8, 30),
        ("HOTP/T30", FactorKind::Totp, 6, 30),
        ("HOTP/T30/7", FactorKind::Totp, 7, 30),
        ("HOTP/T60", FactorKind::Totp, 6, 60),
        ("HOTP/T60/8", FactorKind::Totp, 8, 60),
    ] {
        let device = parse(&format!("{token} ferris - {HEX}\r\n")).remove(0).unwrap();
        let parameters = device.parameters;
        assert_eq!(
            (device.kind, parameters.digits.value(), parameters.period.value()),
            (kind, digits, period)
        );
        assert_eq!(device.secret.expose(), b"12345678901234567890");
        assert_eq!(device.user.as_deref(), Some("ferris"));
    }
}

#[test]
fn bad_lines_are_refused_with_their_reason() {
    for (line, reason) in [
        ("OATH ferris - HEX".to_owned(), "the type is none of"),
        ("hotp ferris - HEX".to_owned(), "the type is none of"),
        ("HOTP/6 ferris - HEX".to_owned(), "the type is none of"),
        ("HOTP/T45 ferris - HEX".to_owned(), "the type is none of"),
        ("HOTP/T30/9 ferris - HEX".to_owned(), "the type is none of"),
        ("HOTP/T30/6/6 ferris - HEX".to_owned(), "the type is none of"),
        ("HOTP/T30/ ferris - HEX".to_owned(), "the type is none of"),
        ("HOTP".to_owned(), "before the user name"),
        ("HOTP ferris".to_owned(), "before the PIN"),
        ("HOTP fer\u{1b}[2Jris - HEX".to_owned(), "control characters"),
        ("HOTP ferris 1234 HEX".to_owned(), "has a PIN"),
        ("HOTP ferris HEX".to_owned(), "has a PIN"),
        ("HOTP ferris -".to_owned(), "before the secret"),
        ("HOTP ferris - 123".to_owned(), "not hexadecimal"),
        ("HOTP ferris - 12xy".to_owned(), "not hexadecimal"),
        (format!("HOTP ferris - {}", "00".repeat(129)), "not hexadecimal"),
        ("HOTP ferris - HEX -1".to_owned(), "the counter"),
        ("HOTP ferris - HEX 18446744073709551615".to_owned(), "the counter"),
        ("HOTP ferris - HEX 0 12345".to_owned(), "the last code"),
        ("HOTP ferris - HEX 0 755224 yesterday".to_owned(), "the timestamp"),
        ("HOTP ferris - HEX 0 755224 2026-11-22T20:12:00L more".to_owned(), "after the timestamp"),
        ("HOTP/T30 ferris - HEX x".to_owned(), "the search position"),
        ("HOTP/T30 ferris - HEX 0 755224".to_owned(), "without its timestamp"),
        ("HOTP/T30 ferris - HEX 0 755224 2026-11-31T20:12:00L".to_owned(), "the timestamp"),
        (format!("HOTP {} - HEX", "f".repeat(1024)), "longer than 1024"),
    ] {
        let line = line.replace("HEX", HEX);
        let entries = parse(&format!("\n# a comment\n{line}\n"));
        assert_eq!(entries.len(), 1, "{line}");
        let error = entries[0].as_ref().unwrap_err();
        assert!(error.to_string().starts_with("line 3: "), "{error}");
        assert!(error.reason.contains(reason), "{line}: {error}");
        for secret in [HEX, "1234 ", "755224", "\u{1b}"] {
            assert!(!error.to_string().contains(secret), "{error}");
        }
    }
}

/// CVE-2013-7322: a comment or an invalid line of the same user made the peer mark the wrong line as
/// used, so that the code stayed valid.
#[test]
fn a_bad_line_changes_nothing_about_another() {
    let used = format!("HOTP ferris - {HEX} 0 755224 2026-11-22T20:12:00L");
    let alone = parse(&used).remove(0).unwrap();
    for odd in [
        format!("#HOTP ferris - {HEX}"),
        format!("# HOTP ferris - {HEX} 9"),
        format!("HOTP ferris - {HEX} x"),
        format!("HOTP ferris pin {HEX}"),
        "HOTP ferris".to_owned(),
        "HOTP".to_owned(),
        "\u{0}".to_owned(),
        String::new(),
        "x".repeat(5000),
    ] {
        for text in [format!("{odd}\n{used}"), format!("{used}\n{odd}\n"), format!("{odd}\n{used}\n{odd}")] {
            let good: Vec<_> = parse(&text).into_iter().filter_map(Result::ok).collect();
            assert_eq!(good.len(), 1, "{odd:?}");
            assert_eq!(ImportedDevice { line: 1, ..good[0].clone() }, alone);
            assert_eq!(hotp(&good[0]).check("755224"), None);
        }
    }
}

#[test]
fn a_user_may_have_many_lines() {
    let text = format!("HOTP ferris - {HEX}\nHOTP/T30 ferris - {HEX}\nHOTP/E/8 ferris - {HEX} 3\n");
    let devices: Vec<_> = parse(&text).into_iter().map(Result::unwrap).collect();
    let lines: Vec<_> = devices.iter().map(|device| (device.line, device.next_position)).collect();
    assert_eq!(lines, [(1, 0), (2, 0), (3, 3)]);
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in any::<String>()) {
        let _ = parse(&text);
    }

    #[test]
    fn no_fields_make_it_panic(fields in prop::collection::vec(prop::sample::select(vec![
        "HOTP", "HOTP/T30", "HOTP/T60/8", "ferris", "-", "+", HEX, "0", "9223372036854775806", "755224", "46345467",
        "2026-11-22T20:12:00L", "9999-12-31T23:59:60L", "1970-01-01T00:00:00L", "\t", "\n", "#", "ü", "\u{0}",
    ]), 0..12)) {
        for entry in parse(&fields.join(" ")).into_iter().flatten() {
            prop_assert!(i64::try_from(entry.next_position).is_ok());
        }
    }
}
