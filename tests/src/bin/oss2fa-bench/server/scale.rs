//! How much is measured.

use std::time::Duration;

/// Numbers of everything.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scale {
    /// Devices in the small stores, and tokens of the peer.
    pub(crate) few: u64,
    /// Devices in the large one.
    pub(crate) many: u64,
    /// Clients where memory and start are measured.
    pub(crate) clients: u64,
    pub(crate) rounds: usize,
    pub(crate) starts: usize,
    /// Of one round.
    pub(crate) seconds: f64,
    /// Of one round at 80 % of the peak.
    pub(crate) seconds_at_fixed_rate: f64,
    /// Of the peer.
    pub(crate) seconds_of_peer: f64,
    /// Without requests, before memory is looked at.
    pub(crate) idle: Duration,
}

/// What the bounds are about.
pub(crate) const PROMISED: Scale = Scale {
    few: 1_000,
    many: 1_000_000,
    clients: 100_000,
    rounds: 7,
    starts: 5,
    seconds: 3.0,
    seconds_at_fixed_rate: 3.0,
    seconds_of_peer: 15.0,
    idle: Duration::from_secs(5),
};

/// Next to nothing: shows that each part runs, and says nothing about speed.
pub(crate) const SMALL: Scale = Scale {
    few: 500,
    many: 1_000,
    clients: 100,
    rounds: 1,
    starts: 1,
    seconds: 0.5,
    seconds_at_fixed_rate: 0.5,
    seconds_of_peer: 2.0,
    idle: Duration::from_millis(200),
};
