//! The proof that a transaction has seen a second factor.
#![forbid(unsafe_code)]

use oss2fa_core::wire::{Login, Outcome};

/// The agent said, for this user at this service, that a factor was verified and spent.
///
/// Nothing but [`Proof::from_agent`] makes one. PAM_SUCCESS in the auth phase carries one, and the
/// account phase demands it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    user: String,
    service: String,
}

impl Proof {
    /// A proof where the agent's outcome is one.
    #[must_use]
    pub fn from_agent(outcome: Outcome, login: &Login) -> Option<Self> {
        match outcome {
            Outcome::Verified => Some(Self { user: login.user.clone(), service: login.service.clone() }),
            Outcome::Refused
            | Outcome::Locked
            | Outcome::UserUnknown
            | Outcome::NotEnrolled
            | Outcome::Skipped
            | Outcome::Unavailable
            | Outcome::Misconfigured => None,
        }
    }

    /// Whether it was made for this very user and service, letter by letter. A name that the stack
    /// has changed since is another one.
    #[must_use]
    pub fn covers(&self, login: &Login) -> bool {
        self.user == login.user && self.service == login.service
    }
}
