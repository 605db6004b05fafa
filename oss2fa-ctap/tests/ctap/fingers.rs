//! Keys that recognise their user by themselves. The scripts were made with python-fido2; what a key refuses with is
//! from CTAP 2.1 sections 6.2.2 and 6.5.5.7.3.

use oss2fa_ctap::error::KeyError;
use oss2fa_ctap::key::{Key, Method, Proof};
use oss2fa_ctap::transport::Meanwhile;
use oss2fa_ctap::verify::{Login, RpId, User, UserVerification};

use crate::fixed::{Fixed, RP, ferris, hex, watched};

const BY_TOKEN: &str = include_str!("../data/stories/login_by_a_finger");
const IN_STEP: &str = include_str!("../data/stories/login_by_a_finger_in_step");

const RETRIES: &str = ">> 01020304 10 06a10207";

/// A login by the key's own verification, which this script plays; who it says was there, and what was told meanwhile.
fn login_by(script: &str) -> (Result<User, KeyError>, Vec<Meanwhile>) {
    let rp = RpId::new(RP).unwrap();
    let login = Login::fresh(rp, UserVerification::Required, &Fixed::counting()).unwrap();
    let secret = hex("0000000000000000000000000000000000000000000000000123456789abcdef");
    let random = Fixed::bytes(&[&[0, 1, 2, 3, 4, 5, 6, 7], secret.as_slice()].concat());
    let ids = [b"credential of ferris".to_vec()];
    let (answer, seen) = watched(script, None, |replay, patience| {
        let mut key = Key::open(replay, &random, patience)?;
        assert_eq!(key.methods()[0], Method::BuiltIn);
        key.assert(&login, &ids, Proof::BuiltIn, &random, patience)
    });
    (answer.map(|assertion| login.verify(&[ferris()], &assertion).unwrap().user()), seen)
}

/// The story up to the answer to the last request that has this beginning, and these lines instead of what follows.
fn until(story: &str, request: &str, then: &str) -> String {
    let lines: Vec<&str> = story.lines().collect();
    let at = lines.iter().rposition(|line| line.starts_with(request)).unwrap();
    format!("{}\n{then}", lines[..=at].join("\n"))
}

#[test]
fn a_finger_gives_a_token_that_logs_its_user_in() {
    let (user, seen) = login_by(BY_TOKEN);
    assert_eq!(user, Ok(User::Verified));
    assert_eq!(seen, [Meanwhile::TouchNeeded]);
}

#[test]
fn a_key_without_tokens_verifies_in_the_same_step() {
    let (user, seen) = login_by(IN_STEP);
    assert_eq!(user, Ok(User::Verified));
    assert_eq!(seen, [Meanwhile::TouchNeeded]);
}

#[test]
fn a_key_that_does_not_tell_its_tries_looks_all_the_same() {
    let told = "<< 01020304 10 00a10503";
    assert!(BY_TOKEN.contains(told));
    assert_eq!(login_by(&BY_TOKEN.replace(told, "<< 01020304 10 3e")).0, Ok(User::Verified));
}

#[test]
fn who_was_not_recognised_hears_how_many_tries_are_left() {
    for (retries, why) in [
        ("00a10502", KeyError::NotRecognised { left: Some(2) }),
        ("3e", KeyError::NotRecognised { left: None }),
        ("00a10500", KeyError::RecognitionBlocked),
    ] {
        let refused = format!("<< 01020304 3b 02\n<< 01020304 10 3f\n{RETRIES}\n<< 01020304 10 {retries}");
        assert_eq!(login_by(&until(BY_TOKEN, ">> 01020304 10 06a5", &refused)).0, Err(why));
    }
}

#[test]
fn a_key_that_is_blocked_is_not_asked_to_look() {
    let (refused, seen) = login_by(&until(BY_TOKEN, RETRIES, "<< 01020304 10 00a10500"));
    assert_eq!((refused, seen), (Err(KeyError::RecognitionBlocked), vec![]));
    let refused = until(BY_TOKEN, ">> 01020304 10 06a5", "<< 01020304 10 3c");
    assert_eq!(login_by(&refused).0, Err(KeyError::RecognitionBlocked));
}

#[test]
fn in_the_same_step_a_refusal_has_the_same_meaning() {
    for (status, why) in [
        ("36", KeyError::RecognitionBlocked),
        ("3c", KeyError::RecognitionBlocked),
        ("3f", KeyError::NotRecognised { left: None }),
    ] {
        let refused = until(IN_STEP, ">> 01020304 10 02", &format!("<< 01020304 10 {status}"));
        assert_eq!(login_by(&refused).0, Err(why), "{status}");
    }
}
