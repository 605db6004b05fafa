//! Why a code did not go out: stable words for programs, sentences for the operator, never a secret.

use std::fmt;
use std::time::Duration;

use thiserror::Error;

/// The two ways a code travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channel {
    /// A mail server, `[smtp]` of the configuration.
    Mail,
    /// A gateway for text messages, `[sms]` of the configuration.
    Sms,
}

impl Channel {
    const fn cure(self) -> &'static str {
        match self {
            Self::Mail => "no mail server is configured: set `host` and `from` in [smtp]",
            Self::Sms => "no SMS gateway is configured: set `url` and `body` in [sms]",
        }
    }
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.cure())
    }
}

/// A message was not handed over. Safe to log: no code, no password, no whole address is in it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NotSent {
    /// Nothing is configured that could send it.
    #[error("{0}")]
    NotConfigured(Channel),
    /// The other side was reached and said no, to the server or to the message.
    #[error("{by} did not take the message: {why}")]
    Refused {
        /// Who said no.
        by: String,
        /// What it said, and what to do.
        why: String,
    },
    /// There was no conversation that could be trusted: no name, no connection, no certificate.
    #[error("{by} cannot be used: {why}")]
    Unreachable {
        /// What was to be reached.
        by: String,
        /// What went wrong, and what to do.
        why: String,
    },
    /// The conversation took longer than it may.
    #[error(
        "{by} did not take the message within {} s: it is slow or does not answer (`timeout` in {section})",
        after.as_secs_f32()
    )]
    TimedOut {
        /// Who was too slow.
        by: String,
        /// The limit.
        after: Duration,
        /// The section of the configuration that sets the limit.
        section: &'static str,
    },
    /// The mail server does not take mail for this recipient.
    #[error("{by} does not take mail for {to}: {why}")]
    RejectedRecipient {
        /// Who said no.
        by: String,
        /// The masked address.
        to: String,
        /// What it said.
        why: String,
    },
}

impl NotSent {
    /// The stable word: `not_configured`, `refused`, `unreachable`, `timed_out` or `rejected_recipient`.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotConfigured(_) => "not_configured",
            Self::Refused { .. } => "refused",
            Self::Unreachable { .. } => "unreachable",
            Self::TimedOut { .. } => "timed_out",
            Self::RejectedRecipient { .. } => "rejected_recipient",
        }
    }
}

/// The innermost reason of `error` on one line: what the system or the TLS library said.
pub(super) fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut reason = error;
    while let Some(deeper) = reason.source() {
        reason = deeper;
    }
    let text = reason.to_string();
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(300).collect()
}
