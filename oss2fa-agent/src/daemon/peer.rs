//! Who is at the other end, as the kernel says.

use std::collections::HashMap;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, PoisonError};

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

/// How many connections each uid has, so that one user cannot take them all.
#[derive(Clone, Default)]
pub(super) struct Connections(Arc<Mutex<HashMap<u32, usize>>>);

/// A place taken; given back on drop.
pub(super) struct Place {
    connections: Connections,
    uid: Option<u32>,
}

impl Connections {
    /// A place for `caller`, `None` when it has too many.
    pub(super) fn enter(&self, caller: Caller) -> Option<Place> {
        let Caller::User(uid) = caller else { return Some(Place { connections: self.clone(), uid: None }) };
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let all: usize = open.values().sum();
        let own = open.entry(uid).or_default();
        if *own >= MOST_OF_ONE_UID || all >= MOST_OF_USERS {
            return None;
        }
        *own += 1;
        Some(Place { connections: self.clone(), uid: Some(uid) })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(uid) = self.uid else { return };
        let mut open = self.connections.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = open.get_mut(&uid) {
            *own -= 1;
            if *own == 0 {
                open.remove(&uid);
            }
        }
    }
}
