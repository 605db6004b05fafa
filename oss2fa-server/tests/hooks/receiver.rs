//! The receiver of `receiver.py`: not ours, and it believes no signature that it has not checked itself.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver as Events, channel};
use std::time::Duration;

use serde_json::{Value, json};

pub(crate) struct Receiver {
    process: Child,
    orders: ChildStdin,
    events: Events<Value>,
    pub(crate) port: u16,
}

impl Receiver {
    pub(crate) fn start() -> Self {
        Self::at(0)
    }

    /// At a port, where one was before.
    pub(crate) fn at(port: u16) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hooks/receiver.py");
        let mut process = Command::new("/usr/bin/python3")
            .arg(path)
            .arg(port.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("/usr/bin/python3: install python3");
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let orders = process.stdin.take().unwrap();
        let (sender, events) = channel();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                if sender.send(serde_json::from_str(&line).unwrap()).is_err() {
                    break;
                }
            }
        });
        let mut receiver = Self { process, orders, events, port };
        receiver.port = u16::try_from(receiver.next("ready")["port"].as_u64().unwrap()).unwrap();
        receiver
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/hook?for=tests", self.port)
    }

    /// Says how to answer from now on.
    pub(crate) fn tell(&mut self, plan: &Value) {
        writeln!(self.orders, "{plan}").unwrap();
        self.next("told");
    }

    pub(crate) fn knows(&mut self, secret: &str) {
        self.tell(&json!({ "secrets": [secret] }));
    }

    fn next(&self, kind: &str) -> Value {
        loop {
            let event = self.events.recv_timeout(Duration::from_secs(60));
            let event = event.unwrap_or_else(|_| panic!("no event {kind:?}"));
            if event["event"] == kind {
                return event;
            }
        }
    }

    /// The next delivery; fails after a minute.
    pub(crate) fn delivery(&self) -> Value {
        self.next("delivery")
    }

    /// All that comes until nothing has come for a moment.
    pub(crate) fn all(&self) -> Vec<Value> {
        std::iter::from_fn(|| self.events.recv_timeout(Duration::from_millis(1500)).ok()).collect()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
