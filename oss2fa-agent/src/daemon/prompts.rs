//! Logins whose users are at a prompt. They need no thread until an answer comes in or their time is up.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nix::sys::epoll::{Epoll, EpollEvent, EpollFlags};
use nix::sys::timer::{Expiration, TimerSetTimeFlags};
use nix::sys::timerfd::{ClockId, TimerFd, TimerFlags};

use super::converse::AtPrompt;
use super::door::Inmate;

/// The event that says that a login's time is up.
pub(super) const TIME_UP: u64 = 1;

/// Lower numbers are events of something else.
const FIRST: u64 = 16;

/// The timer takes no shorter time; none at all would switch it off.
const SHORTEST: Duration = Duration::from_micros(1);

/// A login that waits for an answer, and its place inside.
pub(super) struct Kept {
    pub(super) login: AtPrompt,
    pub(super) inmate: Inmate,
}

/// All logins that wait for an answer.
pub(super) struct Prompts {
    events: Arc<Epoll>,
    timer: TimerFd,
    shelf: Mutex<Shelf>,
}

#[derive(Default)]
struct Shelf {
    made: u64,
    logins: HashMap<u64, Kept>,
    ends: BTreeSet<(Instant, u64)>,
}

impl Prompts {
    /// `events` tells of answers, and of time that is up.
    pub(super) fn new(events: &Arc<Epoll>) -> std::io::Result<Self> {
        let timer =
            TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_CLOEXEC | TimerFlags::TFD_NONBLOCK)?;
        events.add(&timer, EpollEvent::new(EpollFlags::EPOLLIN | EpollFlags::EPOLLET, TIME_UP))?;
        Ok(Self { events: Arc::clone(events), timer, shelf: Mutex::default() })
    }

    /// Keeps a login until an event tells of it. It comes back where the system cannot watch one more connection.
    pub(super) fn keep(&self, kept: Kept) -> Result<(), Box<Kept>> {
        let mut shelf = self.shelf();
        let number = FIRST + shelf.made;
        // Watched under the lock: whoever hears of it finds it here.
        let answer = EpollEvent::new(EpollFlags::EPOLLIN | EpollFlags::EPOLLONESHOT, number);
        if let Err(errno) = self.events.add(kept.login.stream(), answer) {
            tracing::error!(code = "wait", %errno, "a prompt could not be watched");
            return Err(Box::new(kept));
        }
        shelf.made += 1;
        shelf.ends.insert((kept.login.deadline(), number));
        shelf.logins.insert(number, kept);
        if shelf.ends.first().is_some_and(|(_, first)| *first == number) {
            self.set(&shelf);
        }
        Ok(())
    }

    /// The login that an event tells of; it may have ended meanwhile.
    pub(super) fn take(&self, number: u64) -> Option<Kept> {
        self.out_of(&mut self.shelf(), number)
    }

    /// One login whose time is up; the timer tells of the next.
    pub(super) fn expired(&self, now: Instant) -> Option<Kept> {
        let mut shelf = self.shelf();
        let number = shelf.ends.first().filter(|(end, _)| *end <= now).map(|(_, number)| *number);
        let login = number.and_then(|number| self.out_of(&mut shelf, number));
        self.set(&shelf);
        login
    }

    /// All that are kept.
    pub(super) fn take_all(&self) -> Vec<Kept> {
        let mut shelf = self.shelf();
        let numbers: Vec<u64> = shelf.logins.keys().copied().collect();
        numbers.into_iter().filter_map(|number| self.out_of(&mut shelf, number)).collect()
    }

    fn out_of(&self, shelf: &mut Shelf, number: u64) -> Option<Kept> {
        let kept = shelf.logins.remove(&number)?;
        shelf.ends.remove(&(kept.login.deadline(), number));
        if let Err(errno) = self.events.delete(kept.login.stream()) {
            tracing::error!(code = "wait", %errno, "a connection is watched for nothing");
        }
        Some(kept)
    }

    // Set anew it is as if it had never rung.
    fn set(&self, shelf: &Shelf) {
        let Some((end, _)) = shelf.ends.first() else { return };
        let left = end.saturating_duration_since(Instant::now()).max(SHORTEST);
        if let Err(errno) = self.timer.set(Expiration::OneShot(left.into()), TimerSetTimeFlags::empty()) {
            tracing::error!(code = "wait", %errno, "a login may end late");
        }
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
