//! Pauses after wrong codes: for whom they hold, for how long, and whom they must not keep out.

use oss2fa_agent::admin::OtpKind;
use oss2fa_agent::config::LockLimits;
use oss2fa_agent::source::Source;
use oss2fa_agent::store::{Purpose, Store};
use oss2fa_core::secret::SecretText;
use oss2fa_core::verdict::FactorKind;

use super::world::*;

const TOTP: &[FactorKind] = &[FactorKind::Totp];
const HOTP: &[FactorKind] = &[FactorKind::Hotp];

pub(crate) fn miss(store: &Store, who: &str, source: &Source, kinds: &[FactorKind]) -> Said {
    miss_within(store, who, source, kinds, LIMITS)
}

fn miss_within(store: &Store, who: &str, source: &Source, kinds: &[FactorKind], limits: LockLimits) -> Said {
    let attempt = attempt(store, who, source, kinds, None, Purpose::Login);
    store.judge(attempt, limits).unwrap().into()
}

pub(crate) fn hit(store: &Store, who: &str, source: &Source, code: &SecretText) -> Said {
    present(store, who, source, code, Purpose::Login)
}

/// Wrong codes until there is a pause.
fn lock(store: &Store, who: &str, source: &Source, kinds: &[FactorKind]) {
    for _ in 0..LIMITS.free_attempts {
        assert_eq!(miss(store, who, source, kinds), Said::Refused);
    }
}

#[test]
fn after_the_free_tries_a_right_code_is_refused_too_and_not_spent() {
    let world = World::new();
    let store = world.open();
    let id = owner(&store, "ferris", OtpKind::Totp);
    let here = from("192.0.2.1");
    for _ in 1..LIMITS.free_attempts {
        miss(&store, "ferris", &here, TOTP);
    }
    assert_eq!(hit(&store, "ferris", &here, &totp(BEGIN - 30)), Said::Admitted(id), "one is left");
    lock(&store, "ferris", &here, TOTP);
    assert_eq!(hit(&store, "ferris", &here, &totp(BEGIN)), Said::Locked);
    assert_eq!(world.newest().event, "locked");
    let elsewhere = from("192.0.2.2");
    assert_eq!(hit(&store, "ferris", &elsewhere, &totp(BEGIN)), Said::Admitted(id), "it was not spent");
}

#[test]
fn another_source_another_kind_and_another_user_are_not_kept_out() {
    let world = World::new();
    let store = world.open();
    let id = owner(&store, "ferris", OtpKind::Totp);
    let counter = owner(&store, "ferris", OtpKind::Hotp);
    let other = owner(&store, "corro", OtpKind::Totp);
    let here = from("192.0.2.1");
    lock(&store, "ferris", &here, TOTP);
    assert_eq!(hit(&store, "ferris", &here, &totp(BEGIN)), Said::Locked);
    assert_eq!(hit(&store, "ferris", &here, &hotp(0)), Said::Admitted(counter), "another kind");
    assert_eq!(hit(&store, "ferris", &from("192.0.2.2"), &totp(BEGIN)), Said::Admitted(id));
    assert_eq!(hit(&store, "corro", &here, &totp(BEGIN + 30)), Said::Admitted(other), "another user");
}

#[test]
fn a_wrong_code_counts_for_each_kind_that_it_could_be_of() {
    let world = World::new();
    let store = world.open();
    owner(&store, "ferris", OtpKind::Totp);
    let here = from("192.0.2.1");
    let both = [FactorKind::Totp, FactorKind::Hotp];
    lock(&store, "ferris", &here, &both);
    assert_eq!(miss(&store, "ferris", &here, TOTP), Said::Locked);
    assert_eq!(miss(&store, "ferris", &here, HOTP), Said::Locked);
    assert_eq!(miss(&store, "ferris", &here, &[FactorKind::RecoveryCode]), Said::Refused);
}

#[test]
fn where_one_kind_is_locked_the_answers_do_not_tell_a_right_code() {
    // Two accounts alike, each with two devices of six digits, of which the time-based one is locked.
    let world = World::new();
    let store = world.open();
    let here = from("192.0.2.1");
    let both = [FactorKind::Totp, FactorKind::Hotp];
    for who in ["ferris", "corro"] {
        owner(&store, who, OtpKind::Totp);
        owner(&store, who, OtpKind::Hotp);
        lock(&store, who, &here, TOTP);
    }
    // Each answer, and each that follows from what was counted, is the same: until nothing is open.
    for round in 0..LIMITS.free_attempts + 3 {
        let right = hit(&store, "ferris", &here, &totp(BEGIN));
        let wrong = miss(&store, "corro", &here, &both);
        assert_eq!((right, wrong), (Said::Locked, Said::Locked), "{round}");
        assert_eq!(counters(&world, "ferris"), counters(&world, "corro"), "{round}");
    }
    for who in ["ferris", "corro"] {
        assert_eq!(hit(&store, who, &here, &hotp(0)), Said::Locked, "guesses at the other kind were counted");
    }
}

/// How often each kind was counted for an account, and until when it is locked.
fn counters(world: &World, who: &str) -> Vec<i64> {
    let of = |column: &str, kind: &str| {
        world.number(&format!(
            "SELECT coalesce(sum({column}), 0) FROM lock JOIN account ON account.id = lock.account
             WHERE account.name = '{who}' AND kind = '{kind}'"
        ))
    };
    ["totp", "hotp"].iter().flat_map(|kind| [of("failures", kind), of("locked_until", kind)]).collect()
}

#[test]
fn guesses_at_an_open_kind_do_not_make_the_pause_of_another_longer() {
    let world = World::new();
    let store = world.open();
    let id = owner(&store, "ferris", OtpKind::Totp);
    owner(&store, "ferris", OtpKind::Hotp);
    let here = from("192.0.2.1");
    lock(&store, "ferris", &here, TOTP);
    for _ in 0..LIMITS.free_attempts {
        assert_eq!(miss(&store, "ferris", &here, &[FactorKind::Totp, FactorKind::Hotp]), Said::Locked);
    }
    world.later(LIMITS.first_pause);
    assert_eq!(hit(&store, "ferris", &here, &totp(store.now())), Said::Admitted(id));
}

#[test]
fn pauses_double_and_have_an_end() {
    let world = World::new();
    let store = world.open();
    let id = owner(&store, "ferris", OtpKind::Totp);
    let here = from("192.0.2.1");
    lock(&store, "ferris", &here, TOTP);
    for pause in [30, 60, 120, 240, 480, 960, 1920, 3600, 3600, 3600] {
        world.later(pause - 1);
        assert_eq!(miss(&store, "ferris", &here, TOTP), Said::Locked, "{pause}");
        world.later(1);
        assert_eq!(miss(&store, "ferris", &here, TOTP), Said::Refused, "{pause}");
    }
    // By themselves, and a right code counts again.
    world.later(3600);
    let now = store.now();
    assert_eq!(hit(&store, "ferris", &here, &totp(now)), Said::Admitted(id));
}

#[test]
fn tries_during_a_pause_do_not_make_it_longer() {
    let world = World::new();
    let store = world.open();
    owner(&store, "ferris", OtpKind::Totp);
    let here = from("192.0.2.1");
    lock(&store, "ferris", &here, TOTP);
    for _ in 0..100 {
        assert_eq!(miss(&store, "ferris", &here, TOTP), Said::Locked);
    }
    world.later(30);
    assert_eq!(miss(&store, "ferris", &here, TOTP), Said::Refused);
}

#[test]
fn a_success_begins_anew() {
    let world = World::new();
    let store = world.open();
    let id = owner(&store, "ferris", OtpKind::Totp);
    let here = from("192.0.2.1");
    for _ in 0..3 {
        for _ in 1..LIMITS.free_attempts {
            assert_eq!(miss(&store, "ferris", &here, TOTP), Said::Refused);
        }
        let now = store.now();
        assert_eq!(hit(&store, "ferris", &here, &totp(now)), Said::Admitted(id));
        world.later(30);
    }
}

#[test]
fn a_pause_survives_a_restart() {
    let world = World::new();
    let store = world.open();
    owner(&store, "ferris", OtpKind::Totp);
    let here = from("192.0.2.1");
    lock(&store, "ferris", &here, TOTP);
    drop(store);
    let store = world.open();
    assert_eq!(hit(&store, "ferris", &here, &totp(BEGIN)), Said::Locked);
    assert_eq!(store.counts().unwrap()[2], 1);
    world.later(30);
    assert_eq!(store.counts().unwrap()[2], 0);
    assert!(matches!(hit(&store, "ferris", &here, &totp(BEGIN + 30)), Said::Admitted(_)));
}

#[test]
fn one_source_has_so_many_tries_for_all_users_together() {
    let world = World::new();
    let store = world.open();
    let there = from("203.0.113.9");
    for number in 0..LIMITS.free_attempts_per_source {
        let who = format!("user{number}");
        pending(&store, &who, oss2fa_agent::store::device::Vouched::No);
        assert_eq!(miss(&store, &who, &there, TOTP), Said::Refused, "{number}");
    }
    let id = owner(&store, "ferris", OtpKind::Totp);
    assert_eq!(hit(&store, "ferris", &there, &totp(BEGIN)), Said::Locked);
    assert_eq!(hit(&store, "ferris", &from("203.0.113.10"), &totp(BEGIN)), Said::Admitted(id));
    // What has the shape of no code counts for the source, too.
    let odd = from("203.0.113.11");
    for _ in 0..LIMITS.free_attempts_per_source {
        assert_eq!(miss(&store, "ferris", &odd, &[]), Said::Refused);
    }
    assert_eq!(miss(&store, "ferris", &odd, &[]), Said::Locked);
}

#[test]
fn many_sources_together_close_an_account_to_strangers_only() {
    let world = World::new();
    let store = world.open();
    let id = owner(&store, "ferris", OtpKind::Totp);
    let home = from("192.0.2.1");
    assert_eq!(hit(&store, "ferris", &home, &totp(BEGIN)), Said::Admitted(id));
    for number in 0..LIMITS.free_attempts_per_user {
        let stranger = from(&format!("198.51.{}.{}", number / 200, number % 200));
        assert_eq!(miss(&store, "ferris", &stranger, TOTP), Said::Refused, "{number}");
    }
    world.later(10);
    assert_eq!(miss(&store, "ferris", &from("203.0.113.1"), TOTP), Said::Locked, "one more stranger");
    assert_eq!(miss(&store, "ferris", &from("203.0.113.1"), HOTP), Said::Refused, "another kind");
    world.later(20 - 1);
    assert_eq!(hit(&store, "ferris", &home, &totp(BEGIN + 30)), Said::Admitted(id), "the owner at home");
}

#[test]
fn a_source_is_known_for_a_month() {
    let world = World::new();
    let store = world.open();
    let id = owner(&store, "ferris", OtpKind::Totp);
    let home = from("192.0.2.1");
    assert_eq!(hit(&store, "ferris", &home, &totp(BEGIN)), Said::Admitted(id));
    let tight = LockLimits { free_attempts_per_user: 1, ..LIMITS };
    for (days, expected) in [(29, Said::Refused), (2, Said::Locked)] {
        world.later(days * 24 * 3600);
        assert_eq!(miss_within(&store, "ferris", &from("198.51.100.1"), TOTP, tight), Said::Refused);
        assert_eq!(miss_within(&store, "ferris", &home, TOTP, tight), expected, "{days}");
    }
}

#[test]
fn what_many_share_forgets_slowly_and_everything_is_forgotten_after_a_day() {
    let world = World::new();
    let store = world.open();
    owner(&store, "ferris", OtpKind::Totp);
    let tight = LockLimits { free_attempts: 100, free_attempts_per_source: 3, ..LIMITS };
    let here = from("192.0.2.1");
    for _ in 0..20 {
        // One failure leaks away before the next comes: this can go on.
        assert_eq!(miss_within(&store, "ferris", &here, TOTP, tight), Said::Refused);
        world.later(300);
    }
    let own = LockLimits { free_attempts: 3, ..LIMITS };
    let there = from("192.0.2.2");
    for _ in 0..3 {
        assert_eq!(miss_within(&store, "ferris", &there, TOTP, own), Said::Refused);
        world.later(3600);
    }
    assert_eq!(miss_within(&store, "ferris", &there, TOTP, own), Said::Refused);
    world.later(59);
    assert_eq!(miss_within(&store, "ferris", &there, TOTP, own), Said::Locked, "no leak for one's own");
    world.later(24 * 3600 + 1);
    for _ in 0..3 {
        assert_eq!(miss_within(&store, "ferris", &there, TOTP, own), Said::Refused);
    }
    assert_eq!(miss_within(&store, "ferris", &there, TOTP, own), Said::Locked);
}

#[test]
fn a_clock_that_was_set_back_does_not_lock_for_ever() {
    let world = World::new();
    let store = world.open();
    let id = owner(&store, "ferris", OtpKind::Totp);
    let here = from("192.0.2.1");
    let future = BEGIN + 10 * 365 * 24 * 3600;
    world.at(future);
    lock(&store, "ferris", &here, TOTP);
    world.at(BEGIN);
    assert_eq!(hit(&store, "ferris", &here, &totp(BEGIN)), Said::Locked);
    world.later(LIMITS.longest_pause - 1);
    let code = totp(store.now());
    assert_eq!(hit(&store, "ferris", &here, &code), Said::Locked);
    world.later(1);
    assert_eq!(hit(&store, "ferris", &here, &totp(store.now())), Said::Admitted(id));
}

#[test]
fn a_clock_that_was_set_back_locks_nobody_who_was_not_locked() {
    let world = World::new();
    let store = world.open();
    let id = owner(&store, "ferris", OtpKind::Totp);
    let here = from("192.0.2.1");
    world.later(3600);
    assert_eq!(miss(&store, "ferris", &here, TOTP), Said::Refused);
    world.at(BEGIN);
    assert_eq!(hit(&store, "ferris", &here, &totp(BEGIN)), Said::Admitted(id));
}

#[test]
fn root_releases_what_a_user_is_locked_by() {
    let world = World::new();
    let store = world.open();
    let id = owner(&store, "ferris", OtpKind::Totp);
    let here = from("192.0.2.1");
    lock(&store, "ferris", &here, TOTP);
    for number in 0..LIMITS.free_attempts_per_source {
        let who = format!("user{number}");
        pending(&store, &who, oss2fa_agent::store::device::Vouched::No);
        miss(&store, &who, &here, TOTP);
    }
    assert_eq!(hit(&store, "ferris", &here, &totp(BEGIN)), Said::Locked);
    let context = context(&store, "ferris");
    assert!(store.unlock(context, account(&store, "ferris")).unwrap());
    assert_eq!(hit(&store, "ferris", &here, &totp(BEGIN)), Said::Admitted(id));
}

#[test]
fn addresses_of_one_subscriber_are_one_source_and_names_share_a_counter() {
    for (one, other) in [("2001:db8:1:2::1", "2001:db8:1:2:ffff::9"), ("192.0.2.1", "::ffff:192.0.2.1")] {
        assert_eq!(from(one), from(other));
    }
    // A stranger with a name does not fill the counter of an owner with another; all names together
    // have one counter for whatever user.
    assert_ne!(from("a.example.org"), from("b.example.org"));
    assert_eq!(from("a.example.org").shared(), from("B.example.org").shared());
    for (one, other) in [("2001:db8:1:2::1", "2001:db8:1:3::1"), ("192.0.2.1", "192.0.2.2")] {
        assert_ne!(from(one), from(other));
    }
}
