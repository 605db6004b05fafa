//! One connection from its first frame to its end.

use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use oss2fa_core::wire::{AgentMessage, ModuleMessage, Outcome};

use super::connection::{Broken, Connection, Opening};
use super::live::Live;
use super::login::{Paused, Turn};
use super::peer::{Caller, Connections, Entry, Place, Worth};
use super::{admin, login};
use crate::admin::Request;

/// How long a peer may take to say what it wants.
const FIRST_FRAME: Duration = Duration::from_secs(5);

/// A login while somebody is at its prompt.
pub(super) struct AtPrompt {
    caller: Caller,
    connection: Connection,
    paused: Box<Paused>,
    place: Place,
}

impl AtPrompt {
    /// When it ends by itself.
    pub(super) fn deadline(&self) -> Instant {
        self.paused.deadline
    }

    /// Where the answer comes in.
    pub(super) fn stream(&self) -> &UnixStream {
        self.connection.stream()
    }

    /// Whether the other end has sent more than was read.
    pub(super) fn has_more(&self) -> bool {
        self.connection.has_more()
    }

    /// Ends it as if the other end had gone.
    pub(super) fn give_up(self, live: &Live) {
        let Self { caller, mut connection, paused, place: _place } = self;
        if let Err(broken) = paused.give_up(live, &mut connection) {
            given_up(caller, &broken);
        }
    }

    /// Serves it on, once something has come in or its time is up.
    pub(super) fn resume(self, live: &Live) -> Option<Self> {
        let Self { caller, mut connection, paused, place } = self;
        let turn = paused.resume(live, &mut connection);
        go_on(turn, caller, connection, place)
    }
}

/// Serves a new connection, to its end or to a prompt.
pub(super) fn converse(live: &Live, connections: &Connections, stream: UnixStream) -> Option<AtPrompt> {
    let caller = Caller::of(&stream).ok()?;
    let place = match connections.enter(caller, Instant::now()) {
        Entry::Served(place) => place,
        Entry::Closed(worth) => {
            if worth == Worth::Line {
                tracing::warn!(uid = caller.uid(), "too many connections of one user: more are closed");
            }
            return None;
        }
    };
    match Connection::new(stream) {
        Ok(mut connection) => go_on(open(live, caller, &mut connection), caller, connection, place),
        Err(broken) => {
            given_up(caller, &broken);
            None
        }
    }
}

fn go_on(
    turn: Result<Turn, Broken>,
    caller: Caller,
    connection: Connection,
    place: Place,
) -> Option<AtPrompt> {
    match turn {
        Ok(Turn::Asked(paused)) => Some(AtPrompt { caller, connection, paused, place }),
        Ok(Turn::Over) => None,
        Err(broken) => {
            given_up(caller, &broken);
            None
        }
    }
}

fn given_up(caller: Caller, broken: &Broken) {
    match broken {
        Broken::Gone | Broken::Late => {}
        // A user can send as much nonsense as they like; the log is not the place for it.
        error if caller != Caller::Root => {
            tracing::debug!(uid = caller.uid(), %error, "a connection was given up");
        }
        error => tracing::warn!(uid = caller.uid(), %error, "a connection was given up"),
    }
}

fn open(live: &Live, caller: Caller, connection: &mut Connection) -> Result<Turn, Broken> {
    match connection.receive(Instant::now() + FIRST_FRAME)? {
        Opening::Module(ModuleMessage::Start(start)) => {
            return login::begin(live, connection, caller, start);
        }
        Opening::Module(ModuleMessage::Account(login)) => login::account(live, connection, caller, login),
        Opening::Module(ModuleMessage::Answer { .. } | ModuleMessage::Cancel) => {
            connection.send(&AgentMessage::Done { outcome: Outcome::Unavailable })
        }
        Opening::Admin(request) => match *request {
            Request::EnrollKey(wanted) => admin::enroll_key(live, connection, caller, wanted),
            Request::ByTouch { change } => admin::by_touch(live, connection, caller, *change),
            Request::EnrollYubikey(wanted) => admin::enroll_yubikey(live, connection, caller, wanted),
            other => connection.send(&admin::answer(live, caller, other)),
        },
    }?;
    Ok(Turn::Over)
}
