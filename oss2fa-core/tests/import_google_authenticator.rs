//! The state file of libpam-google-authenticator: what it says, what is refused, what is noted.
#![cfg(feature = "factors")]

use oss2fa_core::factor::recovery_code::canonical;
use oss2fa_core::import::google_authenticator::parse;
use oss2fa_core::verdict::FactorKind;
use proptest::prelude::*;

#[test]
fn a_time_based_file_that_the_module_wrote() {
    let found = parse(include_str!("data/google_authenticator_totp")).unwrap();
    assert_eq!((found.device.kind, found.device.line, found.device.user), (FactorKind::Totp, 1, None));
    assert_eq!(found.device.next_position, 59_845_956);
    assert_eq!((found.device.parameters, found.device.drift), (Default::default(), 0));
    // `base32 -d` of the first line.
    let secret =
        [0x21, 0x17, 0xdd, 0x25, 0x9d, 0xf5, 0x6d, 0x8a, 0x96, 0xfe, 0x88, 0x1f, 0x13, 0xfb, 0x96, 0x3e];
    assert_eq!(found.device.secret.expose(), secret);
    let codes: Vec<_> = found.scratch_codes.iter().map(|code| code.expose()).collect();
    assert_eq!(codes, ["89876847", "80005911", "21796078", "26472578", "38176586"]);
    assert!(codes.iter().all(|code| canonical(code).is_some_and(|read| read.expose_canonical() == *code)));
    assert_eq!(found.notes.len(), 2, "{:?}", found.notes);
    assert!(found.notes[0].starts_with("RATE_LIMIT ") && found.notes[1].starts_with("WINDOW_SIZE "));
}

#[test]
fn a_counter_based_file_that_the_module_wrote() {
    let found = parse(include_str!("data/google_authenticator_hotp")).unwrap();
    assert_eq!((found.device.kind, found.device.next_position), (FactorKind::Hotp, 3));
    assert_eq!((found.scratch_codes.len(), found.notes.len()), (5, 1));
}

#[test]
fn options_are_read_wherever_they_stand() {
    let found = parse("gezdgnbvgy3tqojq\n12345678\n\n\" TOTP_AUTH\r\n\" STEP_SIZE 60\n\" TIME_SKEW -3\n\" DISALLOW_REUSE 7  9 8 \n23456789")
        .unwrap();
    assert_eq!(found.device.secret.expose(), b"1234567890");
    assert_eq!((found.device.next_position, found.device.drift), (10, -3));
    assert_eq!(found.device.parameters.period.value(), 60);
    assert_eq!((found.scratch_codes.len(), found.notes.len()), (2, 0));
}

#[test]
fn with_both_kinds_the_counter_wins_as_it_does_there() {
    let found = parse("GEZDGNBVGY3TQOJQ\n\" TOTP_AUTH\n\" HOTP_COUNTER 12\n\" DISALLOW_REUSE 99\n").unwrap();
    assert_eq!((found.device.kind, found.device.next_position), (FactorKind::Hotp, 12));
}

#[test]
fn what_is_not_known_or_not_carried_is_noted() {
    let found =
        parse("GEZDGNBVGY3TQOJQ\n\" TOTP_AUTH\n\" LAST0 192.0.2.1 1795378636\n\" RESETTING_TIME_SKEW 5+1\n")
            .unwrap();
    assert_eq!(found.device.next_position, 0);
    assert_eq!(found.notes[0], "LAST0 is not taken over");
    assert!(found.notes[1].contains("resynchronise"));
    assert!(found.notes[2].contains("DISALLOW_REUSE was not set"));
    // Set and still empty: no code was used.
    let empty = parse("GEZDGNBVGY3TQOJQ\n\" TOTP_AUTH\n\" DISALLOW_REUSE\n").unwrap();
    assert_eq!((empty.device.next_position, empty.notes.len()), (0, 0));
}

#[test]
fn a_secret_on_the_line_of_an_option_is_not_repeated() {
    for option in ["87654321", "RATE_LIMIT87654321", "GEZDGNBV", "LAST87654321"] {
        let found = parse(&format!("GEZDGNBV\n\" TOTP_AUTH\n\" DISALLOW_REUSE\n\" {option}\n")).unwrap();
        assert_eq!(found.notes, ["an option that is not known here is not taken over"], "{option}");
    }
}

#[test]
fn bad_files_are_refused_with_the_line() {
    let scratch_codes: String = (0..101).map(|n| format!("{}\n", 10_000_000 + n)).collect();
    for (text, expected) in [
        ("", "line 1: this is not a secret"),
        ("\n\" TOTP_AUTH\n", "line 1: this is not a secret"),
        ("\" TOTP_AUTH\n", "line 1: this is not a secret"),
        ("GEZDGNBV1\n\" TOTP_AUTH\n", "line 1: this is not a secret"),
        ("GEZDGNBVG\n\" TOTP_AUTH\n", "line 1: this is not a secret"),
        ("GEZDGNBV\n12345678\n", "line 1: the file has neither"),
        ("GEZDGNBV\n\" TOTP_AUTH\n1234567\n", "line 3: this is neither"),
        ("GEZDGNBV\n\" TOTP_AUTH\n01234567\n", "line 3: this is neither"),
        ("GEZDGNBV\n\" TOTP_AUTH\n 12345678\n", "line 3: this is neither"),
        ("GEZDGNBV\n\" TOTP_AUTH\n１２３４５６７８\n", "line 3: this is neither"),
        ("GEZDGNBV\n\" TOTP_AUTH\nTOTP_AUTH\n", "line 3: this is neither"),
        ("GEZDGNBV\n\"TOTP_AUTH\n", "line 2: an option is"),
        ("GEZDGNBV\n\" \n", "line 2: an option is"),
        ("GEZDGNBV\n\" \u{1b}[2J\n", "line 2: an option is"),
        ("GEZDGNBV\n\" TOTP_AUTH\n\" TOTP_AUTH\n", "line 3: this option is in the file twice"),
        ("GEZDGNBV\n\" DISALLOW_REUSE 5\n\" DISALLOW_REUSE\n", "line 3: this option is in the file twice"),
        ("GEZDGNBV\n\" DISALLOW_REUSE 5 x\n", "line 2: DISALLOW_REUSE has"),
        ("GEZDGNBV\n\" DISALLOW_REUSE 99999999999999999999\n", "line 2: DISALLOW_REUSE has"),
        ("GEZDGNBV\n\" HOTP_COUNTER\n", "line 2: HOTP_COUNTER is not"),
        ("GEZDGNBV\n\" HOTP_COUNTER 0\n", "line 2: HOTP_COUNTER is not"),
        ("GEZDGNBV\n\" HOTP_COUNTER -1\n", "line 2: HOTP_COUNTER is not"),
        ("GEZDGNBV\n\" HOTP_COUNTER 9223372036854775807\n", "line 2: HOTP_COUNTER is not"),
        ("GEZDGNBV\n\" STEP_SIZE 1\n", "line 2: STEP_SIZE is not"),
        ("GEZDGNBV\n\" STEP_SIZE 61\n", "line 2: STEP_SIZE is not"),
        ("GEZDGNBV\n\" TIME_SKEW 1501\n", "line 2: TIME_SKEW is not"),
        ("GEZDGNBV\n\" TIME_SKEW -9223372036854775808\n", "line 2: TIME_SKEW is not"),
        ("GEZDGNBV\n\" TOTP_AUTH\n12345678\n12345678\n", "line 4: this scratch code is in the file twice"),
        (&format!("GEZDGNBV\n{scratch_codes}"), "line 102: there are more than 100"),
        (&"A".repeat(70_000), "line 1: the file is longer"),
    ] {
        let error = parse(text).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
        for secret in ["GEZDGNBV", "12345678", "\u{1b}"] {
            assert!(!error.contains(secret), "{error}");
        }
    }
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in any::<String>()) {
        let _ = parse(&text);
        let _ = parse(&format!("GEZDGNBV\n\" TOTP_AUTH\n\" {text}"));
    }

    #[test]
    fn used_steps_stay_used(steps in prop::collection::vec(0_u64..1 << 40, 1..20)) {
        let list: Vec<_> = steps.iter().map(u64::to_string).collect();
        let found = parse(&format!("GEZDGNBV\n\" TOTP_AUTH\n\" DISALLOW_REUSE {}\n", list.join(" ")));
        let next = found.map(|found| found.device.next_position);
        prop_assert_eq!(next, Ok(steps.iter().max().map_or(0, |step| step + 1)));
    }
}
