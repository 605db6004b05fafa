//! How long answers took.

use std::time::Duration;

use serde::Serialize;

/// Latencies in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Latencies {
    /// Half of all answers took at most this.
    pub p50_ms: f64,
    /// 99 of 100 answers took at most this.
    pub p99_ms: f64,
    /// The longest.
    pub max_ms: f64,
}

impl Latencies {
    pub(super) fn of(mut all: Vec<Duration>) -> Self {
        all.sort_unstable();
        // The nearest rank: no answer is made up between two that were measured.
        let at = |percent: usize| {
            let rank = (all.len() * percent).div_ceil(100).max(1);
            all.get(rank - 1).map_or(0.0, |took| took.as_secs_f64() * 1000.0)
        };
        Self { p50_ms: at(50), p99_ms: at(99), max_ms: at(100) }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Latencies;

    #[test]
    fn the_ninety_ninth_of_a_hundred_is_not_the_longest() {
        let all = (1..=100).rev().map(Duration::from_millis).collect();
        assert_eq!(Latencies::of(all), Latencies { p50_ms: 50.0, p99_ms: 99.0, max_ms: 100.0 });
        assert_eq!(Latencies::of(Vec::new()), Latencies::default());
    }
}
