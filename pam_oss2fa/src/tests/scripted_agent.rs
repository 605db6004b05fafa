//! An agent on a real socket that plays a script, and insists that all of it was played.
#![forbid(unsafe_code)]

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::thread::JoinHandle;
use std::time::Duration;

use oss2fa_core::wire::{AgentMessage, Decoder, ModuleMessage, encode};
use tempfile::TempDir;

/// What the agent does next.
#[derive(Debug)]
pub(in crate::tests) enum Act {
    /// This message must come.
    Hear(ModuleMessage),
    /// The module must hang up, with nothing more said.
    HearNothing,
    /// Sends a message.
    Say(AgentMessage),
    /// Sends bytes as they are.
    SayBytes(Vec<u8>),
    /// Sends a message one byte at a time.
    SayInPieces(AgentMessage),
    /// Does nothing until the module hangs up.
    Hold,
}

/// Whether the module may hang up before the script ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::tests) enum Insists {
    Yes,
    No,
}

pub(in crate::tests) struct ScriptedAgent {
    folder: TempDir,
    thread: Option<JoinHandle<()>>,
}

impl ScriptedAgent {
    pub(in crate::tests) fn new(acts: Vec<Act>) -> Self {
        Self::insisting(Insists::Yes, acts)
    }

    pub(in crate::tests) fn insisting(insists: Insists, acts: Vec<Act>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join("agent.sock")).unwrap();
        let thread = std::thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
            if let Err(why) = play(&stream, acts)
                && insists == Insists::Yes
            {
                panic!("{why}");
            }
        });
        Self { folder, thread: Some(thread) }
    }

    pub(in crate::tests) fn argument(&self) -> Vec<u8> {
        format!("socket={}", self.folder.path().join("agent.sock").display()).into_bytes()
    }
}

impl Drop for ScriptedAgent {
    fn drop(&mut self) {
        // A module that never came leaves `accept` waiting.
        drop(UnixStream::connect(self.folder.path().join("agent.sock")));
        let played = self.thread.take().unwrap().join();
        if !std::thread::panicking() {
            assert!(played.is_ok(), "the agent's script was not played as written");
        }
    }
}

fn play(mut stream: &UnixStream, acts: Vec<Act>) -> Result<(), String> {
    let mut decoder = Decoder::default();
    for act in acts {
        match act {
            Act::Hear(expected) => {
                let heard = hear(stream, &mut decoder)?.ok_or("hung up")?;
                // The texts of secrets are compared too; only their Debug is the same.
                if heard != expected {
                    return Err(format!("heard {heard:?}, the script has {expected:?}"));
                }
            }
            Act::HearNothing => match hear(stream, &mut decoder)? {
                None => {}
                Some(message) => return Err(format!("heard {message:?}, the script has a hang-up")),
            },
            Act::Say(message) => {
                stream.write_all(&encode(&message).unwrap()).map_err(|error| error.to_string())?;
            }
            Act::SayBytes(bytes) => stream.write_all(&bytes).map_err(|error| error.to_string())?,
            Act::SayInPieces(message) => {
                for byte in encode(&message).unwrap() {
                    stream.write_all(&[byte]).map_err(|error| error.to_string())?;
                }
            }
            Act::Hold => while stream.read(&mut [0; 64]).map_err(|error| error.to_string())? > 0 {},
        }
    }
    Ok(())
}

fn hear(mut stream: &UnixStream, decoder: &mut Decoder) -> Result<Option<ModuleMessage>, String> {
    loop {
        if let Some(message) = decoder.next().map_err(|error| error.to_string())? {
            return Ok(Some(message));
        }
        let mut room = vec![0; decoder.missing().map_err(|error| error.to_string())?];
        match stream.read(&mut room).map_err(|error| error.to_string())? {
            0 => return Ok(None),
            count => decoder.push(&room[..count]),
        }
    }
}
