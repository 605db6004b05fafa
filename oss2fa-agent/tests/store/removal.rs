//! Removing devices, and which pending ones may become active.

use oss2fa_agent::admin::{DeviceStatus, OtpKind};
use oss2fa_agent::policy::Enrolled;
use oss2fa_agent::store::device::Vouched;
use oss2fa_agent::store::{Purpose, Store};
use oss2fa_core::ids::DeviceId;

use super::world::*;

fn confirm(store: &Store, who: &str, id: DeviceId, secret: &str) -> Said {
    let code = totp_of(secret, store.now());
    present(store, who, &from("192.0.2.1"), &code, Purpose::Confirm(id))
}

#[test]
fn a_removed_device_is_of_no_use_and_its_secret_is_gone() {
    let world = World::new();
    let store = world.open();
    let id = owner(&store, "ferris", OtpKind::Totp);
    let (owned, context) = (account(&store, "ferris"), context(&store, "ferris"));
    let in_time = evidence(&store, "ferris", &totp(BEGIN), Purpose::Login);
    assert!(in_time.is_some());
    assert!(store.remove(context.clone(), owned, id).unwrap());
    assert!(!store.remove(context, owned, id).unwrap(), "twice");
    let kinds = [oss2fa_core::verdict::FactorKind::Totp];
    let attempt = attempt(&store, "ferris", &from("192.0.2.1"), &kinds, in_time, Purpose::Login);
    assert_eq!(Said::from(store.judge(attempt, LIMITS).unwrap()), Said::Refused);
    assert_eq!(world.number("SELECT count(*) FROM device WHERE sealed IS NOT NULL"), 0);
    assert_eq!(store.account_view(&user("ferris")).unwrap().enrolled, Enrolled::NoLonger);
}

#[test]
fn nobody_removes_or_renames_a_device_of_somebody_else() {
    let world = World::new();
    let store = world.open();
    let id = owner(&store, "ferris", OtpKind::Totp);
    owner(&store, "corro", OtpKind::Totp);
    owner(&store, "corro", OtpKind::Hotp);
    let (other, context) = (account(&store, "corro"), context(&store, "corro"));
    assert!(!store.remove(context.clone(), other, id).unwrap());
    assert!(!store.remove_unless_last(context.clone(), other, id).unwrap());
    assert!(!store.rename(context, other, id, name("mine")).unwrap());
    assert_eq!(device(&store, "ferris", id).name.as_str(), "phone");
    assert_eq!(world.words(), ["imported"; 3], "an event of what did not happen");
}

#[test]
fn the_last_device_stays() {
    let world = World::new();
    let store = world.open();
    let first = owner(&store, "ferris", OtpKind::Totp);
    store.replace_recovery_codes(context(&store, "ferris"), user("ferris")).unwrap();
    pending(&store, "ferris", Vouched::Yes);
    let (owned, context) = (account(&store, "ferris"), context(&store, "ferris"));
    let alone = store.remove_unless_last(context.clone(), owned, first).unwrap();
    assert!(!alone, "neither recovery codes nor a pending device replace it");
    let second = owner(&store, "ferris", OtpKind::Hotp);
    assert!(store.remove_unless_last(context.clone(), owned, first).unwrap());
    assert!(!store.remove_unless_last(context, owned, second).unwrap());
}

#[test]
fn of_two_removals_at_once_one_leaves_the_last_device() {
    for _ in 0..20 {
        let world = World::new();
        let store = world.open();
        let first = owner(&store, "ferris", OtpKind::Totp);
        let second = owner(&store, "ferris", OtpKind::Hotp);
        let (owned, context) = (account(&store, "ferris"), context(&store, "ferris"));
        let (one, other) = std::thread::scope(|scope| {
            let one = scope.spawn(|| store.remove_unless_last(context.clone(), owned, first));
            let other = store.remove_unless_last(context.clone(), owned, second);
            (one.join().unwrap(), other)
        });
        assert_eq!([one.unwrap(), other.unwrap()].iter().filter(|removed| **removed).count(), 1);
        assert_eq!(store.account_view(&user("ferris")).unwrap().devices.len(), 1);
    }
}

#[test]
fn a_device_that_nobody_vouched_for_is_the_first_or_none() {
    let world = World::new();
    let store = world.open();
    let (mine, my_secret) = pending(&store, "ferris", Vouched::No);
    let (theirs, their_secret) = pending(&store, "ferris", Vouched::No);
    assert_eq!(confirm(&store, "ferris", mine, &my_secret), Said::Admitted(mine));
    assert_eq!(confirm(&store, "ferris", theirs, &their_secret), Said::Refused);
    assert_eq!(device(&store, "ferris", theirs).status, DeviceStatus::Pending);
    let (third, third_secret) = pending(&store, "ferris", Vouched::Yes);
    assert_eq!(confirm(&store, "ferris", third, &third_secret), Said::Admitted(third));
}

#[test]
fn the_code_of_one_pending_device_does_not_confirm_another() {
    let world = World::new();
    let store = world.open();
    let (first, _) = pending(&store, "ferris", Vouched::Yes);
    let (second, second_secret) = pending(&store, "ferris", Vouched::Yes);
    let code = totp_of(&second_secret, BEGIN);
    let verified = evidence(&store, "ferris", &code, Purpose::Confirm(second));
    assert!(verified.is_some());
    let kinds = [oss2fa_core::verdict::FactorKind::Totp];
    let attempt = attempt(&store, "ferris", &from("192.0.2.1"), &kinds, verified, Purpose::Confirm(first));
    assert_eq!(Said::from(store.judge(attempt, LIMITS).unwrap()), Said::Refused);
    assert_eq!(device(&store, "ferris", first).status, DeviceStatus::Pending);
    assert_eq!(device(&store, "ferris", second).status, DeviceStatus::Pending);
}

#[test]
fn devices_that_wait_are_few_and_do_not_wait_for_ever() {
    let world = World::new();
    let store = world.open();
    for _ in 0..5 {
        pending(&store, "ferris", Vouched::No);
    }
    let one_more = || {
        store.enroll(
            context(&store, "ferris"),
            user("ferris"),
            OtpKind::Totp,
            name("phone"),
            Default::default(),
            Vouched::No,
        )
    };
    assert!(one_more().unwrap().is_none());
    world.later(24 * 3600 + 1);
    assert!(one_more().unwrap().is_some());
    assert_eq!(store.account_view(&user("ferris")).unwrap().devices.len(), 1);
}

#[test]
fn a_device_that_waited_for_more_than_a_day_is_not_confirmed() {
    let world = World::new();
    let store = world.open();
    let (late, secret) = pending(&store, "ferris", Vouched::Yes);
    world.later(24 * 3600 + 1);
    assert_eq!(confirm(&store, "ferris", late, &secret), Said::Refused);
    assert_eq!(device(&store, "ferris", late).status, DeviceStatus::Pending);
}
