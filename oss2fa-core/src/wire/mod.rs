//! The login protocol between the PAM module and the agent, both ends.
//!
//! A conversation is a handful of frames on a Unix stream socket. Each frame is a 4-byte big-endian
//! length and that many bytes of JSON: `{"version":1,"message":{...}}`. The version stands in every
//! frame, so that either end recognises a peer of another release before it reads anything else.
//!
//! This module does no I/O: [`frame::encode`] makes bytes, [`frame::Decoder`] takes them.

pub mod frame;
pub mod message;
pub mod ssh;

pub use frame::{Decoder, FrameError, MAX_FRAME, VERSION, encode};
pub use message::{
    AccountAnswer, AgentMessage, Conversation, DisplayText, Echo, Login, ModuleMessage, Outcome, Start,
};
pub use ssh::{BadSshAuthInfo, MAX_SSH_AUTH_INFO, SSH_AUTH_INFO, SshAuthInfo};
