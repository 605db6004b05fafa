//! Why a question has no answer. Only one of the reasons is proof that nobody could be asked.

use std::fmt;

use super::answer::Answer;
use super::reach::Unreachable;
use crate::source::clean;

/// A question without an answer that counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Nobody could be asked: proved.
    Unreachable(Unreachable),
    /// A server was reached, or it is not proved that none could be: a refusal, never a way past.
    NoAnswer {
        /// What the log is searched for.
        code: &'static str,
        /// What happened, and what to do.
        what: String,
    },
}

impl Fault {
    pub(super) fn new(code: &'static str, what: impl Into<String>) -> Self {
        Self::NoAnswer { code, what: what.into() }
    }

    /// An answer that this question cannot have.
    pub(super) fn of(answer: &Answer) -> Self {
        let said = format!("{} {}", answer.status(), clean(answer.error_code()));
        match answer.status() {
            401 => Self::new(
                "server_token",
                "the server refused this host's token. Make one with `oss2fa-server integration rotate-token`, put it \
                 into token_file, and run: systemctl reload oss2fa-agent",
            ),
            403 => Self::new("server_forbidden", format!("the server does not allow this host that: {said}")),
            429 => Self::new(
                "server_busy",
                format!("the server takes no more of this host's requests now: {said}"),
            ),
            300..=399 => Self::new(
                "server_redirect",
                format!(
                    "the server sent this host elsewhere ({said}), which is never followed: name its own address in urls"
                ),
            ),
            500..=599 => {
                Self::new("server_failed", format!("the server failed: {said}. Its own log says why"))
            }
            _ => Self::strange(&said),
        }
    }

    /// An answer that makes no sense.
    pub(crate) fn strange(what: &str) -> Self {
        Self::new(
            "server_answer",
            format!(
                "the server's answer makes no sense ({what}): is an OSS2FA server of this release at that address?"
            ),
        )
    }

    /// The stable word for the log.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "server_away",
            Self::NoAnswer { code, .. } => code,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(proof) => write!(f, "no server can be reached: {proof}"),
            Self::NoAnswer { what, .. } => f.write_str(what),
        }
    }
}
