//! Sleeping until a key has something to say, or whoever waits for it has, without looking over and over: a touch may be
//! awaited for minutes.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};

use super::changes::Changes;

/// What the threads of keys ring, and one who waits sleeps at. Without descriptors left it only sleeps.
#[derive(Debug, Clone)]
pub(super) struct Alarm(Option<Arc<EventFd>>);

/// Why a sleep ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Woken {
    /// The one who waits has said something, or gone.
    ByPeer,
    /// A key may have come or gone.
    ByPorts,
    /// A key has something to say, or the time is up, or nobody knows.
    Otherwise,
}

impl Alarm {
    pub(super) fn new() -> Self {
        let made = EventFd::from_value_and_flags(0, EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC);
        if let Err(error) = &made {
            tracing::warn!(code = "keys", %error, "a wait for a security key looks over and over");
        }
        Self(made.ok().map(Arc::new))
    }

    pub(super) fn ring(&self) {
        if let Some(event) = &self.0 {
            // Full is as loud as it gets.
            let _rung_already = event.write(1);
        }
    }

    /// Sleeps for `longest`, and less where something happens; without an alarm or a `peer` for no longer than `short`.
    pub(super) fn sleep(
        &self,
        peer: Option<BorrowedFd<'_>>,
        ports: Option<&Changes>,
        longest: Duration,
        short: Duration,
    ) -> Woken {
        let Some(event) = &self.0 else {
            std::thread::sleep(longest.min(short));
            return Woken::Otherwise;
        };
        let length = if peer.is_some() { longest } else { longest.min(short) };
        // Rounded up: a sleep of nothing would be one of many.
        let length = PollTimeout::try_from(length.saturating_add(Duration::from_micros(999)));
        let end = |fd| PollFd::new(fd, PollFlags::POLLIN);
        let mut ends = vec![end(event.as_fd())];
        ends.extend(peer.map(end));
        ends.extend(ports.map(|ports| end(ports.as_fd())));
        let woken = poll(&mut ends, length.unwrap_or(PollTimeout::ZERO)).is_ok();
        let mut spoke = ends.iter().map(|end| woken && end.any() == Some(true));
        if spoke.next() == Some(true) {
            let _how_often = event.read();
        }
        let by_peer = peer.is_some() && spoke.next() == Some(true);
        // What is told beside the peer is told again.
        match ports.filter(|_| !by_peer && spoke.next() == Some(true)) {
            _ if by_peer => Woken::ByPeer,
            Some(ports) => {
                ports.take();
                Woken::ByPorts
            }
            None => Woken::Otherwise,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::net::UnixStream;
    use std::time::Instant;

    use super::*;

    const LONG: Duration = Duration::from_secs(10);
    const SHORT: Duration = Duration::from_millis(20);

    #[test]
    fn it_wakes_for_a_key_for_the_peer_and_at_last_by_itself() {
        let (alarm, (ours, mut theirs)) = (Alarm::new(), UnixStream::pair().unwrap());
        let begun = Instant::now();
        alarm.ring();
        alarm.ring();
        assert_eq!(alarm.sleep(Some(ours.as_fd()), None, LONG, SHORT), Woken::Otherwise);
        assert!(begun.elapsed() < LONG / 2);
        assert_eq!(
            alarm.sleep(Some(ours.as_fd()), None, SHORT, SHORT),
            Woken::Otherwise,
            "rung twice is rung"
        );
        assert!(begun.elapsed() >= SHORT);
        theirs.write_all(b"x").unwrap();
        assert_eq!(alarm.sleep(Some(ours.as_fd()), None, LONG, SHORT), Woken::ByPeer);
        let (ours, theirs) = UnixStream::pair().unwrap();
        drop(theirs);
        assert_eq!(alarm.sleep(Some(ours.as_fd()), None, LONG, SHORT), Woken::ByPeer);
        assert!(begun.elapsed() < LONG / 2);
    }

    #[test]
    fn it_wakes_for_a_key_that_comes() {
        let folder = tempfile::tempdir().unwrap();
        let (alarm, changes) = (Alarm::new(), Changes::of(folder.path()).unwrap());
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let begun = Instant::now();
        std::fs::write(folder.path().join("hidraw0"), "").unwrap();
        assert_eq!(alarm.sleep(Some(ours.as_fd()), Some(&changes), LONG, SHORT), Woken::ByPorts);
        assert!(begun.elapsed() < LONG / 2);
        assert_eq!(alarm.sleep(Some(ours.as_fd()), Some(&changes), SHORT, SHORT), Woken::Otherwise);
        std::fs::write(folder.path().join("hidraw1"), "").unwrap();
        assert_eq!(alarm.sleep(None, Some(&changes), LONG, SHORT), Woken::ByPorts);
        theirs.write_all(b"x").unwrap();
        std::fs::write(folder.path().join("hidraw2"), "").unwrap();
        assert_eq!(alarm.sleep(Some(ours.as_fd()), Some(&changes), LONG, SHORT), Woken::ByPeer);
        assert_eq!(alarm.sleep(None, Some(&changes), LONG, SHORT), Woken::ByPorts, "it was not forgotten");
    }

    #[test]
    fn without_a_peer_or_an_alarm_it_sleeps_shortly() {
        let begun = Instant::now();
        for alarm in [Alarm::new(), Alarm(None)] {
            assert_eq!(alarm.sleep(None, None, LONG, SHORT), Woken::Otherwise);
        }
        assert!(begun.elapsed() >= SHORT * 2 && begun.elapsed() < LONG / 2);
    }
}
