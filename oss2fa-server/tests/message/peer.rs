//! A server in Python, started for one test, which tells what it sees line by line.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::Value;

/// Ends with this value.
pub(crate) struct Peer {
    child: Child,
    events: Receiver<Value>,
    pub(crate) port: u16,
}

impl Peer {
    pub(crate) fn mail_server(plan: &Value) -> Self {
        Self::start("mail_server.py", plan)
    }

    pub(crate) fn gateway(plan: &Value) -> Self {
        Self::start("gateway.py", plan)
    }

    fn start(script: &str, plan: &Value) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/message").join(script);
        // Debian's Python, by its path: another one in front of it does not have Debian's aiosmtpd.
        let mut child = Command::new("/usr/bin/python3")
            .arg(path)
            .arg(plan.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .expect("/usr/bin/python3: install python3");
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (sender, events) = channel();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let event = serde_json::from_str(&line).unwrap_or_else(|_| panic!("not JSON: {line}"));
                if sender.send(event).is_err() {
                    break;
                }
            }
        });
        let mut peer = Self { child, events, port: 0 };
        let ready = peer.events.recv_timeout(Duration::from_secs(60));
        let ready: Value = ready.expect("the peer did not start; is python3-aiosmtpd installed?");
        peer.port = u16::try_from(ready["port"].as_u64().unwrap()).unwrap();
        peer
    }

    /// The next event of this kind; fails after a minute.
    pub(crate) fn next(&self, kind: &str) -> Value {
        loop {
            let event = self.events.recv_timeout(Duration::from_secs(60));
            let event = event.unwrap_or_else(|_| panic!("no event {kind:?}"));
            if event["event"] == kind {
                return event;
            }
        }
    }

    /// What was told up to now, and within the next moment.
    pub(crate) fn told(&self) -> Vec<Value> {
        std::iter::from_fn(|| self.events.recv_timeout(Duration::from_millis(1500)).ok()).collect()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
