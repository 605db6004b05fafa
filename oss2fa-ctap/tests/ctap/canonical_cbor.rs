//! CBOR: one spelling is written, and no other is read.

use oss2fa_ctap::cbor::{MAX_DEPTH, Value, encode, parse, parse_first};
use proptest::prelude::*;

use crate::fixed::hex;

#[test]
fn other_spellings_are_refused() {
    for (what, bytes) in [
        ("nothing", ""),
        ("a number that could be shorter", "1817"),
        ("a number that could be shorter, 16 bit", "1900ff"),
        ("a number that could be shorter, 32 bit", "1a0000ffff"),
        ("a number that could be shorter, 64 bit", "1b00000000ffffffff"),
        ("a length that could be shorter", "580141"),
        ("bytes of indefinite length", "5f41004101ff"),
        ("text of indefinite length", "7f6161ff"),
        ("an array of indefinite length", "9f01ff"),
        ("a map of indefinite length", "bf0101ff"),
        ("a reserved length", "1c"),
        ("a tag", "c001"),
        ("null", "f6"),
        ("undefined", "f7"),
        ("a half", "f93c00"),
        ("a double", "fb3ff0000000000000"),
        ("a simple value", "e0"),
        ("true in two bytes", "f815"),
        ("text that is not UTF-8", "61ff"),
        ("a key twice", "a201010102"),
        ("keys out of order", "a202010101"),
        ("text before a number", "a2616101 0101"),
        ("a longer key before a shorter one", "a2626161 01 6162 02"),
        ("a negative before a positive", "a220010101"),
        ("bytes that are missing", "4200"),
        ("items that are missing", "8201"),
        ("a value that is missing", "a101"),
        ("a byte after the end", "0100"),
        ("an array of four billion", "9affffffff"),
        ("a map of four billion", "baffffffff"),
        ("bytes of eighteen quintillions", "5bffffffffffffffff"),
        ("five levels", "818181818101"),
    ] {
        assert!(parse(&hex(bytes)).is_err(), "{what}");
    }
}

#[test]
fn nesting_ends_at_four_levels() {
    assert_eq!(MAX_DEPTH, 4);
    assert!(parse(&hex("8181818101")).is_ok());
    assert!(parse(&[0x81; 5000]).is_err());
}

#[test]
fn what_stands_after_the_first_value_is_given_back() {
    assert_eq!(parse_first(&hex("0102")), Ok((Value::number(1), [2].as_slice())));
}

#[test]
fn debug_shows_no_content() {
    assert_eq!(format!("{:?}", Value::text("secret")), "text");
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<u64>().prop_map(Value::Unsigned),
        any::<u64>().prop_map(Value::Negative),
        any::<i64>().prop_map(Value::number),
        proptest::collection::vec(any::<u8>(), 0..300).prop_map(Value::Bytes),
        ".{0,30}".prop_map(Value::Text),
        any::<bool>().prop_map(Value::Bool),
    ];
    leaf.prop_recursive(3, 40, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::Array),
            proptest::collection::btree_map(any::<i32>(), inner, 0..6).prop_map(|entries| {
                Value::Map(
                    entries.into_iter().map(|(key, value)| (Value::number(key.into()), value)).collect(),
                )
            }),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read_and_written_again_as_the_same(value in values()) {
        let bytes = encode(&value);
        let read = parse(&bytes).unwrap();
        prop_assert_eq!(encode(&read), bytes);
    }

    #[test]
    fn an_independent_reader_agrees(value in values()) {
        let bytes = encode(&value);
        let theirs: ciborium::Value = ciborium::from_reader(bytes.as_slice()).unwrap();
        let mut written = Vec::new();
        ciborium::into_writer(&theirs, &mut written).unwrap();
        prop_assert_eq!(written, bytes);
    }

    #[test]
    fn any_bytes_are_read_as_their_one_spelling_or_not_at_all(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        if let Ok(value) = parse(&bytes) {
            prop_assert_eq!(encode(&value), bytes);
        }
    }
}
