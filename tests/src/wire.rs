//! Frames straight to the agent's socket: what a module or a command line sends, thousands of times.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use oss2fa_core::secret::SecretText;
use oss2fa_core::wire::{
    AgentMessage, Conversation, Decoder, Echo, Login, ModuleMessage, Outcome, Start, encode,
};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// One connection to the agent.
#[derive(Debug)]
pub struct Dialogue {
    stream: UnixStream,
}

/// How a login over a [`Dialogue`] ended.
pub type Reply = io::Result<Outcome>;

/// The opening of a login at `service`.
#[must_use]
pub fn start(user: &str, service: &str, rhost: Option<&str>) -> ModuleMessage {
    ModuleMessage::Start(Start {
        login: Login {
            user: user.to_owned(),
            service: service.to_owned(),
            tty: None,
            rhost: rhost.map(str::to_owned),
            ruser: None,
        },
        conversation: Conversation::Messages,
        prompt: None,
        echo: Echo::Off,
        ssh: None,
    })
}

impl Dialogue {
    /// Connects.
    ///
    /// # Errors
    /// Where nobody listens.
    pub fn open(socket: &Path) -> io::Result<Self> {
        let stream = loop {
            match UnixStream::connect(socket) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                connected => break connected?,
            }
        };
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        Ok(Self { stream })
    }

    /// Sends one message.
    ///
    /// # Errors
    /// Where the other end is gone.
    pub fn send<M: serde::Serialize>(&mut self, message: &M) -> io::Result<()> {
        self.stream.write_all(&encode(message).unwrap())
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// Where the other end is gone.
    pub fn send_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Waits for one message.
    ///
    /// # Errors
    /// Where the connection ends first, or what comes is no message.
    pub fn receive<M: DeserializeOwned>(&mut self) -> io::Result<M> {
        let mut decoder = Decoder::default();
        loop {
            let missing = decoder.missing().map_err(io::Error::other)?;
            if missing == 0 {
                return decoder.next().map_err(io::Error::other)?.ok_or(io::ErrorKind::InvalidData.into());
            }
            let mut bytes = vec![0; missing];
            let length = match self.stream.read(&mut bytes) {
                // With a time-out set, a signal to any thread ends the call (signal(7)).
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                read => read?,
            };
            if length == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            decoder.push(&bytes[..length]);
        }
    }

    /// A whole login: opens with `start`, answers the prompt with `code`, and waits for the outcome.
    ///
    /// # Errors
    /// Where the agent goes away before it has said the outcome.
    pub fn login(socket: &Path, start: &ModuleMessage, code: &str) -> Reply {
        let mut dialogue = Self::open(socket)?;
        dialogue.send(start)?;
        loop {
            match dialogue.receive::<AgentMessage>()? {
                AgentMessage::Ask { .. } => {
                    dialogue.send(&ModuleMessage::Answer { text: SecretText::new(code.to_owned()) })?;
                }
                AgentMessage::Tell { .. } => {}
                AgentMessage::Done { outcome } => return Ok(outcome),
                AgentMessage::Account { .. } => return Err(io::ErrorKind::InvalidData.into()),
            }
        }
    }

    /// One request of the command line.
    ///
    /// # Errors
    /// Where the agent goes away before it has answered.
    pub fn request(socket: &Path, request: &Value) -> io::Result<Value> {
        let mut dialogue = Self::open(socket)?;
        dialogue.send(request)?;
        dialogue.receive()
    }
}
