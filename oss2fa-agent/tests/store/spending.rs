//! A code is good once, and none at or below the last accepted position is good again, on any path.

use oss2fa_agent::admin::{DeviceStatus, ImportResult, Imported, OtpKind};
use oss2fa_agent::policy::Enrolled;
use oss2fa_agent::store::device::Vouched;
use oss2fa_agent::store::{Purpose, Store};
use oss2fa_core::factor::sent_code;
use oss2fa_core::ids::DeviceId;
use oss2fa_core::secret::SecretText;
use oss2fa_core::verdict::FactorKind;

use super::world::*;

fn resync(store: &Store, who: &str, id: DeviceId, codes: [u64; 2]) -> Said {
    let [first, second] = codes.map(totp);
    resync_with(store, who, id, first.expose(), second.expose())
}

fn resync_with(store: &Store, who: &str, id: DeviceId, first: &str, second: &str) -> Said {
    let found = device(store, who, id);
    let matched = found.resync(store.keys(), first, second, store.now()).unwrap();
    let (verified, drift) = matched.map_or((None, 0), |(verified, drift)| (Some(verified), drift));
    let purpose = Purpose::Resync { drift };
    let attempt = attempt(store, who, &from("192.0.2.1"), &[found.kind], verified, purpose);
    store.judge(attempt, LIMITS).unwrap().into()
}

#[test]
fn a_time_based_code_is_good_once_and_older_ones_never() {
    let world = World::new();
    let store = world.open();
    let id = owner(&store, "ferris", OtpKind::Totp);
    assert_eq!(login(&store, "ferris", &totp(BEGIN)), Said::Admitted(id));
    assert_eq!(login(&store, "ferris", &totp(BEGIN)), Said::Refused);
    assert_eq!(login(&store, "ferris", &totp(BEGIN - 30)), Said::Refused, "the one before");
    assert_eq!(login(&store, "ferris", &totp(BEGIN + 30)), Said::Admitted(id), "the next one");
    assert_eq!(login(&store, "ferris", &totp(BEGIN + 60)), Said::Refused, "beyond the skew");
    world.later(30);
    assert_eq!(login(&store, "ferris", &totp(BEGIN + 30)), Said::Refused, "used ahead of time");
    assert_eq!(
        world.words(),
        ["imported", "accepted", "refused", "refused", "accepted", "refused", "refused"]
    );
}

#[test]
fn a_counter_moves_forward_only() {
    let world = World::new();
    let store = world.open();
    let id = owner(&store, "ferris", OtpKind::Hotp);
    assert_eq!(login(&store, "ferris", &hotp(3)), Said::Admitted(id));
    for old in 0..=3 {
        world.later(7200);
        assert_eq!(login(&store, "ferris", &hotp(old)), Said::Refused, "{old}");
    }
    assert_eq!(login(&store, "ferris", &hotp(15)), Said::Refused, "beyond the look-ahead");
    world.later(7200);
    assert_eq!(login(&store, "ferris", &hotp(14)), Said::Admitted(id));
}

#[test]
fn evidence_from_before_another_login_is_worth_nothing() {
    let world = World::new();
    let store = world.open();
    let id = owner(&store, "ferris", OtpKind::Hotp);
    // Both were right when they were looked at; the later one is spent first.
    let early = evidence(&store, "ferris", &hotp(4), Purpose::Login);
    assert!(early.is_some());
    assert_eq!(login(&store, "ferris", &hotp(5)), Said::Admitted(id));
    let kinds = [oss2fa_core::verdict::FactorKind::Hotp];
    let stale = attempt(&store, "ferris", &from("192.0.2.1"), &kinds, early, Purpose::Login);
    assert_eq!(Said::from(store.judge(stale, LIMITS).unwrap()), Said::Refused);
    assert_eq!(device(&store, "ferris", id).next_position(), 6, "the counter went back");
}

#[test]
fn evidence_for_a_device_of_another_account_is_worth_nothing() {
    let world = World::new();
    let store = world.open();
    owner(&store, "ferris", OtpKind::Hotp);
    import(&store, "corro", otp(OtpKind::Totp, 0));
    let stolen = evidence(&store, "ferris", &hotp(0), Purpose::Login);
    assert!(stolen.is_some());
    let kinds = [oss2fa_core::verdict::FactorKind::Hotp];
    let crossed = attempt(&store, "corro", &from("192.0.2.1"), &kinds, stolen, Purpose::Login);
    assert_eq!(Said::from(store.judge(crossed, LIMITS).unwrap()), Said::Refused);
}

#[test]
fn a_code_that_was_used_for_one_purpose_is_used_for_all() {
    let world = World::new();
    let store = world.open();
    let id = owner(&store, "ferris", OtpKind::Totp);
    let source = from("192.0.2.1");
    assert_eq!(present(&store, "ferris", &source, &totp(BEGIN), Purpose::Change), Said::Admitted(id));
    assert_eq!(login(&store, "ferris", &totp(BEGIN)), Said::Refused);
    assert_eq!(resync(&store, "ferris", id, [BEGIN - 30, BEGIN]), Said::Refused, "both are old");
    assert_eq!(resync(&store, "ferris", id, [BEGIN, BEGIN + 30]), Said::Refused, "one is old");
    assert_eq!(resync(&store, "ferris", id, [BEGIN + 30, BEGIN + 60]), Said::Admitted(id));
    world.later(60);
    assert_eq!(login(&store, "ferris", &totp(BEGIN + 60)), Said::Refused, "used by resync");
    assert_eq!(present(&store, "ferris", &source, &totp(BEGIN + 30), Purpose::Change), Said::Refused);
    assert_eq!(login(&store, "ferris", &totp(BEGIN + 90)), Said::Admitted(id));
}

#[test]
fn a_resynchronised_counter_does_not_go_back() {
    let world = World::new();
    let store = world.open();
    let id = owner(&store, "ferris", OtpKind::Hotp);
    let [first, second] = [500, 501].map(hotp);
    assert_eq!(resync_with(&store, "ferris", id, first.expose(), second.expose()), Said::Admitted(id));
    assert_eq!(resync_with(&store, "ferris", id, first.expose(), second.expose()), Said::Refused);
    assert_eq!(login(&store, "ferris", &hotp(501)), Said::Refused);
    assert_eq!(login(&store, "ferris", &hotp(502)), Said::Admitted(id));
}

#[test]
fn evidence_of_two_codes_is_good_once_too() {
    let world = World::new();
    let store = world.open();
    let id = owner(&store, "ferris", OtpKind::Hotp);
    let [first, second] = [20, 21].map(hotp);
    // Both find the device before either is judged.
    let (one, other) = [(), ()]
        .map(|()| {
            let found =
                device(&store, "ferris", id).resync(store.keys(), first.expose(), second.expose(), BEGIN);
            let verified = found.unwrap().map(|(verified, _)| verified);
            assert!(verified.is_some());
            let kinds = [oss2fa_core::verdict::FactorKind::Hotp];
            attempt(&store, "ferris", &from("192.0.2.1"), &kinds, verified, Purpose::Resync { drift: 0 })
        })
        .into();
    assert_eq!(Said::from(store.judge(one, LIMITS).unwrap()), Said::Admitted(id));
    assert_eq!(Said::from(store.judge(other, LIMITS).unwrap()), Said::Refused);
}

#[test]
fn a_device_whose_clock_is_wrong_is_found_again_and_stays_found() {
    let world = World::new();
    let store = world.open();
    let id = owner(&store, "ferris", OtpKind::Totp);
    let ahead = 40 * 30;
    assert_eq!(login(&store, "ferris", &totp(BEGIN + ahead)), Said::Refused);
    assert_eq!(resync(&store, "ferris", id, [BEGIN + ahead, BEGIN + ahead + 30]), Said::Admitted(id));
    world.later(60);
    assert_eq!(login(&store, "ferris", &totp(BEGIN + ahead + 60)), Said::Admitted(id));
    assert_eq!(login(&store, "ferris", &totp(BEGIN + 60)), Said::Refused, "by the host's clock");
}

#[test]
fn the_code_that_confirms_a_device_is_spent() {
    let world = World::new();
    let store = world.open();
    let (id, secret) = pending(&store, "ferris", Vouched::No);
    let code = totp_of(&secret, BEGIN);
    assert_eq!(login(&store, "ferris", &code), Said::Refused, "it is not active yet");
    assert_eq!(store.account_view(&user("ferris")).unwrap().enrolled, Enrolled::Never);
    let source = from("192.0.2.1");
    let confirmed = present(&store, "ferris", &source, &code, Purpose::Confirm(id));
    assert_eq!(confirmed, Said::Admitted(id));
    assert_eq!(device(&store, "ferris", id).status, DeviceStatus::Active);
    assert_eq!(store.account_view(&user("ferris")).unwrap().enrolled, Enrolled::Yes);
    assert_eq!(login(&store, "ferris", &code), Said::Refused);
    assert_eq!(present(&store, "ferris", &source, &code, Purpose::Confirm(id)), Said::Refused, "again");
}

#[test]
fn no_import_brings_used_codes_back() {
    let world = World::new();
    let store = world.open();
    let id = owner(&store, "ferris", OtpKind::Hotp);
    assert_eq!(login(&store, "ferris", &hotp(7)), Said::Admitted(id));
    assert_eq!(import(&store, "ferris", otp(OtpKind::Hotp, 0)), ImportResult::AlreadyThere(id));
    assert_eq!(device(&store, "ferris", id).next_position(), 8);
    let (owned, context) = (account(&store, "ferris"), context(&store, "ferris"));
    assert!(store.remove(context.clone(), owned, id).unwrap());
    assert_eq!(store.account_view(&user("ferris")).unwrap().enrolled, Enrolled::NoLonger);
    let again = owner(&store, "ferris", OtpKind::Hotp);
    assert_ne!(again, id, "a number was given twice");
    assert_eq!(device(&store, "ferris", again).next_position(), 8);
    assert_eq!(login(&store, "ferris", &hotp(7)), Said::Refused);
    // Neither with other parameters, nor after everything was forgotten, nor in another account.
    store.forget(context, owned).unwrap();
    let imported = import(&store, "ferris", otp(OtpKind::Hotp, 3));
    let ImportResult::Imported(third) = imported else { panic!("{imported:?}") };
    assert_eq!(device(&store, "ferris", third).next_position(), 8);
    let elsewhere = owner(&store, "corro", OtpKind::Hotp);
    assert_eq!(device(&store, "corro", elsewhere).next_position(), 8);
    assert_eq!(login(&store, "corro", &hotp(8)), Said::Admitted(elsewhere));
}

#[test]
fn the_higher_of_two_positions_counts() {
    let world = World::new();
    let store = world.open();
    let id = owner(&store, "ferris", OtpKind::Hotp);
    let (owned, context) = (account(&store, "ferris"), context(&store, "ferris"));
    store.remove(context, owned, id).unwrap();
    let ImportResult::Imported(again) = import(&store, "ferris", otp(OtpKind::Hotp, 40)) else {
        panic!("not imported")
    };
    assert_eq!(device(&store, "ferris", again).next_position(), 40);
    assert_eq!(
        import(&store, "corro", otp(OtpKind::Hotp, 1 << 63)),
        ImportResult::Refused("the counter is too large".to_owned())
    );
}

#[test]
fn what_was_spent_stays_spent_when_the_store_is_opened_again() {
    let world = World::new();
    let store = world.open();
    let id = owner(&store, "ferris", OtpKind::Totp);
    assert_eq!(login(&store, "ferris", &totp(BEGIN)), Said::Admitted(id));
    drop(store);
    let store = world.open();
    assert_eq!(login(&store, "ferris", &totp(BEGIN)), Said::Refused);
    assert_eq!(login(&store, "ferris", &totp(BEGIN + 30)), Said::Admitted(id));
}

#[test]
fn a_clock_that_was_set_back_gives_no_code_back() {
    let world = World::new();
    let store = world.open();
    let id = owner(&store, "ferris", OtpKind::Totp);
    assert_eq!(login(&store, "ferris", &totp(BEGIN)), Said::Admitted(id));
    world.at(BEGIN - 86_400);
    assert_eq!(login(&store, "ferris", &totp(BEGIN - 86_400)), Said::Refused);
    world.at(0);
    assert_eq!(login(&store, "ferris", &totp(0)), Said::Refused);
}

#[test]
fn a_secret_spelt_otherwise_brings_no_used_code_back() {
    let world = World::new();
    let store = world.open();
    let id = owner(&store, "ferris", OtpKind::Totp);
    let code = totp(BEGIN);
    assert_eq!(login(&store, "ferris", &code), Said::Admitted(id));
    // HMAC pads a key with zeros: this secret makes the same codes.
    let mut padded = data_encoding::BASE32.decode(SECRET.as_bytes()).unwrap();
    padded.extend([0, 0]);
    let imported = |kind| Imported::Otp {
        kind,
        secret: SecretText::new(data_encoding::BASE32_NOPAD.encode(&padded)),
        parameters: Default::default(),
        next_position: 0,
        drift: 0,
    };
    assert_eq!(import(&store, "ferris", imported(OtpKind::Totp)), ImportResult::AlreadyThere(id));
    assert!(store.forget(context(&store, "ferris"), account(&store, "ferris")).unwrap());
    assert!(matches!(import(&store, "ferris", imported(OtpKind::Totp)), ImportResult::Imported(_)));
    assert_eq!(login(&store, "ferris", &code), Said::Refused);
    // Nor as a counter, which would know nothing of the steps that were used.
    assert!(store.forget(context(&store, "ferris"), account(&store, "ferris")).unwrap());
    assert!(matches!(import(&store, "ferris", imported(OtpKind::Hotp)), ImportResult::Refused(_)));
}

#[test]
fn evidence_of_a_code_that_was_sent_admits_nobody_on_a_host() {
    let world = World::new();
    let store = world.open();
    let id = owner(&store, "ferris", OtpKind::Totp);
    for purpose in [Purpose::Login, Purpose::Change, Purpose::Confirm(id), Purpose::Resync { drift: 0 }] {
        let verified = sent_code::check(id, &[7; 32], &[7; 32]);
        assert!(verified.is_some());
        let kinds = [FactorKind::Totp];
        let attempt = attempt(&store, "ferris", &from("192.0.2.1"), &kinds, verified, purpose);
        assert_eq!(Said::from(store.judge(attempt, LIMITS).unwrap()), Said::Refused, "{purpose:?}");
    }
    assert_eq!(world.number("SELECT next_position FROM device"), 0, "nothing was spent");
    // Not even where somebody writes such a device into the database.
    world.tamper("PRAGMA ignore_check_constraints = 1; UPDATE device SET kind = 'sent_code'");
    assert!(store.account_view(&user("ferris")).is_err());
}
