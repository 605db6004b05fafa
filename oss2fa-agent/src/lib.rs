//! The OSS2FA agent: the daemon of one host, and its command line.
//!
//! Who calls whom: [`cli`] asks the [`daemon`] over its socket; the daemon asks the [`directory`]
//! who somebody is, the [`policy`] what they must show, and the [`store`] whether they showed it.
#![forbid(unsafe_code)]

pub mod admin;
pub mod cli;
pub mod config;
pub mod daemon;
pub mod directory;
pub mod doctor;
pub mod outside;
pub(crate) mod pam_stack;
pub mod policy;
pub mod privileges;
pub mod server;
pub mod source;
pub mod sshd;
pub mod store;
pub mod token;
