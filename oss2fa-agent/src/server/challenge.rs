//! Challenges: opening one on a device, sending its code again, giving it up.

use std::time::Instant;

use serde::Deserialize;
use serde_json::{Value, json};

use super::answer::Answer;
use super::decide::no_key;
use super::judge::{Judged, refusal};
use super::{Binding, Fault, Question, Server};

/// What came of opening one.
#[derive(Debug, PartialEq, Eq)]
pub enum Opening {
    /// It is open.
    Open(Challenge),
    /// Not to be had for this device or this user.
    Refused,
    /// Too many tries.
    Locked,
}

/// An open challenge.
#[derive(Debug, PartialEq, Eq)]
pub struct Challenge {
    /// Its number.
    pub pk: i64,
    /// The masked address that a code was sent to.
    pub sent_to: Option<String>,
}

/// What came of sending its code again.
#[derive(Debug, PartialEq, Eq)]
pub enum Resent {
    /// It is on its way.
    Sent,
    /// Not so soon, or not so often.
    NotAgain,
    /// The challenge is over.
    Over,
    /// Too many tries.
    Locked,
}

#[derive(Deserialize)]
struct Shown {
    pk: i64,
    public_details: Option<Details>,
}

#[derive(Deserialize)]
struct Details {
    address: Option<String>,
}

impl Server {
    /// Opens a challenge on a device; a code is sent where it is an address.
    ///
    /// # Errors
    /// A [`Fault`].
    pub fn open(&self, login: &Binding, device: i64, deadline: Instant) -> Result<Opening, Fault> {
        let answer = self.ask(self.challenge_on(login, device)?, deadline)?;
        match refusal(&answer) {
            Some(Judged::Locked) => return Ok(Opening::Locked),
            Some(_) => return Ok(Opening::Refused),
            None => {}
        }
        if no_more_messages(&answer) {
            return Ok(Opening::Refused);
        }
        let Shown { pk, public_details } = answer.body(201)?;
        Ok(Opening::Open(Challenge { pk, sent_to: public_details.and_then(|details| details.address) }))
    }

    pub(super) fn challenge_on(&self, login: &Binding, device: i64) -> Result<Question, Fault> {
        let reference = format!("{} on {}", login.service, login.host).chars().take(120).collect();
        let more = [("device_pk", json!(device)), ("reference", Value::String(reference))];
        self.post("/integrations/challenges", &login.body(more))
    }

    /// Sends its code again.
    ///
    /// # Errors
    /// A [`Fault`].
    pub fn resend(&self, challenge: i64, deadline: Instant) -> Result<Resent, Fault> {
        let path = format!("/integrations/challenges/{challenge}/resend");
        let answer = self.ask(self.post(path, &json!({}))?, deadline)?;
        if no_more_messages(&answer) {
            return Ok(Resent::NotAgain);
        }
        match refusal(&answer) {
            Some(Judged::Locked) => return Ok(Resent::Locked),
            Some(_) => return Ok(Resent::Over),
            None => {}
        }
        let Shown { .. } = answer.body(200)?;
        Ok(Resent::Sent)
    }

    /// Gives it up. Nobody waits for that.
    pub fn cancel(&self, challenge: i64) {
        match Question::delete(format!("/integrations/challenges/{challenge}"), self.random()) {
            Ok(question) => self.tell(question),
            Err(error) => tracing::warn!(fault = %no_key(&error), "a challenge was not given up"),
        }
    }
}

fn no_more_messages(answer: &Answer) -> bool {
    answer.status() == 429 && answer.error_code() == "no_more_messages"
}
