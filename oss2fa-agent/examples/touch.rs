//! From a security key's answer to the verdict: the daemon with a key of software, and logins over its socket.
//!
//! `touch FOLDER LOGINS` prints how long each took, in microseconds. What the key itself takes, and the person who
//! touches it, is not in them.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "whatever goes wrong ends it"
)]
#![expect(clippy::print_stdout, reason = "it is there to print")]

#[expect(dead_code, reason = "tests of the agent need more of it")]
#[path = "../src/token/soft/mod.rs"]
mod soft;

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use oss2fa_agent::admin::{KeyEnrollment, KeyKind, Request, Response};
use oss2fa_agent::daemon::{ServeOptions, serve_with};
pub(crate) use oss2fa_agent::token::{Plugged, ports};
use oss2fa_core::wire::{
    AgentMessage, Conversation, Decoder, Echo, Login, ModuleMessage, Outcome, Start, encode,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use self::soft::{Hub, Protocol, SoftKey};

/// Whom the daemon becomes, and who then logs in.
const USER: &str = "nobody";

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let (folder, logins): (PathBuf, usize) = (PathBuf::from(&arguments[1]), arguments[2].parse().unwrap());
    let shown = folder.display();
    let config = folder.join("agent.toml");
    let text = format!(
        "[agent]\nsocket = \"{shown}/agent.sock\"\nuser = \"{USER}\"\nlog_level = \"error\"\n[audit]\nsyslog = false\n\
         [store]\npath = \"{shown}/store/agent.db\"\nmaster_key = \"{shown}/store/master.key\"\n\
         [keys]\ntouch_file = \"{shown}/store/touch\"\n"
    );
    std::fs::write(&config, text).unwrap();
    let (hub, key) = (Hub::default(), SoftKey::new(Protocol::Ctap2, 1));
    hub.plug_in("key", &key);
    let options = ServeOptions { config, credentials: None };
    thread::spawn(move || serve_with(&options, Arc::new(hub)).unwrap_or_else(|error| panic!("{error}")));
    let socket = folder.join("agent.sock");
    enroll(&socket, &key);
    for _ in 0..logins {
        println!("{}", login(&socket, &key).as_micros());
    }
    // The daemon would wait for a signal.
    std::process::exit(0);
}

fn enroll(socket: &PathBuf, key: &SoftKey) {
    key.touch();
    let wanted = KeyEnrollment {
        user: USER.to_owned(),
        kind: KeyKind::Fido2,
        name: None,
        resident: false,
        pin: false,
        proof: None,
    };
    let mut end = End::of(socket);
    end.send(&Request::EnrollKey(wanted));
    loop {
        match end.receive() {
            Response::Step { .. } => {}
            Response::Device(_) => return,
            other => panic!("{other:?}"),
        }
    }
}

fn login(socket: &PathBuf, key: &SoftKey) -> Duration {
    let before = key.inside().blinking;
    let login =
        Login { user: USER.to_owned(), service: "sudo".to_owned(), tty: None, rhost: None, ruser: None };
    let mut end = End::of(socket);
    let start =
        Start { login, conversation: Conversation::Messages, prompt: None, echo: Echo::Off, ssh: None };
    end.send(&ModuleMessage::Start(start));
    while key.inside().blinking == before {
        thread::sleep(Duration::from_millis(1));
    }
    key.touch();
    loop {
        match end.receive() {
            AgentMessage::Tell { .. } => {}
            AgentMessage::Done { outcome: Outcome::Verified } => {
                return key.inside().answered_at.unwrap().elapsed();
            }
            other => panic!("{other:?}"),
        }
    }
}

/// The module's or the command line's end of the socket.
struct End(UnixStream, Decoder);

impl End {
    fn of(socket: &PathBuf) -> Self {
        let begun = Instant::now();
        loop {
            match UnixStream::connect(socket) {
                Ok(stream) => return Self(stream, Decoder::default()),
                Err(error) => assert!(begun.elapsed() < Duration::from_secs(20), "{error}"),
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    fn send(&mut self, message: &impl Serialize) {
        self.0.write_all(&encode(message).unwrap()).unwrap();
    }

    fn receive<M: DeserializeOwned>(&mut self) -> M {
        let mut buffer = [0; 4096];
        loop {
            if let Some(message) = self.1.next().unwrap() {
                return message;
            }
            let length = self.0.read(&mut buffer).unwrap();
            assert!(length > 0, "the daemon hung up");
            self.1.push(&buffer[..length]);
        }
    }
}
