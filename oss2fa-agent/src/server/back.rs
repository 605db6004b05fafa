//! How often a server came back: what waits for that hears of it once.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// A count that can be waited for.
#[derive(Default)]
pub(super) struct Back {
    times: Mutex<u64>,
    changed: Condvar,
}

impl Back {
    /// Once more.
    pub(super) fn again(&self) {
        let mut times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        *times = times.wrapping_add(1);
        self.changed.notify_all();
    }

    /// Waits until it is another number than `seen`, at most for `patience`; gives the number.
    pub(super) fn wait(&self, seen: u64, patience: Duration) -> u64 {
        let times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.changed.wait_timeout_while(times, patience, |times| *times == seen);
        let (times, _) = waited.unwrap_or_else(PoisonError::into_inner);
        *times
    }
}
