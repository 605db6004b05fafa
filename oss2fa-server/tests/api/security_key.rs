//! A security key in software and the browser that asks it: `tests/peers/security_key.py`, on the `fido2` library.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Mutex;

use serde_json::{Value, json};

/// All keys of a test.
pub(crate) struct Keys {
    process: Child,
    pipes: Mutex<(ChildStdin, BufReader<ChildStdout>)>,
}

impl Keys {
    pub(crate) fn new() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let mut process = Command::new(root.join("target/peers/security-key/bin/python"))
            .arg(root.join("tests/peers/security_key.py"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the peers are needed: run tests/peers/install.sh");
        let (stdin, stdout) = (process.stdin.take().unwrap(), process.stdout.take().unwrap());
        Self { process, pipes: Mutex::new((stdin, BufReader::new(stdout))) }
    }

    fn ask(&self, what: &Value) -> Value {
        let mut pipes = self.pipes.lock().unwrap();
        writeln!(pipes.0, "{what}").unwrap();
        let mut line = String::new();
        pipes.1.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {what}"))
    }

    /// The certificate of who vouches for the keys.
    pub(crate) fn root(&self) -> String {
        self.ask(&json!({"do": "root"}))["pem"].as_str().unwrap().to_owned()
    }

    /// A new credential for the options that the server shows: its number, and the attestation.
    pub(crate) fn create(&self, options: &Value, wrong: &Value) -> (u64, Value) {
        let answer = self.ask(&json!({"do": "create", "options": options, "wrong": wrong}));
        (answer["key"].as_u64().unwrap(), answer["token"].clone())
    }

    /// An assertion.
    pub(crate) fn get(&self, key: u64, options: &Value, wrong: &Value) -> Value {
        self.ask(&json!({"do": "get", "key": key, "options": options, "wrong": wrong}))["token"].clone()
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        let _gone = self.process.kill();
        let _reaped = self.process.wait();
    }
}
