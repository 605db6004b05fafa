//! Lists of provisioning URIs.
#![cfg(feature = "factors")]

use oss2fa_core::import::otpauth_uris::parse;
use oss2fa_core::verdict::FactorKind;

#[test]
fn each_line_stands_for_itself() {
    let entries = parse(
        "# exported\n\
         otpauth://totp/Corp:ferris?secret=JBSWY3DPEHPK3PXP&digits=8\n\
         \n\
         otpauth://totp/Corp:corro?secret=1\n\
         otpauth://hotp/gorm?secret=JBSWY3DPEHPK3PXP&counter=42\r\n",
    );
    assert_eq!(entries.len(), 3);
    let first = entries[0].as_ref().unwrap();
    assert_eq!((first.line, first.user.as_deref(), first.kind), (2, Some("ferris"), FactorKind::Totp));
    assert_eq!((first.next_position, first.parameters.digits.value()), (0, 8));
    let error = entries[1].as_ref().unwrap_err();
    assert_eq!(error.to_string(), "line 4: the secret of the URI is not base32 of 1 to 128 bytes");
    let last = entries[2].as_ref().unwrap();
    assert_eq!((last.line, last.user.as_deref(), last.next_position), (5, Some("gorm"), 42));
    assert_eq!(last.kind, FactorKind::Hotp);
}
