//! Fifty logins at once with one code: exactly one passes.
#![expect(clippy::unwrap_used, reason = "a failure is a panic in tests, in their helpers too")]

use std::process::Child;

use oss2fa_tests::Factor::{self, Hotp, RecoveryCodes, Totp};
use oss2fa_tests::{Host, Pam, stack};

const TRIES: usize = 50;

fn exactly_one_passes(factor: Factor, code: fn(&Host) -> String) {
    let host = Host::new().user("ferris").enrolled(factor).pam("shown", &stack::revealing("")).start();
    let code = code(&host);
    let run = |_| host.pamtester("shown", "ferris", &[], &["authenticate"], &[&code]).spawn();
    let running: Vec<Child> = (0..TRIES).map(run).collect();
    let mut codes = Vec::new();
    for child in running {
        let output = child.wait_with_output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        codes.push(Pam::of(&String::from_utf8_lossy(&text)));
    }
    let passed = codes.iter().filter(|pam| **pam == Pam::Success).count();
    let refused = codes.iter().filter(|pam| matches!(pam, Pam::AuthErr | Pam::MaxTries)).count();
    assert_eq!((passed, refused), (1, TRIES - 1), "{codes:?}");
    let audit = host.cli(&["audit"]).output();
    let accepted = audit.lines().filter(|line| line.contains("accepted") && line.contains("service=shown"));
    assert_eq!(accepted.count(), 1, "{audit}");
}

#[test]
fn row_54_one_totp_code() {
    // Fifty programs take their time.
    exactly_one_passes(Totp, |host| host.token("ferris").lasting_code());
}

#[test]
fn row_54_one_hotp_code() {
    exactly_one_passes(Hotp, |host| host.code("ferris"));
}

#[test]
fn row_54_one_recovery_code() {
    exactly_one_passes(RecoveryCodes, |host| host.recovery_code("ferris"));
}
