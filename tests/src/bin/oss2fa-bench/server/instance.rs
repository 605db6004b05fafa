//! A server of ours that runs for a measurement, and a load on it.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use oss2fa_tests::Built;
use oss2fa_tests::load::{Expected, Head, Outcome, Pace, Plan, Requests, Target, TrustedCertificate, run};

use super::uses::Uses;

/// Enough for the writer to find several verifications at once.
pub(crate) const CONNECTIONS: usize = 128;

// Codes are made for this rate; a server that is faster ends a run sooner.
const FASTEST: f64 = 60_000.0;

const START: Duration = Duration::from_secs(20);

/// A running server.
pub(crate) struct Instance {
    child: Child,
    folder: PathBuf,
    target: Target,
    /// From the start of the process to its first answer.
    pub(crate) first_answer: Duration,
}

impl Instance {
    /// On this data folder, and where a URL is given on that database.
    pub(crate) fn start(folder: &Path, store: Option<&str>) -> Self {
        Self::start_with(folder, store, "")
    }

    /// With these sections of `server.toml`.
    pub(crate) fn start_with(folder: &Path, store: Option<&str>, sections: &str) -> Self {
        let port = free_port();
        let config = folder.join("bench.toml");
        fs::write(&config, configuration(folder, port, store) + sections).unwrap();
        let log = File::create(folder.join("bench.log")).unwrap();
        let begun = Instant::now();
        let mut child = Command::new(Built::server())
            .args(["serve", "--config"])
            .arg(&config)
            .env_clear()
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .expect("oss2fa-server");
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let mut waited = None;
        while waited.is_none() {
            let log = || fs::read_to_string(folder.join("bench.log")).unwrap_or_default();
            assert!(child.try_wait().unwrap().is_none(), "the server has ended: {}", log());
            assert!(begun.elapsed() < START, "the server does not answer: {}", log());
            // At a first start the certificate comes before the listener.
            waited = TrustedCertificate::from_file(&folder.join("tls.crt"))
                .ok()
                .map(|certificate| Target::tls(address, certificate))
                .filter(answers);
            thread::sleep(Duration::from_millis(1));
        }
        let first_answer = begun.elapsed();
        Self { child, folder: folder.to_owned(), target: waited.unwrap(), first_answer }
    }

    /// Where hosts reach it.
    pub(crate) fn url(&self) -> String {
        format!("https://{}", self.target.authority())
    }

    /// `/healthz`, as fast as it answers.
    pub(crate) fn health(&self, seconds: f64) -> Outcome {
        self.flawless(run(&self.target, &mut health(&self.target), &plan(seconds, Pace::Full)))
    }

    /// Verifications, each with a code of its own.
    pub(crate) fn verify(&self, token: &str, uses: &mut Uses, seconds: f64, pace: Pace) -> Outcome {
        let plan = plan(seconds, pace);
        let rate = if let Pace::PerSecond(rate) = pace { rate } else { FASTEST };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "some 100,000")]
        let count = ((plan.warm_up + plan.measured).as_secs_f64() * rate).ceil() as u64;
        let mut requests = Requests::post(&self.head(token), uses.bodies(count, body));
        let outcome = self.flawless(run(&self.target, &mut requests, &plan));
        uses.spend(outcome.sent);
        outcome
    }

    /// That codes which were accepted are not accepted again: else nothing was measured.
    pub(crate) fn refuses_what_is_spent(&self, token: &str, devices: u64) {
        let spent = Uses::of(devices).bodies(3, body);
        let plan = Plan { connections: 1, warm_up: Duration::ZERO, ..plan(10.0, Pace::Full) };
        let outcome = run(&self.target, &mut Requests::post(&self.head(token), spent), &plan).unwrap();
        assert!(outcome.refused == 3 && outcome.accepted == 0, "spent codes: {:?}", outcome.statuses);
    }

    /// A POST of each of these bodies, without a credential in a header.
    pub(crate) fn post(&self, path: &str, bodies: Vec<String>, seconds: f64, pace: Pace) -> Outcome {
        let mut requests = Requests::post(&self.head_of(path, &[]), bodies);
        self.flawless(run(&self.target, &mut requests, &plan(seconds, pace)))
    }

    /// A GET of each of these paths; a body counts that contains `words`.
    pub(crate) fn get(&self, paths: Vec<String>, words: &str, seconds: f64) -> Outcome {
        self.get_by(paths, words, plan(seconds, Pace::Full))
    }

    /// That each of these paths is answered with `words`: else nothing was measured.
    pub(crate) fn answers_each(&self, paths: Vec<String>, words: &str) {
        let (count, plan) = (paths.len(), plan(10.0, Pace::Full));
        let outcome = self.get_by(paths, words, Plan { connections: 1, warm_up: Duration::ZERO, ..plan });
        assert!(outcome.accepted == count as u64, "{words}: {:?}", outcome.statuses);
    }

    fn get_by(&self, paths: Vec<String>, words: &str, plan: Plan) -> Outcome {
        let expected = Expected { status: 200, contains: words.as_bytes().to_vec() };
        let mut requests = Requests::get_each(&self.head_of("/", &[]), paths);
        self.flawless(run(&self.target, &mut requests, &Plan { expected, ..plan }))
    }

    /// That none of these is accepted: else nothing was measured.
    pub(crate) fn refuses(&self, path: &str, bodies: Vec<String>) {
        let (count, mut requests) = (bodies.len(), Requests::post(&self.head_of(path, &[]), bodies));
        let plan = Plan { connections: 1, warm_up: Duration::ZERO, ..plan(10.0, Pace::Full) };
        let outcome = run(&self.target, &mut requests, &plan).unwrap();
        assert!(outcome.refused == count as u64 && outcome.accepted == 0, "{path}: {:?}", outcome.statuses);
    }

    fn head(&self, token: &str) -> Head {
        self.head_of("/integrations/clients/verify", &[("X-Integration-Token", token)])
    }

    fn head_of(&self, path: &str, own: &[(&str, &str)]) -> Head {
        let common = [("Accept", "application/json; version=1.0"), ("Content-Type", "application/json")];
        let headers = common.iter().chain(own).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Head { authority: self.target.authority(), path: path.to_owned(), headers: headers.collect() }
    }

    fn flawless(&self, outcome: std::io::Result<Outcome>) -> Outcome {
        let outcome = outcome.and_then(Outcome::flawless);
        if outcome.is_err() {
            let log = fs::read_to_string(self.folder.join("bench.log")).unwrap_or_default();
            let end = log.char_indices().rev().nth(2_000).map_or(0, |(at, _)| at);
            eprintln!("---- the server's log ----\n{}", &log[end..]);
        }
        outcome.expect("a run counts only if every answer was 200")
    }

    /// Resident, in MiB.
    pub(crate) fn resident(&self) -> f64 {
        mebibytes(&format!("/proc/{}/status", self.child.id()), "VmRSS:")
    }

    /// Its proportional share of memory, in MiB.
    pub(crate) fn proportional(&self) -> f64 {
        proportional(self.child.id())
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        let _gone = kill(Pid::from_raw(self.child.id().cast_signed()), Signal::SIGTERM);
        let _ended = self.child.wait();
    }
}

/// The proportional share of a process in memory, in MiB.
pub(crate) fn proportional(process: u32) -> f64 {
    mebibytes(&format!("/proc/{process}/smaps_rollup"), "Pss:")
}

/// A port that nobody listens on.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn mebibytes(file: &str, name: &str) -> f64 {
    let text = fs::read_to_string(file).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)).expect("a line of the kernel's");
    line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1024.0
}

fn body(device: u64, code: &str) -> String {
    format!(r#"{{"username":"u{device}","token":"{code}"}}"#)
}

fn health(target: &Target) -> Requests {
    let path = "/healthz".to_owned();
    Requests::get(&Head { authority: target.authority(), path, headers: Vec::new() })
}

fn answers(target: &Target) -> bool {
    let plan = Plan {
        connections: 1,
        warm_up: Duration::ZERO,
        measured: Duration::from_secs(1),
        pace: Pace::Full,
        expected: Expected { status: 200, contains: Vec::new() },
    };
    run(target, &mut health(target).once(), &plan).is_ok_and(|outcome| outcome.statuses.contains_key(&200))
}

fn plan(seconds: f64, pace: Pace) -> Plan {
    Plan {
        connections: CONNECTIONS,
        warm_up: Duration::from_secs(1),
        measured: Duration::from_secs_f64(seconds),
        pace,
        expected: Expected { status: 200, contains: Vec::new() },
    }
}

// All clients of the load share one token and one address, which the limits of an ordinary installation
// would stop.
fn configuration(folder: &Path, port: u16, store: Option<&str>) -> String {
    let store = store.map_or_else(String::new, |url| format!("store = {url:?}\n"));
    format!(
        "listen = \"127.0.0.1:{port}\"\ndata_dir = {folder:?}\n{store}\
         [log]\nlevel = \"warn\"\n\
         [limits]\ntoken_per_second = 1000000\ntoken_burst = 1000000\n\
         address_per_second = 1000000\naddress_burst = 1000000\n"
    )
}
