//! How many threads wait for something to do.

use std::sync::atomic::{AtomicUsize, Ordering};

/// The count. While it is not 0, whatever comes in is seen.
#[derive(Debug, Default)]
pub(super) struct Waiting(AtomicUsize);

impl Waiting {
    /// A thread waits from now on.
    pub(super) fn one_comes(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// A thread has something to do; whether it leaves nobody who waits.
    pub(super) fn leave_none(&self) -> bool {
        self.0.fetch_sub(1, Ordering::Relaxed) == 1
    }

    /// Whether anybody waits.
    pub(super) fn any(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 0
    }

    /// A thread that has done its work waits again, unless `enough` do. Counted only where it stays: of those who leave at
    /// the same time none must take another one who leaves for one who waits, or all of them go.
    pub(super) fn stays(&self, enough: usize) -> bool {
        let one_more = |waiting: usize| (waiting < enough).then_some(waiting + 1);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::thread;

    use super::*;

    const THREADS: usize = 6;
    const ENOUGH: usize = 2;

    #[test]
    fn of_many_who_could_leave_at_the_same_time_enough_stay() {
        for _ in 0..2_000 {
            let (waiting, ready) = (Waiting::default(), Barrier::new(THREADS));
            let one = || {
                ready.wait();
                for _ in 0..200 {
                    if waiting.stays(ENOUGH) {
                        waiting.leave_none();
                    }
                }
                waiting.stays(ENOUGH)
            };
            let stayed = thread::scope(|scope| {
                let all: Vec<_> = (0..THREADS).map(|_| scope.spawn(one)).collect();
                all.into_iter().map(|one| one.join().unwrap()).filter(|stays| *stays).count()
            });
            assert_eq!(stayed, ENOUGH);
        }
    }

    #[test]
    fn whoever_is_the_last_to_have_work_is_told_so() {
        let waiting = Waiting::default();
        waiting.one_comes();
        waiting.one_comes();
        assert!(!waiting.leave_none() && waiting.leave_none() && !waiting.any());
    }
}
