//! What happened on this host while no server could be reached, told once one can.

use std::time::Instant;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Fault, Server};

/// Most events in one request, which the server takes of 64 KiB and no larger.
pub const MOST_EVENTS: usize = 40;

/// One thing that happened. The server takes each id of a host once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HostEvent {
    /// Unique for this host.
    pub id: String,
    /// When, by this host's clock (RFC 3339).
    pub at: String,
    /// A stable word.
    pub event: String,
    /// Whom it is about.
    pub username: String,
    /// Through what.
    pub service: String,
    /// One line more.
    pub detail: String,
    /// What a security key of the server has signed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub assertion: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct Recorded {
    #[serde(rename = "recorded")]
    _recorded: u64,
}

impl Server {
    /// Tells the server, at most [`MOST_EVENTS`] at a time.
    ///
    /// # Errors
    /// A [`Fault`]: they are to be told again.
    pub fn tell_events(&self, events: &[HostEvent], deadline: Instant) -> Result<(), Fault> {
        let body = json!({ "host": self.config().host, "events": events });
        let answer = self.ask(self.post("/integrations/host-events", &body)?, deadline)?;
        let Recorded { .. } = answer.body(200)?;
        Ok(())
    }
}
