//! Pauses after failures: in seconds, in microseconds, and whatever the numbers.
#![cfg(feature = "factors")]

use oss2fa_core::backoff::{Backoff, Failures, LockState};
use proptest::prelude::*;

const BEGIN: i64 = 1_795_378_335;

/// The same rules in a unit of which a second has so many.
fn rules(second: i64) -> Backoff {
    Backoff {
        free_attempts: 5,
        first_pause: 30 * second,
        longest_pause: 3600 * second,
        leak_interval: Some(300 * second),
        forgotten_after: 24 * 3600 * second,
    }
}

#[test]
fn pauses_double_and_have_an_end_in_each_unit() {
    for second in [1, 1_000_000] {
        let (rules, now) = (rules(second), BEGIN * second);
        let mut before = None;
        let pauses: Vec<_> = (1..=14)
            .map(|_| {
                let raised = rules.after_failure(before, now);
                before = Some(Failures { count: raised.failures, last_at: now });
                raised.locked_until.map(|until| (until - now) / second)
            })
            .collect();
        let mut expected = vec![None; 4];
        expected.extend([30, 60, 120, 240, 480, 960, 1920, 3600, 3600, 3600].map(Some));
        assert_eq!(pauses, expected, "{second}");
    }
}

#[test]
fn failures_leak_one_by_one_and_are_forgotten_all_at_once() {
    for second in [1, 1_000_000] {
        let before = Failures { count: 7, last_at: BEGIN * second };
        let after = |seconds: i64| (BEGIN + seconds) * second;
        for (idle, kept) in [(0, 7), (299, 7), (300, 6), (599, 6), (600, 5), (2100, 0), (80_000, 0)] {
            assert_eq!(rules(second).kept(before, after(idle)), kept, "{idle}");
        }
        let never = Backoff { leak_interval: None, ..rules(second) };
        for (idle, kept) in [(0, 7), (24 * 3600, 7), (24 * 3600 + 1, 0)] {
            assert_eq!(never.kept(before, after(idle)), kept, "{idle}");
        }
        assert_eq!(never.kept(before, after(-3600)), 7, "a clock that was set back forgets nothing");
    }
}

#[test]
fn a_lock_ends_by_itself_also_when_the_clock_was_set_back() {
    for second in [1, 1_000_000] {
        let (rules, now) = (rules(second), BEGIN * second);
        assert_eq!(rules.state(None, now), LockState::Open);
        assert_eq!(rules.state(Some(now), now), LockState::Open);
        assert_eq!(rules.state(Some(now + 1), now), LockState::Locked { until: now + 1 });
        let latest = now + 3600 * second;
        assert_eq!(rules.state(Some(latest), now), LockState::Locked { until: latest });
        assert_eq!(rules.state(Some(latest + 1), now), LockState::Mended { until: latest });
        assert_eq!(rules.state(Some(i64::MAX), now), LockState::Mended { until: latest });
    }
}

fn any_rules() -> impl Strategy<Value = Backoff> {
    (any::<u32>(), any::<i64>(), any::<i64>(), any::<Option<i64>>(), any::<i64>()).prop_map(
        |(free_attempts, first_pause, longest_pause, leak_interval, forgotten_after)| Backoff {
            // Small numbers are where something happens.
            free_attempts: free_attempts >> (free_attempts % 32),
            first_pause: first_pause >> (first_pause.unsigned_abs() % 64),
            longest_pause,
            leak_interval,
            forgotten_after,
        },
    )
}

fn any_number() -> impl Strategy<Value = i64> {
    prop_oneof![any::<i64>(), 0_i64..100, BEGIN..BEGIN + 100_000]
}

proptest! {
    #[test]
    fn whatever_is_stored_a_pause_is_never_negative_nor_too_long(
        rules in any_rules(), count in any_number(), last_at in any_number(), now in any_number(),
    ) {
        let raised = rules.after_failure(Some(Failures { count, last_at }), now);
        prop_assert!(raised.failures >= 1);
        prop_assert!(raised.failures <= count.max(0).saturating_add(1));
        if let Some(until) = raised.locked_until {
            prop_assert!(until >= now);
            prop_assert!(until <= now.saturating_add(rules.longest_pause.max(0)));
            let too_long = matches!(rules.state(Some(until), now), LockState::Mended { .. });
            prop_assert!(!too_long, "what was just begun is mended");
        }
        match rules.state(Some(last_at), now) {
            LockState::Open => prop_assert!(last_at <= now),
            LockState::Locked { until } | LockState::Mended { until } => {
                prop_assert!(now <= until && until <= last_at);
                prop_assert!(until <= now.saturating_add(rules.longest_pause.max(0)));
            }
        }
    }

    #[test]
    fn more_failures_never_make_a_pause_shorter(rules in any_rules(), one in any_number(), other in any_number()) {
        let (fewer, more) = (one.min(other), one.max(other));
        prop_assert!(rules.pause(fewer) <= rules.pause(more));
        prop_assert!(rules.pause(fewer) >= 0);
        prop_assert!(fewer >= i64::from(rules.free_attempts) || rules.pause(fewer) == 0, "these are free");
    }

    #[test]
    fn waiting_never_makes_it_worse(
        rules in any_rules(), count in any_number(), last_at in any_number(), one in any_number(), other in any_number(),
    ) {
        let before = Failures { count, last_at };
        prop_assert!(rules.kept(before, one.max(other)) <= rules.kept(before, one.min(other)));
    }
}
