//! Connections over a real socket: logins at their prompts need no thread, end in time, and are served while the
//! daemon stops.

use std::io::Write;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use oss2fa_core::secret::SecretText;
use oss2fa_core::wire::{AgentMessage, Conversation, Echo, ModuleMessage, Outcome, Start, encode};

use super::connection::{Broken, Connection};
use super::door::MOST;
use super::fault_tests::{Daemon, Ldap, daemon, soon, who};
use super::workers::Workers;

/// Far more than threads that wait between two bursts.
const CROWD: usize = 300;

struct Serving {
    daemon: Daemon,
    workers: Arc<Workers>,
}

/// Whoever is unknown is asked like everybody, and there is no device to set up.
fn serving(config: &str) -> Serving {
    let daemon = daemon(Ldap::Healthy, config);
    let listener = UnixListener::bind(daemon.folder.path().join("sock")).unwrap();
    listener.set_nonblocking(true).unwrap();
    let workers = Workers::start(Arc::clone(&daemon.live), listener).unwrap();
    Serving { daemon, workers }
}

impl Serving {
    fn connected(&self) -> Connection {
        Connection::new(UnixStream::connect(self.daemon.folder.path().join("sock")).unwrap()).unwrap()
    }

    /// A login that has been asked for its code.
    fn at_prompt(&self) -> Connection {
        let mut theirs = self.connected();
        let mut login = who(None);
        "nobody-here".clone_into(&mut login.user);
        let start =
            Start { login, conversation: Conversation::Messages, prompt: None, echo: Echo::Off, ssh: None };
        theirs.send(&ModuleMessage::Start(start)).unwrap();
        assert!(matches!(theirs.receive(soon()), Ok(AgentMessage::Ask { .. })));
        theirs
    }

    fn waits_until_busy(&self, connections: usize) {
        let until = soon();
        while self.workers.busy() != connections {
            assert!(Instant::now() < until, "{} connections", self.workers.busy());
            thread::sleep(Duration::from_millis(5));
        }
    }
}

fn answers(theirs: &mut Connection) {
    theirs.send(&ModuleMessage::Answer { text: SecretText::new("755224".to_owned()) }).unwrap();
}

fn outcome(theirs: &mut Connection) -> Result<Outcome, Broken> {
    loop {
        match theirs.receive(soon())? {
            AgentMessage::Done { outcome } => return Ok(outcome),
            AgentMessage::Tell { .. } => {}
            other => panic!("{other:?}"),
        }
    }
}

/// Threads of this process, which are the daemon's but for the test's own few.
fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").unwrap().count()
}

#[test]
fn a_crowd_at_its_prompts_takes_no_threads_and_everybody_gets_an_answer() {
    let serving = serving("");
    let mut crowd: Vec<Connection> = (0..CROWD).map(|_| serving.at_prompt()).collect();
    assert_eq!(serving.workers.busy(), CROWD);
    assert!(threads() < CROWD / 3, "{} threads for {CROWD} logins", threads());
    for theirs in &mut crowd {
        answers(theirs);
    }
    for theirs in &mut crowd {
        assert_eq!(outcome(theirs).unwrap(), Outcome::UserUnknown);
    }
    serving.waits_until_busy(0);
}

#[test]
fn a_prompt_that_nobody_answers_ends_when_its_time_is_up_each_at_its_own() {
    // The quickest of a few: this machine has other work, too.
    let late: Vec<[Duration; 2]> = (0..3).map_while(|_| ends_at_its_own_time().err()).collect();
    assert!(late.len() < 3, "{late:?}");
}

// How long both took, where one ended late.
fn ends_at_its_own_time() -> Result<(), [Duration; 2]> {
    let serving = serving("[agent]\nlogin_timeout = 5\n");
    let begun = Instant::now();
    let mut first = serving.at_prompt();
    thread::sleep(Duration::from_millis(300));
    let mut second = serving.at_prompt();
    assert_eq!(outcome(&mut first).unwrap(), Outcome::Refused);
    let one = begun.elapsed();
    assert!(one >= Duration::from_secs(5), "{one:?}");
    if one < Duration::from_millis(5250) {
        serving.waits_until_busy(1);
    }
    assert_eq!(outcome(&mut second).unwrap(), Outcome::Refused);
    let other = begun.elapsed();
    assert!(other >= Duration::from_millis(5300), "{other:?}");
    serving.waits_until_busy(0);
    let in_time = one < Duration::from_millis(5250) && other < Duration::from_millis(5600);
    if in_time { Ok(()) } else { Err([one, other]) }
}

#[test]
fn who_hangs_up_at_the_prompt_leaves_nothing_behind() {
    let serving = serving("");
    let (gone, mut stays) = (serving.at_prompt(), serving.at_prompt());
    drop(gone);
    serving.waits_until_busy(1);
    answers(&mut stays);
    assert_eq!(outcome(&mut stays).unwrap(), Outcome::UserUnknown);
}

#[test]
fn a_daemon_that_stops_answers_who_is_at_a_prompt_and_takes_nobody_new() {
    let serving = serving("");
    let mut typing = serving.at_prompt();
    serving.workers.close();
    let mut late = serving.connected();
    thread::scope(|scope| {
        let finished = scope.spawn(|| {
            serving.workers.finish(Duration::from_secs(20));
            Instant::now()
        });
        thread::sleep(Duration::from_millis(200));
        answers(&mut typing);
        assert_eq!(outcome(&mut typing).unwrap(), Outcome::UserUnknown);
        let after = Instant::now();
        assert!(finished.join().unwrap() < after + Duration::from_secs(10));
    });
    let start = ModuleMessage::Start(Start {
        login: who(None),
        conversation: Conversation::Messages,
        prompt: None,
        echo: Echo::Off,
        ssh: None,
    });
    late.send(&start).unwrap();
    let heard = late.receive::<AgentMessage>(Instant::now() + Duration::from_millis(300));
    assert!(matches!(heard, Err(Broken::Late)));
}

#[test]
fn half_an_answer_holds_nobody_else_up() {
    let serving = serving("");
    let (half, mut whole) = (serving.at_prompt(), serving.at_prompt());
    half.stream().try_clone().unwrap().write_all(&[0, 0]).unwrap();
    answers(&mut whole);
    assert_eq!(outcome(&mut whole).unwrap(), Outcome::UserUnknown);
    serving.waits_until_busy(1);
}

#[test]
fn an_answer_that_comes_with_the_first_frame_is_not_waited_for() {
    let serving = serving("");
    let mut theirs = serving.connected();
    let mut login = who(None);
    "nobody-here".clone_into(&mut login.user);
    let start =
        Start { login, conversation: Conversation::Messages, prompt: None, echo: Echo::Off, ssh: None };
    let answer = ModuleMessage::Answer { text: SecretText::new("755224".to_owned()) };
    let both = [encode(&ModuleMessage::Start(start)).unwrap(), encode(&answer).unwrap()].concat();
    theirs.stream().try_clone().unwrap().write_all(&both).unwrap();
    let begun = Instant::now();
    assert!(matches!(theirs.receive(soon()), Ok(AgentMessage::Ask { .. })));
    assert_eq!(outcome(&mut theirs).unwrap(), Outcome::UserUnknown);
    // Who is not heard is asked for two minutes.
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
}

#[test]
fn a_crowd_of_half_frames_does_not_hold_up_who_comes_behind() {
    // The quickest of a few: this machine has other work, too.
    let took: Vec<Duration> =
        (0..3).map(|_| behind_half_frames()).take_while(|took| *took >= Duration::from_secs(1)).collect();
    assert!(took.len() < 3, "{took:?}");
}

fn behind_half_frames() -> Duration {
    let serving = serving("");
    // Far more than threads that start at once; each keeps one until its first frame is whole.
    let silent: Vec<Connection> = (0..CROWD).map(|_| serving.connected()).collect();
    let begun = Instant::now();
    let mut theirs = serving.at_prompt();
    answers(&mut theirs);
    assert_eq!(outcome(&mut theirs).unwrap(), Outcome::UserUnknown);
    let took = begun.elapsed();
    drop(silent);
    serving.waits_until_busy(0);
    took
}

#[test]
fn more_than_can_be_served_wait_at_the_door_and_come_in_as_others_leave() {
    let serving = serving("");
    let mut inside: Vec<Connection> = (0..MOST).map(|_| serving.at_prompt()).collect();
    let mut behind = serving.connected();
    let mut login = who(None);
    "nobody-here".clone_into(&mut login.user);
    let start =
        Start { login, conversation: Conversation::Messages, prompt: None, echo: Echo::Off, ssh: None };
    behind.send(&ModuleMessage::Start(start)).unwrap();
    let heard = behind.receive::<AgentMessage>(Instant::now() + Duration::from_millis(300));
    assert!(matches!(heard, Err(Broken::Late)), "there is no room");
    drop(inside.pop());
    assert!(matches!(behind.receive(soon()), Ok(AgentMessage::Ask { .. })));
}

#[test]
fn when_the_daemon_stops_who_is_left_at_a_prompt_leaves_no_place_behind() {
    let serving = serving("");
    let left = serving.at_prompt();
    serving.workers.close();
    serving.workers.finish(Duration::from_millis(100));
    serving.waits_until_busy(0);
    drop(left);
}
