//! The demonstration itself: it ends by itself, shows what it promises, and leaves the machine alone.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

#[test]
fn the_demo_shows_logins_and_refusals_and_touches_nothing() {
    let before = machine();
    assert!(before.len() > 10, "there is something to compare");
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
    assert!(before == machine(), "the machine's own accounts and stacks are as before");
}

/// What the demo must leave alone: accounts, stacks and sshd's configuration, name and content.
fn machine() -> Vec<(PathBuf, Option<Vec<u8>>)> {
    let mut files: Vec<PathBuf> =
        ["/etc/passwd", "/etc/shadow", "/etc/group", "/etc/sudoers"].map(PathBuf::from).to_vec();
    for folder in ["/etc/pam.d", "/etc/ssh", "/etc/ssh/sshd_config.d", "/etc/sudoers.d"] {
        files.extend(fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()));
    }
    files.sort();
    files.into_iter().map(|path| (path.clone(), fs::read(path).ok())).collect()
}
