//! An agent that is away, hostile, or of another release: refused within the deadline, in both phases.
#![forbid(unsafe_code)]

use std::os::fd::AsRawFd;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::{Duration, Instant};
use std::{fs, io};

use oss2fa_core::wire::{AccountAnswer, AgentMessage, Conversation, Echo, Outcome, encode};

use super::scripted_agent::{Act, Insists, ScriptedAgent};
use super::scripted_pam::{ScriptedPam, Step};
use super::{Host, ask, done, start, tell};
use crate::account::manage;
use crate::agent::MAX_MESSAGES;
use crate::ffi::os::Os;
use crate::login::authenticate;
use crate::outcome::PamCode;
use crate::system::{Stream, System, Uid};

/// What was logged of a login that is refused for what comes from the socket, long before its time is up.
fn refused(socket: Vec<u8>, steps: Vec<Step>) -> String {
    let (logged, took) = refused_within(60, socket, steps);
    assert!(took < Duration::from_secs(30), "{took:?}");
    logged
}

fn refused_within(seconds: u32, socket: Vec<u8>, steps: Vec<Step>) -> (String, Duration) {
    let mut pam = ScriptedPam::new(steps);
    let arguments = [socket, format!("timeout={seconds}").into_bytes()];
    let began = Instant::now();
    let ending = authenticate(&mut pam, &Host::new(), &arguments, Conversation::Messages);
    assert_eq!(ending.code(), PamCode::AuthinfoUnavail, "{ending:?}");
    assert_eq!(pam.proof, None);
    (pam.logged(), began.elapsed())
}

/// Logins of one second, each of which ends at the deadline; in time in one of a few tries, for this machine has other work,
/// too.
fn refused_at_the_deadline(login: impl Fn() -> (String, Duration)) {
    let in_time = (0..3).any(|_| {
        let (logged, took) = login();
        assert!(logged.contains("was not decided within 1 seconds"), "{logged}");
        took < Duration::from_millis(1500)
    });
    assert!(in_time, "it goes on after the deadline");
}

fn refused_in_account(socket: Vec<u8>) {
    let mut pam = ScriptedPam::new([]);
    let arguments = [socket, b"timeout=1".to_vec(), b"enforce".to_vec()];
    let ending = manage(&mut pam, &Host::new(), &arguments, Conversation::Messages);
    assert_eq!(ending.code(), PamCode::AuthinfoUnavail, "{ending:?}");
}

fn at(path: &Path) -> Vec<u8> {
    format!("socket={}", path.display()).into_bytes()
}

#[test]
fn nobody_at_the_socket() {
    let folder = tempfile::tempdir().unwrap();
    let absent = folder.path().join("absent.sock");
    assert!(refused(at(&absent), vec![]).contains("Is oss2fa-agent running"));

    let abandoned = folder.path().join("abandoned.sock");
    drop(UnixListener::bind(&abandoned).unwrap());
    assert!(refused(at(&abandoned), vec![]).contains("refused"));

    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    refused(at(&file), vec![]);
    refused_in_account(at(&file));
}

#[test]
fn a_queue_that_is_full_ends_at_the_deadline() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("full.sock");
    let listener = UnixListener::bind(&path).unwrap();
    // Nobody accepts; connections are made without blocking until the kernel takes no more.
    let mut waiting = Vec::new();
    loop {
        match Os.connect(&path, Instant::now() + Duration::from_millis(20)) {
            Ok(stream) => waiting.push(stream),
            Err(error) if error.kind() == io::ErrorKind::TimedOut => break,
            Err(error) => panic!("{error}"),
        }
    }
    refused_at_the_deadline(|| refused_within(1, at(&path), vec![]));
    drop(listener);
}

#[test]
fn bytes_that_are_no_message() {
    let good = encode(&done(Outcome::Verified)).unwrap();
    let other_version =
        String::from_utf8(good[4..].to_vec()).unwrap().replace("\"version\":1", "\"version\":2");
    let framed = |body: &str| [&u32::try_from(body.len()).unwrap().to_be_bytes(), body.as_bytes()].concat();
    let cases = [
        ("HTTP", b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), "was announced"),
        ("4 GiB", [&[0xff; 4][..], &[b'x'; 100]].concat(), "4294967295 bytes was announced"),
        ("zero", vec![0; 4], "did not hold a known message"),
        ("not JSON", framed("garbage"), "did not hold a known message"),
        ("not UTF-8", [&[0, 0, 0, 2][..], &[0xff, 0xfe]].concat(), "did not hold a known message"),
        ("another message", framed(r#"{"version":1,"message":{"welcome":{}}}"#), "did not hold"),
        ("another outcome", framed(r#"{"version":1,"message":{"done":{"outcome":"root"}}}"#), "did not hold"),
        ("another version", framed(&other_version), "speaks version 2"),
        ("half a frame", good[..good.len() / 2].to_vec(), "closed the connection"),
        ("half a header", vec![0, 0], "closed the connection"),
        ("nothing", vec![], "closed the connection"),
    ];
    for (name, bytes, expected) in cases {
        let acts = |bytes: &Vec<u8>| vec![Act::SayBytes(bytes.clone())];
        let agent = ScriptedAgent::insisting(Insists::No, acts(&bytes));
        let logged = refused(agent.argument(), vec![]);
        // Where the agent hangs up at once, the module may still be sending.
        assert!(logged.contains(expected) || logged.contains("closed the connection"), "{name}: {logged}");

        let acts_after_start = vec![Act::Hear(start()), Act::SayBytes(bytes.clone())];
        let agent = ScriptedAgent::new(acts_after_start);
        let logged = refused(agent.argument(), vec![]);
        assert!(logged.contains(expected), "{name}: {logged}");

        refused_in_account(ScriptedAgent::insisting(Insists::No, acts(&bytes)).argument());
    }
}

#[test]
fn the_end_of_file_at_each_point() {
    let prompt = || Step::Prompt(Echo::Off, "Code: ", Ok("123456"));
    for (acts, steps) in [
        (vec![], vec![]),
        (vec![Act::Hear(start())], vec![]),
        (vec![Act::Hear(start()), Act::Say(ask("Code: "))], vec![prompt()]),
        (
            vec![Act::Hear(start()), Act::Say(ask("Code: ")), Act::Hear(super::answer("123456"))],
            vec![prompt()],
        ),
    ] {
        let agent = ScriptedAgent::insisting(Insists::No, acts);
        assert!(refused(agent.argument(), steps).contains("closed the connection"));
    }
}

#[test]
fn an_agent_that_never_answers_ends_at_the_deadline() {
    let agents: [fn() -> Vec<Act>; 3] = [
        || vec![Act::Hold],
        || vec![Act::Hear(start()), Act::Hold],
        || vec![Act::Hear(start()), Act::SayBytes(vec![0, 0, 0, 40, b'{']), Act::Hold],
    ];
    for acts in agents {
        refused_at_the_deadline(|| refused_within(1, ScriptedAgent::new(acts()).argument(), vec![]));
    }
    refused_in_account(ScriptedAgent::new(vec![Act::Hold]).argument());
}

#[test]
fn an_answer_that_comes_after_the_deadline_is_not_sent() {
    refused_at_the_deadline(|| {
        let agent = ScriptedAgent::new(vec![Act::Hear(start()), Act::Say(ask("Code: ")), Act::HearNothing]);
        let late = vec![Step::Pause(1050), Step::Prompt(Echo::Off, "Code: ", Ok("123456"))];
        refused_within(1, agent.argument(), late)
    });
}

#[test]
fn an_agent_that_babbles_is_cut_off() {
    let most = usize::try_from(MAX_MESSAGES).unwrap();
    let mut acts = vec![Act::Hear(start())];
    acts.extend((0..=most).map(|_| Act::Say(tell("blah"))));
    let steps = (0..most).map(|_| Step::Message(crate::pam::Style::Info, "blah", Ok(()))).collect();
    let agent = ScriptedAgent::insisting(Insists::No, acts);
    assert!(refused(agent.argument(), steps).contains("more than 64 messages"));
}

#[test]
fn an_account_answer_has_no_place_in_the_auth_phase() {
    for answer in [AccountAnswer::NotRequired, AccountAnswer::Required] {
        let acts = vec![Act::Hear(start()), Act::Say(AgentMessage::Account { answer })];
        assert!(refused(ScriptedAgent::new(acts).argument(), vec![]).contains("an account answer"));
    }
}

#[test]
fn a_message_that_does_not_fit_into_a_frame() {
    let agent = ScriptedAgent::new(vec![Act::HearNothing]);
    let mut pam = ScriptedPam::new([]);
    pam.user = Ok(vec![b'x'; 100_000]);
    let ending = authenticate(&mut pam, &Host::new(), &[agent.argument()], Conversation::Messages);
    assert_eq!(ending.code(), PamCode::AuthinfoUnavail);
}

/// A host where the socket is served by somebody else.
struct Strange(Result<Option<Uid>, ()>);

struct StrangeStream(<Os as System>::Stream);

impl System for Strange {
    type Stream = StrangeStream;

    fn now(&self) -> Instant {
        Os.now()
    }

    fn connect(&self, socket: &Path, deadline: Instant) -> io::Result<StrangeStream> {
        Os.connect(socket, deadline).map(StrangeStream)
    }

    fn agent_user(&self) -> io::Result<Option<Uid>> {
        self.0.map_err(|()| io::ErrorKind::Other.into())
    }
}

impl Stream for StrangeStream {
    fn peer(&self) -> io::Result<Uid> {
        Ok(Uid(4711))
    }

    fn send(&mut self, bytes: &[u8], deadline: Instant) -> io::Result<usize> {
        self.0.send(bytes, deadline)
    }

    fn receive(&mut self, buffer: &mut [u8], deadline: Instant) -> io::Result<usize> {
        self.0.receive(buffer, deadline)
    }
}

#[test]
fn a_socket_that_somebody_else_serves_is_told_nothing() {
    for directory in [Ok(None), Ok(Some(Uid(4712))), Err(())] {
        let agent = ScriptedAgent::new(vec![Act::HearNothing]);
        let mut pam = ScriptedPam::new([]);
        let ending = authenticate(&mut pam, &Strange(directory), &[agent.argument()], Conversation::Messages);
        assert_eq!(ending.code(), PamCode::AuthinfoUnavail);
        let logged = pam.logged();
        assert!(logged.contains("uid 4711") || directory.is_err(), "{logged}");
    }
    let agent = ScriptedAgent::new(vec![Act::Hear(start()), Act::Say(done(Outcome::Verified))]);
    let system = Strange(Ok(Some(Uid(4711))));
    let mut pam = ScriptedPam::new([]);
    let ending = authenticate(&mut pam, &system, &[agent.argument()], Conversation::Messages);
    assert_eq!(ending.code(), PamCode::Success);
}

#[test]
fn the_kernel_says_who_is_at_the_other_end() {
    let agent = ScriptedAgent::new(vec![Act::HearNothing]);
    let path = String::from_utf8(agent.argument()).unwrap().replace("socket=", "");
    let stream = Os.connect(Path::new(&path), Instant::now() + Duration::from_secs(5)).unwrap();
    assert_eq!(Some(stream.peer().unwrap()), Host::new().agent_user().unwrap());
}

#[test]
fn the_socket_does_not_outlive_an_exec() {
    let agent = ScriptedAgent::new(vec![Act::HearNothing]);
    let path = String::from_utf8(agent.argument()).unwrap().replace("socket=", "");
    let stream = Os.connect(Path::new(&path), Instant::now() + Duration::from_secs(5)).unwrap();
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", stream.as_raw_fd())).unwrap();
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).unwrap().trim();
    // O_CLOEXEC, as fcntl(2) numbers it in octal on Linux.
    assert_ne!(i64::from_str_radix(flags, 8).unwrap() & 0o2_000_000, 0, "{flags}");
}

#[test]
fn a_write_that_would_block_ends_at_the_deadline() {
    // One of a few tries, for this machine has other work, too.
    assert!((0..5).any(|_| a_blocked_write_ends_in_time()), "it goes on after the deadline");
}

fn a_blocked_write_ends_in_time() -> bool {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("stuck.sock");
    let _listener = UnixListener::bind(&path).unwrap();
    let deadline = Instant::now() + Duration::from_millis(300);
    let mut stream = Os.connect(&path, deadline).unwrap();
    let error = loop {
        if let Err(error) = stream.send(&[0; 65536], deadline) {
            break error;
        }
    };
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    Instant::now() < deadline + Duration::from_millis(500)
}
