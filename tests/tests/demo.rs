//! The demonstration itself: it ends by itself, shows what it promises, and leaves the machine alone.

use std::fs;
use std::process::{Command, Stdio};

#[test]
fn the_demo_shows_logins_and_refusals_and_touches_nothing() {
    let before = ["/etc/passwd", "/etc/shadow", "/etc/group"].map(|path| fs::read(path).unwrap());
    let output = Command::new(env!("CARGO_BIN_EXE_oss2fa-demo")).stdin(Stdio::null()).output().unwrap();
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{shown}\n{}", String::from_utf8_lossy(&output.stderr));
    for promised in [
        "otpauth://totp/",
        "█▀",
        "logged in as ferris",
        "-> root, for this one command.",
        "-> Refused: a code works once",
        "-> Refused. A few more of those",
        "The audit is whole",
        "oss2fa-agent enroll totp --user NAME",
        "Cleaned up",
    ] {
        assert!(shown.contains(promised), "no {promised:?} in\n{shown}");
    }
    assert!(!shown.contains('\u{1b}'), "no colours where no terminal is");
    assert_eq!(before, ["/etc/passwd", "/etc/shadow", "/etc/group"].map(|path| fs::read(path).unwrap()));
}
