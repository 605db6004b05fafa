//! The server's demonstration: it ends by itself and shows what it promises.

use std::process::{Command, Stdio};

#[test]
fn the_demo_of_the_server_shows_a_login_and_refusals() {
    let output =
        Command::new(env!("CARGO_BIN_EXE_oss2fa-server-demo")).stdin(Stdio::null()).output().unwrap();
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{shown}\n{}", String::from_utf8_lossy(&output.stderr));
    for promised in [
        "==> OSS2FA server started",
        "\"provisioning_uri\": \"otpauth://totp/",
        "characters)\"",
        "-> Enrolled: client 1.",
        "HTTP/1.1 403 Forbidden",
        "\"attempts_left\": ",
        "-> In: 200",
        "HTTP/1.1 401 Unauthorized",
        "HTTP/1.1 429 Too Many Requests",
        "oss2fa_verdicts_total{kind=\"TOTP\",verdict=\"accepted\"} 1",
        "Cleaned up",
    ] {
        assert!(shown.contains(promised), "no {promised:?} in\n{shown}");
    }
    assert!(!shown.contains('\u{1b}'), "no colours where no terminal is");
}
