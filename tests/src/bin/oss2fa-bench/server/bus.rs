//! ungleich-otp's bus: calls a second, against a service of nameko's own that checks the same tokens with pyotp.
//!
//! One broker, one load and one list of calls for both; they are measured in turns, each in a virtual host of its own,
//! and nothing else is asked of either meanwhile.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use oss2fa_tests::load::{Answered, Calls, call};
use oss2fa_tests::server::{Broker, Nameko};
use oss2fa_tests::workspace;

use super::apps::{another_digit, pairs, with_apps};
use super::{Scale, stock};
use crate::report::{Bound, Report};
use crate::throughput::median;

/// Calls are made for this rate; a service that is faster ends a run sooner.
const MOST: usize = 60_000;
/// At once, for both. As many as either may work on stand in the queue besides.
const CALLERS: usize = 128;
const PREFETCH: usize = 64;

const OURS: &str = "ours";
const THEIRS: &str = "theirs";

pub(crate) fn measure(report: &mut Report, scale: Scale) {
    let folder = stock::empty("server-bus");
    let broker = Broker::start(&[OURS, THEIRS]);
    let url = broker.server(OURS);
    let settings =
        format!("[ungleich_otp]\nenabled = true\nwindow = 1\nbus_url = {url:?}\nbus_prefetch = {PREFETCH}\n");
    let (instance, dump) = with_apps(&folder, &settings);
    let peer = Peer::start(&folder, &dump, &broker.caller(THEIRS));
    let (ours, theirs) = (broker.caller(OURS), broker.caller(THEIRS));
    for service in [&ours, &theirs] {
        wait_for(service);
        // The first acceptance of an app and of a pair is written down, later ones are not.
        let _first = round(service, scale.seconds);
    }
    let (mut rates, mut peers) = (Vec::new(), Vec::new());
    for _ in 0..scale.rounds {
        rates.push(round(&ours, scale.seconds).per_second);
        peers.push(round(&theirs, scale.seconds).per_second);
    }
    for service in [&ours, &theirs] {
        refuses(service);
    }
    let (rate, peers) = (median(&mut rates), median(&mut peers));
    report.add("apps, calls a second over the bus, prefetch 64", rate, "1/s", Bound::AtLeast(2_000.0));
    report.add("nameko and pyotp, calls a second", peers, "1/s", Bound::None);
    report.add("apps, the bus against nameko and pyotp", rate / peers, "times", Bound::AtLeast(5.0));
    drop((instance, peer, broker));
    stock::remove(&folder);
}

/// With tokens of now: they are right for half a minute more at least, and a round takes a fifth of that.
fn round(broker: &str, seconds: f64) -> Answered {
    let bodies = pairs(MOST).iter().map(body).collect();
    let answered = call(&calls(broker, seconds), bodies).and_then(Answered::flawless);
    answered.expect("a run counts only if every answer was OK")
}

/// Until there is a service that takes calls.
fn wait_for(broker: &str) {
    for _ in 0..300 {
        let first = pairs(1).iter().map(body).collect();
        let plan = Calls { callers: 1, warm_up: Duration::ZERO, ..calls(broker, 10.0) };
        if call(&plan, first).and_then(Answered::flawless).is_ok() {
            return;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    unreachable!("no service answers within 30 seconds")
}

/// That wrong tokens are refused: else nothing was measured.
fn refuses(broker: &str) {
    let wrong = |[asking, its, other, token]: [String; 4]| {
        let digit = another_digit(token.as_bytes()[0]);
        body(&[asking, its, other, format!("{digit}{}", &token[1..])])
    };
    let bodies = pairs(3).into_iter().map(wrong).collect();
    let plan = Calls { callers: 1, warm_up: Duration::ZERO, ..calls(broker, 10.0) };
    let answered = call(&plan, bodies).unwrap();
    assert!(answered.refused == 3 && answered.accepted == 0, "wrong tokens: {answered:?}");
}

fn calls(broker: &str, seconds: f64) -> Calls {
    Calls {
        broker: broker.to_owned(),
        method: "ungleichotp.verify".to_owned(),
        callers: CALLERS,
        warm_up: Duration::from_secs(1),
        measured: Duration::from_secs_f64(seconds),
        contains: b"\"OK\"".to_vec(),
    }
}

fn body(arguments: &[String; 4]) -> String {
    let quoted = arguments.each_ref().map(|argument| format!("{argument:?}")).join(", ");
    format!("{{\"args\": [{quoted}], \"kwargs\": {{}}}}")
}

/// nameko's service, with as many workers as ours takes calls at once.
struct Peer(Child);

impl Peer {
    fn start(folder: &Path, dump: &Path, broker: &str) -> Self {
        let config = folder.join("nameko.yaml");
        let text = format!("AMQP_URI: {broker:?}\nmax_workers: {PREFETCH}\n");
        fs::write(&config, text).unwrap();
        let mut nameko: Command = Nameko::Two.program("nameko");
        let child = nameko
            .args(["run", "service", "--config"])
            .arg(&config)
            .env("APPS", dump)
            .current_dir(workspace().join("tests/peers/nameko"))
            .stdout(Stdio::null())
            .spawn();
        Self(child.expect("nameko"))
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // SIGTERM lets it finish what it does; there is nothing.
        let _gone = kill(Pid::from_raw(self.0.id().cast_signed()), Signal::SIGTERM);
        let _ended = self.0.wait();
    }
}
