//! One connection from its first frame to its end.

use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use oss2fa_core::wire::{AgentMessage, ModuleMessage, Outcome};

use super::connection::{Broken, Connection, Opening};
use super::live::Live;
use super::peer::{Caller, Connections, Entry, Worth};
use super::{admin, login};
use crate::admin::Request;

/// How long a peer may take to say what it wants.
const FIRST_FRAME: Duration = Duration::from_secs(5);

pub(super) fn converse(live: &Live, connections: &Connections, stream: UnixStream) {
    let Ok(caller) = Caller::of(&stream) else { return };
    let _place = match connections.enter(caller, Instant::now()) {
        Entry::Served(place) => place,
        Entry::Closed(worth) => {
            if worth == Worth::Line {
                tracing::warn!(uid = caller.uid(), "too many connections of one user: more are closed");
            }
            return;
        }
    };
    match serve(live, caller, stream) {
        Ok(()) | Err(Broken::Gone | Broken::Late) => {}
        // A user can send as much nonsense as they like; the log is not the place for it.
        Err(error) if caller != Caller::Root => {
            tracing::debug!(uid = caller.uid(), %error, "a connection was given up");
        }
        Err(error) => tracing::warn!(uid = caller.uid(), %error, "a connection was given up"),
    }
}

fn serve(live: &Live, caller: Caller, stream: UnixStream) -> Result<(), Broken> {
    let mut connection = Connection::new(stream)?;
    match connection.receive(Instant::now() + FIRST_FRAME)? {
        Opening::Module(ModuleMessage::Start(start)) => {
            login::authenticate(live, &mut connection, caller, start)
        }
        Opening::Module(ModuleMessage::Account(login)) => {
            login::account(live, &mut connection, caller, login)
        }
        Opening::Module(ModuleMessage::Answer { .. } | ModuleMessage::Cancel) => {
            connection.send(&AgentMessage::Done { outcome: Outcome::Unavailable })
        }
        Opening::Admin(request) => {
            let request = match *request {
                Request::EnrollKey(wanted) => {
                    return admin::enroll_key(live, &mut connection, caller, wanted);
                }
                other => other,
            };
            let response = admin::answer(live, caller, request);
            connection.send(&response)
        }
    }
}
