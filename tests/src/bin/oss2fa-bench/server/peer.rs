//! privacyIDEA on the same machine: gunicorn with two workers, SQLite, HOTP tokens by their serial.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use oss2fa_tests::load::{Expected, Head, Outcome, Pace, Plan, Requests, Target, run};
use oss2fa_tests::workspace;

use super::instance::{free_port, proportional};
use super::rates::Ours;
use super::scale::Scale;
use super::uses::Uses;
use crate::report::{Bound, Report};

/// Two are answered, and two more wait already.
const CONNECTIONS: usize = 4;

/// More than it answers in that time.
const CODES: u64 = 20_000;

pub(crate) fn measure(report: &mut Report, scale: Scale, ours: &Ours) {
    let peer = Peer::start(scale.few);
    let uses = Uses::of(scale.few);
    let outcome =
        peer.verify(uses.bodies(CODES, body), scale.seconds_of_peer).flawless().expect("privacyIDEA accepts");
    let memory = peer.proportional();
    // As with ours: what was accepted must not be accepted again.
    let again = peer.verify(uses.bodies(3, body), 10.0);
    assert!(again.accepted == 0 && again.refused == 3, "privacyIDEA takes a code twice");
    report.add("privacyIDEA, verifications a second", outcome.per_second, "1/s", Bound::None);
    report.add(
        "server, verifications against privacyIDEA",
        ours.per_second / outcome.per_second,
        "times",
        Bound::AtLeast(100.0),
    );
    report.add("privacyIDEA, memory (PSS of master and workers)", memory, "MiB", Bound::None);
    report.add("server, memory after the load (PSS)", ours.proportional, "MiB", Bound::None);
    report.add("server, memory against privacyIDEA", ours.proportional / memory, "ratio", Bound::AtMost(0.2));
}

struct Peer {
    master: Child,
    target: Target,
}

impl Peer {
    fn start(tokens: u64) -> Self {
        let scripts = workspace().join("tests/peers/privacyidea");
        let folder: PathBuf = workspace().join("target/peers/privacyidea");
        let made = Command::new(scripts.join("setup.sh")).arg(&folder).arg(tokens.to_string()).output();
        let made = made.expect("setup.sh");
        assert!(made.status.success(), "privacyIDEA: {}", String::from_utf8_lossy(&made.stderr));
        let port = free_port();
        let master = Command::new(scripts.join("serve.sh"))
            .arg(&folder)
            .arg(port.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("serve.sh");
        let target = Target::plain(SocketAddr::from(([127, 0, 0, 1], port)));
        Self { master, target }.once_ready()
    }

    // The first answer of each worker takes longer than all others.
    fn once_ready(self) -> Self {
        let path = "/".to_owned();
        let head = Head { authority: self.target.authority(), path, headers: Vec::new() };
        let plan = plan(30.0, Vec::new());
        for _ in 0..300 {
            if run(&self.target, &mut Requests::get(&head).once(), &plan).is_ok() {
                return self;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        unreachable!("privacyIDEA does not answer within 30 seconds")
    }

    fn verify(&self, bodies: Vec<String>, seconds: f64) -> Outcome {
        let form = ("Content-Type".to_owned(), "application/x-www-form-urlencoded".to_owned());
        let path = "/validate/check".to_owned();
        let head = Head { authority: self.target.authority(), path, headers: vec![form] };
        // Its status is 200 for a wrong code, too.
        let plan = plan(seconds, b"\"value\": true".to_vec());
        run(&self.target, &mut Requests::post(&head, bodies), &plan).expect("privacyIDEA answers")
    }

    fn proportional(&self) -> f64 {
        let master = self.master.id();
        let children = std::fs::read_to_string(format!("/proc/{master}/task/{master}/children")).unwrap();
        let workers: Vec<u32> = children.split_whitespace().map(|id| id.parse().unwrap()).collect();
        assert_eq!(workers.len(), 2, "gunicorn with two workers");
        workers.into_iter().chain([master]).map(proportional).sum()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _gone = kill(Pid::from_raw(self.master.id().cast_signed()), Signal::SIGTERM);
        let _ended = self.master.wait();
    }
}

fn body(token: u64, code: &str) -> String {
    format!("serial=B{token:06}&pass={code}")
}

fn plan(seconds: f64, contains: Vec<u8>) -> Plan {
    Plan {
        connections: CONNECTIONS,
        warm_up: Duration::from_secs_f64(if contains.is_empty() { 0.0 } else { 3.0 }),
        measured: Duration::from_secs_f64(seconds),
        pace: Pace::Full,
        expected: Expected { status: 200, contains },
    }
}
