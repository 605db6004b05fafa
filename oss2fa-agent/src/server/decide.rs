//! What the server decides about a login: prove, enrol, pass, or none of it.

use std::time::Instant;

use serde::Deserialize;

use super::{Binding, Fault, Question, Server};

/// The decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Has no device, and may enrol one.
    Enroll,
    /// Must prove one of these. At least one.
    Challenge(Vec<RemoteDevice>),
    /// May pass.
    Allow,
    /// May not pass, or is unknown there.
    Deny,
}

/// A device at the server.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct RemoteDevice {
    /// Its number there.
    pub pk: i64,
    /// What kind it is.
    pub kind: RemoteKind,
    /// What its owner calls it.
    pub name: String,
    /// The masked address that its codes are sent to.
    pub address: Option<String>,
}

/// A kind of device at the server.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct RemoteKind {
    /// Its stable name.
    pub name: String,
}

#[derive(Deserialize)]
struct Needed {
    result: i64,
    devices: Vec<RemoteDevice>,
}

impl Server {
    /// What does this login need?
    ///
    /// # Errors
    /// A [`Fault`].
    pub fn decide(&self, login: &Binding, deadline: Instant) -> Result<Decision, Fault> {
        let question = self.post("/integrations/clients/auth", &login.body([]))?;
        let needed: Needed = self.ask(question, deadline)?.body(200)?;
        match needed.result {
            1 => Ok(Decision::Enroll),
            2 if !needed.devices.is_empty() => Ok(Decision::Challenge(needed.devices)),
            3 => Ok(Decision::Allow),
            4 => Ok(Decision::Deny),
            other => Err(Fault::strange(&format!("decision {other}"))),
        }
    }

    pub(super) fn post(&self, path: impl Into<String>, body: &serde_json::Value) -> Result<Question, Fault> {
        Question::post(path.into(), body, self.random()).map_err(|error| no_key(&error))
    }
}

pub(super) fn no_key(error: &dyn std::fmt::Display) -> Fault {
    Fault::new("random", format!("the question was not sent: {error}"))
}
