//! Keys that recognise their user by a finger, and what happens when they do not.

use std::sync::atomic::{AtomicBool, Ordering};

use super::*;

const REQUIRED: &str = "[policy]\nuser_verification = \"required\"\n";
const AGAIN: &str = "The security key did not recognise you. Try again.";
const INSTEAD: &str =
    "The security key does not recognise you now. PIN of your security key (8 tries left): ";

/// A key with a reader of so many tries, which is enrolled for ferris by the right finger.
fn enrolled(host: &Host, tries: u8, pin: Option<&str>) -> SoftKey {
    let key = SoftKey::new(Protocol::Ctap2, 1).with_reader(tries);
    let key = match pin {
        Some(pin) => key.with_pin(pin),
        None => key,
    };
    host.hub.plug_in("one", &key);
    key.touch_by(Finger::ItsOwners);
    host.enrolled(key_of("ferris", KeyKind::Fido2), &[]);
    key
}

fn reader(key: &SoftKey) -> u8 {
    key.inside().reader.unwrap().tries_left
}

/// Touches the key by this finger whenever it has blinked once more.
fn touched_by<T>(key: &SoftKey, fingers: &[Finger], meanwhile: impl FnOnce() -> T) -> T {
    let (before, over) = (key.inside().blinking, AtomicBool::new(false));
    thread::scope(|scope| {
        scope.spawn(|| {
            for (number, finger) in fingers.iter().enumerate() {
                while key.inside().blinking <= before + number {
                    if over.load(Ordering::SeqCst) {
                        return;
                    }
                    thread::sleep(Duration::from_millis(1));
                }
                key.touch_by(*finger);
            }
        });
        let ended = meanwhile();
        over.store(true, Ordering::SeqCst);
        ended
    })
}

#[test]
fn a_finger_that_the_key_recognises_verifies_its_user_and_is_the_touch() {
    let host = host(REQUIRED);
    let key = enrolled(&host, 10, Some("4711"));
    key.touch_by(Finger::ItsOwners);
    let ended = host.login(&[]);
    assert_eq!(ended.outcome, Some(Outcome::Verified), "{:?}", ended.told);
    assert!(ended.prompts.is_empty(), "{:?}", ended.prompts);
    assert!(host.newest().detail.ends_with("touched, and knows its user"), "{}", host.newest().detail);
}

#[test]
fn whoever_is_not_recognised_is_told_and_tries_again_by_a_new_touch() {
    let host = host(REQUIRED);
    let key = enrolled(&host, 10, None);
    let fingers = [Finger::Another, Finger::ItsOwners];
    let ended = touched_by(&key, &fingers, || host.login(&[]));
    assert_eq!(ended.outcome, Some(Outcome::Verified), "{:?}", ended.told);
    let told: Vec<_> = ended.told.iter().filter(|told| told.starts_with(AGAIN)).collect();
    assert_eq!(told, [&format!("{AGAIN} 9 tries left.")]);
}

#[test]
fn a_key_looks_three_times_at_one_login_and_no_more() {
    let host = host(REQUIRED);
    let key = enrolled(&host, 10, None);
    let ended = touched_by(&key, &[Finger::Another; 6], || host.login(&[]));
    assert_eq!((ended.outcome, reader(&key)), (Some(Outcome::Refused), 7), "{:?}", ended.told);
    assert_eq!(ended.told.iter().filter(|told| told.starts_with(AGAIN)).count(), 2, "{:?}", ended.told);
    assert!(ended.told.iter().any(|told| told.contains("did not recognise you, 7 tries left")));
}

#[test]
fn with_three_tries_left_the_pin_is_asked_for_after_one_miss() {
    let host = host(REQUIRED);
    let key = enrolled(&host, 4, Some("4711"));
    let ended = touched_by(&key, &[Finger::Another, Finger::Another], || host.login(&["4711"]));
    assert_eq!(ended.outcome, Some(Outcome::Verified), "{:?}", ended.told);
    assert_eq!(ended.prompts, [INSTEAD]);
}

#[test]
fn a_key_that_is_blocked_asks_for_its_pin_instead_which_unblocks_it() {
    let host = host(REQUIRED);
    let key = enrolled(&host, 10, Some("4711"));
    key.inside().reader.as_mut().unwrap().tries_left = 0;
    key.touch();
    let ended = host.login(&["4711"]);
    assert_eq!((ended.outcome, ended.prompts), (Some(Outcome::Verified), vec![INSTEAD.to_owned()]));
    assert_eq!(reader(&key), 10);
}

#[test]
fn a_key_that_blocks_itself_at_the_last_look_asks_for_its_pin() {
    let host = host(REQUIRED);
    let key = enrolled(&host, 10, Some("4711"));
    key.inside().reader.as_mut().unwrap().tries_left = 1;
    let ended = touched_by(&key, &[Finger::Another, Finger::Another], || host.login(&["4711"]));
    assert_eq!((ended.outcome, ended.prompts), (Some(Outcome::Verified), vec![INSTEAD.to_owned()]));
}

#[test]
fn a_key_that_is_blocked_asks_for_no_pin_where_prompts_are_relabelled() {
    let host = host(REQUIRED);
    let key = enrolled(&host, 10, Some("4711"));
    host.with_codes("ferris");
    key.inside().reader.as_mut().unwrap().tries_left = 0;
    let ended = host.login_to("polkit-1", Conversation::Messages, &["", "755224"]);
    assert_eq!(ended.outcome, Some(Outcome::Verified), "by the code");
    assert!(!ended.prompts.concat().contains("PIN"), "{:?}", ended.prompts);
    assert!(ended.told.iter().any(|told| told.contains("looks no more")), "{:?}", ended.told);
    assert_eq!(key.inside().tries_left, 8);
}

#[test]
fn a_foreign_key_looks_at_nobody() {
    let host = host(REQUIRED);
    enrolled(&host, 10, None);
    host.hub.pull_out("one");
    let foreign = SoftKey::new(Protocol::Ctap2, 2).with_reader(10).with_pin("4711");
    host.hub.plug_in("foreign", &foreign);
    let ended = host.login(&[]);
    assert_eq!((ended.outcome, foreign.inside().blinking), (Some(Outcome::Refused), 0));
}

#[test]
fn an_enrolment_tells_who_was_not_recognised_and_asks_for_the_pin_of_a_key_that_is_blocked() {
    let host = host(REQUIRED);
    let key = SoftKey::new(Protocol::Ctap2, 1).with_reader(10).with_pin("4711");
    host.hub.plug_in("one", &key);
    let fingers = [Finger::Another, Finger::ItsOwners];
    let wanted = key_of("ferris", KeyKind::Fido2);
    let (said, ended) = touched_by(&key, &fingers, || host.enroll_as(Caller::Root, wanted, &[]));
    assert!(matches!(ended, Response::Device(_)), "{ended:?} after {said:?}");
    assert!(said.contains(&format!("{AGAIN} 9 tries left.")), "{said:?}");

    let blocked = SoftKey::new(Protocol::Ctap2, 2).with_reader(10).with_pin("4711");
    blocked.inside().reader.as_mut().unwrap().tries_left = 0;
    host.hub.pull_out("one");
    host.hub.plug_in("two", &blocked);
    blocked.touch();
    let (said, ended) = host.enroll_as(Caller::Root, key_of("corro", KeyKind::Fido2), &["4711"]);
    assert!(matches!(ended, Response::Device(_)), "{ended:?} after {said:?}");
    assert!(
        said.iter()
            .any(|line| line.starts_with("The security key does not recognise you now. PIN of Soft key"))
    );
}

#[test]
fn beside_a_prompt_whoever_was_not_recognised_hears_of_it_after_enter_and_may_type_a_code() {
    let host = host(REQUIRED);
    let key = enrolled(&host, 10, Some("4711"));
    host.with_codes("ferris");
    key.touch_by(Finger::Another);
    // RFC 4226, appendix D.
    let ended = host.login(&["", "755224"]);
    assert_eq!((ended.outcome, reader(&key)), (Some(Outcome::Verified), 9), "by the code");
    assert!(ended.told.contains(&format!("{AGAIN} 9 tries left.")), "{:?}", ended.told);
    assert_eq!(ended.prompts.len(), 2, "{:?}", ended.prompts);
}
