//! The connection to the agent: who is at its other end, one deadline, whole messages.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use std::{fmt, io};

use oss2fa_core::wire::{AgentMessage, Decoder, FrameError, ModuleMessage, encode};
use zeroize::Zeroizing;

use crate::options::Options;
use crate::system::{Stream, System, Uid};

/// The system user that the agent runs as.
pub const AGENT_USER: &str = "oss2fa";

/// Most messages that one login takes from the agent; a login needs a handful.
pub const MAX_MESSAGES: u32 = 64;

const CHUNK: usize = 4096;

/// Why the agent gave no decision.
#[derive(Debug)]
pub enum AgentError {
    /// Nobody answers at the socket.
    Unreachable(PathBuf, io::Error),
    /// The kernel, or the user directory, did not tell who is at the other end.
    UnknownPeer(io::Error),
    /// Somebody else than the agent is at the other end.
    Stranger(Uid),
    /// The time is up.
    Late(Duration),
    /// The connection ended before the decision.
    Closed,
    /// The connection failed.
    Connection(io::Error),
    /// What came, or what had to be sent, is not a frame of this protocol.
    Frame(FrameError),
    /// A message that has no place here.
    OutOfPlace(&'static str),
    /// More messages than a login has.
    TooManyMessages,
}

impl fmt::Display for AgentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(socket, error) => write!(
                f,
                "cannot reach the agent at {socket:?}: {error}. Is oss2fa-agent running, and is this its [agent] socket?"
            ),
            Self::UnknownPeer(error) => {
                write!(f, "cannot tell who is at the other end of the agent's socket: {error}")
            }
            Self::Stranger(Uid(uid)) => write!(
                f,
                "the agent's socket is served by uid {uid}, which is neither root nor the user {AGENT_USER}: not used"
            ),
            Self::Late(timeout) => {
                write!(f, "the login was not decided within {} seconds (timeout=)", timeout.as_secs())
            }
            Self::Closed => f.write_str("the agent closed the connection before it decided: see its log"),
            Self::Connection(error) => write!(f, "the connection to the agent failed: {error}"),
            Self::Frame(error) => {
                write!(f, "the agent and this module do not understand each other: {error}")
            }
            Self::OutOfPlace(what) => {
                write!(f, "the agent sent {what}, which has no place in this phase")
            }
            Self::TooManyMessages => write!(f, "the agent sent more than {MAX_MESSAGES} messages"),
        }
    }
}

/// One login's connection. It closes on drop, and the agent then cancels what is under way.
pub struct Agent<'s, S: System> {
    system: &'s S,
    stream: S::Stream,
    decoder: Decoder,
    deadline: Instant,
    timeout: Duration,
    heard: u32,
}

impl<'s, S: System> Agent<'s, S> {
    /// Connects, and looks at who is at the other end before anything is said.
    ///
    /// The deadline counts from `began`, the moment the module was called.
    ///
    /// # Errors
    /// [`AgentError`]
    pub fn connect(system: &'s S, options: &Options, began: Instant) -> Result<Self, AgentError> {
        let timeout = options.timeout;
        let deadline = began + timeout;
        let stream = system.connect(&options.socket, deadline).map_err(|error| match error.kind() {
            io::ErrorKind::TimedOut => AgentError::Late(timeout),
            _ => unreachable_at(&options.socket, error),
        })?;
        let agent = Self { system, stream, decoder: Decoder::default(), deadline, timeout, heard: 0 };
        agent.check_peer()?;
        Ok(agent)
    }

    // The socket may lie in a folder that somebody else can write to, and what answers there
    // decides who gets in: it must be root or the agent's own user.
    fn check_peer(&self) -> Result<(), AgentError> {
        let peer = self.stream.peer().map_err(AgentError::UnknownPeer)?;
        if peer == Uid::ROOT || self.system.agent_user().map_err(AgentError::UnknownPeer)? == Some(peer) {
            Ok(())
        } else {
            Err(AgentError::Stranger(peer))
        }
    }

    /// Sends one message.
    ///
    /// # Errors
    /// [`AgentError`]; the connection is then of no further use.
    pub fn say(&mut self, message: &ModuleMessage) -> Result<(), AgentError> {
        // It may hold a code: wiped once it is sent.
        let frame = Zeroizing::new(encode(message).map_err(AgentError::Frame)?);
        let mut rest = frame.as_slice();
        while !rest.is_empty() {
            self.check_deadline()?;
            let sent = self.stream.send(rest, self.deadline).map_err(|error| self.broken(error))?;
            rest = match rest.get(sent..) {
                Some(rest) if sent > 0 => rest,
                _ => return Err(AgentError::Closed),
            };
        }
        Ok(())
    }

    /// Waits for one message.
    ///
    /// # Errors
    /// [`AgentError`]; the connection is then of no further use.
    pub fn hear(&mut self) -> Result<AgentMessage, AgentError> {
        self.heard += 1;
        if self.heard > MAX_MESSAGES {
            return Err(AgentError::TooManyMessages);
        }
        loop {
            if let Some(message) = self.decoder.next().map_err(AgentError::Frame)? {
                return Ok(message);
            }
            self.receive()?;
        }
    }

    fn receive(&mut self) -> Result<(), AgentError> {
        self.check_deadline()?;
        let mut chunk = [0; CHUNK];
        let wanted = self.decoder.missing().map_err(AgentError::Frame)?.min(CHUNK);
        let room = chunk.get_mut(..wanted).unwrap_or_default();
        let received = self.stream.receive(room, self.deadline).map_err(|error| self.broken(error))?;
        match chunk.get(..received) {
            Some([]) | None => Err(AgentError::Closed),
            Some(bytes) => {
                self.decoder.push(bytes);
                Ok(())
            }
        }
    }

    // A conversation waits for as long as its user, so the time may be up at each step.
    fn check_deadline(&self) -> Result<(), AgentError> {
        if self.system.now() < self.deadline { Ok(()) } else { Err(AgentError::Late(self.timeout)) }
    }

    fn broken(&self, error: io::Error) -> AgentError {
        match error.kind() {
            io::ErrorKind::TimedOut => AgentError::Late(self.timeout),
            io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => AgentError::Closed,
            _ => AgentError::Connection(error),
        }
    }
}

fn unreachable_at(socket: &Path, error: io::Error) -> AgentError {
    AgentError::Unreachable(socket.to_owned(), error)
}
