//! An agent that is absent, broken, hostile or out of disk: the table's refusal, within the deadline.
//!
//! Everywhere here `unenrolled = "skip"`, the policy under which a mistake would let somebody in.
#![expect(clippy::unwrap_used, reason = "a failure is a panic in tests, in their helpers too")]

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use oss2fa_core::wire::Outcome;
use oss2fa_tests::Factor::{Hotp, Totp};
use oss2fa_tests::{Agent, Dialogue, FakeAgent, Host, Pam, Plan, Reaction, stack, start, unix_time};

const SERVICE: &str = "shown";
/// The same for logins that are to come to an end by themselves, on a machine that does much else, too.
const PATIENT: &str = "patient";
const TIMEOUT: Duration = Duration::from_secs(2);

fn plan() -> Plan {
    Host::new()
        .user("ferris")
        .pam(SERVICE, &stack::revealing_each("timeout=2", "timeout=2 enforce"))
        .pam(PATIENT, &stack::revealing_each("timeout=60", "timeout=60 enforce"))
        .set("policy.unenrolled", "skip")
        .set("locks.free_attempts", 100)
}

// Both phases end in this code, each within the deadline.
fn refuses_with(host: &Host, expected: Pam, why: &str) {
    for operation in ["authenticate", "acct_mgmt"] {
        // The quickest of a few: this machine has other work, too.
        let in_time = (0..3).any(|_| {
            let begun = Instant::now();
            let (pam, ran) = host.pamtester(SERVICE, "ferris", &[], &[operation], &["123456"]).run();
            assert_eq!(pam, expected, "{why}, {operation}: {ran}");
            begun.elapsed() < TIMEOUT + Duration::from_secs(2)
        });
        assert!(in_time, "{why}, {operation}: it goes on after the deadline");
    }
}

fn frame(body: &str) -> Vec<u8> {
    let mut bytes = u32::try_from(body.len()).unwrap().to_be_bytes().to_vec();
    bytes.extend_from_slice(body.as_bytes());
    bytes
}

#[test]
fn nothing_at_the_socket() {
    let host = plan().without_agent();
    refuses_with(&host, Pam::AuthinfoUnavail, "no socket");
    host.write("/run/oss2fa/agent.sock", "a file");
    refuses_with(&host, Pam::AuthinfoUnavail, "a file in its place");
    std::fs::remove_dir_all(host.path("/run/oss2fa")).unwrap();
    refuses_with(&host, Pam::AuthinfoUnavail, "no folder");
    host.syslog().wait_for("cannot reach the agent");
}

#[test]
fn a_socket_that_nobody_listens_on() {
    let host = plan().start();
    host.kill_agent();
    assert!(host.socket().exists());
    refuses_with(&host, Pam::AuthinfoUnavail, "connection refused");
    host.start_agent();
    let (pam, ran) = host.authenticate(PATIENT, "ferris", &[]);
    assert_eq!(pam, Pam::Ignore, "a new agent takes the place of the old one's socket: {ran}");
}

#[test]
fn killed_while_the_user_is_typing() {
    let host = plan().user("gopher").enrolled(Totp).start();
    let run = host.pamtester(SERVICE, "gopher", &[], &["authenticate"], &[]);
    let mut terminal = run.program().terminal();
    let _before = terminal.expect("code: ");
    host.kill_agent();
    terminal.send(&host.code("gopher"));
    assert_eq!(Pam::of(&terminal.finish().rest), Pam::AuthinfoUnavail);
}

#[test]
fn stopped_and_silent() {
    let host = plan().start();
    host.with_agent(|agent| agent.signal(nix::sys::signal::SIGSTOP));
    refuses_with(&host, Pam::AuthinfoUnavail, "stopped");
}

#[test]
fn answers_that_are_none() {
    let host = plan().without_agent();
    let verified = r#"{"version":1,"message":{"done":{"outcome":"verified"}}}"#;
    let no_opinion = r#"{"version":1,"message":{"done":{"outcome":"skipped"}}}"#;
    let tell = frame(r#"{"version":1,"message":{"tell":{"text":"hello"}}}"#);
    let mut half = frame(verified);
    half.truncate(half.len() / 2);
    let mut huge = u32::MAX.to_be_bytes().to_vec();
    huge.extend_from_slice(&[b' '; 100_000]);
    for (why, reaction) in [
        ("hangs up", Reaction::HangUp),
        ("silence", Reaction::Silence),
        ("garbage", Reaction::Send(b"\x00\x00\x00\x05hello HTTP/1.1 200 OK\r\n\r\n".to_vec())),
        ("text", Reaction::Send(b"HTTP/1.1 200 OK\r\n\r\n".to_vec())),
        ("half a frame, closed", Reaction::Send(half.clone())),
        ("half a frame, open", Reaction::SendThenSilence(half)),
        ("half a header", Reaction::SendThenSilence(vec![0, 0])),
        ("4 GiB", Reaction::SendThenSilence(huge)),
        ("an empty frame", Reaction::Send(vec![0; 4])),
        ("another version", Reaction::Send(frame(&verified.replace(":1,", ":2,")))),
        ("no version", Reaction::Send(frame(r#"{"message":{"done":{"outcome":"verified"}}}"#))),
        ("an unknown outcome", Reaction::Send(frame(&verified.replace("verified", "certainly")))),
        ("an unknown message", Reaction::Send(frame(&verified.replace("done", "admit")))),
        ("a field too many", Reaction::Send(frame(&verified.replace("1,", "1,\"force\":true,")))),
        ("not UTF-8", Reaction::Send(b"\x00\x00\x00\x04\xff\xfe\xfd\xfc".to_vec())),
        ("messages without end", Reaction::Send(tell.repeat(5000))),
        ("a byte a second", Reaction::Drip(frame(verified))),
    ] {
        let _agent = FakeAgent::listen(&host, reaction);
        refuses_with(&host, Pam::AuthinfoUnavail, why);
    }
    // Right words in the wrong phase.
    let _agent = FakeAgent::listen(&host, Reaction::Send(frame(verified)));
    let (pam, ran) = host.pamtester(SERVICE, "ferris", &[], &["acct_mgmt"], &[]).run();
    assert_eq!(pam, Pam::AuthinfoUnavail, "{ran}");
    let _agent = FakeAgent::listen(&host, Reaction::Send(frame(no_opinion)));
    let (pam, ran) = host.pamtester(SERVICE, "ferris", &[], &["acct_mgmt"], &[]).run();
    assert_eq!(pam, Pam::AuthinfoUnavail, "{ran}");
    let answer = frame(r#"{"version":1,"message":{"account":{"answer":"not_required"}}}"#);
    let _agent = FakeAgent::listen(&host, Reaction::Send(answer));
    assert_eq!(host.authenticate(SERVICE, "ferris", &[]).0, Pam::AuthinfoUnavail);
}

#[test]
fn the_fake_agent_is_believed_when_it_keeps_to_the_protocol() {
    // Without this the test above would pass whatever the module did.
    let host = plan().without_agent();
    let verified = frame(r#"{"version":1,"message":{"done":{"outcome":"verified"}}}"#);
    let _agent = FakeAgent::listen(&host, Reaction::Send(verified));
    assert_eq!(host.authenticate(PATIENT, "ferris", &[]).0, Pam::Success);
}

#[test]
fn row_37_a_socket_of_another_user_is_not_believed() {
    let host = plan().user("mallory").without_agent();
    let folder = host.path("/run/oss2fa");
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o777)).unwrap();
    let script = "import socket, os\n\
        s = socket.socket(socket.AF_UNIX)\n\
        s.bind('/run/oss2fa/agent.sock'); os.chmod('/run/oss2fa/agent.sock', 0o666); s.listen()\n\
        body = b'{\"version\":1,\"message\":{\"done\":{\"outcome\":\"verified\"}}}'\n\
        kept = []\n\
        while True:\n\
        \x20 c, _ = s.accept(); kept.append(c)\n\
        \x20 try: c.sendall(len(body).to_bytes(4, 'big') + body)\n\
        \x20 except OSError: pass\n";
    let mut command = host.program(&["/usr/bin/python3", "-c", script]).as_user("mallory").command();
    let mut impostor = command.spawn().unwrap();
    while std::os::unix::net::UnixStream::connect(host.socket()).is_err() {
        std::thread::sleep(Duration::from_millis(2));
    }
    refuses_with(&host, Pam::AuthinfoUnavail, "another user's socket");
    host.syslog().wait_for("neither root nor the user oss2fa");
    impostor.kill().unwrap();
    impostor.wait().unwrap();
}

#[test]
fn a_full_disk_never_lets_in_twice_and_ends_in_a_refusal() {
    let host = plan().user("gopher").without_agent();
    host.program(&["mount", "-t", "tmpfs", "-o", "size=12m,mode=700", "none", "/var/lib/oss2fa"]).succeed();
    host.program(&["chown", "oss2fa:oss2fa", "/var/lib/oss2fa"]).succeed();
    host.start_agent();
    host.enroll("gopher", Hotp);
    let token = host.token("gopher");
    let codes = token.codes(token.position, 5000);
    let _full = host.program(&["dd", "if=/dev/zero", "of=/var/lib/oss2fa/filler", "bs=1k"]).run();
    let mut accepted = Vec::new();
    let mut refused = None;
    for code in codes {
        match Dialogue::login(&host.socket(), &start("gopher", SERVICE, None), &code).unwrap() {
            Outcome::Verified => accepted.push(code),
            Outcome::Unavailable => {
                refused = Some(code);
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    let refused = refused.expect("a store that cannot be written refuses");
    // Nor does it let anybody pass whom it could not write down first.
    let mut passed = 0;
    while Dialogue::login(&host.socket(), &start("ferris", SERVICE, None), "").unwrap() == Outcome::Skipped {
        passed += 1;
        assert!(passed < 20_000, "there is always room");
    }
    refuses_with(&host, Pam::AuthinfoUnavail, "full disk");
    host.program(&["rm", "/var/lib/oss2fa/filler"]).succeed();
    for code in accepted.iter().rev().take(20) {
        assert_eq!(host.authenticate(PATIENT, "gopher", &[code]).0, Pam::AuthErr, "accepted before");
    }
    let audit = host.cli(&["audit"]).output();
    assert_eq!(audit.lines().filter(|line| line.contains("  skipped  ")).count(), passed);
    let (pam, ran) = host.authenticate(PATIENT, "gopher", &[&refused]);
    assert_eq!(pam, Pam::Success, "with room again, what was refused for want of it is good: {ran}");
}

#[test]
fn row_07_a_store_that_cannot_be_read_is_no_reason_to_skip() {
    let host = plan().start();
    host.kill_agent();
    let store = host.path("/var/lib/oss2fa/agent.db");
    // Owned by root and closed: nothing the daemon's user can read, and not absent either.
    std::os::unix::fs::chown(&store, Some(0), Some(0)).unwrap();
    std::fs::set_permissions(&store, std::fs::Permissions::from_mode(0o000)).unwrap();
    let mut agent = Agent::launch(&host, &["oss2fa-agent", "serve"]);
    assert_eq!(agent.ended_within(Duration::from_secs(60)), Some(3), "{}", host.log());
    assert!(host.log().contains("agent.db"), "{}", host.log());
    refuses_with(&host, Pam::AuthinfoUnavail, "the store is unreadable");
}

#[test]
fn a_store_that_breaks_under_the_running_agent() {
    let host = plan().user("gopher").enrolled(Hotp).start();
    for file in ["agent.db", "agent.db-wal"] {
        let path = host.path(&format!("/var/lib/oss2fa/{file}"));
        let length = std::fs::metadata(&path).unwrap().len();
        let mut file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
        file.write_all(&vec![0x5a; usize::try_from(length).unwrap()]).unwrap();
    }
    // What it still has in memory may do; that somebody was never enrolled is not in there.
    for _ in 0..3 {
        let (pam, ran) = host.authenticate(SERVICE, "gopher", &[&host.wrong_code("gopher")]);
        assert!(matches!(pam, Pam::AuthinfoUnavail | Pam::AuthErr), "{ran}\n{}", host.log());
    }
    host.kill_agent();
    let mut agent = Agent::launch(&host, &["oss2fa-agent", "serve"]);
    assert_eq!(agent.ended_within(Duration::from_secs(60)), Some(3), "{}", host.log());
    refuses_with(&host, Pam::AuthinfoUnavail, "the store is garbage");
}

#[test]
fn a_clock_that_is_set_back_makes_no_used_code_good_again() {
    let host = plan().user("gopher").without_agent();
    host.write("/run/clock", "+0");
    let library = host.program(&["sh", "-c", "ls /usr/lib/*/faketime/libfaketimeMT.so.1"]).output();
    let preload = format!("LD_PRELOAD={}", library.trim());
    let mut agent = Agent::launch(
        &host,
        &[
            "env",
            &preload,
            "FAKETIME_TIMESTAMP_FILE=/run/clock",
            "FAKETIME_NO_CACHE=1",
            "DONT_FAKE_MONOTONIC=1",
            "oss2fa-agent",
            "serve",
        ],
    );
    agent.wait_until_ready(&host);
    *host.agent() = Some(agent);
    let mut token = host.enroll_with("gopher", &["totp"]);
    let login = |code: &str| host.authenticate(PATIENT, "gopher", &[code]);
    let code = token.next_code();
    assert_eq!(login(&code).0, Pam::Success);
    let used = token.position - 1;
    host.write("/run/clock", "-600");
    // The clock is believed: these are the codes of its moment, and not one of them is new.
    for step in [used, used - 20, used - 21] {
        let (pam, ran) = login(&token.code_at(step));
        assert_eq!(pam, Pam::AuthErr, "step {step} of {used}: {ran}");
    }
    let audit = host.cli(&["audit", "--json"]).output();
    let newest: serde_json::Value = serde_json::from_str(audit.lines().last().unwrap()).unwrap();
    assert!(newest["at"].as_u64().unwrap() < unix_time() - 500, "the daemon's clock was set back: {newest}");
    host.write("/run/clock", "+0");
    let (pam, ran) = login(&token.next_code());
    assert_eq!(pam, Pam::Success, "with the clock right again the owner gets in: {ran}");
}
