//! The flows against a scripted libpam and a scripted agent on a real socket.
#![forbid(unsafe_code)]

mod account;
mod auth;
mod broken_agent;
mod budget;
mod faults;
mod scripted_agent;
mod scripted_pam;
mod table;

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Instant;
use std::{fs, io};

use oss2fa_core::wire::{
    AgentMessage, Conversation, DisplayText, Echo, Login, ModuleMessage, Outcome, Start,
};

use crate::ffi::os::Os;
use crate::system::{System, Uid};

/// The real system, where the user that runs the tests is the agent's.
pub(super) struct Host {
    agent_user: Option<Uid>,
}

impl Host {
    pub(super) fn new() -> Self {
        Self { agent_user: Some(Uid(fs::metadata("/proc/self").unwrap().uid())) }
    }
}

impl System for Host {
    type Stream = <Os as System>::Stream;

    fn now(&self) -> Instant {
        Os.now()
    }

    fn connect(&self, socket: &Path, deadline: Instant) -> io::Result<Self::Stream> {
        Os.connect(socket, deadline)
    }

    fn agent_user(&self) -> io::Result<Option<Uid>> {
        Ok(self.agent_user)
    }
}

pub(super) fn login() -> Login {
    Login {
        user: "ferris".to_owned(),
        service: "sshd".to_owned(),
        tty: Some("ssh".to_owned()),
        rhost: Some("192.0.2.7".to_owned()),
        ruser: None,
    }
}

pub(super) fn start() -> ModuleMessage {
    ModuleMessage::Start(Start {
        login: login(),
        conversation: Conversation::Messages,
        prompt: None,
        echo: Echo::Off,
        ssh: None,
    })
}

pub(super) fn ask(text: &str) -> AgentMessage {
    AgentMessage::Ask { echo: Echo::Off, text: DisplayText::new(text) }
}

pub(super) fn tell(text: &str) -> AgentMessage {
    AgentMessage::Tell { text: DisplayText::new(text) }
}

pub(super) fn done(outcome: Outcome) -> AgentMessage {
    AgentMessage::Done { outcome }
}

pub(super) fn answer(text: &str) -> ModuleMessage {
    ModuleMessage::Answer { text: crate::pam::answer(text.as_bytes()) }
}
