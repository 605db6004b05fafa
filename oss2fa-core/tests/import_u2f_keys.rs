//! pam_u2f's mapping: both formats, and what is wrong with a line.
#![cfg(feature = "factors")]

use data_encoding::{BASE64, BASE64URL, HEXLOWER};
use oss2fa_core::import::u2f_keys::{Asks, ImportedKey, MadeBy, PublicKeyBytes, parse};
use proptest::prelude::*;

const ID: [u8; 64] = [0xfb; 64];

fn new_format(options: &str) -> String {
    format!("{},{},es256,{options}", BASE64.encode(&ID), BASE64.encode(&[7; 64]))
}

fn legacy() -> String {
    let point = [&[4], [7; 64].as_slice()].concat();
    format!("{},{}", BASE64URL.encode(&ID).trim_end_matches('='), HEXLOWER.encode(&point))
}

fn found(text: &str) -> Vec<ImportedKey> {
    parse(text).into_iter().map(|one| one.unwrap_or_else(|error| unreachable!("{error}"))).collect()
}

fn reason(line: &str) -> String {
    match parse(line).as_slice() {
        [Err(error)] => error.to_string(),
        other => format!("{other:?}"),
    }
}

#[test]
fn both_formats_give_the_same_key() {
    let keys =
        found(&format!("# those of the office\n\nferris:{}\ncorro:{}\n", new_format("+presence"), legacy()));
    assert_eq!((keys[0].line, keys[0].user.as_str(), keys[0].made_by), (3, "ferris", MadeBy::Fido2));
    assert_eq!((keys[1].line, keys[1].user.as_str(), keys[1].made_by), (4, "corro", MadeBy::U2f));
    for key in &keys {
        assert_eq!((key.id.as_slice(), &key.public_key), (ID.as_slice(), &PublicKeyBytes::Es256([7; 64])));
        assert_eq!(key.asks, Asks::Touch);
    }
}

#[test]
fn a_user_may_have_many_and_a_bad_one_changes_nothing_about_the_others() {
    let line = format!("ferris:{}:nonsense:{}", new_format("+presence"), legacy());
    let read = parse(&line);
    assert_eq!(read.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, true]);
}

#[test]
fn ed25519_has_32_bytes() {
    let key =
        |bytes: &[u8]| format!("ferris:{},{},eddsa,+presence", BASE64.encode(&ID), BASE64.encode(bytes));
    assert_eq!(found(&key(&[5; 32]))[0].public_key, PublicKeyBytes::EdDsa([5; 32]));
    assert!(reason(&key(&[5; 33])).contains("does not have the form"));
}

#[test]
fn whoever_was_asked_for_a_pin_is_asked_for_it_here() {
    for options in ["+presence+pin", "+verification", "+presence+verification+pin"] {
        assert_eq!(found(&format!("ferris:{}", new_format(options)))[0].asks, Asks::User, "{options}");
    }
}

#[test]
fn what_cannot_be_taken_over_says_why() {
    for (line, words) in [
        ("ferris".to_owned(), "no colon"),
        (format!(":{}", legacy()), "user name is empty"),
        ("ferris:".to_owned(), "no credential in this line"),
        ("ferris:AAAA".to_owned(), "ends before its public key"),
        ("ferris:*,AAAA,es256,+presence".to_owned(), "the form of its type"),
        (format!("ferris:*,04{}", "ab".repeat(64)), "no resident credential"),
        ("ferris:?,AAAA,es256,+presence".to_owned(), "not base64"),
        (format!("ferris:{}", new_format("").replace("es256", "rs256")), "neither es256 nor eddsa"),
        (format!("ferris:{}", new_format("+presence+heart")), "an option that is none of"),
        (format!("ferris:{}", &legacy()[..legacy().len() - 2]), "does not have the form"),
        (format!("ferris:{},00", BASE64.encode(&[1; 1024])), "1 to 1023 bytes"),
        (format!("ferris:{}", "A".repeat(70_000)), "longer than 64 KiB"),
    ] {
        let reason = reason(&line);
        assert!(reason.starts_with("line 1: ") && reason.contains(words), "{words}: {reason}");
    }
}

proptest! {
    #[test]
    fn no_file_makes_it_panic(text in "(ferris|#|:|,|\\+|es256|eddsa|presence|pin|[A-Za-z0-9+/=*]{0,90}|\n){0,40}") {
        let lines = text.lines().count();
        for entry in parse(&text) {
            let line = match entry {
                Ok(key) => {
                    prop_assert!((1..=1023).contains(&key.id.len()) && !key.user.is_empty());
                    key.line
                }
                Err(error) => error.line,
            };
            prop_assert!((1..=lines).contains(&line));
        }
    }
}
