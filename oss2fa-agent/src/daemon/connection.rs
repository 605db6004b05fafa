//! One connection: frames in, frames out, and its first frame, which says what it is for.

use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv};
use oss2fa_core::wire::{Decoder, FrameError, ModuleMessage, encode};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use zeroize::Zeroizing;

use super::peer::Caller;
use crate::admin::Request;

/// Bytes that one read takes; a login's frames are far shorter.
const CHUNK: usize = 2048;

/// How long a peer may leave what it is sent unread.
const SEND_PATIENCE: Duration = Duration::from_secs(10);

/// The first frame: of a login, or of the command line.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Opening {
    /// From the PAM module.
    Module(ModuleMessage),
    /// From the command line.
    Admin(Box<Request>),
}

/// The other end went away, is too late, or does not speak the protocol.
#[derive(Debug, Error)]
pub(super) enum Broken {
    #[error("the peer has gone")]
    Gone,
    #[error("the peer took too long")]
    Late,
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// A connection to a module or to the command line.
pub(super) struct Connection {
    stream: UnixStream,
    decoder: Decoder,
}

impl Connection {
    pub(super) fn new(stream: UnixStream) -> Result<Self, Broken> {
        stream.set_write_timeout(Some(SEND_PATIENCE))?;
        Ok(Self { stream, decoder: Decoder::default() })
    }

    pub(super) fn stream(&self) -> &UnixStream {
        &self.stream
    }

    /// The program at the other end, as it calls itself.
    pub(super) fn program(&self) -> Option<String> {
        Caller::program(&self.stream)
    }

    /// By which it can be seen that the other end says something; `None` where the system has no descriptor left.
    pub(super) fn line(&self) -> Option<OwnedFd> {
        self.stream.as_fd().try_clone_to_owned().ok()
    }

    /// Whether the other end is still there, as far as the kernel knows; nothing is taken from what it has sent.
    pub(super) fn is_open(&self) -> bool {
        let flags = MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT;
        match recv(self.stream.as_raw_fd(), &mut [0], flags) {
            Ok(read) => read > 0,
            Err(errno) => matches!(errno, Errno::EAGAIN | Errno::EINTR),
        }
    }

    /// Whether a whole message, or what can be none, has been read and not taken.
    pub(super) fn has_more(&self) -> bool {
        matches!(self.decoder.missing(), Ok(0) | Err(_))
    }

    /// The next whole message; none after the deadline, also where it has come before.
    pub(super) fn receive<M: DeserializeOwned>(&mut self, deadline: Instant) -> Result<M, Broken> {
        let mut buffer = Zeroizing::new([0; CHUNK]);
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Broken::Late);
            }
            if let Some(message) = self.decoder.next()? {
                return Ok(message);
            }
            // Refuses an announced length beyond the cap before anything of the body is kept.
            self.decoder.missing()?;
            self.stream.set_read_timeout(Some(left))?;
            match self.stream.read(buffer.as_mut_slice()) {
                Ok(0) => return Err(Broken::Gone),
                Ok(read) => self.decoder.push(buffer.get(..read).unwrap_or_default()),
                Err(error) => match error.kind() {
                    std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut => {
                        return Err(Broken::Late);
                    }
                    std::io::ErrorKind::Interrupted => {}
                    _ => return Err(error.into()),
                },
            }
        }
    }

    /// The next message, where all of it has come already.
    pub(super) fn receive_if_there<M: DeserializeOwned>(&mut self) -> Result<Option<M>, Broken> {
        let mut buffer = Zeroizing::new([0; CHUNK]);
        loop {
            if let Some(message) = self.decoder.next()? {
                return Ok(Some(message));
            }
            self.decoder.missing()?;
            match recv(self.stream.as_raw_fd(), buffer.as_mut_slice(), MsgFlags::MSG_DONTWAIT) {
                Ok(0) => return Err(Broken::Gone),
                Ok(read) => self.decoder.push(buffer.get(..read).unwrap_or_default()),
                Err(Errno::EAGAIN) => return Ok(None),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(Broken::Io(errno.into())),
            }
        }
    }

    pub(super) fn send<M: Serialize>(&mut self, message: &M) -> Result<(), Broken> {
        let bytes = Zeroizing::new(encode(message)?);
        Ok(self.stream.write_all(&bytes)?)
    }
}
