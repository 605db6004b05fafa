//! Provisioning URIs: written, read back, and refused.
#![cfg(feature = "factors")]

use oss2fa_core::factor::otp::{Algorithm, BadParameter, Digits, OtpParameters, Period};
use oss2fa_core::otpauth::{OtpauthError, Provisioning, parse};
use oss2fa_core::secret::SecretBytes;
use oss2fa_core::verdict::FactorKind;
use proptest::prelude::*;

const SECRET: &str = "JBSWY3DPEHPK3PXP";

fn example() -> Provisioning {
    Provisioning {
        kind: FactorKind::Totp,
        issuer: "Ünser Ort".to_owned(),
        account: "ferris@crab & co".to_owned(),
        secret: SecretBytes::new(b"Hello!\xde\xad\xbe\xef".to_vec()),
        parameters: OtpParameters::default(),
        counter: 0,
    }
}

#[test]
fn uris_are_written_as_applications_read_them() {
    assert_eq!(
        example().to_uri().expose(),
        "otpauth://totp/%C3%9Cnser%20Ort:ferris@crab%20%26%20co?secret=JBSWY3DPEHPK3PXP\
         &issuer=%C3%9Cnser%20Ort&algorithm=SHA1&digits=6&period=30"
    );
    let hotp = Provisioning { kind: FactorKind::Hotp, issuer: String::new(), counter: 7, ..example() };
    assert_eq!(
        hotp.to_uri().expose(),
        "otpauth://hotp/ferris@crab%20%26%20co?secret=JBSWY3DPEHPK3PXP&algorithm=SHA1&digits=6&counter=7"
    );
    assert_eq!(format!("{:?}", example().to_uri()), "SecretText(***)");
    assert!(!format!("{:?}", example()).contains("222"), "the secret's bytes are not in Debug");
}

#[test]
fn a_short_uri_leaves_out_what_applications_take_for_granted() {
    // The secret, the issuer and the account of the example in the API's documentation.
    let secret = data_encoding::BASE32_NOPAD.decode(b"DNHT6VK4J7AP2CBEZARS6EIQDODKULK7").unwrap_or_default();
    let usual = Provisioning {
        issuer: "pymfa".to_owned(),
        account: "test_1".to_owned(),
        secret: SecretBytes::new(secret),
        ..example()
    };
    let short = |parameters| Provisioning { parameters, ..usual.clone() }.to_short_uri().expose().to_owned();
    let begin = "otpauth://totp/pymfa:test_1?secret=DNHT6VK4J7AP2CBEZARS6EIQDODKULK7&issuer=pymfa";
    let parameters = OtpParameters::default();
    assert_eq!(short(parameters), begin);
    let sha256 = Algorithm::Sha256;
    assert_eq!(short(OtpParameters { algorithm: sha256, ..parameters }), format!("{begin}&algorithm=SHA256"));
    let eight = Digits::new(8).unwrap_or_default();
    assert_eq!(short(OtpParameters { digits: eight, ..parameters }), format!("{begin}&digits=8"));
    let period = Period::new(60).unwrap_or_default();
    assert_eq!(short(OtpParameters { period, ..parameters }), format!("{begin}&period=60"));
    assert_eq!(
        short(OtpParameters { algorithm: sha256, digits: eight, period }),
        format!("{begin}&algorithm=SHA256&digits=8&period=60")
    );
    for counter in [0, 7] {
        let hotp = Provisioning { kind: FactorKind::Hotp, counter, ..usual.clone() };
        assert_eq!(
            hotp.to_short_uri().expose(),
            format!("{}&counter={counter}", begin.replace("totp", "hotp"))
        );
    }
}

prop_compose! {
    fn any_provisioning()(
        kind in prop::sample::select(vec![FactorKind::Totp, FactorKind::Hotp]),
        issuer in "[^\\p{Cc}]{1,20}", account in "[^\\p{Cc}]{1,20}",
        secret in prop::collection::vec(any::<u8>(), 1..=128),
        algorithm in prop::sample::select(vec![Algorithm::Sha1, Algorithm::Sha256, Algorithm::Sha512]),
        digits in 6_u8..=8, period in 15_u16..=300, counter in 0_u64..1 << 62,
    ) -> Provisioning {
        let hotp = kind == FactorKind::Hotp;
        let period = if hotp { Period::default() } else { Period::new(period).unwrap_or_default() };
        let digits = Digits::new(digits).unwrap_or_default();
        Provisioning {
            kind,
            issuer,
            // Blanks at its ends are not kept, and a name it must have.
            account: format!("a{}", account.trim_end()),
            secret: SecretBytes::new(secret),
            parameters: OtpParameters { algorithm, digits, period },
            counter: if hotp { counter } else { 0 },
        }
    }
}

proptest! {
    #[test]
    fn what_is_written_can_be_read(provisioning in any_provisioning()) {
        prop_assert_eq!(parse(provisioning.to_short_uri().expose()), Ok(provisioning.clone()));
        prop_assert_eq!(parse(provisioning.to_uri().expose()), Ok(provisioning));
    }

    #[test]
    fn no_text_makes_it_panic(text in any::<String>(), start in 0_usize..6) {
        let starts = ["", "otpauth://", "otpauth://totp/", "otpauth://totp/a?", "otpauth://hotp/a?secret=", "%"];
        let _ = parse(&format!("{}{text}", starts[start]));
    }

    #[test]
    fn no_part_of_a_uri_makes_it_panic(parts in prop::collection::vec(prop::sample::select(vec![
        "otpauth://", "totp", "hotp", "/", ":", "?", "&", "=", "secret", SECRET, "issuer", "%", "%4", "%3A", "%ff",
        "digits", "8", "period", "counter", "18446744073709551616", "ü", "+", "#", " ",
    ]), 0..20)) {
        let _ = parse(&parts.concat());
    }
}

#[test]
fn forgiving_where_it_cannot_mean_two_things() {
    for uri in [
        "otpauth://totp/Corp:ferris?secret=JBSWY3DPEHPK3PXP&issuer=Corp",
        "  otpauth://totp/Corp:ferris?secret=jbswy3dpehpk3pxp&issuer=Corp\n",
        "OTPAUTH://TOTP/Corp%3Aferris?secret=JBSWY3DPEHPK3PXP",
        "otpauth://totp/Corp:%20ferris?secret=JBSW-Y3DP%20EHPK%203PXP%3D%3D&issuer=Corp&image=http%3A%2F%2Fx",
        "otpauth://totp/ferris?issuer=Corp&secret=JBSWY3DPEHPK3PXP&algorithm=sha1&digits=6&period=30",
    ] {
        let read = parse(uri).unwrap();
        let expected = Provisioning { issuer: "Corp".to_owned(), account: "ferris".to_owned(), ..example() };
        assert_eq!(read, expected, "{uri}");
    }
    let plus = parse("otpauth://totp/My%20Corp:f?secret=JBSWY3DPEHPK3PXP&issuer=My+Corp").unwrap();
    assert_eq!((plus.issuer.as_str(), plus.account.as_str()), ("My Corp", "f"));
}

#[test]
fn each_refusal_has_its_reason() {
    use OtpauthError as E;
    let too_long = format!("otpauth://totp/a?secret={}", "A".repeat(5000));
    let secret_too_long = format!("otpauth://totp/a?secret={}", "A".repeat(208));
    for (uri, expected) in [
        (too_long.as_str(), E::TooLong),
        (&secret_too_long, E::Secret),
        ("", E::Malformed),
        ("otpauth:/totp/a?secret=JBSWY3DPEHPK3PXP", E::Malformed),
        ("https://totp/a?secret=JBSWY3DPEHPK3PXP", E::Malformed),
        ("otpauth://totp/a", E::Malformed),
        ("otpauth://totp?secret=JBSWY3DPEHPK3PXP", E::Malformed),
        ("otpauth://totp/a?secret", E::Malformed),
        ("otpauth://totp/a%4?secret=JBSWY3DPEHPK3PXP", E::Malformed),
        ("otpauth://totp/a%zz?secret=JBSWY3DPEHPK3PXP", E::Malformed),
        ("otpauth://totp/a%+1?secret=JBSWY3DPEHPK3PXP", E::Malformed),
        ("otpauth://totp/a%ff?secret=JBSWY3DPEHPK3PXP", E::Malformed),
        ("otpauth://totp/a?secret=JBSWY3DPEHPK3PXP#x", E::Malformed),
        ("otpauth://totp/%3Acorp:ferris?secret=JBSWY3DPEHPK3PXP", E::Account),
        ("otpauth://steam/a?secret=JBSWY3DPEHPK3PXP", E::UnknownType),
        ("otpauth:///a?secret=JBSWY3DPEHPK3PXP", E::UnknownType),
        ("otpauth://totp/?secret=JBSWY3DPEHPK3PXP", E::Account),
        ("otpauth://totp/Corp:?secret=JBSWY3DPEHPK3PXP", E::Account),
        ("otpauth://totp/a%1b%5b2J?secret=JBSWY3DPEHPK3PXP", E::Account),
        ("otpauth://totp/a?secret=JBSWY3DPEHPK3PXP&issuer=C%0a", E::Account),
        ("otpauth://totp/Corp:a?secret=JBSWY3DPEHPK3PXP&issuer=Bank", E::IssuersDiffer),
        ("otpauth://totp/a?issuer=x", E::Missing("secret")),
        ("otpauth://hotp/a?secret=JBSWY3DPEHPK3PXP", E::Missing("counter")),
        ("otpauth://totp/a?secret=JBSWY3DPEHPK3PXP&secret=JBSWY3DPEHPK3PXP", E::Duplicate("secret")),
        ("otpauth://totp/a?secret=JBSWY3DPEHPK3PXP&digits=6&digits=8", E::Duplicate("digits")),
        ("otpauth://totp/a?secret=JBSWY3DPEHPK3PXP&encoder=steam", E::UnknownParameter),
        ("otpauth://totp/a?secret=JBSWY3DPEHPK3PXP&counter=0", E::UnknownParameter),
        ("otpauth://totp/a?secret=", E::Secret),
        ("otpauth://totp/a?secret=A", E::Secret),
        ("otpauth://totp/a?secret=JBSWY3DP1HPK3PXP", E::Secret),
        ("otpauth://totp/a?secret=JBSW%3DY3DP", E::Secret),
        ("otpauth://totp/a?secret=JBSWY3DPEHPK3PXPA", E::Secret),
        ("otpauth://hotp/a?secret=JBSWY3DPEHPK3PXP&counter=", E::Counter),
        ("otpauth://hotp/a?secret=JBSWY3DPEHPK3PXP&counter=-1", E::Counter),
        ("otpauth://hotp/a?secret=JBSWY3DPEHPK3PXP&counter=+1", E::Counter),
        ("otpauth://hotp/a?secret=JBSWY3DPEHPK3PXP&counter=9223372036854775807", E::Counter),
        ("otpauth://totp/a?secret=JBSWY3DPEHPK3PXP&digits=10", E::Parameter(BadParameter::Digits)),
        ("otpauth://totp/a?secret=JBSWY3DPEHPK3PXP&period=0", E::Parameter(BadParameter::Period)),
        ("otpauth://totp/a?secret=JBSWY3DPEHPK3PXP&algorithm=MD5", E::Parameter(BadParameter::Algorithm)),
    ] {
        assert_eq!(parse(uri), Err(expected), "{uri}");
        assert!(!expected.to_string().contains("JBSW"));
    }
}
