//! Many tries at the same moment: one code lets one of them in.

use std::sync::Barrier;

use oss2fa_agent::admin::OtpKind;
use oss2fa_agent::store::{Purpose, Store};
use oss2fa_core::secret::SecretText;

use super::world::*;

const TRIES: usize = 50;

/// All look the code up before the first one is judged, each on a thread of its own.
fn all_at_once(store: &Store, code: &SecretText) -> Vec<Said> {
    let ready = Barrier::new(TRIES);
    let one = |number: usize| {
        let source = from(&format!("198.51.100.{number}"));
        let verified = evidence(store, "ferris", code, Purpose::Login);
        let kinds = [verified.as_ref().unwrap().kind()];
        let attempt = attempt(store, "ferris", &source, &kinds, verified, Purpose::Login);
        ready.wait();
        Said::from(store.judge(attempt, LIMITS).unwrap())
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..TRIES).map(|number| scope.spawn(move || one(number))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

fn one_of(said: &[Said]) {
    let admitted = said.iter().filter(|said| matches!(said, Said::Admitted(_))).count();
    let refused = said.iter().filter(|said| **said == Said::Refused).count();
    assert_eq!((admitted, refused), (1, TRIES - 1));
}

#[test]
fn one_code_lets_one_in() {
    let world = World::new();
    let store = world.open();
    owner(&store, "ferris", OtpKind::Totp);
    one_of(&all_at_once(&store, &totp(BEGIN)));
    assert_eq!(world.words().iter().filter(|word| *word == "accepted").count(), 1);

    let world = World::new();
    let store = world.open();
    owner(&store, "ferris", OtpKind::Hotp);
    one_of(&all_at_once(&store, &hotp(4)));

    let codes = store.replace_recovery_codes(context(&store, "ferris"), user("ferris"));
    one_of(&all_at_once(&store, &codes.unwrap()[3]));
}
