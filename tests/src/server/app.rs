//! An app of ungleich-otp, as its owner has it.

use std::process::Command;

use serde_json::{Value, json};

use crate::server::node::Server;

/// An app with its seed.
#[derive(Debug)]
pub struct App {
    /// Who it is.
    pub uuid: String,
    /// What its tokens are made of.
    pub seed: String,
}

impl App {
    /// A new one of this user.
    ///
    /// # Panics
    /// Where the server's command does not make it.
    #[must_use]
    pub fn create(server: &Server, user: &str, words: &[&str]) -> Self {
        let made = server.cli_json(&[&["app", "create", "--user", user, "--name", "web"], words].concat());
        let text = |field: &str| made[field].as_str().unwrap().to_owned();
        Self { uuid: text("appuuid"), seed: text("seed") }
    }

    /// Its token so many seconds from now, by oathtool.
    #[must_use]
    pub fn token_at(&self, offset: i64) -> String {
        let now = format!("now {offset:+} seconds");
        said(Command::new("/usr/bin/oathtool").args(["--totp", "--base32", "--now", &now, &self.seed]))
    }

    /// Its token now, by pyotp.
    #[must_use]
    pub fn token(&self) -> String {
        let script = "import pyotp, sys; print(pyotp.TOTP(sys.argv[1]).now())";
        said(Command::new("/usr/bin/python3").args(["-c", script, &self.seed]))
    }

    /// Both, for a peer that makes tokens itself.
    #[must_use]
    pub fn known(&self) -> Value {
        json!({"uuid": self.uuid, "seed": self.seed})
    }

    /// What every request of it has.
    #[must_use]
    pub fn claim(&self) -> Value {
        json!({"version": "1", "appuuid": self.uuid, "token": self.token()})
    }

    /// The same with more fields.
    #[must_use]
    pub fn asking(&self, more: &Value) -> Value {
        let mut body = self.claim();
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    }

    /// The same that asks about another app.
    #[must_use]
    pub fn about(&self, other: &Self, token: &str) -> Value {
        self.asking(&json!({"appuuidtoverify": other.uuid, "tokentoverify": token}))
    }
}

/// What a program that succeeds has printed.
fn said(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
