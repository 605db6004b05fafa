//! YubiKeys that type passwords: each counts once, on whichever account the key is. They are made by `ykgenerate`.

use std::process::Command;
use std::thread;

use oss2fa_agent::admin::{ImportResult, Imported};
use oss2fa_agent::store::device::Vouched;
use oss2fa_agent::store::yubico_otp::{JudgedBy, NewTypist, Secrets, Typist};
use oss2fa_agent::store::{Event, KeyAdded, Purpose, Store};
use oss2fa_core::factor::yubico_otp::PublicId;
use oss2fa_core::ids::DeviceId;
use oss2fa_core::secret::{SecretBytes, SecretText};
use oss2fa_core::verdict::FactorKind;

use super::world::*;

const PUBLIC_ID: &str = "vvccccccbcgu";
const PRIVATE_ID: &str = "8792ebfe26cc";
const KEY: &str = "ecde18dbe76fbd0c33330f1c354871db";

/// What the key types when it was plugged in so often, and touched so often since.
fn typed(session: u16, used: u8) -> SecretText {
    let (session, used) = (format!("{session:04x}"), format!("{used:02x}"));
    let output = Command::new("/usr/bin/ykgenerate")
        .args([KEY, PRIVATE_ID, &session, "c9a8", "00", &used])
        .output()
        .unwrap();
    assert!(output.status.success());
    SecretText::new(format!("{PUBLIC_ID}{}", String::from_utf8(output.stdout).unwrap().trim()))
}

fn position(session: u16, used: u8) -> u64 {
    u64::from(session) << 8 | u64::from(used)
}

fn own(typed: Option<u64>, vouched: Vouched) -> NewTypist {
    let bytes = |hex: &str| SecretBytes::new(data_encoding::HEXLOWER.decode(hex.as_bytes()).unwrap());
    let secrets = Secrets { private_id: bytes(PRIVATE_ID), key: bytes(KEY) };
    let typist =
        Typist { public_id: PublicId::parse(PUBLIC_ID).unwrap(), judged_by: JudgedBy::Here(secrets) };
    NewTypist { name: name("key ring"), typist, typed, vouched, event: Event::Confirmed }
}

fn add(store: &Store, who: &str, new: NewTypist) -> KeyAdded {
    store.add_typist(context(store, who), user(who), new).unwrap()
}

fn enrolled(store: &Store, who: &str, by: u64) -> DeviceId {
    match add(store, who, own(Some(by), Vouched::Yes)) {
        KeyAdded::Added(device) => device,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_password_counts_once_and_none_that_was_typed_before_it() {
    let world = World::new();
    let store = world.open();
    let id = enrolled(&store, "ferris", position(19, 16));
    assert_eq!(world.newest().event, "confirmed");
    assert_eq!(login(&store, "ferris", &typed(19, 16)), Said::Refused, "it has enrolled the key");
    assert_eq!(login(&store, "ferris", &typed(19, 18)), Said::Admitted(id));
    assert_eq!(login(&store, "ferris", &typed(19, 18)), Said::Refused);
    assert_eq!(login(&store, "ferris", &typed(19, 17)), Said::Refused);
    assert_eq!(login(&store, "ferris", &typed(20, 0)), Said::Admitted(id));
    drop(store);
    let store = world.open();
    assert_eq!(login(&store, "ferris", &typed(20, 0)), Said::Refused, "after a restart, too");
    assert!(
        world
            .logged()
            .iter()
            .any(|entry| entry.event == "accepted" && entry.detail == format!("yubico_otp device={id}"))
    );
}

#[test]
fn somebody_elses_secrets_beside_the_same_public_id_raise_no_counter_of_its_owner() {
    let world = World::new();
    let store = world.open();
    let id = enrolled(&store, "ferris", position(1, 0));
    let secrets = Secrets { private_id: SecretBytes::new(vec![7; 6]), key: SecretBytes::new(vec![9; 16]) };
    let theirs = |judged_by| NewTypist {
        typist: Typist { public_id: PublicId::parse(PUBLIC_ID).unwrap(), judged_by },
        ..own(Some(position(0x7ffe, 0)), Vouched::Yes)
    };
    assert!(matches!(add(&store, "gopher", theirs(JudgedBy::Here(secrets))), KeyAdded::Added(_)));
    assert!(matches!(add(&store, "root", theirs(JudgedBy::Servers)), KeyAdded::Added(_)));
    assert_eq!(login(&store, "ferris", &typed(1, 1)), Said::Admitted(id));
    assert_eq!(
        add(&store, "corro", own(Some(position(1, 2)), Vouched::Yes)),
        KeyAdded::Added(DeviceId(id.0 + 3)),
        "nor is it in the way of an enrolment"
    );
}

#[test]
fn of_fifty_tries_at_once_one_gets_in() {
    let world = World::new();
    let store = world.open();
    enrolled(&store, "ferris", position(1, 0));
    let password = typed(1, 1);
    let tries: Vec<_> = (0..50)
        .map(|_| {
            let verified = evidence(&store, "ferris", &password, Purpose::Login);
            attempt(&store, "ferris", &from("192.0.2.1"), &[FactorKind::YubicoOtp], verified, Purpose::Login)
        })
        .collect();
    let (store, judge) = (&store, |store: &Store, one| Said::from(store.judge(one, LIMITS).unwrap()));
    let admitted = thread::scope(|scope| {
        let all: Vec<_> = tries.into_iter().map(|one| scope.spawn(move || judge(store, one))).collect();
        all.into_iter()
            .map(|one| one.join().unwrap())
            .filter(|said| matches!(said, Said::Admitted(_)))
            .count()
    });
    assert_eq!(admitted, 1);
}

#[test]
fn what_passed_for_one_account_passes_for_no_other() {
    let world = World::new();
    let store = world.open();
    let ferris = enrolled(&store, "ferris", position(1, 0));
    let root = enrolled(&store, "root", position(1, 1));
    assert_eq!(login(&store, "ferris", &typed(1, 1)), Said::Refused, "it has enrolled the key for root");
    assert_eq!(login(&store, "ferris", &typed(1, 2)), Said::Admitted(ferris));
    assert_eq!(login(&store, "root", &typed(1, 2)), Said::Refused);
    // Evidence from before the other was faster.
    let password = typed(1, 3);
    let verified = evidence(&store, "root", &password, Purpose::Login);
    assert_eq!(login(&store, "ferris", &password), Said::Admitted(ferris));
    let late =
        attempt(&store, "root", &from("192.0.2.1"), &[FactorKind::YubicoOtp], verified, Purpose::Login);
    assert_eq!(Said::from(store.judge(late, LIMITS).unwrap()), Said::Refused);
    assert_eq!(login(&store, "root", &typed(1, 4)), Said::Admitted(root));
    assert_eq!(add(&store, "corro", own(Some(position(1, 4)), Vouched::Yes)), KeyAdded::Used);
}

#[test]
fn a_key_is_one_device_of_an_account_and_joins_others_only_with_a_voucher() {
    let world = World::new();
    let store = world.open();
    let id = enrolled(&store, "ferris", position(1, 0));
    assert_eq!(add(&store, "ferris", own(Some(position(1, 1)), Vouched::Yes)), KeyAdded::AlreadyThere(id));
    owner(&store, "corro", oss2fa_agent::admin::OtpKind::Totp);
    assert_eq!(add(&store, "corro", own(Some(position(1, 1)), Vouched::No)), KeyAdded::NotVouched);
}

#[test]
fn a_key_that_was_written_anew_begins_anew_once_its_old_device_is_gone() {
    let world = World::new();
    let store = world.open();
    let id = enrolled(&store, "ferris", position(900, 0));
    assert!(store.remove(context(&store, "ferris"), account(&store, "ferris"), id).unwrap());
    let again = enrolled(&store, "ferris", position(1, 0));
    assert_eq!(login(&store, "ferris", &typed(1, 1)), Said::Admitted(again));
}

#[test]
fn an_id_of_pam_yubico_is_judged_by_others_and_is_there_once() {
    let world = World::new();
    let store = world.open();
    let what = || Imported::YubicoOtp { public_id: PUBLIC_ID.to_uppercase() };
    let id = match import(&store, "ferris", what()) {
        ImportResult::Imported(id) => id,
        other => panic!("{other:?}"),
    };
    assert_eq!(import(&store, "ferris", what()), ImportResult::AlreadyThere(id));
    assert!(matches!(import(&store, "root", what()), ImportResult::Imported(_)));
    let bad = Imported::YubicoOtp { public_id: "12345".to_owned() };
    assert!(matches!(import(&store, "ferris", bad), ImportResult::Refused(_)));
    let typist = device(&store, "ferris", id).typist(store.keys()).unwrap().unwrap();
    assert!(matches!(typist.judged_by, JudgedBy::Servers));
    assert_eq!(login(&store, "ferris", &typed(1, 0)), Said::Refused, "nobody vouches for it here");
}

#[test]
fn its_secrets_open_nowhere_but_in_their_row() {
    let world = World::new();
    let store = world.open();
    let id = enrolled(&store, "ferris", position(1, 0));
    let other = enrolled(&store, "root", position(1, 1));
    world.tamper(&format!(
        "UPDATE device SET sealed = (SELECT sealed FROM device WHERE id = {id}) WHERE id = {other}"
    ));
    assert!(device(&store, "root", other).typist(store.keys()).is_err());
    let typist = device(&store, "ferris", id).typist(store.keys()).unwrap();
    let shown = format!("{typist:?}");
    assert!(!shown.contains(KEY) && shown.contains("***"), "{shown}");
}
