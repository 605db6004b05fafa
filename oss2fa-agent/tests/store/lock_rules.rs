//! Whatever strangers do, within what one account has free, its owner gets in from home.

use oss2fa_agent::admin::OtpKind;
use oss2fa_core::verdict::FactorKind;
use proptest::prelude::*;

use super::locks::{hit, miss};
use super::world::*;

/// One wrong code of a stranger.
#[derive(Debug, Clone)]
struct Wrong {
    source: u8,
    kinds: Vec<FactorKind>,
    pause: u64,
}

fn wrong() -> impl Strategy<Value = Wrong> {
    let kinds =
        prop::sample::subsequence(vec![FactorKind::Totp, FactorKind::Hotp, FactorKind::RecoveryCode], 0..=3);
    let pause = prop_oneof![8 => Just(0), 2 => 0_u64..100, 1 => 0_u64..100_000];
    (any::<u8>(), kinds, pause).prop_map(|(source, kinds, pause)| Wrong { source, kinds, pause })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn strangers_never_lock_the_owner_out(
        tries in prop::collection::vec(wrong(), 1..LIMITS.free_attempts_per_user as usize),
        known in any::<bool>(),
    ) {
        let world = World::new();
        let store = world.open();
        let id = owner(&store, "ferris", OtpKind::Totp);
        let home = from("192.0.2.1");
        if known {
            assert_eq!(hit(&store, "ferris", &home, &totp(BEGIN - 30)), Said::Admitted(id));
        }
        for wrong in tries {
            world.later(wrong.pause);
            miss(&store, "ferris", &from(&format!("198.51.100.{}", wrong.source)), &wrong.kinds);
        }
        assert_eq!(hit(&store, "ferris", &home, &totp(store.now())), Said::Admitted(id));
    }
}
