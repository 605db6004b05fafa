//! A failure at every call that can fail, one after the other: none of them lets anybody in.
//!
//! This is the hole of pam-u2f before 1.3.1 (CVE-2025-23013): an early failure left the result at
//! the value that means "does not concern me".
#![forbid(unsafe_code)]

use std::cell::Cell;
use std::ffi::CStr;
use std::io;
use std::path::Path;
use std::rc::Rc;
use std::time::Instant;

use oss2fa_core::secret::SecretText;
use oss2fa_core::wire::{AccountAnswer, AgentMessage, Conversation, Echo, ModuleMessage, Outcome};

use super::scripted_agent::{Act, Insists, ScriptedAgent};
use super::{Host, answer, ask, done, login, start, tell};
use crate::account::manage;
use crate::login::authenticate;
use crate::outcome::PamCode;
use crate::pam::{Item, Pam, PamError, Severity, Style};
use crate::proof::Proof;
use crate::system::{Stream, System, Uid};

/// Counts calls, and has one of them fail.
#[derive(Clone)]
struct Fuse(Rc<Cell<Option<usize>>>);

impl Fuse {
    fn at(call: usize) -> Self {
        Self(Rc::new(Cell::new(Some(call))))
    }

    fn burns(&self) -> bool {
        match self.0.get() {
            Some(0) => {
                self.0.set(None);
                true
            }
            Some(left) => {
                self.0.set(Some(left - 1));
                false
            }
            None => false,
        }
    }

    fn has_burnt(&self) -> bool {
        self.0.get().is_none()
    }
}

struct FaultyPam {
    fuse: Fuse,
    error: PamError,
    proof: Option<Proof>,
}

impl FaultyPam {
    fn check(&self) -> Result<(), PamError> {
        if self.fuse.burns() { Err(self.error) } else { Ok(()) }
    }
}

impl Pam for FaultyPam {
    fn user(&mut self) -> Result<Vec<u8>, PamError> {
        self.check().map(|()| login().user.into_bytes())
    }

    fn item(&self, item: Item) -> Result<Option<Vec<u8>>, PamError> {
        self.check()?;
        let login = login();
        Ok(match item {
            Item::User => Some(login.user.into_bytes()),
            Item::Service => Some(login.service.into_bytes()),
            Item::Tty => login.tty.map(String::into_bytes),
            Item::RemoteHost => login.rhost.map(String::into_bytes),
            Item::RemoteUser => login.ruser.map(String::into_bytes),
        })
    }

    // It fails by not being there, which is no failure of a login.
    fn variable(&self, _: &CStr, _: usize) -> Option<Vec<u8>> {
        None
    }

    fn prompt(&mut self, _: Echo, _: &str) -> Result<SecretText, PamError> {
        self.check().map(|()| crate::pam::answer(b"123456"))
    }

    // Nothing depends on a message, so it is not among the calls that are counted.
    fn message(&mut self, _: Style, _: &str) -> Result<(), PamError> {
        Err(self.error)
    }

    fn keep(&mut self, proof: Option<Proof>) -> Result<(), PamError> {
        self.check()?;
        self.proof = proof;
        Ok(())
    }

    fn kept(&self) -> Result<Option<Proof>, PamError> {
        self.check().map(|()| self.proof.clone())
    }

    fn log(&self, _: Severity, _: &str) {}
}

struct FaultyHost {
    fuse: Fuse,
    host: Host,
    error: io::ErrorKind,
}

struct FaultyStream {
    fuse: Fuse,
    error: io::ErrorKind,
    stream: <Host as System>::Stream,
}

fn check(fuse: &Fuse, error: io::ErrorKind) -> io::Result<()> {
    if fuse.burns() { Err(error.into()) } else { Ok(()) }
}

impl System for FaultyHost {
    type Stream = FaultyStream;

    fn now(&self) -> Instant {
        self.host.now()
    }

    fn connect(&self, socket: &Path, deadline: Instant) -> io::Result<FaultyStream> {
        check(&self.fuse, self.error)?;
        let stream = self.host.connect(socket, deadline)?;
        Ok(FaultyStream { fuse: self.fuse.clone(), error: self.error, stream })
    }

    fn agent_user(&self) -> io::Result<Option<Uid>> {
        check(&self.fuse, self.error)?;
        Ok(Some(AGENT))
    }
}

impl Stream for FaultyStream {
    // Never root, so that the user directory is asked too, whoever runs the tests.
    fn peer(&self) -> io::Result<Uid> {
        check(&self.fuse, self.error)?;
        Ok(AGENT)
    }

    // A few bytes at a time, so that a fault also comes in the middle of a message.
    fn send(&mut self, bytes: &[u8], deadline: Instant) -> io::Result<usize> {
        check(&self.fuse, self.error)?;
        self.stream.send(&bytes[..bytes.len().min(16)], deadline)
    }

    fn receive(&mut self, buffer: &mut [u8], deadline: Instant) -> io::Result<usize> {
        check(&self.fuse, self.error)?;
        let most = buffer.len().min(16);
        self.stream.receive(&mut buffer[..most], deadline)
    }
}

const AGENT: Uid = Uid(4711);
const PAM_ERRORS: [PamError; 3] = [PamError::Conversation, PamError::Memory, PamError::Libpam];
const IO_ERRORS: [io::ErrorKind; 3] =
    [io::ErrorKind::TimedOut, io::ErrorKind::BrokenPipe, io::ErrorKind::OutOfMemory];

// Gives the code of a run with a fault at each call, and insists that there were many.
fn every_fault(clean: PamCode, run: impl Fn(&mut FaultyPam, &FaultyHost) -> PamCode) {
    for (pam_error, io_error) in PAM_ERRORS.into_iter().zip(IO_ERRORS) {
        for call in 0.. {
            let fuse = Fuse::at(call);
            let proof = None;
            let mut pam = FaultyPam { fuse: fuse.clone(), error: pam_error, proof };
            let host = FaultyHost { fuse: fuse.clone(), host: Host::new(), error: io_error };
            let code = run(&mut pam, &host);
            if !fuse.has_burnt() {
                assert_eq!(code, clean, "a run without a fault");
                assert!(call > 15, "only {call} calls can fail");
                break;
            }
            assert!(!matches!(code, PamCode::Success | PamCode::Ignore), "call {call}: {code:?}");
            assert_eq!(pam.proof, None, "call {call}");
        }
    }
}

fn auth(outcome: Outcome) -> impl Fn(&mut FaultyPam, &FaultyHost) -> PamCode {
    move |pam, host| {
        let acts = vec![
            Act::Hear(start()),
            Act::Say(tell("Hello")),
            Act::Say(ask("Code: ")),
            Act::Hear(answer("123456")),
            Act::Say(done(outcome)),
        ];
        let agent = ScriptedAgent::insisting(Insists::No, acts);
        authenticate(pam, host, &[agent.argument()], Conversation::Messages).code()
    }
}

#[test]
fn no_fault_in_the_auth_phase_lets_a_verified_user_in() {
    every_fault(PamCode::Success, auth(Outcome::Verified));
}

#[test]
fn no_fault_in_the_auth_phase_lets_the_stack_skip_the_module() {
    every_fault(PamCode::Ignore, auth(Outcome::Skipped));
}

#[test]
fn no_fault_in_the_account_phase_lets_anybody_in() {
    every_fault(PamCode::Success, |pam, host| {
        let acts = vec![
            Act::Hear(ModuleMessage::Account(login())),
            Act::Say(tell("Hello")),
            Act::Say(AgentMessage::Account { answer: AccountAnswer::NotRequired }),
        ];
        let agent = ScriptedAgent::insisting(Insists::No, acts);
        let arguments = [agent.argument(), b"enforce".to_vec()];
        manage(pam, host, &arguments, Conversation::Messages).code()
    });
}
