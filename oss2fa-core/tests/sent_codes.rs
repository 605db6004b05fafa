//! Codes that are sent: how they are made, how they are typed, how they are compared.
#![cfg(feature = "factors")]
#![expect(clippy::unwrap_used, reason = "a test may fail where it likes")]

use std::sync::atomic::{AtomicUsize, Ordering};

use oss2fa_core::factor::sent_code::{BadLength, CodeLength, canonical, check, from_random};
use oss2fa_core::ids::DeviceId;
use oss2fa_core::random::{NoRandomness, Random};
use oss2fa_core::verdict::FactorKind;
use proptest::prelude::*;

/// Gives these numbers, one at each call, and then nothing.
struct Drawn(Vec<u64>, AtomicUsize);

impl Drawn {
    fn of(numbers: &[u64]) -> Self {
        Self(numbers.to_vec(), AtomicUsize::new(0))
    }
}

impl Random for Drawn {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), NoRandomness> {
        let number = self.0.get(self.1.fetch_add(1, Ordering::SeqCst)).ok_or(NoRandomness)?;
        bytes.copy_from_slice(&number.to_be_bytes());
        Ok(())
    }
}

fn length(digits: u8) -> CodeLength {
    CodeLength::new(digits).unwrap()
}

fn drawn(numbers: &[u64], digits: u8) -> Result<String, NoRandomness> {
    from_random(&Drawn::of(numbers), length(digits)).map(|code| code.expose().to_owned())
}

#[test]
fn lengths() {
    assert_eq!(CodeLength::default().value(), 6);
    for digits in 0..=u8::MAX {
        let allowed = (6..=10).contains(&digits);
        assert_eq!(CodeLength::new(digits).is_ok(), allowed, "{digits}");
        assert_eq!(serde_json::from_value::<CodeLength>(digits.into()).is_ok(), allowed, "{digits}");
    }
    assert_eq!(CodeLength::new(11), Err(BadLength));
}

#[test]
fn a_code_keeps_its_leading_zeros() {
    assert_eq!(drawn(&[0], 6).as_deref(), Ok("000000"));
    assert_eq!(drawn(&[42], 10).as_deref(), Ok("0000000042"));
    assert_eq!(drawn(&[1_234_567], 6).as_deref(), Ok("234567"));
    assert_eq!(drawn(&[9_999_999_999], 10).as_deref(), Ok("9999999999"));
}

#[test]
fn no_code_is_likelier_than_another() {
    // 2^64 is 18446744073709 whole sets of a million and 551616 more: those are thrown away.
    let whole = 18_446_744_073_709 * 1_000_000;
    assert_eq!(drawn(&[whole - 1], 6).as_deref(), Ok("999999"));
    assert_eq!(drawn(&[whole, u64::MAX, 7], 6).as_deref(), Ok("000007"));
    // The same for the longest: 1844674407 sets of ten billion.
    let whole = 1_844_674_407 * 10_000_000_000;
    assert_eq!(drawn(&[whole - 1], 10).as_deref(), Ok("9999999999"));
    assert_eq!(drawn(&[whole, 7], 10).as_deref(), Ok("0000000007"));
}

#[test]
fn a_source_without_randomness_makes_no_code() {
    assert_eq!(drawn(&[], 6), Err(NoRandomness));
    assert_eq!(drawn(&[u64::MAX; 1000], 6), Err(NoRandomness), "and it does not ask for ever");
}

#[test]
fn what_is_typed_has_one_spelling() {
    for typed in ["123456", " 123456\n", "123 456", "123-456", "1 2-3 4-5 6", "12\u{a0}34\u{2009}56"] {
        assert_eq!(canonical(typed).unwrap().expose(), "123456", "{typed:?}");
    }
    assert_eq!(canonical("0123456789").unwrap().expose(), "0123456789");
    for typed in [
        "",
        "12345",
        "12345678901",
        "12345a",
        "１２３４５６",
        "١٢٣٤٥٦",
        "123.456",
        "+123456",
        "123456\u{200b}",
        "123_456",
        "–123456",
    ] {
        assert!(canonical(typed).is_none(), "{typed:?}");
    }
}

#[test]
fn only_the_same_hash_is_evidence() {
    let (device, expected) = (DeviceId(7), [0x5a; 32]);
    let verified = check(device, &expected, &expected).unwrap();
    assert_eq!((verified.device(), verified.kind(), verified.position()), (device, FactorKind::SentCode, 0));
    for bit in 0..256 {
        let mut other = expected;
        other[bit / 8] ^= 1 << (bit % 8);
        assert!(check(device, &other, &expected).is_none(), "bit {bit}");
    }
}

proptest! {
    #[test]
    fn each_code_can_be_typed_as_it_was_sent(number in any::<u64>(), digits in 6_u8..=10) {
        let code = drawn(&[number, 0], digits).unwrap();
        prop_assert_eq!(code.len(), usize::from(digits));
        let typed = canonical(&code).unwrap();
        prop_assert_eq!(typed.expose(), code);
    }
}
