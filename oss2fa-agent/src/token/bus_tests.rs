//! The bus: keys that are there and that come, logins that queue and that leave.

use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use oss2fa_ctap::error::KeyError;
use oss2fa_ctap::replay::Replay;
use oss2fa_ctap::transport::{Go, TransportError};
use tempfile::TempDir;

use super::bus::{Bus, Reached, Sign, Without, Work, Works};
use super::ports::{Port, Ports};
use super::soft::{Hub, Protocol, SoftKey};
use super::{Interface, Plugged};
use crate::outside::{NoRandomness, Random, System};

const SOON: Duration = Duration::from_secs(60);

struct World {
    hub: Hub,
    bus: Bus,
    folder: TempDir,
}

fn world() -> World {
    let (hub, folder) = (Hub::default(), TempDir::new().unwrap());
    let bus = Bus::new(Arc::new(hub.clone()), Arc::new(System), folder.path().join("touch"));
    World { hub, bus, folder }
}

/// Waits for a touch, and says at which key.
fn touched() -> Work<PathBuf> {
    Arc::new(|key, plugged, wanted| key.wait_for_touch(&mut wanted.patience()).map(|()| plugged.path.clone()))
}

fn until(condition: impl Fn() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < SOON, "it did not happen");
        thread::sleep(Duration::from_millis(1));
    }
}

impl World {
    fn reach(&self, within: Duration, without: Without) -> Reached<PathBuf> {
        self.bus.reach(&touched(), Instant::now() + within, without, None, &mut |_| Go::On)
    }
}

#[test]
fn the_key_that_is_touched_answers_and_the_others_stop_blinking() {
    let world = world();
    let keys = [SoftKey::new(Protocol::Ctap2, 1), SoftKey::new(Protocol::Ctap2, 2)];
    world.hub.plug_in("one", &keys[0]);
    world.hub.plug_in("two", &keys[1]);
    thread::scope(|scope| {
        let waiting = scope.spawn(|| world.reach(SOON, Without::End));
        until(|| keys.iter().all(|key| key.inside().blinking == 1));
        keys[1].touch();
        assert_eq!(waiting.join().unwrap(), Reached::Answer(PathBuf::from("two")));
    });
    until(|| keys.iter().all(|key| key.inside().open == 0));
    assert_eq!(keys.map(|key| key.inside().cancelled), [1, 0]);
}

#[test]
fn a_key_that_is_plugged_in_while_somebody_waits_counts() {
    let world = world();
    let key = SoftKey::new(Protocol::U2f, 1);
    key.touch();
    thread::scope(|scope| {
        let waiting = scope.spawn(|| world.reach(SOON, Without::Wait));
        thread::sleep(Duration::from_millis(50));
        world.hub.plug_in("late", &key);
        assert_eq!(waiting.join().unwrap(), Reached::Answer(PathBuf::from("late")));
    });
}

#[test]
fn a_key_that_is_pulled_out_and_plugged_in_again_is_asked_again() {
    let world = world();
    let key = SoftKey::new(Protocol::Ctap2, 1);
    world.hub.plug_in("one", &key);
    thread::scope(|scope| {
        let waiting = scope.spawn(|| world.reach(SOON, Without::Wait));
        until(|| key.inside().blinking == 1);
        world.hub.pull_out("one");
        until(|| key.inside().open == 0);
        world.hub.plug_in("one", &key);
        until(|| key.inside().blinking == 2);
        key.touch();
        assert_eq!(waiting.join().unwrap(), Reached::Answer(PathBuf::from("one")));
    });
}

#[test]
fn whoever_leaves_stops_the_wait_at_once_and_the_key_with_it() {
    let world = world();
    let key = SoftKey::new(Protocol::Ctap2, 1);
    world.hub.plug_in("one", &key);
    let mut signs = 0;
    let mut left_at = Instant::now();
    let mut leaves = |sign| {
        signs += usize::from(sign == Sign::Touch);
        left_at = Instant::now();
        if sign == Sign::Touch { Go::Cancel } else { Go::On }
    };
    let reached = world.bus.reach(&touched(), Instant::now() + SOON, Without::Wait, None, &mut leaves);
    assert_eq!((reached, signs), (Reached::Left, 1));
    until(|| key.inside().cancelled == 1 && key.inside().open == 0);
    assert!(left_at.elapsed() < Duration::from_secs(10), "{:?}", left_at.elapsed());
}

#[test]
fn two_who_want_one_key_queue() {
    let world = world();
    let key = SoftKey::new(Protocol::Ctap2, 1);
    world.hub.plug_in("one", &key);
    thread::scope(|scope| {
        let first = scope.spawn(|| world.reach(SOON, Without::Wait));
        until(|| key.inside().blinking == 1);
        let second = scope.spawn(|| world.reach(SOON, Without::Wait));
        thread::sleep(Duration::from_millis(50));
        assert_eq!(key.inside().open, 1, "two had it at once");
        key.touch();
        assert!(matches!(first.join().unwrap(), Reached::Answer(_)));
        until(|| key.inside().blinking == 2);
        assert_eq!(key.inside().open, 1);
        assert!(!second.is_finished());
        key.touch();
        assert!(matches!(second.join().unwrap(), Reached::Answer(_)));
    });
}

#[test]
fn whoever_leaves_the_line_holds_nobody_up() {
    let world = world();
    let key = SoftKey::new(Protocol::Ctap2, 1);
    world.hub.plug_in("one", &key);
    thread::scope(|scope| {
        let first = scope.spawn(|| world.reach(SOON, Without::Wait));
        until(|| key.inside().blinking == 1);
        assert_eq!(world.reach(Duration::from_millis(150), Without::Wait), Reached::TimeUp);
        let third = scope.spawn(|| world.reach(SOON, Without::Wait));
        key.touch();
        first.join().unwrap();
        until(|| key.inside().blinking == 2);
        key.touch();
        assert!(matches!(third.join().unwrap(), Reached::Answer(_)));
    });
}

#[test]
fn without_a_key_the_wait_ends_where_there_is_something_else() {
    let world = world();
    assert_eq!(world.reach(SOON, Without::End), Reached::NoKey);
    assert_eq!(world.reach(Duration::from_millis(20), Without::Wait), Reached::TimeUp);
    world.hub.plug_in("one", &SoftKey::new(Protocol::U2f, 1));
    let foreign: Work<()> = Arc::new(|_, _, _| Err(KeyError::NoCredential));
    let reached = world.bus.reach(&foreign, Instant::now() + SOON, Without::End, None, &mut |_| Go::On);
    assert_eq!(reached, Reached::NoKey);
}

#[test]
fn a_file_is_there_while_a_touch_is_awaited() {
    let world = world();
    let (key, file) = (SoftKey::new(Protocol::Ctap2, 1), world.folder.path().join("touch"));
    assert_eq!(world.reach(Duration::from_millis(20), Without::Wait), Reached::TimeUp);
    assert!(!file.exists(), "no key blinks");
    world.hub.plug_in("one", &key);
    thread::scope(|scope| {
        let waiting = scope.spawn(|| world.reach(SOON, Without::Wait));
        until(|| file.exists());
        key.touch();
        waiting.join().unwrap();
    });
    assert!(!file.exists());
}

#[test]
fn the_file_goes_with_the_key_that_was_to_be_touched() {
    let world = world();
    let (key, file) = (SoftKey::new(Protocol::Ctap2, 1), world.folder.path().join("touch"));
    world.hub.plug_in("one", &key);
    thread::scope(|scope| {
        let waiting = scope.spawn(|| world.reach(SOON, Without::Wait));
        until(|| file.exists());
        world.hub.pull_out("one");
        until(|| !file.exists());
        assert!(!waiting.is_finished());
        world.hub.plug_in("two", &key);
        until(|| file.exists());
        key.touch();
        assert_eq!(waiting.join().unwrap(), Reached::Answer(PathBuf::from("two")));
    });
    assert!(!file.exists());
}

#[test]
fn a_wait_that_is_left_goes_on_and_one_that_is_dropped_ends() {
    let world = world();
    let key = SoftKey::new(Protocol::Ctap2, 1);
    world.hub.plug_in("one", &key);
    let mut wait = world.bus.begin(&Works { fido: Some(touched()), yubikey: None }, Instant::now() + SOON);
    thread::sleep(Duration::from_millis(20));
    assert_eq!(key.inside().open, 0, "nobody waits yet");
    let at_touch = &mut |sign| if sign == Sign::Touch { Go::Cancel } else { Go::On };
    assert_eq!(wait.go_on(Instant::now() + SOON, Without::End, None, at_touch), Reached::Left);
    assert_eq!(
        wait.go_on(Instant::now() + SOON, Without::End, None, at_touch),
        Reached::Left,
        "told once more"
    );
    let soon = Instant::now() + Duration::from_millis(50);
    assert_eq!(wait.go_on(soon, Without::End, None, &mut |_| Go::On), Reached::TimeUp);
    assert_eq!(key.inside().blinking, 1, "it has heard of nothing");
    assert_eq!(key.inside().cancelled, 0);
    drop(wait);
    until(|| key.inside().cancelled == 1 && key.inside().open == 0);
    let mut wait = world.bus.begin(&Works { fido: Some(touched()), yubikey: None }, Instant::now() + SOON);
    key.touch();
    let reached = wait.go_on(Instant::now() + SOON, Without::End, None, &mut |_| Go::On);
    assert_eq!(reached, Reached::Answer(PathBuf::from("one")));
}

#[test]
fn whoever_says_something_is_heard_at_once_and_nonsense_is_not_listened_to_over_and_over() {
    // One of a few tries, for this machine has other work, too.
    let tries: Vec<Vec<Instant>> = (0..5).map_while(|_| heard_too_late().err()).collect();
    assert!(tries.len() < 5, "{tries:?}");
}

fn heard_too_late() -> Result<(), Vec<Instant>> {
    let world = world();
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let mut asked = Vec::new();
    let reached = thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(Duration::from_millis(50));
            theirs.write_all(b"nonsense").unwrap();
        });
        let watch = &mut |_| {
            asked.push(Instant::now());
            Go::On
        };
        let soon = Instant::now() + Duration::from_millis(450);
        world.bus.reach(&touched(), soon, Without::Wait, Some(ours.as_fd()), watch)
    });
    assert_eq!(reached, Reached::TimeUp);
    // At once, after 50 ms, and from then on ten times a second and once more each.
    assert!(asked.len() <= 12, "{}", asked.len());
    let in_time = asked.len() >= 3 && asked[1] - asked[0] < Duration::from_millis(300);
    if in_time { Ok(()) } else { Err(asked) }
}

/// A port at which a script is played.
struct Scripted(&'static str);

impl Ports for Scripted {
    fn mark(&self) -> u64 {
        0
    }

    fn plugged(&self) -> Vec<Plugged> {
        let key = |usage, path: &str| {
            Plugged::from_system(PathBuf::from(path), (0x1050, 2), usage, ("Yubico", "key")).unwrap()
        };
        vec![key((1, 6), "/dev/hidraw0"), key((0xf1d0, 1), "/dev/hidraw1")]
    }

    fn open(&self, key: &Plugged) -> Result<Port, TransportError> {
        assert_eq!(key.interface, Interface::Fido, "the keyboard is nobody's business");
        Ok(Box::new(Replay::script(self.0)))
    }
}

/// 0, 1, 2 and so on, at each call.
struct Counting;

impl Random for Counting {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), NoRandomness> {
        bytes.iter_mut().zip(0..).for_each(|(byte, number)| *byte = number);
        Ok(())
    }
}

#[test]
fn an_exchange_that_python_fido2_has_written_is_played_through_the_bus() {
    let script = include_str!("../../../oss2fa-ctap/tests/data/stories/login_with_ctap2");
    let folder = TempDir::new().unwrap();
    let bus = Bus::new(Arc::new(Scripted(script)), Arc::new(Counting), folder.path().join("touch"));
    let work: Work<u32> = Arc::new(|key, _, wanted| {
        use oss2fa_ctap::key::Proof;
        use oss2fa_ctap::verify::{Login, RpId, UserVerification};
        let login = Login::fresh(RpId::new("oss2fa.test").unwrap(), UserVerification::NotAsked, &Counting)?;
        let ids = [b"credential of corro".to_vec(), b"credential of ferris".to_vec()];
        let answer = key.assert(&login, &ids, Proof::Touch, &Counting, &mut wanted.patience())?;
        Ok(u32::from_be_bytes(answer.auth_data[33..37].try_into().unwrap()))
    });
    let reached = bus.reach(&work, Instant::now() + SOON, Without::End, None, &mut |_| Go::On);
    assert_eq!(reached, Reached::Answer(8));
}
