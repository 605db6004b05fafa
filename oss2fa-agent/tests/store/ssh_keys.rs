//! Keys of OpenSSH: both pieces of evidence and a row that is still there make the verdict.

use std::path::Path;

use oss2fa_agent::doctor::Tree;
use oss2fa_agent::policy::Enrolled;
use oss2fa_agent::sshd::{Insisted, insists};
use oss2fa_agent::store::device::Vouched;
use oss2fa_agent::store::ssh_key::NewSshKey;
use oss2fa_agent::store::{KeyAdded, Report, SshTouch, Store};
use oss2fa_core::factor::ssh_sk::{Presented, SkKey, presented};
use oss2fa_core::ids::DeviceId;
use oss2fa_core::secret::SecretText;
use oss2fa_core::wire::SshAuthInfo;
use oss2fa_ctap::verify::UserVerification;

use super::world::*;

const KEY: &str = include_str!("../../../oss2fa-core/tests/data/ssh_sk/ecdsa.pub");
const OTHER: &str = include_str!("../../../oss2fa-core/tests/data/ssh_sk/ed25519.pub");

fn key(file: &str) -> SkKey {
    SkKey::from_pub_file(file).unwrap().0
}

fn add(store: &Store, who: &str, file: &str, vouched: Vouched) -> KeyAdded {
    let new = NewSshKey { key: key(file), name: name("laptop"), vouched };
    store.add_ssh_key(context(store, who), user(who), new).unwrap()
}

fn added(store: &Store, who: &str, file: &str) -> DeviceId {
    match add(store, who, file, Vouched::Yes) {
        KeyAdded::Added(device) => device,
        other => panic!("{other:?}"),
    }
}

/// What sshd says after it has taken the key, held against what the store knows at this moment.
fn shown(store: &Store, who: &str, id: DeviceId) -> Presented {
    let known = device(store, who, id).ssh_key(store.keys()).unwrap().unwrap();
    let said = format!("publickey {}\n", known.to_line());
    presented(&SshAuthInfo::new(said.as_bytes()).unwrap(), &[(id, known)]).unwrap()
}

fn insisted() -> Insisted {
    let path = Path::new("/etc/ssh/sshd_config");
    let text = "PubkeyAuthOptions touch-required\n".to_owned();
    let tree = Tree::new(Path::new("/nonexistent")).with(path, Some(text));
    insists(&tree, path, None, UserVerification::NotAsked).unwrap()
}

fn judged(store: &Store, who: &str, presented: Presented) -> Said {
    let touch = SshTouch {
        account: account(store, who),
        user: user(who),
        service: "sshd".to_owned(),
        source: from("192.0.2.1"),
        presented,
        insisted: insisted(),
        report: Report::Nobody,
    };
    store.judge_ssh_touch(touch, LIMITS).unwrap().into()
}

#[test]
fn a_touched_key_lets_its_user_in_as_long_as_it_is_there() {
    let world = World::new();
    let store = world.open();
    let id = added(&store, "ferris", KEY);
    assert_eq!(store.account_view(&user("ferris")).unwrap().enrolled, Enrolled::Yes);
    assert_eq!(judged(&store, "ferris", shown(&store, "ferris", id)), Said::Admitted(id));
    assert_eq!(world.words(), ["confirmed", "accepted"]);
    assert_eq!(device(&store, "ferris", id).view("ferris", None).last_used_at, Some(BEGIN));
    // Removed between the look-up and the verdict.
    let late = shown(&store, "ferris", id);
    assert!(store.remove(context(&store, "ferris"), account(&store, "ferris"), id).unwrap());
    assert_eq!(judged(&store, "ferris", late), Said::Refused);
    assert_eq!(world.words(), ["confirmed", "accepted", "removed"]);
}

#[test]
fn a_key_is_its_accounts_and_may_be_anothers_too() {
    let world = World::new();
    let store = world.open();
    let mine = added(&store, "ferris", KEY);
    assert_eq!(add(&store, "ferris", KEY, Vouched::Yes), KeyAdded::AlreadyThere(mine));
    let theirs = added(&store, "root", KEY);
    assert_eq!(judged(&store, "ferris", shown(&store, "root", theirs)), Said::Refused);
    assert_eq!(judged(&store, "root", shown(&store, "root", theirs)), Said::Admitted(theirs));
}

#[test]
fn one_that_nobody_vouches_for_is_the_first_or_none() {
    let world = World::new();
    let store = world.open();
    assert!(matches!(add(&store, "ferris", KEY, Vouched::No), KeyAdded::Added(_)));
    assert_eq!(add(&store, "ferris", OTHER, Vouched::No), KeyAdded::NotVouched);
}

#[test]
fn a_locked_source_is_told_so_and_nothing_counts_as_a_wrong_try() {
    let world = World::new();
    let store = world.open();
    let id = added(&store, "ferris", KEY);
    for _ in 0..LIMITS.free_attempts_per_source + 1 {
        present(
            &store,
            "ferris",
            &from("192.0.2.1"),
            &SecretText::new("000000".to_owned()),
            oss2fa_agent::store::Purpose::Login,
        );
    }
    assert_eq!(judged(&store, "ferris", shown(&store, "ferris", id)), Said::Locked);
    assert_eq!(world.newest().detail, "ssh_sk");
    world.later(2 * 3600);
    assert_eq!(judged(&store, "ferris", shown(&store, "ferris", id)), Said::Admitted(id));
    assert_eq!(world.number("SELECT count(*) FROM lock WHERE kind = 'ssh_sk'"), 0);
}

#[test]
fn a_key_opens_nothing_but_its_own_row() {
    let world = World::new();
    let store = world.open();
    let (mine, theirs) = (added(&store, "ferris", KEY), added(&store, "corro", OTHER));
    world.tamper(&format!(
        "UPDATE device SET sealed = (SELECT sealed FROM device WHERE id = {}) WHERE id = {}",
        theirs.0, mine.0
    ));
    assert!(device(&store, "ferris", mine).ssh_key(store.keys()).is_err());
    assert!(device(&store, "corro", theirs).ssh_key(store.keys()).unwrap().is_some());
}
