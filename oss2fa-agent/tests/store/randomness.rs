//! Without random bytes nothing is made: no key, no device, no recovery code.

use oss2fa_agent::admin::{DeviceStatus, OtpKind};
use oss2fa_agent::store::StoreError;
use oss2fa_agent::store::device::Vouched;

use super::world::*;

#[test]
fn a_first_start_without_random_bytes_leaves_no_key() {
    let undisturbed = World::new();
    drop(undisturbed.open());
    let calls = undisturbed.random.calls();
    assert_eq!(calls, 3, "the master key, the data key and its nonce");
    for call in 0..calls {
        let world = World::new();
        world.random.fail_at(call);
        assert!(matches!(world.try_open(), Err(StoreError::Random(_))), "call {call}");
        assert_eq!(world.number("SELECT count(*) FROM data_key"), 0, "call {call}");
        // A master key gets its name when there is a store that it opens.
        assert!(!world.key().exists());
        drop(world.open());
        assert_eq!(world.number("SELECT count(*) FROM data_key"), 1);
    }
}

#[test]
fn an_enrolment_without_random_bytes_makes_no_device() {
    let world = World::new();
    let store = world.open();
    let begin = world.random.calls();
    pending(&store, "corro", Vouched::Yes);
    let calls = world.random.calls() - begin;
    assert_eq!(calls, 2, "the secret and the nonce of its seal");
    for call in 0..calls {
        world.random.fail_at(world.random.calls() + call);
        let made = store.enroll(
            context(&store, "ferris"),
            user("ferris"),
            OtpKind::Totp,
            name("phone"),
            Default::default(),
            Vouched::Yes,
        );
        assert!(matches!(made, Err(StoreError::Random(_))), "call {call}");
        assert!(store.account_view(&user("ferris")).unwrap().account.is_none(), "call {call}");
    }
    world.random.fail_at(world.random.calls());
    let imported =
        store.import(context(&store, "ferris"), user("ferris"), name("phone"), otp(OtpKind::Totp, 0));
    assert!(matches!(imported, Err(StoreError::Random(_))));
    assert_eq!(world.number("SELECT count(*) FROM device"), 1);
    assert_eq!(world.words(), ["enrolled"]);
}

#[test]
fn a_set_of_recovery_codes_is_whole_or_the_old_one_stays() {
    let world = World::new();
    let store = world.open();
    let old = store.replace_recovery_codes(context(&store, "ferris"), user("ferris")).unwrap();
    for call in 0..10 {
        world.random.fail_at(world.random.calls() + call);
        let new = store.replace_recovery_codes(context(&store, "ferris"), user("ferris"));
        assert!(matches!(new, Err(StoreError::Random(_))), "call {call}");
    }
    let devices = store.account_view(&user("ferris")).unwrap().devices;
    assert!(devices.len() == 1 && devices[0].status == DeviceStatus::Active);
    assert_eq!(login(&store, "ferris", &old[9]), Said::Admitted(devices[0].id));
}
