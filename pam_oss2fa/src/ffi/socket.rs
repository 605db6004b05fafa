//! A Unix stream socket whose every step has a deadline, and that raises no signal.

use std::io;
use std::mem::{self, offset_of};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::system::{Stream, Uid};

// How long to wait before the next try where the agent's queue of connections is full: the kernel
// has no event for that.
const QUEUE_PAUSE: Duration = Duration::from_millis(5);

/// A connection.
#[derive(Debug)]
pub(crate) struct Socket {
    fd: OwnedFd,
}

impl Socket {
    pub(super) fn connect(path: &Path, deadline: Instant) -> io::Result<Self> {
        let (address, length) = address_of(path)?;
        // SAFETY: no pointers.
        let fd = unsafe {
            libc::socket(libc::AF_UNIX, libc::SOCK_STREAM | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC, 0)
        };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: just made, and owned by nobody else.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        loop {
            // SAFETY: the address is valid for the call and `length` is within it.
            let code = unsafe { libc::connect(fd.as_raw_fd(), (&raw const address).cast(), length) };
            if code == 0 {
                return Ok(Self { fd });
            }
            let error = io::Error::last_os_error();
            match error.kind() {
                io::ErrorKind::WouldBlock => std::thread::sleep(remaining(deadline)?.min(QUEUE_PAUSE)),
                io::ErrorKind::Interrupted => {
                    remaining(deadline)?;
                }
                _ => return Err(error),
            }
        }
    }

    // Repeats a call that would block once the socket is ready, until the deadline.
    fn when_ready(
        &self,
        events: libc::c_short,
        deadline: Instant,
        mut call: impl FnMut(libc::c_int) -> isize,
    ) -> io::Result<usize> {
        loop {
            if let Ok(count) = usize::try_from(call(self.fd.as_raw_fd())) {
                return Ok(count);
            }
            let error = io::Error::last_os_error();
            match error.kind() {
                io::ErrorKind::WouldBlock => self.wait(events, deadline)?,
                io::ErrorKind::Interrupted => {
                    remaining(deadline)?;
                }
                _ => return Err(error),
            }
        }
    }

    fn wait(&self, events: libc::c_short, deadline: Instant) -> io::Result<()> {
        let mut poll = libc::pollfd { fd: self.fd.as_raw_fd(), events, revents: 0 };
        loop {
            // Rounded up, so that the last wait does not spin.
            let millis = remaining(deadline)?.as_millis().saturating_add(1);
            let millis = i32::try_from(millis).unwrap_or(i32::MAX);
            // SAFETY: one pollfd, valid for the call.
            let code = unsafe { libc::poll(&raw mut poll, 1, millis) };
            if code > 0 {
                return Ok(());
            }
            if code < 0 {
                let error = io::Error::last_os_error();
                if error.kind() != io::ErrorKind::Interrupted {
                    return Err(error);
                }
            }
        }
    }
}

#[cfg(test)]
impl AsRawFd for Socket {
    fn as_raw_fd(&self) -> libc::c_int {
        self.fd.as_raw_fd()
    }
}

impl Stream for Socket {
    fn peer(&self) -> io::Result<Uid> {
        let mut credentials = libc::ucred { pid: 0, uid: u32::MAX, gid: u32::MAX };
        let expected = mem::size_of::<libc::ucred>() as libc::socklen_t;
        let mut length = expected;
        // SAFETY: the buffer is as long as `length` says, and both are valid for the call.
        let code = unsafe {
            libc::getsockopt(
                self.fd.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_PEERCRED,
                (&raw mut credentials).cast(),
                &raw mut length,
            )
        };
        if code != 0 {
            return Err(io::Error::last_os_error());
        }
        if length != expected {
            return Err(io::ErrorKind::InvalidData.into());
        }
        Ok(Uid(credentials.uid))
    }

    fn send(&mut self, bytes: &[u8], deadline: Instant) -> io::Result<usize> {
        self.when_ready(libc::POLLOUT, deadline, |fd| {
            // SAFETY: the bytes are valid for the call and as many as it says.
            unsafe { libc::send(fd, bytes.as_ptr().cast(), bytes.len(), libc::MSG_NOSIGNAL) }
        })
    }

    fn receive(&mut self, buffer: &mut [u8], deadline: Instant) -> io::Result<usize> {
        self.when_ready(libc::POLLIN, deadline, |fd| {
            // SAFETY: the buffer is valid for the call and as long as it says.
            unsafe { libc::recv(fd, buffer.as_mut_ptr().cast(), buffer.len(), 0) }
        })
    }
}

fn remaining(deadline: Instant) -> io::Result<Duration> {
    match deadline.saturating_duration_since(Instant::now()) {
        Duration::ZERO => Err(io::ErrorKind::TimedOut.into()),
        left => Ok(left),
    }
}

fn address_of(path: &Path) -> io::Result<(libc::sockaddr_un, libc::socklen_t)> {
    let bytes = path.as_os_str().as_bytes();
    // SAFETY: a plain C struct of integers, for which zero is a value.
    let mut address: libc::sockaddr_un = unsafe { mem::zeroed() };
    address.sun_family = libc::AF_UNIX as libc::sa_family_t;
    // The final zero must fit too, and a leading zero would name an abstract socket.
    if bytes.is_empty() || bytes.contains(&0) || bytes.len() >= address.sun_path.len() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    for (place, byte) in address.sun_path.iter_mut().zip(bytes) {
        *place = *byte as libc::c_char;
    }
    let length = offset_of!(libc::sockaddr_un, sun_path) + bytes.len() + 1;
    let length =
        libc::socklen_t::try_from(length).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    Ok((address, length))
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn a_write_to_an_agent_that_is_gone_is_an_error_and_no_signal() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gone.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let deadline = Instant::now() + Duration::from_secs(5);
        let mut socket = Socket::connect(&path, deadline).unwrap();
        drop(listener.accept().unwrap());
        // SAFETY: sets no handler. Rust programs ignore the signal, the programs around the module
        // do not: with the default the test would end here.
        unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
        assert_eq!(socket.send(b"x", deadline).unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }

    #[test]
    fn a_path_that_no_address_can_hold_is_refused() {
        let deadline = Instant::now() + Duration::from_secs(5);
        for bad in ["", "\0abstract", &format!("/{}", "x".repeat(107))] {
            let error = Socket::connect(Path::new(bad), deadline).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{bad:?}");
        }
    }
}
