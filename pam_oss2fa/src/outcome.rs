//! The one table from how a call ended to the PAM code that libpam gets.
//!
//! **Invariant:** in the auth phase PAM_SUCCESS and PAM_IGNORE come from one row each, and there is
//! no row for "anything else": what is new must be given a place here before it compiles.
#![forbid(unsafe_code)]

use std::fmt;

use oss2fa_core::wire::{Login, Outcome};

use crate::agent::AgentError;
use crate::options::BadArgument;
use crate::pam::{PamError, Severity};
use crate::proof::Proof;

/// The PAM return values that the module uses, with the numbers of `security/_pam_types.h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub enum PamCode {
    /// `PAM_SUCCESS`
    Success = 0,
    /// `PAM_SERVICE_ERR`
    ServiceErr = 3,
    /// `PAM_SYSTEM_ERR`
    SystemErr = 4,
    /// `PAM_BUF_ERR`
    BufErr = 5,
    /// `PAM_PERM_DENIED`
    PermDenied = 6,
    /// `PAM_AUTH_ERR`
    AuthErr = 7,
    /// `PAM_AUTHINFO_UNAVAIL`
    AuthinfoUnavail = 9,
    /// `PAM_USER_UNKNOWN`
    UserUnknown = 10,
    /// `PAM_MAXTRIES`
    MaxTries = 11,
    /// `PAM_CONV_ERR`
    ConvErr = 19,
    /// `PAM_IGNORE`
    Ignore = 25,
    /// `PAM_ABORT`
    Abort = 26,
}

impl PamCode {
    /// The number that libpam knows it by.
    #[must_use]
    pub fn number(self) -> i32 {
        self as i32
    }
}

/// How a call of the module ended.
#[derive(Debug)]
pub enum Ending {
    /// Auth: a factor was verified.
    Verified(Proof),
    /// Auth: a wrong, denied or expired answer.
    Refused,
    /// Auth: too many tries.
    Locked,
    /// The host knows no such user.
    UserUnknown,
    /// Auth: the user has no device and must have one.
    NotEnrolled,
    /// Auth: policy asks this user for nothing here.
    Skipped,
    /// The agent could not decide.
    Undecided,
    /// The agent cannot use its configuration.
    Misconfigured,
    /// Account: this transaction has seen a second factor.
    SeenBefore(Proof),
    /// Account: policy lets this user in without one.
    NotRequired,
    /// Account: this user must have one, and this transaction has seen none.
    Unproven,
    /// Account: the line does not say `enforce`.
    NoOpinion,
    /// `pam_setcred`: there are no credentials to set.
    NothingToSet,
    /// The module did not get as far as a decision.
    Failed(Failure),
}

/// What kept the module from a decision.
#[derive(Debug)]
pub enum Failure {
    /// The stack's line is wrong.
    Argument(BadArgument),
    /// There is no user name, or it is not text.
    NoUser,
    /// The application did not say what it is, or not in text.
    NoService,
    /// The application changed `PAM_USER` while the login was under way.
    UserChanged,
    /// The agent was not reached, or did not keep to the protocol.
    Agent(AgentError),
    /// libpam or the application failed.
    Pam(PamError),
    /// A defect: a panic, or a call without a handle.
    Defect,
}

impl Ending {
    /// The table.
    #[must_use]
    pub fn code(&self) -> PamCode {
        match self {
            Self::Verified(_) => PamCode::Success,
            Self::Refused => PamCode::AuthErr,
            Self::Locked => PamCode::MaxTries,
            Self::UserUnknown => PamCode::UserUnknown,
            Self::NotEnrolled => PamCode::AuthErr,
            Self::Skipped => PamCode::Ignore,
            Self::Undecided => PamCode::AuthinfoUnavail,
            Self::Misconfigured => PamCode::ServiceErr,
            Self::SeenBefore(_) => PamCode::Success,
            Self::NotRequired => PamCode::Success,
            Self::Unproven => PamCode::PermDenied,
            Self::NoOpinion => PamCode::Ignore,
            Self::NothingToSet => PamCode::Success,
            Self::Failed(Failure::Argument(_)) => PamCode::ServiceErr,
            Self::Failed(Failure::NoUser) => PamCode::UserUnknown,
            Self::Failed(Failure::NoService) => PamCode::ServiceErr,
            Self::Failed(Failure::UserChanged) => PamCode::AuthErr,
            Self::Failed(Failure::Agent(_)) => PamCode::AuthinfoUnavail,
            Self::Failed(Failure::Pam(PamError::Conversation)) => PamCode::ConvErr,
            Self::Failed(Failure::Pam(PamError::Memory)) => PamCode::BufErr,
            Self::Failed(Failure::Pam(PamError::Libpam)) => PamCode::SystemErr,
            Self::Failed(Failure::Defect) => PamCode::Abort,
        }
    }

    /// What the agent's outcome means in the auth phase.
    #[must_use]
    pub fn of_auth(outcome: Outcome, login: &Login) -> Self {
        match outcome {
            Outcome::Verified => match Proof::from_agent(outcome, login) {
                Some(proof) => Self::Verified(proof),
                None => Self::Undecided,
            },
            Outcome::Refused => Self::Refused,
            Outcome::Locked => Self::Locked,
            Outcome::UserUnknown => Self::UserUnknown,
            Outcome::NotEnrolled => Self::NotEnrolled,
            Outcome::Skipped => Self::Skipped,
            Outcome::Unavailable => Self::Undecided,
            Outcome::Misconfigured => Self::Misconfigured,
        }
    }

    /// What the agent's outcome means in the account phase, where nobody proves anything: one that
    /// lets somebody in is nonsense there.
    #[must_use]
    pub fn of_account(outcome: Outcome) -> Self {
        match outcome {
            Outcome::UserUnknown => Self::UserUnknown,
            Outcome::Misconfigured => Self::Misconfigured,
            Outcome::Verified
            | Outcome::Refused
            | Outcome::Locked
            | Outcome::NotEnrolled
            | Outcome::Skipped
            | Outcome::Unavailable => Self::Undecided,
        }
    }
}

impl Failure {
    /// How much an administrator should mind.
    #[must_use]
    pub fn severity(&self) -> Severity {
        match self {
            Self::Pam(PamError::Conversation) | Self::NoUser => Severity::Notice,
            Self::Argument(_)
            | Self::NoService
            | Self::UserChanged
            | Self::Agent(_)
            | Self::Pam(PamError::Memory | PamError::Libpam)
            | Self::Defect => Severity::Error,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Argument(bad) => bad.fmt(f),
            Self::NoUser => f.write_str("the user name is missing or is not UTF-8"),
            Self::NoService => f.write_str("the program did not give its PAM service name as text"),
            Self::UserChanged => f.write_str(
                "the program changed the user name while the login was under way: refused, \
                 because the agent's answer is about the name before",
            ),
            Self::Agent(error) => error.fmt(f),
            Self::Pam(error) => error.fmt(f),
            Self::Defect => {
                f.write_str("a defect in the module: please report it with the log around this line")
            }
        }
    }
}

impl From<BadArgument> for Failure {
    fn from(bad: BadArgument) -> Self {
        Self::Argument(bad)
    }
}

impl From<AgentError> for Failure {
    fn from(error: AgentError) -> Self {
        Self::Agent(error)
    }
}

impl From<PamError> for Failure {
    fn from(error: PamError) -> Self {
        Self::Pam(error)
    }
}
