//! The mapping of pam_u2f.

use oss2fa_core::import::u2f_keys;

/// What was read lies within its bounds, and each line is answered for.
///
/// # Panics
/// Where a property does not hold.
pub fn target(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let lines = text.lines().count();
    let mut above = 1;
    for entry in u2f_keys::parse(text) {
        let line = match entry {
            Ok(key) => {
                assert!(key.id.len() <= u2f_keys::MAX_ID);
                assert!(!key.id.is_empty() || key.made_by == u2f_keys::MadeBy::Fido2);
                assert!(!key.user.is_empty() && !key.user.chars().any(char::is_control));
                key.line
            }
            Err(error) => error.line,
        };
        assert!((above..=lines).contains(&line), "out of order");
        above = line;
    }
}
