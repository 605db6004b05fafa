//! Hosts that ask the server: a whole login by ssh against one with the host's own store, a server that is away,
//! and five hundred logins in flight.

use std::fs;
use std::time::{Duration, Instant};

use oss2fa_core::secret::SecretText;
use oss2fa_core::wire::{AgentMessage, ModuleMessage, Outcome};
use oss2fa_tests::server::Server;
use oss2fa_tests::{Dialogue, Host, Network, Sshd, stack, start};

use crate::codes::codes;
use crate::report::{Bound, Report};
use crate::server::instance::Instance;
use crate::server::stock::{self, Stock};
use crate::server::uses::Uses;
use crate::site;
use crate::throughput::median;

/// Logins by ssh of each kind.
const LOGINS: usize = 40;

/// Logins that are at their prompt at the same moment, each of another user.
const IN_FLIGHT: usize = 500;

/// Of so many of them one is typed wrong.
const ONE_WRONG_IN: usize = 10;

/// Seconds that a host waits for its server.
const TIMEOUT: u32 = 2;

pub(crate) fn measure(report: &mut Report) {
    stock::build();
    let stock = Stock::fill("remote", IN_FLIGHT as u64);
    let server = Instance::start(&stock.folder, None);
    let authority = fs::read_to_string(stock.folder.join("tls.crt")).unwrap();
    let asking =
        || Host::new().set("agent.log_level", "warn").asks_at(&[&server.url()], &authority, &stock.token);
    by_ssh(report, &asking().user("u0").pam("sshd", stack::SECOND_FACTOR).start());
    let host = asking().start();
    report.add(
        "agent that asks a server, resident before any login",
        mebibytes(&host, "VmRSS"),
        "MiB",
        Bound::None,
    );
    in_flight(report, &host);
    away(report);
}

/// Codes of the users of the stock: each round is one code of everybody.
fn rounds(count: usize) -> Vec<Vec<String>> {
    let mut all = vec![vec![String::new(); IN_FLIGHT]; count];
    let total = (count * IN_FLIGHT) as u64;
    for (use_, line) in
        Uses::of(IN_FLIGHT as u64).bodies(total, |device, code| format!("{device} {code}")).iter().enumerate()
    {
        let (device, code) = line.split_once(' ').unwrap();
        all[use_ / IN_FLIGHT][device.parse::<usize>().unwrap()] = code.to_owned();
    }
    all
}

fn by_ssh(report: &mut Report, remote: &Host) {
    let local = site::host(&["u0".to_owned()], 0);
    local.write("/etc/pam.d/sshd", stack::SECOND_FACTOR);
    let (at_local, at_remote) =
        (local.sshd("keyboard-interactive").start(), remote.sshd("keyboard-interactive").start());
    let local_codes = codes(1, LOGINS);
    let (mut of_local, mut of_remote) = (Vec::new(), Vec::new());
    for (code, round) in local_codes.iter().zip(rounds(LOGINS)) {
        of_local.push(ssh(&local, &at_local, code));
        of_remote.push(ssh(remote, &at_remote, &round[0]));
    }
    let (of_local, of_remote) = (median(&mut of_local), median(&mut of_remote));
    report.add("login by ssh, the host's own store", of_local, "ms", Bound::None);
    report.add("login by ssh, host that asks the server", of_remote, "ms", Bound::None);
    report.add(
        "login by ssh, asking the server against own store",
        of_remote / of_local,
        "ratio",
        Bound::AtMost(1.5),
    );
}

/// One whole login, from the start of ssh to its end, in milliseconds.
fn ssh(host: &Host, sshd: &Sshd<'_>, code: &str) -> f64 {
    host.write("/root/askpass", &format!("#!/bin/sh\necho {code}\n"));
    host.program(&["chmod", "755", "/root/askpass"]).succeed();
    let login = sshd.ssh("u0", &["NumberOfPasswordPrompts=1"], &["true"]);
    let login = login.env("SSH_ASKPASS", "/root/askpass").env("SSH_ASKPASS_REQUIRE", "force");
    let begun = Instant::now();
    let ran = login.run();
    let took = begun.elapsed().as_secs_f64() * 1000.0;
    assert_eq!(ran.status, 0, "{code}: {ran}");
    took
}

/// All are asked before the first one answers; then all answer at once.
fn in_flight(report: &mut Report, host: &Host) {
    let people: String =
        (0..IN_FLIGHT).map(|n| format!("u{n}:x:{}:100::/nonexistent:/bin/sh\n", 20_000 + n)).collect();
    host.write("/etc/passwd", &(host.read("/etc/passwd") + &people));
    // Nobody but u0, who types a wrong one here, has used a code before.
    let fresh = rounds(1).pop().unwrap();
    let socket = host.socket();
    let mut dialogues: Vec<Dialogue> = (0..IN_FLIGHT)
        .map(|n| {
            let mut dialogue = Dialogue::open(&socket).unwrap();
            dialogue.send(&start(&format!("u{n}"), "bench", None)).unwrap();
            dialogue
        })
        .collect();
    for dialogue in &mut dialogues {
        assert!(matches!(dialogue.receive().unwrap(), AgentMessage::Ask { .. }));
    }
    let at_prompt = mebibytes(host, "VmRSS");
    let begun = Instant::now();
    for (n, dialogue) in dialogues.iter_mut().enumerate() {
        // A code that is right for the next person, where one is typed wrong: nobody is answered for another.
        let code = if n % ONE_WRONG_IN == 0 { &fresh[n + 1] } else { &fresh[n] };
        dialogue.send(&ModuleMessage::Answer { text: SecretText::new(code.clone()) }).unwrap();
    }
    let mut wrongly_answered = 0;
    for (n, dialogue) in dialogues.iter_mut().enumerate() {
        let expected = if n % ONE_WRONG_IN == 0 { Outcome::Refused } else { Outcome::Verified };
        let outcome = loop {
            match dialogue.receive() {
                Ok(AgentMessage::Done { outcome }) => break Some(outcome),
                Ok(_) => {}
                Err(_) => break None,
            }
        };
        wrongly_answered += i32::from(outcome != Some(expected));
    }
    let seconds = begun.elapsed().as_secs_f64();
    let peak = mebibytes(host, "VmHWM");
    let lost = f64::from(wrongly_answered);
    report.add("500 logins in flight, lost or answered for another", lost, "logins", Bound::AtMost(0.0));
    report.add("500 logins in flight, all answered after", seconds, "s", Bound::None);
    report.add(
        "500 logins in flight, memory of the agent while all are at their prompt",
        at_prompt,
        "MiB",
        Bound::None,
    );
    report.add("500 logins in flight, most memory of the agent", peak, "MiB", Bound::AtMost(24.0));
}

/// A figure of the agent's memory, as the kernel has it.
fn mebibytes(host: &Host, field: &str) -> f64 {
    let kib = host.with_agent(|agent| agent.kernel(field));
    kib.split(' ').next().unwrap().parse::<f64>().unwrap() / 1024.0
}

fn away(report: &mut Report) {
    let network = Network::new();
    let server = Server::new().in_network(&network).start();
    let mut token = server.integration().enroll("ferris", "HOTP").token;
    let host = Host::new()
        .user("ferris")
        .user("gopher")
        .asks(&server)
        .in_network(&network)
        .set("server.mode", "remote-then-local")
        .set("server.timeout", i64::from(TIMEOUT))
        .start();
    let mut device = host.enroll_with("gopher", &["hotp", "--local"]);
    let login = |user: &str, code: &str, expected: Outcome| {
        let begun = Instant::now();
        let outcome = Dialogue::login(&host.socket(), &start(user, "bench", None), code).unwrap();
        assert_eq!(outcome, expected, "{user}");
        begun.elapsed()
    };
    login("ferris", &token.next_code(), Outcome::Verified);
    network.drop_packets_to(server.port());
    let first = login("ferris", &token.next_code(), Outcome::Unavailable).as_secs_f64();
    report.add("server away: the first refusal", first, "s", Bound::None);
    report.add(
        "server away: the first refusal, of the time set for it",
        first / f64::from(TIMEOUT),
        "ratio",
        Bound::AtMost(1.05),
    );
    let worst = |times: Vec<Duration>| times.into_iter().max().unwrap().as_secs_f64() * 1000.0;
    let refusals = (0..50).map(|_| login("ferris", "755224", Outcome::Unavailable)).collect();
    report.add(
        "server known to be away: the slowest of 50 refusals",
        worst(refusals),
        "ms",
        Bound::AtMost(50.0),
    );
    let locals = (0..50).map(|_| login("gopher", &device.next_code(), Outcome::Verified)).collect();
    report.add(
        "server known to be away: the slowest of 50 local logins",
        worst(locals),
        "ms",
        Bound::AtMost(50.0),
    );
}
