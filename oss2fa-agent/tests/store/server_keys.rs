//! Public halves of keys of a server: what is kept, what goes, and what a counter is worth.

use oss2fa_agent::store::asked::{Question, Why};
use oss2fa_agent::store::server_keys::{Kept, ListedKey};
use oss2fa_agent::store::{Credential, Device, Store};
use oss2fa_core::ids::DeviceName;
use oss2fa_core::verdict::FactorKind;
use oss2fa_ctap::auth_data::Aaguid;
use oss2fa_ctap::cose::PublicKey;
use oss2fa_ctap::verify::{RpId, UserVerification};

use crate::world::{World, context, user};

/// RFC 6979 appendix A.2.5.
const POINT: &str = "0460fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6\
    7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299";

fn key(number: i64, id: u8, sign_count: u32) -> ListedKey {
    let point = data_encoding::HEXLOWER.decode(POINT.as_bytes()).unwrap();
    ListedKey {
        number,
        kind: FactorKind::Fido2,
        name: DeviceName::new("blue").unwrap(),
        credential: Credential {
            id: vec![id; 32],
            public_key: PublicKey::from_point(&point).unwrap(),
            rp: RpId::new("example.org").unwrap(),
            user_id: None,
            aaguid: Aaguid::NONE,
            verification: UserVerification::NotAsked,
        },
        sign_count,
    }
}

fn keep(store: &Store, who: &str, keys: &[ListedKey]) {
    let question = store.ask_for_keys(&user(who), Why::ByProof);
    assert_eq!(store.keep_server_keys(context(store, who), question, keys.to_vec()).unwrap(), Kept::All);
}

fn hear(store: &Store, question: &Question, known: &[Device], keys: &[ListedKey]) {
    store.hear_of_server_keys(context(store, "ferris"), question, known, keys.to_vec()).unwrap();
}

fn kept(store: &Store, who: &str) -> Vec<Device> {
    store.account_view(&user(who)).unwrap().devices
}

fn counters(store: &Store, who: &str) -> Vec<u32> {
    let count = |device: &Device| device.known_credential(store.keys()).unwrap().unwrap().0.sign_count;
    kept(store, who).iter().map(count).collect()
}

#[test]
fn the_list_of_the_server_is_what_is_kept() {
    let world = World::new();
    let store = world.open();
    keep(&store, "ferris", &[key(9, 1, 0), key(10, 2, 5)]);
    keep(&store, "corro", &[key(11, 3, 0)]);
    let before = kept(&store, "ferris");
    assert!(before.iter().all(|device| device.is_of_server() && !device.is_usable_here()));
    assert_eq!(store.users_with_server_keys().unwrap(), ["corro", "ferris"]);
    // A name and what is asked change in the row; a counter rises there and never falls.
    let mut changed = key(10, 2, 7);
    changed.name = DeviceName::new("red").unwrap();
    changed.credential.verification = UserVerification::Required;
    keep(&store, "ferris", &[key(9, 1, 0), changed.clone()]);
    let after = kept(&store, "ferris");
    assert_eq!((after[1].id, after[1].name.as_str()), (before[1].id, "red"));
    assert_eq!(after[1].credential(store.keys()).unwrap().unwrap().verification, UserVerification::Required);
    assert_eq!(counters(&store, "ferris"), [0, 7]);
    changed.sign_count = 3;
    keep(&store, "ferris", &[changed]);
    assert_eq!(counters(&store, "ferris"), [7], "the other has gone");
    keep(&store, "ferris", &[]);
    assert!(kept(&store, "ferris").is_empty());
    assert_eq!(store.users_with_server_keys().unwrap(), ["corro"]);
    assert_eq!(kept(&store, "corro").len(), 1, "nobody else's");
}

#[test]
fn a_key_that_comes_back_goes_on_counting_and_another_takes_its_number() {
    let world = World::new();
    let store = world.open();
    keep(&store, "ferris", &[key(9, 1, 20)]);
    keep(&store, "ferris", &[]);
    keep(&store, "ferris", &[key(9, 1, 0)]);
    assert_eq!(counters(&store, "ferris"), [20], "its counter has stayed");
    // Another credential under the same number is another key.
    let before = kept(&store, "ferris")[0].id;
    keep(&store, "ferris", &[key(9, 2, 0)]);
    assert_ne!(kept(&store, "ferris")[0].id, before);
    assert_eq!(counters(&store, "ferris"), [0]);
}

#[test]
fn what_is_only_heard_adds_nothing() {
    let world = World::new();
    let store = world.open();
    keep(&store, "ferris", &[key(9, 1, 0)]);
    let question = store.ask_for_keys(&user("ferris"), Why::ToHear);
    let mut changed = key(9, 1, 6);
    changed.credential.verification = UserVerification::Required;
    hear(&store, &question, &kept(&store, "ferris"), &[changed, key(10, 2, 0)]);
    assert_eq!(counters(&store, "ferris"), [6], "what is known is brought up to date");
    let asks = kept(&store, "ferris")[0].credential(store.keys()).unwrap().unwrap().verification;
    assert_eq!(asks, UserVerification::Required);
}

#[test]
fn a_list_adds_nothing_once_another_was_taken_since_its_question() {
    let world = World::new();
    let store = world.open();
    let nobody_knows = kept(&store, "ferris");
    let by_proof = store.ask_for_keys(&user("ferris"), Why::ByProof);
    // The server lists the key, which is then removed there; somebody else hears of that first.
    let hearing = store.ask_for_keys(&user("ferris"), Why::ToHear);
    hear(&store, &hearing, &nobody_knows, &[]);
    let came = store.keep_server_keys(context(&store, "ferris"), by_proof, vec![key(9, 1, 0)]).unwrap();
    assert_eq!(came, Kept::Overtaken);
    assert!(kept(&store, "ferris").is_empty());
    // Asked again, it comes.
    keep(&store, "ferris", &[key(9, 1, 0)]);
    assert_eq!(kept(&store, "ferris").len(), 1);
}

#[test]
fn what_was_added_after_the_look_of_whoever_hears_that_it_is_gone_goes_again() {
    let world = World::new();
    let store = world.open();
    let nobody_knows = kept(&store, "ferris");
    let hearing = store.ask_for_keys(&user("ferris"), Why::ToHear);
    keep(&store, "ferris", &[key(9, 1, 0)]);
    hear(&store, &hearing, &nobody_knows, &[]);
    assert!(kept(&store, "ferris").is_empty());
}

#[test]
fn a_list_that_may_be_old_makes_no_key_easier_to_use() {
    let world = World::new();
    let store = world.open();
    keep(&store, "ferris", &[key(9, 1, 0), key(10, 2, 0)]);
    let old = store.ask_for_keys(&user("ferris"), Why::ToHear);
    let new = store.ask_for_keys(&user("ferris"), Why::ToHear);
    let mut stricter = key(9, 1, 0);
    stricter.credential.verification = UserVerification::Required;
    hear(&store, &new, &kept(&store, "ferris"), &[stricter, key(10, 2, 0)]);
    hear(&store, &old, &kept(&store, "ferris"), &[key(9, 1, 0), key(10, 2, 0)]);
    let left = kept(&store, "ferris");
    assert_eq!(
        left.iter().map(|device| device.offline).collect::<Vec<_>>(),
        [Some(10)],
        "it comes by a proof"
    );
}
