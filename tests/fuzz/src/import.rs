//! The files of other modules.
//!
//! The first byte chooses the format. Control characters stand for secrets that are put in their
//! place; no text about the file may repeat one of them.

use oss2fa_core::factor::otp::MAX_POSITION;
use oss2fa_core::import::{ImportError, ImportedDevice, google_authenticator, otpauth_uris, users_oath};
use oss2fa_core::verdict::FactorKind;

// Base32 in small letters, hexadecimal, and a scratch code.
const SECRETS: [(char, &str); 3] = [
    ('\u{1}', "nbswy3dpeb3w64tmmqqgm33sebuw24dp"),
    ('\u{2}', "68656c6c6f20776f726c6420666f7220696d706f"),
    ('\u{3}', "73190462"),
];

/// What was read lies within its bounds, and what was refused says so without a secret.
///
/// # Panics
/// Where a property does not hold.
pub fn target(data: &[u8]) {
    let [format, rest @ ..] = data else { return };
    let Ok(text) = std::str::from_utf8(rest) else { return };
    let text = SECRETS.iter().fold(text.to_owned(), |text, (mark, secret)| text.replace(*mark, secret));
    let lines = text.lines().count();
    match format % 3 {
        0 => match google_authenticator::parse(&text) {
            Ok(found) => {
                device(&found.device, lines);
                assert!(found.device.user.is_none());
                assert!(found.scratch_codes.len() <= google_authenticator::MAX_SCRATCH_CODES);
                for code in &found.scratch_codes {
                    assert!(
                        code.expose().len() == 8 && code.expose().bytes().all(|byte| byte.is_ascii_digit())
                    );
                }
                found.notes.iter().for_each(|note| tells_no_secret(note));
            }
            Err(error) => refused(&error, lines.max(1)),
        },
        1 => each(users_oath::parse(&text), lines),
        _ => each(otpauth_uris::parse(&text), lines),
    }
}

fn each(entries: Vec<Result<ImportedDevice, ImportError>>, lines: usize) {
    assert!(entries.len() <= lines);
    let mut above = 0;
    for entry in entries {
        let line = match &entry {
            Ok(found) => {
                device(found, lines);
                let user = found.user.as_deref().unwrap_or_default();
                assert!(!user.is_empty() && !user.chars().any(char::is_control));
                found.line
            }
            Err(error) => {
                refused(error, lines);
                error.line
            }
        };
        assert!(line > above, "two entries of one line, or out of order");
        above = line;
    }
}

fn device(found: &ImportedDevice, lines: usize) {
    assert!((1..=lines).contains(&found.line));
    assert!(matches!(found.kind, FactorKind::Totp | FactorKind::Hotp));
    assert!(found.next_position <= MAX_POSITION);
    assert!((1..=128).contains(&found.secret.expose().len()));
    assert!((-1500..=1500).contains(&found.drift));
    assert!((15..=300).contains(&found.parameters.period.value()));
}

fn refused(error: &ImportError, lines: usize) {
    assert!((1..=lines).contains(&error.line));
    tells_no_secret(&error.to_string());
    tells_no_secret(&format!("{error:?}"));
}

fn tells_no_secret(text: &str) {
    let text = text.to_lowercase();
    for (_, secret) in SECRETS {
        assert!(!text.contains(secret), "a text about the file repeats a secret");
    }
}
