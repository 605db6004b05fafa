//! What the module needs from the operating system, as safe traits: a socket and a clock.
#![forbid(unsafe_code)]

use std::io;
use std::path::Path;
use std::time::Instant;

/// A numeric user id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Uid(pub u32);

impl Uid {
    /// The superuser.
    pub const ROOT: Self = Self(0);
}

/// Sockets, users and the monotonic clock.
pub trait System {
    /// A connection made by [`System::connect`].
    type Stream: Stream;

    /// Now, on the clock that deadlines are measured with.
    fn now(&self) -> Instant;

    /// Connects to a Unix stream socket, without waiting past the deadline.
    ///
    /// # Errors
    /// As `connect(2)`, and [`io::ErrorKind::TimedOut`].
    fn connect(&self, socket: &Path, deadline: Instant) -> io::Result<Self::Stream>;

    /// The user that the agent runs as, `None` where the host has no such user.
    ///
    /// # Errors
    /// Where the user directory could not be read.
    fn agent_user(&self) -> io::Result<Option<Uid>>;
}

/// One connection to the agent. It closes on drop and does not outlive an `exec`.
pub trait Stream {
    /// Who is at the other end, from the kernel.
    ///
    /// # Errors
    /// As `getsockopt(2)`.
    fn peer(&self) -> io::Result<Uid>;

    /// Sends some of the bytes and says how many. It raises no signal.
    ///
    /// # Errors
    /// As `send(2)`, and [`io::ErrorKind::TimedOut`].
    fn send(&mut self, bytes: &[u8], deadline: Instant) -> io::Result<usize>;

    /// Receives at most as many bytes as the buffer holds, 0 at the end of file.
    ///
    /// # Errors
    /// As `recv(2)`, and [`io::ErrorKind::TimedOut`].
    fn receive(&mut self, buffer: &mut [u8], deadline: Instant) -> io::Result<usize>;
}
