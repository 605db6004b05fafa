//! Why something was not done. The default of everything that decides.

use crate::device::{KindError, NoToken, NotOffered};
use crate::message::NotSent;
use crate::outside::Timestamp;
use crate::policy::BadPolicy;
use crate::store::error::StoreError;

/// A refusal: its words are for people, and say what to do.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// No such thing for this caller.
    #[error("there is no such {0} here: look at its number, and whether it is of this integration")]
    NotFound(&'static str),
    /// A name that nothing may have.
    #[error("{0}")]
    BadName(String),
    /// No such kind.
    #[error("there is no such kind of device: GET /devices-kind lists those that there are")]
    UnknownKind,
    /// Policy does not allow the kind.
    #[error("the policy of this integration does not allow this kind of device: choose another")]
    KindNotAllowed,
    /// Policy lacks what the kind needs.
    #[error(transparent)]
    NotOffered(#[from] NotOffered),
    /// Policy does not take what was shown.
    #[error("{0}")]
    Unfit(&'static str),
    /// The options do not fit the kind.
    #[error("{0}")]
    Options(String),
    /// The enrollment is not where this step belongs.
    #[error("this enrollment waits for prepare-device first: say which device is to be enrolled")]
    NotPrepared,
    /// Completed, failed or cancelled.
    #[error("this {0} is over: begin a new one")]
    Over(&'static str),
    /// Expired.
    #[error("this {0} has expired: begin a new one")]
    Expired(&'static str),
    /// Wrong.
    #[error("the token is wrong or was used before: wait for the next one and try again")]
    WrongToken {
        /// How many tries are left, where they are counted.
        attempts_left: Option<u32>,
    },
    /// Too many tries.
    #[error("too many wrong tokens: wait, then try again, or use another device")]
    Locked {
        /// Until when.
        until: Timestamp,
    },
    /// The client may not pass.
    #[error("this client may not pass: an administrator has set it inactive")]
    Inactive,
    /// The client's address is outside of what policy allows.
    #[error("policy does not allow clients from this address")]
    Network,
    /// As many devices as may be.
    #[error("this client has as many devices as policy allows: remove one first")]
    TooManyDevices,
    /// As many offline credentials as may be.
    #[error("this client has five offline credentials on this host: revoke one first")]
    TooManyCredentials,
    /// The secret is one that has been used.
    #[error("this secret belongs to a device whose codes were used already: take the token's next code")]
    UsedSecret,
    /// The credential is one that the integration knows.
    #[error("this security key is enrolled here already: use another")]
    RegisteredKey,
    /// The security key is enrolled.
    #[error("this security key is enrolled already: remove that device first, or take another key")]
    KeyTaken,
    /// Nobody could say whether the password of a security key is right.
    #[error(transparent)]
    NotValidated(#[from] crate::yubico::NoAnswer),
    /// No more messages, or not yet.
    #[error("no other message is sent now: wait for the first to arrive, or begin anew later")]
    NoMoreMessages {
        /// When the next may be sent, where one may.
        next: Option<Timestamp>,
    },
    /// This device has nothing to send.
    #[error("nothing is sent to this kind of device")]
    NothingToSend,
    /// The message was not taken.
    #[error("the code could not be sent: try again, or use another device")]
    NotSent(NotSent),
    /// The policy cannot be.
    #[error(transparent)]
    Policy(#[from] BadPolicy),
    /// A name that is taken.
    #[error("there is one of this name already: choose another name")]
    NameTaken,
    /// Not allowed for this principal.
    #[error("{0}")]
    Forbidden(&'static str),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<NoToken> for Refusal {
    fn from(error: NoToken) -> Self {
        Self::Options(error.to_string())
    }
}

impl From<KindError> for Refusal {
    fn from(error: KindError) -> Self {
        match error {
            KindError::Options(what) => Self::Options(what),
            KindError::NotOffered(why) => Self::NotOffered(why),
            KindError::Store(error) => Self::Store(error),
        }
    }
}
