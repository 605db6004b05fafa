//! [`System`] on the real operating system.

use std::ffi::CString;
use std::io;
use std::path::Path;
use std::time::Instant;

use super::socket::Socket;
use super::users::uid_of;
use crate::agent::AGENT_USER;
use crate::system::{System, Uid};

/// The host.
#[derive(Debug)]
pub(crate) struct Os;

impl System for Os {
    type Stream = Socket;

    fn now(&self) -> Instant {
        Instant::now()
    }

    fn connect(&self, socket: &Path, deadline: Instant) -> io::Result<Socket> {
        Socket::connect(socket, deadline)
    }

    fn agent_user(&self) -> io::Result<Option<Uid>> {
        uid_of(&CString::new(AGENT_USER)?)
    }
}
