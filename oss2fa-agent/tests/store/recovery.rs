//! Recovery codes: each good for one login, and a new set ends the old one.

use oss2fa_agent::admin::{ImportResult, Imported};
use oss2fa_agent::policy::Enrolled;
use oss2fa_agent::store::{Purpose, Store};
use oss2fa_core::secret::SecretText;
use oss2fa_core::verdict::FactorKind;

use super::world::*;

fn scratch(codes: &[&str]) -> Imported {
    Imported::ScratchCodes { codes: codes.iter().map(|code| SecretText::new((*code).to_owned())).collect() }
}

fn typed(code: &str) -> SecretText {
    SecretText::new(code.to_owned())
}

fn set_of(store: &Store, who: &str) -> Option<oss2fa_core::ids::DeviceId> {
    let devices = store.account_view(&user(who)).unwrap().devices;
    devices.iter().find(|device| device.kind == FactorKind::RecoveryCode).map(|device| device.id)
}

#[test]
fn each_code_is_good_once_however_it_is_typed() {
    let world = World::new();
    let store = world.open();
    let codes = store.replace_recovery_codes(context(&store, "ferris"), user("ferris")).unwrap();
    assert_eq!(codes.len(), 10);
    let set = set_of(&store, "ferris").unwrap();
    for (used, code) in codes.iter().enumerate() {
        assert_eq!(store.unused_codes(set).unwrap().len(), 10 - used);
        assert_eq!(login(&store, "ferris", code), Said::Admitted(set));
        let otherwise = typed(&code.expose().replace('-', " ").to_uppercase());
        assert_eq!(login(&store, "ferris", &otherwise), Said::Refused);
        world.later(4000);
    }
    assert_eq!(store.unused_codes(set).unwrap().len(), 0);
    // None of them is in the file.
    let bytes = std::fs::read(world.path()).unwrap();
    for code in &codes {
        let plain = code.expose().replace('-', "");
        assert!(!bytes.windows(plain.len()).any(|window| window == plain.as_bytes()), "a code is readable");
    }
}

#[test]
fn evidence_is_good_once_too() {
    let world = World::new();
    let store = world.open();
    let codes = store.replace_recovery_codes(context(&store, "ferris"), user("ferris")).unwrap();
    let twice = [0, 1].map(|_| evidence(&store, "ferris", &codes[0], Purpose::Login));
    let mut said = Vec::new();
    for verified in twice {
        assert!(verified.is_some());
        let kinds = [FactorKind::RecoveryCode];
        let attempt = attempt(&store, "ferris", &from("192.0.2.1"), &kinds, verified, Purpose::Login);
        said.push(Said::from(store.judge(attempt, LIMITS).unwrap()));
    }
    assert_eq!(said, [Said::Admitted(set_of(&store, "ferris").unwrap()), Said::Refused]);
}

#[test]
fn a_refused_code_leaves_no_trace_of_use() {
    let world = World::new();
    let store = world.open();
    let codes = store.replace_recovery_codes(context(&store, "ferris"), user("ferris")).unwrap();
    let late = evidence(&store, "ferris", &codes[0], Purpose::Login);
    login(&store, "ferris", &codes[0]);
    world.later(100);
    let kinds = [FactorKind::RecoveryCode];
    let attempt = attempt(&store, "ferris", &from("192.0.2.1"), &kinds, late, Purpose::Login);
    assert_eq!(Said::from(store.judge(attempt, LIMITS).unwrap()), Said::Refused);
    assert_eq!(world.number("SELECT last_used_at FROM device"), BEGIN.cast_signed());
}

#[test]
fn a_recovery_code_confirms_no_device() {
    let world = World::new();
    let store = world.open();
    let codes = store.replace_recovery_codes(context(&store, "ferris"), user("ferris")).unwrap();
    let (id, _) = pending(&store, "ferris", oss2fa_agent::store::device::Vouched::Yes);
    for purpose in [Purpose::Confirm(id), Purpose::Resync { drift: 0 }] {
        let verified = evidence(&store, "ferris", &codes[0], Purpose::Login);
        let kinds = [FactorKind::RecoveryCode];
        let attempt = attempt(&store, "ferris", &from("192.0.2.1"), &kinds, verified, purpose);
        assert_eq!(Said::from(store.judge(attempt, LIMITS).unwrap()), Said::Refused, "{purpose:?}");
    }
    assert_eq!(login(&store, "ferris", &codes[0]), Said::Admitted(set_of(&store, "ferris").unwrap()));
}

#[test]
fn a_new_set_ends_the_old_one() {
    let world = World::new();
    let store = world.open();
    let old = store.replace_recovery_codes(context(&store, "ferris"), user("ferris")).unwrap();
    let found_in_time = evidence(&store, "ferris", &old[1], Purpose::Login);
    let new = store.replace_recovery_codes(context(&store, "ferris"), user("ferris")).unwrap();
    assert_eq!(login(&store, "ferris", &old[0]), Said::Refused);
    let kinds = [FactorKind::RecoveryCode];
    let attempt = attempt(&store, "ferris", &from("192.0.2.1"), &kinds, found_in_time, Purpose::Login);
    assert_eq!(Said::from(store.judge(attempt, LIMITS).unwrap()), Said::Refused, "evidence of the old set");
    assert_eq!(login(&store, "ferris", &new[0]), Said::Admitted(set_of(&store, "ferris").unwrap()));
}

#[test]
fn a_code_of_one_user_is_none_of_another() {
    let world = World::new();
    let store = world.open();
    let codes = store.replace_recovery_codes(context(&store, "ferris"), user("ferris")).unwrap();
    store.replace_recovery_codes(context(&store, "corro"), user("corro")).unwrap();
    assert_eq!(login(&store, "corro", &codes[0]), Said::Refused);
    // The same digits, imported for two users: their digests differ, for the account goes into them.
    import(&store, "a", scratch(&["77283484"]));
    import(&store, "b", scratch(&["77283484"]));
    let digests = world.number(
        "SELECT count(DISTINCT digest) FROM recovery_code WHERE device IN (SELECT id FROM device
         WHERE account IN (SELECT id FROM account WHERE name IN ('a', 'b')))",
    );
    assert_eq!(digests, 2);
}

#[test]
fn scratch_codes_that_were_used_do_not_come_back() {
    let world = World::new();
    let store = world.open();
    import(&store, "ferris", scratch(&["77283484", "52303314"]));
    let set = set_of(&store, "ferris").unwrap();
    assert_eq!(login(&store, "ferris", &typed("77283484")), Said::Admitted(set));
    assert_eq!(import(&store, "ferris", scratch(&["77283484", "52303314"])), ImportResult::AlreadyThere(set));
    assert_eq!(login(&store, "ferris", &typed("77283484")), Said::Refused);
    store.remove(context(&store, "ferris"), account(&store, "ferris"), set).unwrap();
    import(&store, "ferris", scratch(&["77283484", "52303314"]));
    assert_eq!(login(&store, "ferris", &typed("77283484")), Said::Refused);
    let set = set_of(&store, "ferris").unwrap();
    assert_eq!(login(&store, "ferris", &typed("52303314")), Said::Admitted(set), "it was not used");
}

#[test]
fn an_import_of_used_codes_alone_makes_no_device() {
    let world = World::new();
    let store = world.open();
    import(&store, "ferris", scratch(&["77283484"]));
    let set = set_of(&store, "ferris").unwrap();
    assert_eq!(login(&store, "ferris", &typed("77283484")), Said::Admitted(set));
    store.forget(context(&store, "ferris"), account(&store, "ferris")).unwrap();
    assert_eq!(import(&store, "ferris", scratch(&["77283484"])), ImportResult::AlreadyThere(set));
    assert_eq!(set_of(&store, "ferris"), None);
    assert_eq!(store.account_view(&user("ferris")).unwrap().enrolled, Enrolled::Never);
}

#[test]
fn what_is_no_scratch_code_is_refused_whole() {
    let world = World::new();
    let store = world.open();
    for codes in [&[][..], &["7728348"], &["77283484", "x"], &["７７２８３４８４"]] {
        let result = import(&store, "ferris", scratch(codes));
        assert!(matches!(result, ImportResult::Refused(_)), "{codes:?}: {result:?}");
    }
    assert_eq!(world.number("SELECT count(*) FROM device"), 0);
}
