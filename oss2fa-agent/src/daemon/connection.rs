//! One connection: frames in, frames out, and its first frame, which says what it is for.

use oss2fa_core::wire::{Decoder, FrameError, ModuleMessage, encode};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use zeroize::Zeroizing;

use crate::admin::Request;

/// Bytes that one read takes; a login's frames are far shorter.
const CHUNK: usize = 2048;

/// The first frame: of a login, or of the command line.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Opening {
    /// From the PAM module.
    Module(ModuleMessage),
    /// From the command line.
    Admin(Box<Request>),
}

/// The other end went away, or does not speak the protocol.
#[derive(Debug, Error)]
pub(super) enum Broken {
    #[error("the peer has gone")]
    Gone,
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
    pub(super) fn new(stream: UnixStream) -> Self {
        Self { stream, decoder: Decoder::default() }
    }

    /// The next whole message.
    pub(super) async fn receive<M: DeserializeOwned>(&mut self) -> Result<M, Broken> {
        let mut buffer = Zeroizing::new([0; CHUNK]);
        loop {
            if let Some(message) = self.decoder.next()? {
                return Ok(message);
            }
            // Refuses an announced length beyond the cap before anything of the body is kept.
            self.decoder.missing()?;
            let read = self.stream.read(buffer.as_mut_slice()).await?;
            let bytes = buffer.get(..read).unwrap_or_default();
            if bytes.is_empty() {
                return Err(Broken::Gone);
            }
            self.decoder.push(bytes);
        }
    }

    pub(super) async fn send<M: Serialize>(&mut self, message: &M) -> Result<(), Broken> {
        let bytes = Zeroizing::new(encode(message)?);
        Ok(self.stream.write_all(&bytes).await?)
    }
}
