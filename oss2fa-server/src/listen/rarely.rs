//! Saying at most once a minute what happens all the time.

use std::time::Duration;

use tokio::time::Instant;

const EVERY: Duration = Duration::from_secs(60);

/// Counts an event, and tells when it is due to be logged.
#[derive(Debug, Default)]
pub(super) struct Rarely {
    last: Option<Instant>,
    times: u64,
}

impl Rarely {
    /// Counts one. `Some` where it is to be logged, with how many there were since the last time.
    pub(super) fn due(&mut self, now: Instant) -> Option<u64> {
        self.times += 1;
        if self.last.is_some_and(|last| now.duration_since(last) < EVERY) {
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.times))
    }
}

#[cfg(test)]
mod tests {
    use super::{Duration, Instant, Rarely};

    #[test]
    fn an_event_is_logged_once_a_minute_with_its_count() {
        let start = Instant::now();
        let mut rarely = Rarely::default();
        assert_eq!(rarely.due(start), Some(1));
        assert_eq!(rarely.due(start + Duration::from_secs(1)), None);
        assert_eq!(rarely.due(start + Duration::from_secs(59)), None);
        assert_eq!(rarely.due(start + Duration::from_secs(60)), Some(3));
        assert_eq!(rarely.due(start + Duration::from_secs(61)), None);
    }
}
