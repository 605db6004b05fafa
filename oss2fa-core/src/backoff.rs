//! Pauses that grow with each failure: the arithmetic alone, for whatever a store counts.
//!
//! The unit of time is the caller's choice: seconds or microseconds since 1970, as long as instants and
//! lengths of one [`Backoff`] have the same. Numbers are signed because columns of databases are; one
//! that is negative, which no store writes, counts as 0.

/// How many failures are free, how long the pauses after them are, and how all is forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// The failure with this number begins the first pause.
    pub free_attempts: u32,
    /// Length of the first pause; each further failure doubles it.
    pub first_pause: i64,
    /// No pause is longer.
    pub longest_pause: i64,
    /// How long it takes until one failure is forgotten; `None` for counters that lose none one by one.
    pub leak_interval: Option<i64>,
    /// When the last failure is longer ago than this, all are forgotten.
    pub forgotten_after: i64,
}

/// A counter before a failure, as it was stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failures {
    /// How many are counted.
    pub count: i64,
    /// When the last one was.
    pub last_at: i64,
}

/// A counter after a failure, to be stored together with the instant of that failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Raised {
    /// How many failures are counted now: at least 1.
    pub failures: i64,
    /// When the pause ends; `None` where there is none. Not "now": that would be a lock as soon as the
    /// clock is set back.
    pub locked_until: Option<i64>,
}

/// What a stored lock means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockState {
    /// None, or one that is over.
    Open,
    /// A pause.
    Locked {
        /// When it ends.
        until: i64,
    },
    /// A lock longer than any can be: the clock was set back since. It must end by itself all the same.
    Mended {
        /// When it ends: store this in its place, and the present as the instant of the last failure.
        until: i64,
    },
}

impl Backoff {
    /// Counts one more failure, which happens at `now`. `before` is `None` where nothing was counted.
    #[must_use]
    pub fn after_failure(&self, before: Option<Failures>, now: i64) -> Raised {
        let failures = before.map_or(0, |before| self.kept(before, now)).saturating_add(1);
        let pause = self.pause(failures);
        Raised { failures, locked_until: (pause > 0).then(|| now.saturating_add(pause)) }
    }

    /// What is left at `now` of the failures that were counted.
    #[must_use]
    pub fn kept(&self, before: Failures, now: i64) -> i64 {
        // Negative where the clock was set back: then no time has passed.
        let idle = now.saturating_sub(before.last_at).max(0);
        if idle > self.forgotten_after {
            return 0;
        }
        let leaked =
            self.leak_interval.filter(|interval| *interval > 0).map_or(0, |interval| idle / interval);
        before.count.max(0).saturating_sub(leaked).max(0)
    }

    /// How long the pause after that many failures is: 0 while failures are free, then the first pause,
    /// doubled by each further failure.
    #[must_use]
    pub fn pause(&self, failures: i64) -> i64 {
        let beyond = failures.saturating_sub(i64::from(self.free_attempts));
        if failures < 1 || beyond < 0 {
            return 0;
        }
        let longest = self.longest_pause.max(0);
        let factor = 1_i64 << beyond.min(62);
        self.first_pause.max(0).checked_mul(factor).map_or(longest, |pause| pause.min(longest))
    }

    /// What a lock that is stored as ending at `locked_until` means at `now`.
    #[must_use]
    pub fn state(&self, locked_until: Option<i64>, now: i64) -> LockState {
        let Some(until) = locked_until.filter(|until| *until > now) else { return LockState::Open };
        let latest = now.saturating_add(self.longest_pause.max(0));
        if until > latest { LockState::Mended { until: latest } } else { LockState::Locked { until } }
    }
}
