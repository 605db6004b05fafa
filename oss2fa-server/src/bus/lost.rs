//! Why a connection to the broker is over, in words for whoever reads the log.

use std::io;
use std::time::Duration;

use lapin::ErrorKind;

/// Why it is over, or did not come to be.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum Lost {
    #[error("the broker does not answer: {0}")]
    Unreachable(String),
    #[error("{step} took longer than {} s", limit.as_secs())]
    Slow { step: &'static str, limit: Duration },
    #[error("{error}{}", cure(error))]
    Broken { error: lapin::Error },
    #[error("the broker took the queue's consumer away: was the queue removed?")]
    Cancelled,
    #[error("the broker did not take an answer")]
    NotTaken,
    #[error("a call ended in a fault of this server: please report it")]
    Fault,
}

impl From<lapin::Error> for Lost {
    fn from(error: lapin::Error) -> Self {
        Self::Broken { error }
    }
}

impl From<io::Error> for Lost {
    fn from(error: io::Error) -> Self {
        Self::Unreachable(error.to_string())
    }
}

impl Lost {
    /// Was it a message that nobody can read? The broker gives it again to whoever takes its place, so that
    /// it has to go.
    pub(super) fn is_for_an_unreadable_message(&self) -> bool {
        matches!(self, Self::Broken { error } if matches!(error.kind(), ErrorKind::ParsingError(_)))
    }
}

/// What to do about it, where that is known (reply codes of AMQP 0-9-1).
fn cure(error: &lapin::Error) -> &'static str {
    let ErrorKind::ProtocolError(error) = error.kind() else { return "" };
    match error.get_id() {
        403 => {
            "; look at user and password in bus_url, and at what the user may: configure, write and read of the \
             exchange and of the queue rpc-SERVICE"
        }
        404 => "; somebody removed the exchange or the queue: both are made again",
        406 => {
            "; exchange or queue are there with other properties: remove the queue rpc-SERVICE, or name another \
             bus_service or bus_exchange"
        }
        530 => "; is the virtual host at the end of bus_url there, and may the user use it?",
        _ => "",
    }
}
