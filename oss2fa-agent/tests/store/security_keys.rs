//! Security keys: a counter that only grows is the verdict, and a credential opens nowhere but in its row.

use std::thread;

use oss2fa_agent::policy::Enrolled;
use oss2fa_agent::store::device::Vouched;
use oss2fa_agent::store::security_key::NewKey;
use oss2fa_agent::store::{Answer, Credential, Event, KeyAdded, Purpose, Report, Store, Touch};
use oss2fa_core::ids::DeviceId;
use oss2fa_core::verdict::FactorKind;
use oss2fa_ctap::auth_data::Aaguid;
use oss2fa_ctap::cose::PublicKey;
use oss2fa_ctap::ctap2::get_assertion::Assertion;
use oss2fa_ctap::verify::{Asserted, Login, Refusal, RpId, UserVerification};
use p256::ecdsa::signature::Signer;
use p256::ecdsa::{Signature, SigningKey};

use super::world::*;

/// The private half of a credential.
struct Token {
    id: Vec<u8>,
    private: SigningKey,
}

impl Token {
    fn new(number: u8) -> Self {
        Self { id: vec![number; 16], private: SigningKey::from_slice(&[number; 32]).unwrap() }
    }

    fn credential(&self) -> Credential {
        let point = self.private.verifying_key().to_sec1_point(false);
        Credential {
            id: self.id.clone(),
            public_key: PublicKey::from_point(point.as_bytes()).unwrap(),
            rp: RpId::new("oss2fa:host").unwrap(),
            user_id: Some(b"ferris".to_vec()),
            aaguid: Aaguid([3; 16]),
            verification: UserVerification::NotAsked,
        }
    }

    fn new_key(&self, vouched: Vouched) -> NewKey {
        NewKey {
            kind: FactorKind::Fido2,
            name: name("key ring"),
            credential: self.credential(),
            sign_count: 0,
            vouched,
            event: Event::Confirmed,
        }
    }

    /// Adds it to a user, root standing behind it.
    fn of(&self, store: &Store, who: &str) -> DeviceId {
        match add(store, who, self.new_key(Vouched::Yes)) {
            KeyAdded::Added(device) => device,
            other => panic!("{other:?}"),
        }
    }

    /// Answers a fresh challenge, held against what the store knows at this moment.
    fn answers(&self, store: &Store, device_of: (&str, DeviceId), count: u32) -> Result<Asserted, Refusal> {
        let (who, id) = device_of;
        let (known, stored) = device(store, who, id).known_credential(store.keys()).unwrap().unwrap();
        let login = Login::fresh(stored.rp.clone(), UserVerification::NotAsked, &Counting).unwrap();
        let auth_data = [stored.rp.hash().as_slice(), &[1], &count.to_be_bytes()].concat();
        let signed = [auth_data.as_slice(), login.client_data().hash()].concat();
        let signature: Signature = self.private.sign(&signed);
        let signature = signature.to_der().as_bytes().to_vec();
        let answer = Assertion { credential_id: self.id.clone(), auth_data, signature, user_id: None };
        login.verify(&[known], &answer)
    }
}

struct Counting;

impl oss2fa_agent::outside::Random for Counting {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), oss2fa_agent::outside::NoRandomness> {
        bytes.iter_mut().zip(0..).for_each(|(byte, number)| *byte = number);
        Ok(())
    }
}

fn add(store: &Store, who: &str, new: NewKey) -> KeyAdded {
    store.add_key(context(store, who), user(who), new).unwrap()
}

fn judged(store: &Store, who: &str, kind: FactorKind, verified: Result<Asserted, Refusal>) -> Said {
    let touch = Touch {
        account: account(store, who),
        user: user(who),
        service: "sudo".to_owned(),
        source: from("192.0.2.1"),
        answer: Answer { device: Some(DeviceId(1)), kind, verified, signed: None },
        purpose: Purpose::Login,
        report: Report::Nobody,
    };
    store.judge_touch(touch, LIMITS).unwrap().into()
}

fn touched(store: &Store, token: &Token, who: &str, id: DeviceId, count: u32) -> Said {
    judged(store, who, FactorKind::Fido2, token.answers(store, (who, id), count))
}

#[test]
fn a_key_lets_its_user_in_as_long_as_its_counter_grows() {
    let world = World::new();
    let store = world.open();
    let token = Token::new(1);
    let id = token.of(&store, "ferris");
    assert_eq!(store.account_view(&user("ferris")).unwrap().enrolled, Enrolled::Yes);
    assert_eq!(touched(&store, &token, "ferris", id, 1), Said::Admitted(id));
    assert_eq!(touched(&store, &token, "ferris", id, 2), Said::Admitted(id));
    assert_eq!(touched(&store, &token, "ferris", id, 90), Said::Admitted(id), "it was used elsewhere");
    assert_eq!(world.words(), ["confirmed", "accepted", "accepted", "accepted"]);
    assert_eq!(world.newest().detail, format!("fido2 device={id} touched"));
}

#[test]
fn a_counter_that_stands_still_or_goes_back_is_a_cloned_key() {
    let world = World::new();
    let store = world.open();
    let token = Token::new(1);
    let id = token.of(&store, "ferris");
    assert_eq!(touched(&store, &token, "ferris", id, 7), Said::Admitted(id));
    for count in [7, 6, 0] {
        assert_eq!(touched(&store, &token, "ferris", id, count), Said::Refused, "{count}");
        let event = world.newest();
        assert_eq!(event.event, "cloned_key");
        assert!(event.detail.contains(&format!("counter is {count} and was 7 before")), "{}", event.detail);
    }
    assert_eq!(touched(&store, &token, "ferris", id, 8), Said::Admitted(id));
}

#[test]
fn a_key_that_never_counts_lets_its_user_in_again_and_again() {
    let world = World::new();
    let store = world.open();
    let token = Token::new(1);
    let id = token.of(&store, "ferris");
    for _ in 0..3 {
        assert_eq!(touched(&store, &token, "ferris", id, 0), Said::Admitted(id));
    }
    assert_eq!(touched(&store, &token, "ferris", id, 1), Said::Admitted(id));
    assert_eq!(touched(&store, &token, "ferris", id, 0), Said::Refused, "it does count");
}

#[test]
fn of_two_answers_with_one_counter_the_second_is_a_cloned_key() {
    let world = World::new();
    let store = world.open();
    let token = Token::new(1);
    let id = token.of(&store, "ferris");
    // Each was right when it was looked at.
    let answers: Vec<_> = (0..50).map(|_| token.answers(&store, ("ferris", id), 5)).collect();
    let said: Vec<Said> = thread::scope(|scope| {
        let tries = answers.into_iter().map(|answer| {
            assert!(answer.is_ok());
            let store = &store;
            scope.spawn(move || judged(store, "ferris", FactorKind::Fido2, answer))
        });
        let tries: Vec<_> = tries.collect();
        tries.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert_eq!(said.iter().filter(|said| **said == Said::Admitted(id)).count(), 1, "{said:?}");
    assert!(world.words().contains(&"cloned_key".to_owned()));
}

#[test]
fn evidence_counts_for_its_account_and_its_kind_alone() {
    let world = World::new();
    let store = world.open();
    let (token, other) = (Token::new(1), Token::new(2));
    let id = token.of(&store, "ferris");
    other.of(&store, "corro");
    assert_eq!(
        judged(&store, "corro", FactorKind::Fido2, token.answers(&store, ("ferris", id), 5)),
        Said::Refused
    );
    assert_eq!(
        judged(&store, "ferris", FactorKind::U2f, token.answers(&store, ("ferris", id), 5)),
        Said::Refused
    );
    let late = token.answers(&store, ("ferris", id), 5);
    store.remove(context(&store, "ferris"), account(&store, "ferris"), id).unwrap();
    assert_eq!(judged(&store, "ferris", FactorKind::Fido2, late), Said::Refused, "it was removed meanwhile");
}

#[test]
fn wrong_answers_close_the_kind_and_no_other() {
    let world = World::new();
    let store = world.open();
    let token = Token::new(1);
    let id = token.of(&store, "ferris");
    for _ in 0..LIMITS.free_attempts {
        assert_eq!(judged(&store, "ferris", FactorKind::Fido2, Err(Refusal::Signature)), Said::Refused);
    }
    assert_eq!(touched(&store, &token, "ferris", id, 1), Said::Locked);
    assert_eq!(world.newest().event, "locked");
    let phone = owner(&store, "ferris", oss2fa_agent::admin::OtpKind::Totp);
    assert_eq!(login(&store, "ferris", &totp(BEGIN)), Said::Admitted(phone));
    world.later(LIMITS.first_pause + 1);
    assert_eq!(touched(&store, &token, "ferris", id, 1), Said::Admitted(id));
}

#[test]
fn a_credential_is_one_device_of_one_user() {
    let world = World::new();
    let store = world.open();
    let token = Token::new(1);
    let id = token.of(&store, "ferris");
    assert_eq!(add(&store, "ferris", token.new_key(Vouched::Yes)), KeyAdded::AlreadyThere(id));
    assert_eq!(add(&store, "corro", token.new_key(Vouched::Yes)), KeyAdded::OfAnother);
}

#[test]
fn a_key_that_nobody_vouched_for_is_the_first_or_none() {
    let world = World::new();
    let store = world.open();
    assert!(matches!(add(&store, "ferris", Token::new(1).new_key(Vouched::No)), KeyAdded::Added(_)));
    assert_eq!(add(&store, "ferris", Token::new(2).new_key(Vouched::No)), KeyAdded::NotVouched);
}

#[test]
fn a_key_that_comes_back_counts_on_from_where_it_was() {
    let world = World::new();
    let store = world.open();
    let token = Token::new(1);
    let id = token.of(&store, "ferris");
    assert_eq!(touched(&store, &token, "ferris", id, 9), Said::Admitted(id));
    store.remove(context(&store, "ferris"), account(&store, "ferris"), id).unwrap();
    assert_eq!(world.number("SELECT count(*) FROM device WHERE sealed IS NOT NULL"), 0);
    let again = token.of(&store, "ferris");
    assert_eq!(touched(&store, &token, "ferris", again, 9), Said::Refused);
    assert_eq!(world.newest().event, "cloned_key");
    assert_eq!(touched(&store, &token, "ferris", again, 10), Said::Admitted(again));
}

#[test]
fn a_credential_opens_in_its_own_row_alone() {
    let world = World::new();
    let store = world.open();
    let mine = Token::new(1).of(&store, "ferris");
    let theirs = Token::new(2).of(&store, "corro");
    assert_eq!(
        device(&store, "ferris", mine).credential(store.keys()).unwrap(),
        Some(Token::new(1).credential())
    );
    world.tamper(&format!(
        "UPDATE device SET sealed = (SELECT sealed FROM device WHERE id = {theirs}) WHERE id = {mine}"
    ));
    let moved = device(&store, "ferris", mine).credential(store.keys()).unwrap_err();
    assert!(moved.to_string().contains("does not open"), "{moved}");
    // Nor as a credential of the other kind.
    world.tamper(&format!("UPDATE device SET kind = 'u2f' WHERE id = {theirs}"));
    assert!(device(&store, "corro", theirs).credential(store.keys()).is_err());
}

#[test]
fn the_last_key_of_a_user_is_kept_and_one_beside_another_device_is_not() {
    let world = World::new();
    let store = world.open();
    let id = Token::new(1).of(&store, "ferris");
    let ferris = account(&store, "ferris");
    assert!(!store.remove_unless_last(context(&store, "ferris"), ferris, id).unwrap());
    owner(&store, "ferris", oss2fa_agent::admin::OtpKind::Totp);
    assert!(store.remove_unless_last(context(&store, "ferris"), ferris, id).unwrap());
}
