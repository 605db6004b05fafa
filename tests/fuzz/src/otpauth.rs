//! Provisioning URIs.

use oss2fa_core::factor::otp::{MAX_POSITION, Period};
use oss2fa_core::otpauth::{MAX_URI, Provisioning, parse};
use oss2fa_core::verdict::FactorKind;

/// What was read is written and read again as the same; no error repeats the URI.
///
/// # Panics
/// Where a property does not hold.
pub fn target(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(found) = parse(text) else { return };
    assert!(text.len() <= MAX_URI);
    assert!((1..=128).contains(&found.secret.expose().len()));
    assert!(found.counter <= MAX_POSITION);
    assert!(found.kind == FactorKind::Hotp || found.counter == 0);
    assert!(
        !found.account.is_empty() && !found.account.chars().chain(found.issuer.chars()).any(char::is_control)
    );
    let uri = found.to_uri();
    assert!(uri.expose().bytes().all(|byte| byte.is_ascii_graphic()), "not a URI");
    // Percent signs make it longer than what was read.
    if uri.expose().len() > MAX_URI {
        return;
    }
    let again = parse(uri.expose()).unwrap();
    assert_eq!(again, without_what_does_not_count(found));
    assert_eq!(again.to_uri(), uri);
}

// Counters have no period, and so it is not written.
fn without_what_does_not_count(mut found: Provisioning) -> Provisioning {
    if found.kind == FactorKind::Hotp {
        found.parameters.period = Period::default();
    }
    found
}
