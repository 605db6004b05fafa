//! How a command ends badly: an exit status, a stable code for scripts, a sentence for people.

use std::io;
use std::process::ExitCode;

use serde::Serialize;

use crate::admin::{RefusalCode, Refused, Response};

/// Exit statuses of `oss2fa-agent`; `--help` and the man pages list them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// 0: done.
    Done,
    /// 1: a code was wrong, something is not allowed or not there.
    Refused,
    /// 2: the command line or the configuration file cannot be used.
    Usage,
    /// 3: the agent or its store does not answer.
    Unavailable,
}

impl Exit {
    /// The number that the shell sees.
    #[must_use]
    pub fn status(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Refused => 1,
            Self::Usage => 2,
            Self::Unavailable => 3,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.status())
    }
}

/// Why a command was not done.
#[derive(Debug, Serialize)]
pub(crate) struct Failure {
    #[serde(skip)]
    exit: Exit,
    #[serde(rename = "error")]
    code: Code,
    message: String,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
enum Code {
    FromAgent(RefusalCode),
    Own(OwnCode),
}

/// Codes of what the command line finds out by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum OwnCode {
    /// Nobody answers at the socket, or the answer makes no sense.
    AgentUnreachable,
    /// The configuration file cannot be used.
    BadConfiguration,
    /// A file that was named cannot be read or written.
    BadFile,
    /// The command line asks for what does not go together.
    BadUsage,
    /// There is nothing of what was asked for.
    NothingThere,
    /// The input ended before the answer came.
    NoAnswer,
    /// Some entries of an import were not taken over.
    NotAllImported,
    /// The daemon could not serve.
    CannotServe,
    /// The store could not be read.
    StoreUnavailable,
    /// The chain of audit events is broken.
    AuditBroken,
    /// A service lets people in without a second factor.
    NotProtected,
    /// A stack was not changed, or not all of it.
    StackUnchanged,
    /// libpam does not let somebody in.
    LoginRefused,
    /// Whoever read our output has gone; there is nobody to tell.
    OutputClosed,
}

impl OwnCode {
    fn exit(self) -> Exit {
        match self {
            Self::BadFile
            | Self::NothingThere
            | Self::NoAnswer
            | Self::NotAllImported
            | Self::AuditBroken
            | Self::NotProtected
            | Self::StackUnchanged
            | Self::LoginRefused
            | Self::OutputClosed => Exit::Refused,
            Self::BadConfiguration | Self::BadUsage => Exit::Usage,
            Self::AgentUnreachable | Self::CannotServe | Self::StoreUnavailable => Exit::Unavailable,
        }
    }
}

impl Failure {
    /// Something that the command line found out by itself.
    pub(crate) fn new(code: OwnCode, message: impl Into<String>) -> Self {
        Self { exit: code.exit(), code: Code::Own(code), message: message.into() }
    }

    /// What the shell will see.
    pub(crate) fn exit(&self) -> Exit {
        self.exit
    }

    /// What happened, to what, and what to do.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// The same failure, with one more thing that can be done about it.
    pub(crate) fn with_advice(mut self, advice: &str) -> Self {
        self.message.push('\n');
        self.message.push_str(advice);
        self
    }

    /// Whether nobody is left to read about it.
    pub(crate) fn is_silent(&self) -> bool {
        self.code == Code::Own(OwnCode::OutputClosed)
    }

    /// Standard output or standard error could not be written.
    pub(crate) fn output(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::new(OwnCode::OutputClosed, ""),
            _ => Self::new(OwnCode::BadFile, format!("the output could not be written: {error}")),
        }
    }

    /// The daemon gave an answer to another question.
    pub(crate) fn out_of_place(_answer: &Response) -> Self {
        Self::new(
            OwnCode::AgentUnreachable,
            "the agent gave an answer that does not belong to this request. \
             Is it of the same release as this command? `oss2fa-agent status` shows its version.",
        )
    }
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        let exit = match refused.code {
            RefusalCode::Unavailable => Exit::Unavailable,
            RefusalCode::NotAllowed
            | RefusalCode::ProofNeeded
            | RefusalCode::TouchNeeded
            | RefusalCode::CodeOrTouchNeeded
            | RefusalCode::CodeRefused
            | RefusalCode::Locked
            | RefusalCode::UnknownUser
            | RefusalCode::UnknownDevice
            | RefusalCode::LastFactor
            | RefusalCode::BadRequest
            | RefusalCode::AtServer => Exit::Refused,
        };
        Self { exit, code: Code::FromAgent(refused.code), message: refused.message }
    }
}
