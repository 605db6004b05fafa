//! What a caller does in several requests: an enrolment, a challenge.

use serde_json::{Value, json};

use crate::server::authenticator::phone;
use crate::server::caller::Caller;
use crate::server::curl::Reply;
use crate::server::node::Server;
use crate::token::Token;

/// Number of the tenant that the first start makes.
pub const DEFAULT_TENANT: i64 = 1;

/// Number of its integration.
pub const DEFAULT_INTEGRATION: i64 = 1;

impl Server {
    /// A new owner of this server, made on the command line.
    ///
    /// # Panics
    /// Where the command refuses.
    #[must_use]
    pub fn owner(&self, name: &str) -> Caller<'_> {
        let made = self.cli_json(&["admin", "create", name, "--role", "owner"]);
        self.admin(made["token"].as_str().unwrap_or_else(|| panic!("no token: {made}")))
    }

    /// Changes these keys of the default integration's policy.
    pub fn set_policy(&self, changes: &Value) {
        self.owner("policy-maker").set_policy(DEFAULT_INTEGRATION, changes);
    }
}

/// What an administrator does.
impl<'s> Caller<'s> {
    /// A new tenant; gives its number.
    #[must_use]
    pub fn new_tenant(&self, name: &str) -> i64 {
        let made = self.post("/tenants", &json!({"name": name})).expect(201).json();
        made["pk"].as_i64().unwrap()
    }

    /// A new integration of this tenant; gives whoever has its token.
    #[must_use]
    pub fn new_integration(&self, name: &str, tenant: i64) -> Caller<'s> {
        let body = json!({"name": name, "tenant": tenant});
        let made = self.post("/tenants/integrations", &body).expect(201).json();
        self.server.with_token(made["token"].as_str().unwrap())
    }

    /// A new administrator of this tenant.
    #[must_use]
    pub fn new_administrator(&self, name: &str, role: &str, tenant: i64) -> Caller<'s> {
        let body = json!({"name": name, "role": role, "tenant": tenant});
        let made = self.post("/tenants/administrators", &body).expect(201).json();
        self.server.admin(made["token"].as_str().unwrap())
    }
}

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
        Enrolled { client, device: self.newest_device(username), username: username.to_owned(), token }
    }

    /// The device that this user enrolled last.
    ///
    /// # Panics
    /// Where there is none.
    #[must_use]
    pub fn newest_device(&self, username: &str) -> i64 {
        let decision = self.decide(username);
        let devices = decision["devices"].as_array().unwrap_or_else(|| panic!("no devices: {decision}"));
        devices.iter().map(|device| device["pk"].as_i64().unwrap()).max().expect("a device")
    }

    /// Changes these keys of an integration's policy, as an administrator.
    ///
    /// # Panics
    /// Where it is refused.
    pub fn set_policy(&self, integration: i64, changes: &Value) {
        let path = format!("/tenants/integrations/{integration}/policy");
        let mut policy = self.get(&path).expect(200).json();
        for (key, value) in changes.as_object().unwrap() {
            policy[key] = value.clone();
        }
        let _changed = self.put(&path, &policy).expect(200);
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
