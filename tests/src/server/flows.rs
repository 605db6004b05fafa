//! What a caller does in several requests: an enrolment, a challenge.

use serde_json::{Value, json};

use crate::server::authenticator::phone;
use crate::server::caller::Caller;
use crate::server::curl::Reply;
use crate::token::Token;

/// A client with a device.
#[derive(Debug, Clone)]
pub struct Enrolled {
    /// Number of the client.
    pub client: i64,
    /// Number of the device.
    pub device: i64,
    /// Its name.
    pub username: String,
    /// What the user's device holds.
    pub token: Token,
}

impl Caller<'_> {
    /// Begins an enrolment and gives its number.
    #[must_use]
    pub fn enrollment(&self, username: &str) -> i64 {
        let reply = self.post("/integrations/enrollments", &json!({"username": username}));
        reply.expect(201).json()["pk"].as_i64().unwrap()
    }

    /// Chooses a device kind for it.
    pub fn prepare(&self, enrollment: i64, kind: &str, options: &Value) -> Reply {
        let path = format!("/integrations/enrollments/{enrollment}/prepare-device");
        self.post(&path, &json!({"kind": kind, "options": options}))
    }

    /// Answers it.
    pub fn complete(&self, enrollment: i64, code: &str) -> Reply {
        self.post(&format!("/integrations/enrollments/{enrollment}/complete"), &json!({"token": code}))
    }

    /// The whole of it, for a kind whose codes an authenticator makes (`TOTP`, `HOTP`).
    #[must_use]
    pub fn enroll(&self, username: &str, kind: &str) -> Enrolled {
        let enrollment = self.enrollment(username);
        let prepared = self.prepare(enrollment, kind, &json!({})).expect(200).json();
        let mut token = phone(&prepared["public_details"]);
        let done = self.complete(enrollment, &token.next_code()).expect(201);
        let client = done.header("X-Client-Id").unwrap().parse().unwrap();
        let device = prepared["device_selection"].as_i64().unwrap();
        Enrolled { client, device, username: username.to_owned(), token }
    }

    /// Asks for a challenge.
    pub fn challenge_reply(&self, username: &str, device: i64) -> Reply {
        let body = json!({"username": username, "device_pk": device, "reference": "a login"});
        self.post("/integrations/challenges", &body)
    }

    /// Asks for a challenge and gives its number.
    #[must_use]
    pub fn challenge(&self, username: &str, device: i64) -> i64 {
        self.challenge_reply(username, device).expect(201).json()["pk"].as_i64().unwrap()
    }

    /// Answers a challenge.
    pub fn answer(&self, challenge: i64, code: &str) -> Reply {
        self.post(&format!("/integrations/challenges/{challenge}/complete"), &json!({"token": code}))
    }

    /// A code in one request.
    pub fn verify(&self, username: &str, code: &str) -> Reply {
        self.post("/integrations/clients/verify", &json!({"username": username, "token": code}))
    }

    /// What shall be done with this user?
    #[must_use]
    pub fn decide(&self, username: &str) -> Value {
        self.post("/integrations/clients/auth", &json!({"username": username})).expect(200).json()
    }
}
