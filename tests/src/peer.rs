//! Agents that behave badly, for the module to survive.

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::{Arc, Mutex};
use std::thread;

use crate::agent::SOCKET;
use crate::world::World;

/// What a bad agent does with the first frame it reads.
#[derive(Debug, Clone)]
pub enum Reaction {
    /// Reads it and never answers.
    Silence,
    /// Closes at once.
    HangUp,
    /// Sends these bytes and closes.
    Send(Vec<u8>),
    /// Sends these bytes and stays silent.
    SendThenSilence(Vec<u8>),
    /// Sends these bytes, one a second.
    Drip(Vec<u8>),
    /// Sends the first, and for each further frame that comes in the next; then closes.
    Talk(Vec<Vec<u8>>),
}

/// A listener on the agent's socket, run by root as a real one may be.
#[derive(Debug)]
pub struct FakeAgent {
    received: Arc<Mutex<Vec<u8>>>,
}

impl FakeAgent {
    /// Listens in the agent's place, until the test's process ends.
    #[must_use]
    pub fn listen(world: &World, reaction: Reaction) -> Self {
        let path = world.path(SOCKET);
        let _absent = std::fs::remove_file(&path);
        let listener = UnixListener::bind(&path).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666)).unwrap();
        let received = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&received);
        thread::spawn(move || {
            let mut open = Vec::new();
            while let Ok((stream, _)) = listener.accept() {
                open.push(react(stream, &reaction, &kept));
            }
        });
        Self { received }
    }

    /// All bytes that came in.
    #[must_use]
    pub fn received(&self) -> Vec<u8> {
        self.received.lock().unwrap().clone()
    }
}

// Gives the stream back where it shall stay open.
fn react(mut stream: UnixStream, reaction: &Reaction, kept: &Mutex<Vec<u8>>) -> Option<UnixStream> {
    if matches!(reaction, Reaction::HangUp) {
        return None;
    }
    read_frame(&mut stream, kept);
    match reaction {
        Reaction::HangUp => None,
        Reaction::Silence => Some(stream),
        Reaction::Send(bytes) => {
            let _sent = stream.write_all(bytes);
            None
        }
        Reaction::SendThenSilence(bytes) => {
            let _sent = stream.write_all(bytes);
            Some(stream)
        }
        Reaction::Drip(bytes) => {
            let bytes = bytes.clone();
            thread::spawn(move || {
                for byte in bytes {
                    if stream.write_all(&[byte]).is_err() {
                        break;
                    }
                    thread::sleep(std::time::Duration::from_secs(1));
                }
            });
            None
        }
        Reaction::Talk(frames) => {
            for (number, frame) in frames.iter().enumerate() {
                if number > 0 {
                    read_frame(&mut stream, kept);
                }
                let _sent = stream.write_all(frame);
            }
            None
        }
    }
}

fn read_frame(stream: &mut UnixStream, kept: &Mutex<Vec<u8>>) {
    let mut header = [0; 4];
    if stream.read_exact(&mut header).is_ok() {
        let mut body = vec![0; u32::from_be_bytes(header) as usize];
        let _cut = stream.read_exact(&mut body);
        kept.lock().unwrap().extend_from_slice(&body);
    }
}
