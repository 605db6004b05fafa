//! Who is at the other end, as the kernel says.

use std::collections::{HashMap, HashSet};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nix::sys::socket::{getsockopt, sockopt};

/// Connections of one uid that is not root.
const MOST_OF_ONE_UID: usize = 24;

/// Connections of all uids that are not root. Root's are not counted: its logins must get through
/// however many others are connected.
const MOST_OF_USERS: usize = 400;

/// The peer of one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Caller {
    /// May ask for anyone.
    Root,
    /// May ask for itself.
    User(u32),
}

impl Caller {
    pub(super) fn of(stream: &UnixStream) -> nix::Result<Self> {
        let uid = getsockopt(stream, sockopt::PeerCredentials)?.uid();
        Ok(if uid == 0 { Self::Root } else { Self::User(uid) })
    }

    /// The name of the program at the other end, as it calls itself: for people, and for nothing else.
    pub(super) fn program(stream: &UnixStream) -> Option<String> {
        let pid = getsockopt(stream, sockopt::PeerCredentials).ok()?.pid();
        let comm = std::fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
        Some(crate::source::clean(comm.trim_end_matches('\n'))).filter(|name| !name.is_empty())
    }

    pub(super) fn uid(self) -> u32 {
        match self {
            Self::Root => 0,
            Self::User(uid) => uid,
        }
    }

    /// Whether this caller may ask for somebody with `uid`.
    pub(super) fn may_act_for(self, uid: u32) -> bool {
        match self {
            Self::Root => true,
            Self::User(own) => own == uid,
        }
    }
}

/// Connections that one uid may make in a minute. Each can leave an event in the audit, for good.
const MOST_A_MINUTE: usize = 300;

const MINUTE: Duration = Duration::from_secs(60);

/// How many connections each uid has and makes, so that one user cannot take them all, nor fill the
/// disk with what is audited and logged.
#[derive(Clone, Default)]
pub(super) struct Connections(Arc<Mutex<Counts>>);

#[derive(Default)]
struct Counts {
    open: HashMap<u32, usize>,
    made: HashMap<u32, usize>,
    warned: HashSet<u32>,
    since: Option<Instant>,
}

/// What becomes of a connection.
pub(super) enum Entry {
    /// It is served.
    Served(Place),
    /// It is closed.
    Closed(Worth),
}

/// Whether something is worth a line in the log.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Worth {
    /// The first of its kind in this minute.
    Line,
    /// There was one just now.
    Nothing,
}

/// A place taken; given back on drop.
pub(super) struct Place {
    connections: Connections,
    uid: Option<u32>,
}

impl Connections {
    /// A place for `caller`, where it has not too many.
    pub(super) fn enter(&self, caller: Caller, now: Instant) -> Entry {
        let Caller::User(uid) = caller else {
            return Entry::Served(Place { connections: self.clone(), uid: None });
        };
        let mut counts = self.counts();
        if counts.since.is_none_or(|since| now.saturating_duration_since(since) >= MINUTE) {
            counts.made.clear();
            counts.warned.clear();
            counts.since = Some(now);
        }
        let all: usize = counts.open.values().sum();
        let own = counts.open.get(&uid).copied().unwrap_or_default();
        let made = counts.made.get(&uid).copied().unwrap_or_default();
        if made >= MOST_A_MINUTE || own >= MOST_OF_ONE_UID || all >= MOST_OF_USERS {
            let worth = if counts.warned.insert(uid) { Worth::Line } else { Worth::Nothing };
            return Entry::Closed(worth);
        }
        counts.open.insert(uid, own + 1);
        counts.made.insert(uid, made + 1);
        Entry::Served(Place { connections: self.clone(), uid: Some(uid) })
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(uid) = self.uid else { return };
        let mut counts = self.connections.counts();
        if let Some(own) = counts.open.get_mut(&uid) {
            *own = own.saturating_sub(1);
            if *own == 0 {
                counts.open.remove(&uid);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn served(connections: &Connections, caller: Caller, now: Instant) -> Option<Place> {
        match connections.enter(caller, now) {
            Entry::Served(place) => Some(place),
            Entry::Closed(_) => None,
        }
    }

    #[test]
    fn one_user_takes_its_own_places_and_root_always_has_one() {
        let (connections, now) = (Connections::default(), Instant::now());
        let places: Vec<_> =
            (0..MOST_OF_ONE_UID).map(|_| served(&connections, Caller::User(1), now).unwrap()).collect();
        assert!(served(&connections, Caller::User(1), now).is_none());
        assert!(served(&connections, Caller::User(2), now).is_some());
        assert!(served(&connections, Caller::Root, now).is_some());
        drop(places);
        assert!(served(&connections, Caller::User(1), now).is_some());
    }

    #[test]
    fn a_user_is_closed_out_after_so_many_in_a_minute_and_logged_once() {
        let (connections, now) = (Connections::default(), Instant::now());
        for _ in 0..MOST_A_MINUTE {
            assert!(served(&connections, Caller::User(1), now).is_some());
        }
        assert!(matches!(connections.enter(Caller::User(1), now), Entry::Closed(Worth::Line)));
        assert!(matches!(connections.enter(Caller::User(1), now), Entry::Closed(Worth::Nothing)));
        assert!(served(&connections, Caller::User(2), now).is_some());
        assert!(served(&connections, Caller::Root, now).is_some());
        assert!(served(&connections, Caller::User(1), now + MINUTE).is_some());
    }
}
