//! Writing our module into a service's stack, and taking it out again.
//!
//! [`edit`] makes the new text of a stack and [`drop_in`] that of sshd's settings; [`plan`] puts both
//! together and holds them against the doctor before anything is written; [`diff`] shows what would
//! change; [`kept`] writes, and keeps the way back.

pub(crate) mod diff;
pub(crate) mod drop_in;
pub(crate) mod edit;
pub(crate) mod kept;
pub(crate) mod plan;

use crate::config::Config;
use crate::doctor::SSHD;

/// Whether policy counts the touch of ssh keys at this sshd.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Touches {
    /// sshd must insist on it.
    Counted,
    /// sshd may do as it does.
    NotCounted,
}

impl Touches {
    /// By the agent's configuration.
    pub(crate) fn by(config: &Config) -> Self {
        if config.counts_ssh_touch(SSHD) { Self::Counted } else { Self::NotCounted }
    }
}

/// What a login shall ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Mode {
    /// What the stack asks for today, then a code
    #[value(name = "password+code")]
    PasswordAndCode,
    /// A public key, then a code, and no password: sshd alone
    #[value(name = "publickey+code")]
    PublicKeyAndCode,
    /// A code, and no password
    #[value(name = "code")]
    Code,
}
