//! Answers of a validation server, each with one thing wrong; only the right one is evidence.
#![expect(clippy::unwrap_used, reason = "a test may fail where it likes")]
#![cfg(feature = "factors")]

use oss2fa_core::factor::yubico_otp::{Touch, TypedOtp};
use oss2fa_core::factor::yubico_validation::{ApiKey, Judged, LONGEST_ANSWER, Question, Status, is_nonce};
use oss2fa_core::ids::DeviceId;

const OTP: &str = "ccccccbcgujhgijlujufulujdrtldhvgkhrrjfvriiek";
const NONCE: &str = "aef3a7835277a28da831005c2ae3b919e2076a62";
/// Any 20 bytes.
const KEY: &str = "MTIzNDU2Nzg5MDEyMzQ1Njc4OTA=";

/// What stands in an answer, in the order in which it is written.
type Fields = Vec<(&'static str, String)>;

fn fields(status: &str) -> Fields {
    [
        ("t", "2026-11-26T00:00:00Z0123"),
        ("otp", OTP),
        ("nonce", NONCE),
        ("sl", "25"),
        ("status", status),
        ("timestamp", "51622"),
        ("sessioncounter", "19"),
        ("sessionuse", "16"),
    ]
    .map(|(name, value)| (name, value.to_owned()))
    .to_vec()
}

fn signed_with(key: &str, fields: &Fields) -> String {
    let key = ApiKey::parse(key).unwrap();
    let pairs = fields.iter().map(|(name, value)| (*name, value.as_str()));
    let mut body = format!("h={}\r\n", key.sign(pairs));
    for (name, value) in fields {
        body.push_str(&format!("{name}={value}\r\n"));
    }
    body + "\r\n"
}

fn judge(body: &str) -> Judged {
    let (otp, key) = (TypedOtp::read(OTP).unwrap(), ApiKey::parse(KEY).unwrap());
    Question { device: DeviceId(3), otp: &otp, nonce: NONCE, key: &key }.judge(body)
}

fn with(name: &'static str, value: &str) -> String {
    let mut changed = fields("OK");
    changed.iter_mut().filter(|(known, _)| *known == name).for_each(|(_, kept)| value.clone_into(kept));
    signed_with(KEY, &changed)
}

fn without(name: &str) -> String {
    let mut left = fields("OK");
    left.retain(|(known, _)| *known != name);
    signed_with(KEY, &left)
}

/// The example of the specification: its key and its request have this signature, by any implementation.
#[test]
fn a_request_is_signed_as_the_specification_shows_it() {
    let key = ApiKey::parse("mG5be6ZJU1qBGz24yPh/ESM3UdU=").unwrap();
    let request = [
        ("id", "1"),
        ("nonce", "jrFwbaYFhn0HoxZIsd9LQ6w2ceU"),
        ("otp", "vvungrrdhvtklknvrtvuvbbkeidikkvgglrvdgrfcdft"),
    ];
    assert_eq!(key.sign(request), "+ja8S3IjbX593/LAgTBixwPNGX4=");
}

#[test]
fn the_right_answer_is_evidence_with_the_counters_of_the_key() {
    let Judged::Right(verified, touch) = judge(&signed_with(KEY, &fields("OK"))) else { panic!() };
    assert_eq!(touch, Touch { session: 19, used: 16, clock: 51622 });
    assert_eq!((verified.device(), verified.position()), (DeviceId(3), 19 << 8 | 16));
}

#[test]
fn every_status_has_its_meaning() {
    for status in Status::ALL {
        let judged = judge(&signed_with(KEY, &fields(status.as_str())));
        match status {
            Status::Ok => assert!(matches!(judged, Judged::Right(..)), "{judged:?}"),
            Status::BadOtp | Status::ReplayedOtp => assert_eq!(judged, Judged::Wrong(status)),
            Status::ReplayedRequest => assert_eq!(judged, Judged::Seen),
            _ => assert_eq!(judged, Judged::Failed(status)),
        }
    }
}

#[test]
fn whatever_is_wrong_with_an_answer_it_is_no_evidence() {
    let right = signed_with(KEY, &fields("OK"));
    let unsigned = right.split_once("\r\n").unwrap().1.to_owned();
    let other_otp = OTP.replace("iiek", "iiec");
    let bodies = [
        ("empty", String::new()),
        ("a page", "<html><body><h1>It works!</h1><a href=\"x?status=OK\">OK</a></body></html>".to_owned()),
        ("a status alone", "status=OK\r\n".to_owned()),
        ("unsigned", unsigned.clone()),
        ("an empty signature", format!("h=\r\n{unsigned}")),
        ("a signature that is no base64", format!("h=!!!\r\n{unsigned}")),
        ("a signature of something else", format!("h=AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n{unsigned}")),
        ("signed by another", signed_with("YWJjZGVmZ2hpamtsbW5vcHFyc3Q=", &fields("OK"))),
        (
            "changed after signing",
            signed_with(KEY, &fields("BAD_OTP")).replace("status=BAD_OTP", "status=OK"),
        ),
        ("two statuses", right.replace("status=OK", "status=BAD_OTP\r\nstatus=OK")),
        ("another nonce", with("nonce", "aef3a7835277a28da831005c2ae3b919e2076a63")),
        ("no nonce", without("nonce")),
        ("another password", with("otp", &other_otp)),
        ("no password", without("otp")),
        ("no status", without("status")),
        ("a status of its own", with("status", "ok")),
        ("a status with more", with("status", "OK BAD_OTP")),
        ("no counters", without("sessioncounter")),
        ("no use counter", without("sessionuse")),
        ("a counter below zero", with("sessioncounter", "-1")),
        ("a counter with a sign", with("sessioncounter", "+1")),
        ("a counter that is too large", with("sessioncounter", "65536")),
        ("a use counter that is too large", with("sessionuse", "256")),
        ("an empty counter", with("sessionuse", "")),
        ("a line without a value", format!("{right}OK\r\n")),
        ("too long", format!("{right}{}", "\r\n".repeat(LONGEST_ANSWER))),
    ];
    for (what, body) in bodies {
        let judged = judge(&body);
        assert!(matches!(judged, Judged::Unusable(_)), "{what}: {judged:?}");
    }
}

#[test]
fn a_key_is_at_least_16_bytes_of_base64() {
    for text in ["", "AAAA", "MTIzNDU2Nzg5MDEyMzQ1", "not base64 at all!", "MTIzNDU2Nzg5MDEyMzQ1Njc4OTA"] {
        assert!(ApiKey::parse(text).is_none(), "{text:?}");
    }
    assert!(!format!("{:?}", ApiKey::parse(KEY)).contains("MTIz"));
}

#[test]
fn a_nonce_is_16_to_40_letters_and_digits() {
    for (text, is) in
        [(NONCE, true), (&NONCE[..16], true), (&NONCE[..15], false), ("aaaaaaaaaaaaaaa-", false)]
    {
        assert_eq!(is_nonce(text), is, "{text}");
    }
    assert!(!is_nonce(&"a".repeat(41)));
}
