//! How a command ends badly: an exit status, a stable code for scripts, a sentence for people.

use std::io;
use std::process::ExitCode;

use serde::Serialize;

use crate::config::ConfigError;
use crate::store::error::StoreError;

/// Exit statuses of `oss2fa-server`; `--help` and the man pages list them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// 0: done.
    Done,
    /// 1: something is not allowed or not there.
    Refused,
    /// 2: the command line or the configuration file cannot be used.
    Usage,
    /// 3: the server cannot serve, or the store does not answer.
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
    #[serde(rename = "error")]
    code: Code,
    message: String,
}

/// Stable words for scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Code {
    /// The chain of audit events is broken.
    AuditBroken,
    /// The configuration file cannot be used.
    BadConfiguration,
    /// A file that was named cannot be read or written.
    BadFile,
    /// The command line asks for what does not go together, or names something that cannot be.
    BadUsage,
    /// The server could not serve.
    CannotServe,
    /// There is one of this name already.
    NameTaken,
    /// The input ended before the answer came.
    NoAnswer,
    /// The answer was not the one that was asked for.
    NotConfirmed,
    /// There is no store yet.
    NoStore,
    /// There is nothing of what was asked for.
    NotThere,
    /// Whoever read our output has gone; there is nobody to tell.
    OutputClosed,
    /// Sealed values do not open.
    SealedValuesLeft,
    /// There are several, and none was named.
    Several,
    /// It is still needed.
    StillUsed,
    /// The store could not be used.
    StoreUnavailable,
}

impl Code {
    fn exit(self) -> Exit {
        match self {
            // `oss2fa-server audit list | head` has shown what was asked for.
            Self::OutputClosed => Exit::Done,
            Self::AuditBroken
            | Self::BadFile
            | Self::NameTaken
            | Self::NoAnswer
            | Self::NotConfirmed
            | Self::NotThere
            | Self::SealedValuesLeft
            | Self::StillUsed => Exit::Refused,
            Self::BadConfiguration | Self::BadUsage | Self::Several => Exit::Usage,
            Self::CannotServe | Self::NoStore | Self::StoreUnavailable => Exit::Unavailable,
        }
    }
}

impl Failure {
    /// What went wrong, and what to do.
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// There is none of this name.
    pub(crate) fn not_there(message: impl Into<String>) -> Self {
        Self::new(Code::NotThere, message)
    }

    /// What the shell will see.
    pub(crate) fn exit(&self) -> Exit {
        self.code.exit()
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
        self.code == Code::OutputClosed
    }

    /// Standard output or standard error could not be written.
    pub(crate) fn output(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::new(Code::OutputClosed, ""),
            _ => Self::new(Code::BadFile, format!("the output could not be written: {error}")),
        }
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::new(Code::BadConfiguration, error.to_string())
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let code = match error {
            StoreError::NoStore(_) => Code::NoStore,
            StoreError::NoKeys(_) => Code::NotThere,
            _ => Code::StoreUnavailable,
        };
        Self::new(code, error.to_string())
    }
}
