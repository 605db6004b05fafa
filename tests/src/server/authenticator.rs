//! The user's phone: a camera (`zbarimg`) and an authenticator app (`pyotp`, `oathtool`).

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::token::Token;

/// How many steps around the clock the server takes.
const SKEW: u64 = 1;

/// The text of a QR code in a PNG image in base64, by Debian's zbar-tools.
///
/// # Panics
/// Where coreutils read no base64 or zbarimg no QR code.
#[must_use]
pub fn qr_text(png: &str) -> String {
    let image = tempfile::Builder::new().suffix(".png").tempfile().unwrap();
    let mut base64 = Command::new("/usr/bin/base64")
        .args(["--decode", "-"])
        .stdin(Stdio::piped())
        .stdout(image.reopen().unwrap())
        .spawn()
        .expect("base64 of coreutils");
    base64.stdin.take().unwrap().write_all(png.as_bytes()).unwrap();
    assert!(base64.wait().unwrap().success(), "no base64: {png}");
    let zbarimg = Command::new("/usr/bin/zbarimg")
        .args(["--quiet", "--raw", "-Sdisable", "-Sqrcode.enable"])
        .arg(image.path())
        .output()
        .expect("Debian's zbar-tools");
    assert!(zbarimg.status.success(), "zbarimg: {}", String::from_utf8_lossy(&zbarimg.stderr));
    String::from_utf8(zbarimg.stdout).unwrap().trim_end_matches('\n').to_owned()
}

/// What an authenticator app holds after it has read an enrolment's `public_details`.
///
/// # Panics
/// Where there is no provisioning URI, or pyotp refuses it.
#[must_use]
pub fn phone(public_details: &Value) -> Token {
    let uri = public_details["provisioning_uri"].as_str();
    Token::scan(uri.unwrap_or_else(|| panic!("no provisioning_uri: {public_details}"))).at_skew(SKEW)
}
