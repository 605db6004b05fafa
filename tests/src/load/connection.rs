//! One connection: writes a request, and reads until its answer is whole.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Instant;

use rustls::ClientConnection;

use super::answer::{Answer, parse};

/// What the bytes go through.
#[derive(Debug)]
pub(super) enum Wire {
    Plain(TcpStream),
    Tls(TcpStream, Box<ClientConnection>),
}

/// A connection with at most one request under way.
#[derive(Debug)]
pub(super) struct Connection {
    wire: Wire,
    received: Vec<u8>,
    unsent: Vec<u8>,
    /// When the request that is under way was due.
    pub(super) due: Option<Instant>,
}

/// How far a connection has come.
#[derive(Debug)]
pub(super) enum Progress<'a> {
    /// Nothing whole yet.
    Waiting,
    /// The answer; then the connection is to be [`Connection::answered`].
    Answered(Answer<'a>),
    /// The server has closed it.
    Closed,
}

impl Connection {
    pub(super) fn new(wire: Wire) -> Self {
        Self { wire, received: Vec::with_capacity(4096), unsent: Vec::new(), due: None }
    }

    /// Whether there is something to write that the socket did not take.
    pub(super) fn blocked(&self) -> bool {
        match &self.wire {
            Wire::Plain(_) => !self.unsent.is_empty(),
            Wire::Tls(_, session) => session.wants_write(),
        }
    }

    pub(super) fn send(&mut self, request: &[u8], due: Instant) -> io::Result<()> {
        self.due = Some(due);
        match &mut self.wire {
            Wire::Plain(_) => self.unsent.extend_from_slice(request),
            Wire::Tls(_, session) => session.writer().write_all(request)?,
        }
        self.flush()
    }

    /// Writes as much as the socket takes.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        while self.blocked() {
            let written = match &mut self.wire {
                Wire::Plain(socket) => socket.write(&self.unsent).map(|count| {
                    self.unsent.drain(..count);
                }),
                Wire::Tls(socket, session) => session.write_tls(socket).map(|_| ()),
            };
            match written {
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                other => other?,
            }
        }
        Ok(())
    }

    /// Takes what has come in.
    pub(super) fn receive(&mut self) -> io::Result<Progress<'_>> {
        let open = match &mut self.wire {
            Wire::Plain(socket) => read_once(socket, &mut self.received)?,
            Wire::Tls(socket, session) => read_tls(socket, session, &mut self.received)?,
        };
        // What a handshake or a new key has to say.
        self.flush()?;
        if self.due.is_none() {
            return if !self.received.is_empty() {
                Err(io::Error::new(ErrorKind::InvalidData, "the server sent what nobody had asked for"))
            } else if open {
                Ok(Progress::Waiting)
            } else {
                Ok(Progress::Closed)
            };
        }
        Ok(match parse(&self.received)? {
            Some(answer) => Progress::Answered(answer),
            None if open => Progress::Waiting,
            None => Progress::Closed,
        })
    }

    /// The answer was looked at: on to the next request.
    pub(super) fn answered(&mut self) {
        self.received.clear();
        self.due = None;
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.wire {
            Wire::Plain(socket) | Wire::Tls(socket, _) => socket.as_fd(),
        }
    }
}

// Whether the connection is still open.
fn read_once(socket: &mut TcpStream, received: &mut Vec<u8>) -> io::Result<bool> {
    let mut buffer = [0; 16 * 1024];
    match socket.read(&mut buffer) {
        Ok(0) => Ok(false),
        Ok(count) => {
            received.extend_from_slice(buffer.get(..count).unwrap_or_default());
            Ok(true)
        }
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(true),
        Err(error) => Err(error),
    }
}

fn read_tls(
    socket: &mut TcpStream,
    session: &mut ClientConnection,
    received: &mut Vec<u8>,
) -> io::Result<bool> {
    match session.read_tls(socket) {
        Ok(0) => return Ok(false),
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(true),
        Err(error) => return Err(error),
    }
    let state =
        session.process_new_packets().map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
    let count = state.plaintext_bytes_to_read();
    if count > 0 {
        let already = received.len();
        received.resize(already + count, 0);
        if let Some(room) = received.get_mut(already..) {
            session.reader().read_exact(room)?;
        }
    }
    Ok(!state.peer_has_closed())
}
