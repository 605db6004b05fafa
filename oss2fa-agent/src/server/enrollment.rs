//! Enrolling a device at the server: begin, and prove it by its first code.

use std::time::Instant;

use oss2fa_core::secret::SecretText;
use serde::Deserialize;
use serde_json::{Value, json};

use super::judge::{Judged, Proven, refusal};
use super::{Binding, Fault, Server};

/// A device that waits for its first code.
#[derive(Debug)]
pub struct Waiting {
    /// Number of the enrolment.
    pub pk: i64,
    /// What its owner needs.
    pub shown: Shown,
}

/// What the owner of a new device needs.
#[derive(Debug)]
pub enum Shown {
    /// Holds the secret.
    ProvisioningUri(SecretText),
    /// A code was sent there; masked.
    SentTo(String),
    /// Recovery codes; one of them proves that they were kept.
    Codes(Vec<SecretText>),
}

/// What came of beginning.
#[derive(Debug)]
pub enum Begun {
    /// It waits.
    Waiting(Waiting),
    /// The server does not do that for this user; its stable word and why, for people.
    Refused(String),
}

#[derive(Deserialize)]
struct Enrollment {
    pk: i64,
    public_details: Option<Details>,
}

#[derive(Deserialize)]
struct Details {
    provisioning_uri: Option<SecretText>,
    address: Option<String>,
    codes: Option<Vec<SecretText>>,
}

impl Server {
    /// Begins an enrolment of this kind, which the server may allow from some networks alone.
    ///
    /// # Errors
    /// A [`Fault`].
    pub fn enroll(
        &self,
        login: &Binding,
        kind: &str,
        options: &Value,
        deadline: Instant,
    ) -> Result<Begun, Fault> {
        match self.begin_enrollment(login, deadline)? {
            Ok(pk) => self.prepare(pk, kind, options, deadline),
            Err(why) => Ok(Begun::Refused(why)),
        }
    }

    // Its number, or why there is none.
    pub(super) fn begin_enrollment(
        &self,
        login: &Binding,
        deadline: Instant,
    ) -> Result<Result<i64, String>, Fault> {
        let question = self.post("/integrations/enrollments", &login.body([]))?;
        let answer = self.ask(question, deadline)?;
        if let Some(why) = not_done(answer.status(), answer.error_code()) {
            return Ok(Err(why));
        }
        let Enrollment { pk, .. } = answer.body(201)?;
        Ok(Ok(pk))
    }

    /// Has what is sent or shown sent or shown again.
    ///
    /// # Errors
    /// A [`Fault`].
    pub fn prepare(&self, pk: i64, kind: &str, options: &Value, deadline: Instant) -> Result<Begun, Fault> {
        let path = format!("/integrations/enrollments/{pk}/prepare-device");
        let body = json!({ "kind": kind, "options": options });
        let answer = self.ask(self.post(path, &body)?, deadline)?;
        if let Some(why) = not_done(answer.status(), answer.error_code()) {
            return Ok(Begun::Refused(why));
        }
        let Enrollment { pk, public_details } = answer.body(200)?;
        let details =
            public_details.ok_or_else(|| Fault::strange("an enrolment without what its owner needs"))?;
        let shown = match details {
            Details { provisioning_uri: Some(uri), .. } => Shown::ProvisioningUri(uri),
            Details { codes: Some(codes), .. } => Shown::Codes(codes),
            Details { address: Some(address), .. } => Shown::SentTo(address),
            _ => return Err(Fault::strange("an enrolment without what its owner needs")),
        };
        Ok(Begun::Waiting(Waiting { pk, shown }))
    }

    /// Whom an enrolment is for; `None` where there is none of this number.
    ///
    /// # Errors
    /// A [`Fault`].
    pub fn enrolling(&self, pk: i64, deadline: Instant) -> Result<Option<String>, Fault> {
        #[derive(Deserialize)]
        struct Named {
            username: String,
        }
        let answer = self.ask(super::Question::get(format!("/integrations/enrollments/{pk}")), deadline)?;
        if answer.status() == 404 {
            return Ok(None);
        }
        answer.body::<Named>(200).map(|found| Some(found.username))
    }

    /// Shows the first code: the device counts from then on.
    ///
    /// # Errors
    /// A [`Fault`].
    pub fn prove(&self, pk: i64, code: &SecretText, deadline: Instant) -> Result<Judged, Fault> {
        let body = json!({ "token": code.expose().trim() });
        let question = self.post(format!("/integrations/enrollments/{pk}/complete"), &body)?;
        let answer = self.ask(question, deadline)?;
        if let Some(refusal) = refusal(&answer) {
            return Ok(refusal);
        }
        Proven::by_enrollment(&answer).map(Judged::Proven).ok_or_else(|| Fault::of(&answer))
    }
}

// What the server's rules say to the person, and not to this host.
pub(super) fn not_done(status: u16, code: &str) -> Option<String> {
    let why = match (status, code) {
        (403, "kind_not_allowed") => "the server's policy does not allow this kind of device",
        (403, "network_not_allowed") => "the server's policy takes no enrolment from there",
        (403, "client_inactive") => "the server has switched this user off",
        (409, "too_many_devices") => "this user has as many devices at the server as its policy allows",
        (422, "bad_options") => "the server does not take that address or these options",
        (403, "no_relying_party") => super::security_keys::NOT_AT_HOSTS,
        (422, "bad_name") => "the server does not take this user name",
        (422, "unknown_kind") => "the server does not know this kind of device",
        (429, "no_more_messages") => "no more codes are sent now: wait a while",
        (502, "message_not_sent") => "the server could not send the code",
        _ => return None,
    };
    Some(why.to_owned())
}
