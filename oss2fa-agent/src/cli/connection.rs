//! A client of the daemon's socket: one request, one answer, one connection.

use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::socket::sockopt::{PeerCredentials, SendTimeout};
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, UnixAddr, connect, getsockopt, setsockopt, socket,
};
use nix::sys::time::{TimeVal, TimeValLike};
use nix::unistd::User;
use oss2fa_core::wire::{Decoder, FrameError, VERSION, encode};
use zeroize::Zeroizing;

use super::console::Console;
use super::failure::{Failure, OwnCode};
use crate::admin::{Request, Response};
use crate::config::Config;

/// How long one answer may take. The daemon answers at once, or after a commit to a slow disk.
const PATIENCE: Duration = Duration::from_secs(30);

/// The same where somebody has to find a security key first: longer than the daemon waits for that.
const PATIENCE_WITH_KEYS: Duration = Duration::from_secs(90);

/// The daemon, as a client sees it.
pub(crate) struct Agent {
    socket: PathBuf,
    trusted: Vec<u32>,
}

impl Agent {
    /// The daemon of `config`. Its socket must be held by root, by the agent's own user, or by the
    /// caller: a code that is typed here must not go to anybody else.
    pub(crate) fn of(config: &Config, caller: u32) -> Self {
        let mut trusted = vec![0, caller];
        if let Ok(Some(user)) = User::from_name(&config.agent.user) {
            trusted.push(user.uid.as_raw());
        }
        Self { socket: config.agent.socket.clone(), trusted }
    }

    /// Sends a request and waits for its answer, which may be a refusal.
    pub(crate) fn ask(&self, request: &Request) -> Result<Response, Failure> {
        let mut stream = self.open(PATIENCE)?;
        self.send(&mut stream, request)?;
        self.receive(&mut stream)
    }

    /// The same where the daemon first has things to say, and questions, to whoever holds a security key.
    pub(crate) fn talk(&self, console: &mut Console<'_>, request: &Request) -> Result<Response, Failure> {
        let mut stream = self.open(PATIENCE_WITH_KEYS)?;
        self.send(&mut stream, request)?;
        let mut decoder = Decoder::default();
        loop {
            match self.receive_with(&mut stream, &mut decoder)? {
                Response::Step { text } => console.note(text.as_str())?,
                Response::PinWanted { question } => {
                    let pin = console.ask_hidden(question.as_str())?;
                    self.send(&mut stream, &Request::Pin { pin })?;
                }
                answer => return Ok(answer),
            }
        }
    }

    fn open(&self, patience: Duration) -> Result<UnixStream, Failure> {
        let stream = self.connect().map_err(|errno| self.no_connection(errno))?;
        self.check_peer(&stream)?;
        stream.set_read_timeout(Some(patience)).map_err(|error| self.lost(&error))?;
        Ok(stream)
    }

    fn send(&self, stream: &mut UnixStream, request: &Request) -> Result<(), Failure> {
        let bytes = Zeroizing::new(encode(request).map_err(|error| self.strange(&error))?);
        stream.write_all(&bytes).map_err(|error| self.lost(&error))
    }

    /// The same, with a refusal as the failure of the command.
    pub(crate) fn done(&self, request: &Request) -> Result<Response, Failure> {
        match self.ask(request)? {
            Response::Refused(refused) => Err(refused.into()),
            answer => Ok(answer),
        }
    }

    /// Where the daemon was looked for.
    pub(crate) fn socket(&self) -> &Path {
        &self.socket
    }

    // By hand, for the send time-out before connecting: a daemon that has stopped accepting would
    // otherwise hold the caller for ever once its queue is full.
    fn connect(&self) -> Result<UnixStream, Errno> {
        let address = UnixAddr::new(&self.socket)?;
        let end = socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
        let patience = i64::try_from(PATIENCE.as_secs()).unwrap_or(i64::MAX);
        setsockopt(&end, SendTimeout, &TimeVal::seconds(patience))?;
        connect(end.as_raw_fd(), &address)?;
        Ok(end.into())
    }

    fn check_peer(&self, stream: &UnixStream) -> Result<(), Failure> {
        let peer = getsockopt(stream, PeerCredentials).map_err(|errno| self.no_connection(errno))?;
        if self.trusted.contains(&peer.uid()) {
            return Ok(());
        }
        Err(Failure::new(
            OwnCode::AgentUnreachable,
            format!(
                "the socket {} is held by user id {}, which is neither root nor the agent's user: nothing was \
                 sent to it. Check [agent] user in the configuration, and who may write to the socket's folder.",
                self.socket.display(),
                peer.uid()
            ),
        ))
    }

    fn receive(&self, stream: &mut UnixStream) -> Result<Response, Failure> {
        self.receive_with(stream, &mut Decoder::default())
    }

    fn receive_with(&self, stream: &mut UnixStream, decoder: &mut Decoder) -> Result<Response, Failure> {
        let mut buffer = [0; 4096];
        loop {
            if let Some(response) = decoder.next().map_err(|error| self.strange(&error))? {
                return Ok(response);
            }
            match stream.read(&mut buffer) {
                Ok(0) => return Err(self.lost(&io::ErrorKind::UnexpectedEof.into())),
                Ok(length) => decoder.push(buffer.get(..length).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.lost(&error)),
            }
        }
    }

    fn no_connection(&self, errno: Errno) -> Failure {
        let socket = self.socket.display();
        let message = match errno {
            Errno::ENOENT | Errno::ECONNREFUSED => format!(
                "the agent is not running: no answer on {socket}. Start it with: systemctl start oss2fa-agent"
            ),
            Errno::EACCES | Errno::EPERM => format!(
                "you may not open {socket}. It is meant to be open to everybody: \
                 the modes of the socket and of the folders above it need to be put right by root."
            ),
            Errno::EAGAIN | Errno::ETIMEDOUT => format!(
                "the agent is there, but does not answer on {socket}. See: journalctl -u oss2fa-agent"
            ),
            other => format!("the agent cannot be reached on {socket}: {}", other.desc()),
        };
        Failure::new(OwnCode::AgentUnreachable, message)
    }

    fn lost(&self, error: &io::Error) -> Failure {
        let socket = self.socket.display();
        let what = match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                format!("the agent on {socket} did not answer within {} seconds.", PATIENCE.as_secs())
            }
            io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => {
                format!("the agent on {socket} hung up before it answered.")
            }
            _ => format!("the connection to the agent on {socket} broke: {error}."),
        };
        Failure::new(
            OwnCode::AgentUnreachable,
            format!(
                "{what} Whether the request was carried out is not known. See: journalctl -u oss2fa-agent"
            ),
        )
    }

    fn strange(&self, error: &FrameError) -> Failure {
        let socket = self.socket.display();
        let message = match error {
            FrameError::Version(other) => format!(
                "the agent on {socket} speaks version {other} of the protocol, this command version {VERSION}. After \
                 an upgrade, run: systemctl restart oss2fa-agent"
            ),
            _ => format!("this command and the agent on {socket} do not understand each other: {error}"),
        };
        Failure::new(OwnCode::AgentUnreachable, message)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn nothing_is_sent_to_a_stranger() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("agent.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let agent = Agent { socket, trusted: Vec::new() };
        let failure = agent.ask(&Request::Status {}).unwrap_err();
        assert!(failure.message().contains("nothing was sent to it"), "{failure:?}");
        let (mut stranger, _) = listener.accept().unwrap();
        assert_eq!(stranger.read(&mut [0]).unwrap(), 0);
    }

    #[test]
    fn a_socket_that_may_not_be_opened_is_told_apart() {
        let agent = Agent { socket: "/run/x.sock".into(), trusted: vec![0] };
        for (errno, words) in [
            (Errno::ENOENT, "the agent is not running"),
            (Errno::ECONNREFUSED, "the agent is not running"),
            (Errno::EACCES, "you may not open /run/x.sock"),
            (Errno::EAGAIN, "does not answer on /run/x.sock"),
            (Errno::ENOTSOCK, "cannot be reached on /run/x.sock"),
        ] {
            assert!(agent.no_connection(errno).message().contains(words), "{errno}");
        }
    }
}
