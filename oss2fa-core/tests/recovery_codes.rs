//! Recovery codes: their spelling, and the search for their keyed hashes.
#![cfg(feature = "factors")]

use oss2fa_core::factor::recovery_code::{StoredCode, canonical, check, from_random};
use oss2fa_core::ids::DeviceId;
use oss2fa_core::verdict::FactorKind;
use proptest::prelude::*;

proptest! {
    #[test]
    fn what_is_shown_can_be_typed_back(random in any::<[u8; 10]>()) {
        let code = from_random(&random);
        prop_assert_eq!(code.expose_canonical().len(), 16);
        let shown = code.to_display();
        prop_assert_eq!(shown.expose().len(), 19);
        let spellings = [
            shown.expose().to_owned(),
            shown.expose().to_uppercase(),
            shown.expose().replace('-', " "),
            shown.expose().replace('0', "o").replace('1', "L"),
            shown.expose().replace('0', "O").replace('1', "i"),
            format!("  {}\n", code.expose_canonical()),
        ];
        for typed in spellings {
            let read = canonical(&typed);
            prop_assert_eq!(read.as_ref().map(|code| code.expose_canonical()), Some(code.expose_canonical()));
        }
    }

    #[test]
    fn different_bytes_are_different_codes(one in any::<[u8; 10]>(), other in any::<[u8; 10]>()) {
        let same = from_random(&one).expose_canonical() == from_random(&other).expose_canonical();
        prop_assert_eq!(same, one == other);
    }

    #[test]
    fn whatever_is_typed_does_no_harm(typed in any::<String>()) {
        if let Some(code) = canonical(&typed) {
            prop_assert!(matches!(code.expose_canonical().len(), 8 | 16));
        }
    }

    #[test]
    fn the_entry_that_matches_is_the_one_that_is_found(at in 0_u8..10) {
        let stored: Vec<_> = (0..10).map(|n| StoredCode { number: 100 + u64::from(n), digest: [n; 32] }).collect();
        let verified = check(DeviceId(3), &[at; 32], &stored);
        let found = verified.map(|found| (found.device(), found.kind(), found.position()));
        prop_assert_eq!(found, Some((DeviceId(3), FactorKind::RecoveryCode, 100 + u64::from(at))));
    }
}

#[test]
fn the_bits_are_spelled_from_the_first_to_the_last() {
    let shown = |random| from_random(random).to_display().expose().to_owned();
    assert_eq!(shown(&[0; 10]), "0000-0000-0000-0000");
    assert_eq!(shown(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 1]), "0000-0000-0000-0001");
    assert_eq!(shown(&[0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0]), "g000-0000-0000-0000");
    assert_eq!(shown(&[0x00, 0x44, 0x32, 0x14, 0xc7, 0x42, 0x54, 0xb6, 0x35, 0xcf]), "0123-4567-89ab-cdef");
}

#[test]
fn scratch_codes_of_eight_digits_are_codes() {
    let read = canonical(" 8987-6847 ").unwrap();
    assert_eq!(read.expose_canonical(), "89876847");
    assert_eq!(read.to_display().expose(), "8987-6847");
}

#[test]
fn what_cannot_be_a_code_is_none() {
    for typed in [
        "",
        "----",
        "1234567",
        "123456789",
        "1234567o",
        "1234567l",
        "0000-0000-0000-000",
        "0000-0000-0000-00000",
        "uuuu-uuuu-uuuu-uuuu",
        "0000_0000_0000_0000",
        "００００００００",
    ] {
        assert!(canonical(typed).is_none(), "{typed:?}");
    }
}

#[test]
fn nothing_matches_an_empty_list_or_another_digest() {
    assert_eq!(check(DeviceId(3), &[0; 32], &[]), None);
    let almost = std::array::from_fn(|at| if at == 31 { 1 } else { 0 });
    assert_eq!(check(DeviceId(3), &[0; 32], &[StoredCode { number: 0, digest: almost }]), None);
}

#[test]
fn nothing_of_a_code_is_in_debug_output() {
    assert_eq!(format!("{:?}", from_random(&[0; 10])), "RecoveryCode(***)");
    let stored = StoredCode { number: 4, digest: [0xab; 32] };
    assert_eq!(format!("{stored:?}"), "StoredCode { number: 4, .. }");
}
