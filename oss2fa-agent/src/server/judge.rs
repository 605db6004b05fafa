//! Codes before the server: what it says, and the evidence that it said yes.

use std::time::Instant;

use oss2fa_core::secret::SecretText;
use serde::Deserialize;
use serde_json::Value;

use super::answer::Answer;
use super::{Binding, Fault, Server};

/// The server has verified a code, and spent it: 200 or 201 with the body that says so, and nothing else.
///
/// It cannot be forged:
///
/// ```compile_fail
/// let forged = oss2fa_agent::server::Proven { client: 1 };
/// ```
#[derive(Debug, PartialEq, Eq)]
pub struct Proven {
    client: i64,
}

impl Proven {
    /// The number of the client at the server.
    #[must_use]
    pub fn client(&self) -> i64 {
        self.client
    }

    /// From the answer to a new device's first code: 201, and who it belongs to.
    pub(super) fn by_enrollment(answer: &Answer) -> Option<Self> {
        answer.client().filter(|_| answer.status() == 201).map(|client| Self { client })
    }
}

/// What the server makes of a code.
#[derive(Debug, PartialEq, Eq)]
pub enum Judged {
    /// Right, and spent.
    Proven(Proven),
    /// Wrong, used, expired, or of nobody.
    Refused,
    /// Too many tries.
    Locked,
}

#[derive(Deserialize)]
struct Accepted {
    client: i64,
    #[serde(rename = "device")]
    _device: i64,
}

#[derive(Deserialize)]
struct Complete {
    client: i64,
    #[serde(rename = "device")]
    _device: i64,
    status: i64,
}

/// The status of a challenge that is complete.
const COMPLETE: i64 = 3;

impl Server {
    /// Tries a code against all devices of the user that make codes.
    ///
    /// # Errors
    /// A [`Fault`].
    pub fn verify(&self, login: &Binding, code: &SecretText, deadline: Instant) -> Result<Judged, Fault> {
        let token = Value::String(code.expose().trim().to_owned());
        let question = self.post("/integrations/clients/verify", &login.body([("token", token)]))?;
        let answer = self.ask(question, deadline)?;
        if let Some(refusal) = refusal(&answer) {
            return Ok(refusal);
        }
        let Accepted { client, .. } = answer.body(200)?;
        Ok(Judged::Proven(Proven { client }))
    }

    /// Answers an open challenge.
    ///
    /// # Errors
    /// A [`Fault`].
    pub fn complete(&self, challenge: i64, code: &SecretText, deadline: Instant) -> Result<Judged, Fault> {
        self.complete_with(challenge, &Value::String(code.expose().trim().to_owned()), deadline)
    }

    pub(super) fn complete_with(
        &self,
        challenge: i64,
        token: &Value,
        deadline: Instant,
    ) -> Result<Judged, Fault> {
        let body = serde_json::json!({ "token": token });
        let question = self.post(format!("/integrations/challenges/{challenge}/complete"), &body)?;
        let answer = self.ask(question, deadline)?;
        if let Some(refusal) = refusal(&answer) {
            return Ok(refusal);
        }
        match answer.body(200)? {
            Complete { client, status: COMPLETE, .. } => Ok(Judged::Proven(Proven { client })),
            Complete { status, .. } => {
                Err(Fault::strange(&format!("a complete challenge of status {status}")))
            }
        }
    }
}

/// The answers that are about the code and not about this host.
pub(super) fn refusal(answer: &Answer) -> Option<Judged> {
    match (answer.status(), answer.error_code()) {
        (403, "wrong_token" | "client_inactive")
        | (404, "not_found")
        | (409, "challenge_over" | "enrollment_over")
        | (410, "challenge_expired" | "enrollment_expired") => Some(Judged::Refused),
        (429, "locked") => Some(Judged::Locked),
        _ => None,
    }
}
