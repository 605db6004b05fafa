//! The keys of this host, for whoever waits for one: each that is plugged in, or will be, is asked at the same time.
//!
//! A key that is in use has a thread of its own, and those who want it queue. When whoever waits for it leaves, so do their
//! threads, and the keys stop blinking.

use std::collections::HashMap;
use std::os::fd::BorrowedFd;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use oss2fa_core::random::Random;
use oss2fa_ctap::error::KeyError;
use oss2fa_ctap::key::Key;
use oss2fa_ctap::transport::{Go, Meanwhile, Patience, TransportError};
use oss2fa_ctap::yubikey::YubiKey;

use super::alarm::{Alarm, Woken};
use super::awaited::{Awaited, TouchAwaited};
use super::changes::Changes;
use super::ports::{Port, Ports};
use super::turns::Turns;
use super::wanted::Wanted;
use super::{Interface, Plugged};

/// What is done with each key. Its first `Ok` is the answer; by an error the key says that it has none.
pub type Work<A> =
    Arc<dyn Fn(&mut Key<Port>, &Plugged, &mut Wanted<'_>) -> Result<A, KeyError> + Send + Sync>;

/// The same with the challenge-response of each YubiKey.
pub type YubikeyWork<A> =
    Arc<dyn Fn(&mut YubiKey<Port>, &Plugged, &mut Patience<'_>) -> Result<A, KeyError> + Send + Sync>;

/// What is done with keys, by the interface that they are plugged in with; those without work are left alone.
pub struct Works<A> {
    /// With U2F and FIDO2.
    pub fido: Option<Work<A>>,
    /// With challenge-response.
    pub yubikey: Option<YubikeyWork<A>>,
}

impl<A> Works<A> {
    fn are_for(&self, interface: Interface) -> bool {
        match interface {
            Interface::Fido => self.fido.is_some(),
            Interface::YubikeyOtp => self.yubikey.is_some(),
        }
    }
}

impl<A> Clone for Works<A> {
    fn clone(&self) -> Self {
        Self { fido: self.fido.clone(), yubikey: self.yubikey.clone() }
    }
}

/// How a wait ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Reached<A> {
    /// A key gave this.
    Answer(A),
    /// No key that is plugged in can answer.
    NoKey,
    /// The deadline has passed.
    TimeUp,
    /// Whoever waited has left.
    Left,
}

/// What to do while no key that is plugged in can answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Without {
    /// Wait for one to be plugged in.
    Wait,
    /// End.
    End,
}

/// What the one who waits is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// A key wants to be touched; said once for each.
    Touch,
    /// A YubiKey that was touched wants to be touched once more, for its next login.
    TouchAgain,
    /// Nothing new.
    Quiet,
}

/// How often the one who waits is asked where it cannot be seen that they say something; and how often at most.
const LOOK: Duration = Duration::from_millis(100);

/// How often it is looked what is plugged in, where nobody tells: nobody plugs in a key and touches it sooner.
const LOOK_AT_PORTS: Duration = Duration::from_millis(500);

/// How often it is looked all the same where the system tells.
const LOOK_ANYWAY: Duration = Duration::from_secs(5);

/// How long it takes until a key that came may be opened.
const SETTLES: Duration = Duration::from_millis(200);

/// How long a key that failed is left alone.
const REST: Duration = Duration::from_secs(1);

/// How often a key may fail before it is left alone until it is plugged in again.
const MOST_FAILURES: u32 = 3;

/// Keys that are asked at the same time.
const MOST_KEYS: usize = 16;

/// Memory of a key's thread.
const STACK: usize = 512 * 1024;

/// The keys of this host.
pub struct Bus {
    ports: Arc<dyn Ports>,
    random: Arc<dyn Random>,
    turns: Turns,
    awaited: Awaited,
}

impl Bus {
    /// `awaited` is the file that is there while a touch is awaited.
    #[must_use]
    pub fn new(ports: Arc<dyn Ports>, random: Arc<dyn Random>, awaited: PathBuf) -> Self {
        Self { ports, random, turns: Turns::default(), awaited: Awaited::at(awaited) }
    }

    /// The source of challenges and secrets for exchanges with keys.
    #[must_use]
    pub fn random(&self) -> Arc<dyn Random> {
        Arc::clone(&self.random)
    }

    /// Does `work` with each key of U2F and FIDO2 that is plugged in, or will be, until one has an answer. `watch` is asked
    /// whenever there is a sign, and when `peer` can be read or has hung up.
    pub fn reach<A: Send + 'static>(
        &self,
        work: &Work<A>,
        deadline: Instant,
        without: Without,
        peer: Option<BorrowedFd<'_>>,
        watch: &mut dyn FnMut(Sign) -> Go,
    ) -> Reached<A> {
        let works = Works { fido: Some(Arc::clone(work)), yubikey: None };
        self.reach_any(&works, deadline, without, peer, watch)
    }

    /// The same with each key that there is work for.
    pub fn reach_any<A: Send + 'static>(
        &self,
        works: &Works<A>,
        deadline: Instant,
        without: Without,
        peer: Option<BorrowedFd<'_>>,
        watch: &mut dyn FnMut(Sign) -> Go,
    ) -> Reached<A> {
        self.begin(works, deadline).go_on(deadline, without, peer, watch)
    }

    /// A wait that can be left and gone on with, until `deadline` at the latest. The keys are first asked once it goes on;
    /// dropping it ends it, and the keys stop blinking.
    #[must_use]
    pub fn begin<A: Send + 'static>(&self, works: &Works<A>, deadline: Instant) -> Wait<'_, A> {
        let (tell, hear) = channel();
        let over = Arc::new(Over::default());
        Wait {
            bus: self,
            works: works.clone(),
            deadline,
            tell,
            alarm: Alarm::new(),
            hear,
            over,
            keys: HashMap::new(),
            mark: None,
            // Before the first look: what comes after it is told.
            changes: self.ports.changes(),
            look_at: None,
            numbers: 0,
        }
    }
}

/// Whether a wait is over, and the sign that a touch is awaited.
#[derive(Default)]
struct Over {
    is: AtomicBool,
    awaited: Mutex<Option<TouchAwaited>>,
}

impl Over {
    fn now(&self) {
        self.is.store(true, Ordering::SeqCst);
        drop(self.awaited.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    fn go(&self) -> Go {
        if self.is.load(Ordering::SeqCst) { Go::Cancel } else { Go::On }
    }
}

enum Said<A> {
    TouchMe(Sign),
    Result(Result<A, KeyError>),
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// Its thread of this number is at work.
    Asked(u64),
    /// The same, and it blinks for a touch.
    Blinking(u64),
    /// To be asked again then.
    Again(Instant),
    /// It has no answer, until it is plugged in again.
    Useless,
}

struct Asked {
    state: State,
    failures: u32,
}

/// When whoever waits is told of a touch.
struct Touches {
    interface: Interface,
    said: u32,
    awaited: bool,
}

impl Touches {
    fn of(interface: Interface) -> Self {
        Self { interface, said: 0, awaited: false }
    }

    fn seen(&mut self, meanwhile: Meanwhile) -> Option<Sign> {
        let before = std::mem::replace(&mut self.awaited, meanwhile == Meanwhile::TouchNeeded);
        if before || !self.awaited {
            return None;
        }
        self.said += 1;
        match (self.interface, self.said) {
            (_, 1) => Some(Sign::Touch),
            // One touch may be told of in several ways by CTAP; here each exchange begins with something else.
            (Interface::YubikeyOtp, 2) => Some(Sign::TouchAgain),
            (Interface::Fido | Interface::YubikeyOtp, _) => None,
        }
    }
}

/// A wait for a key's answer, under way.
pub struct Wait<'a, A> {
    bus: &'a Bus,
    works: Works<A>,
    deadline: Instant,
    tell: Sender<(u64, Said<A>)>,
    alarm: Alarm,
    hear: Receiver<(u64, Said<A>)>,
    over: Arc<Over>,
    keys: HashMap<PathBuf, Asked>,
    mark: Option<u64>,
    changes: Option<Changes>,
    look_at: Option<Instant>,
    numbers: u64,
}

impl<A> Drop for Wait<'_, A> {
    fn drop(&mut self) {
        self.over.now();
    }
}

impl<A: Send + 'static> Wait<'_, A> {
    /// Goes on until a key has an answer, `until` has passed, or `watch` does not want it any more; the keys are asked
    /// all the while, and also after [`Reached::Left`] and [`Reached::TimeUp`].
    pub fn go_on(
        &mut self,
        until: Instant,
        without: Without,
        peer: Option<BorrowedFd<'_>>,
        watch: &mut dyn FnMut(Sign) -> Go,
    ) -> Reached<A> {
        let until = until.min(self.deadline);
        // Whoever comes back is told what was said while they were away.
        let mut sign = if self.any_blinks() { Sign::Touch } else { Sign::Quiet };
        let mut woken = Woken::Otherwise;
        loop {
            if watch(sign) == Go::Cancel {
                return Reached::Left;
            }
            self.look();
            self.show();
            let useless = |asked: &Asked| matches!(asked.state, State::Useless);
            if without == Without::End && self.keys.values().all(useless) {
                return Reached::NoKey;
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Reached::TimeUp;
            }
            sign = match self.hear.try_recv() {
                Ok((number, Said::Result(Ok(answer)))) => {
                    self.has_answered(number);
                    return Reached::Answer(answer);
                }
                Ok((number, Said::Result(Err(error)))) => {
                    self.failed(number, &error);
                    Sign::Quiet
                }
                Ok((number, Said::TouchMe(sign))) => {
                    self.blinks(number);
                    sign
                }
                Err(_) => {
                    // Whoever has said something that changes nothing is not listened to for a moment.
                    let heard = peer.filter(|_| woken != Woken::ByPeer);
                    let longest = left.min(self.until_next_look());
                    woken = self.alarm.sleep(heard, self.changes.as_ref(), longest, LOOK);
                    if woken == Woken::ByPorts {
                        let settled = Instant::now() + SETTLES;
                        self.look_at = self.look_at.map(|at| at.min(settled));
                    }
                    Sign::Quiet
                }
            };
        }
    }

    fn until_next_look(&self) -> Duration {
        let again = self.keys.values().filter_map(|asked| match asked.state {
            State::Again(at) => Some(at),
            State::Asked(_) | State::Blinking(_) | State::Useless => None,
        });
        let next = again.chain(self.look_at).min();
        next.map_or(Duration::ZERO, |at| at.saturating_duration_since(Instant::now()))
    }

    // Whoever does not take its answer for an end goes on with the others.
    fn has_answered(&mut self, number: u64) {
        if let Some(asked) = self.at_work(number) {
            asked.state = State::Useless;
        }
    }

    fn at_work(&mut self, number: u64) -> Option<&mut Asked> {
        self.keys.values_mut().find(|asked| match asked.state {
            State::Asked(its) | State::Blinking(its) => its == number,
            State::Again(_) | State::Useless => false,
        })
    }

    fn any_blinks(&self) -> bool {
        self.keys.values().any(|asked| matches!(asked.state, State::Blinking(_)))
    }

    fn blinks(&mut self, number: u64) {
        let mut asked = self.keys.values_mut();
        if let Some(asked) = asked.find(|asked| matches!(asked.state, State::Asked(its) if its == number)) {
            asked.state = State::Blinking(number);
        }
        self.show();
    }

    // A key that was pulled out is not there to be touched.
    fn show(&self) {
        let mut awaited = self.over.awaited.lock().unwrap_or_else(PoisonError::into_inner);
        if self.any_blinks() {
            awaited.get_or_insert_with(|| self.bus.awaited.begin());
        } else {
            drop(awaited.take());
        }
    }

    // Asks what is new, and what is to be asked again.
    fn look(&mut self) {
        let now = Instant::now();
        let is_due = |asked: &Asked| matches!(asked.state, State::Again(at) if at <= now);
        let due = self.keys.values().any(is_due);
        if !due && self.look_at.is_some_and(|at| at > now) {
            return;
        }
        self.look_at = Some(now + if self.changes.is_some() { LOOK_ANYWAY } else { LOOK_AT_PORTS });
        let mark = self.bus.ports.mark();
        if self.mark == Some(mark) && !due {
            return;
        }
        self.mark = Some(mark);
        let mut plugged = self.bus.ports.plugged();
        plugged.retain(|key| self.works.are_for(key.interface));
        self.keys.retain(|path, _| plugged.iter().any(|key| key.path == *path));
        for key in plugged.into_iter().take(MOST_KEYS) {
            let failures = match self.keys.get(&key.path) {
                Some(asked) if is_due(asked) => asked.failures,
                Some(_) => continue,
                None => 0,
            };
            self.numbers += 1;
            let path = key.path.clone();
            let state = match self.begin(self.numbers, key) {
                Ok(()) => State::Asked(self.numbers),
                Err(error) => {
                    tracing::error!(code = "thread", %error, "a security key could not be asked");
                    State::Again(now + REST)
                }
            };
            self.keys.insert(path, Asked { state, failures });
        }
    }

    fn begin(&self, number: u64, key: Plugged) -> std::io::Result<()> {
        let (ports, random) = (Arc::clone(&self.bus.ports), Arc::clone(&self.bus.random));
        let (turns, works) = (self.bus.turns.clone(), self.works.clone());
        let (tell, over, deadline) = (self.tell.clone(), Arc::clone(&self.over), self.deadline);
        let alarm = self.alarm.clone();
        let at_work = move || {
            let wanted = || over.go();
            let Some(_turn) = turns.wait(&key.path, deadline, &wanted) else { return };
            let mut touches = Touches::of(key.interface);
            let mut watch = |meanwhile| {
                if let Some(sign) = touches.seen(meanwhile) {
                    let _nobody_waits = tell.send((number, Said::TouchMe(sign)));
                    alarm.ring();
                }
                over.go()
            };
            let mut wanted = Wanted::until(deadline, &mut watch);
            let result = ports.open(&key).map_err(KeyError::from).and_then(|port| {
                match (key.interface, &works.fido, &works.yubikey) {
                    (Interface::Fido, Some(work), _) => {
                        let mut opened = Key::open(port, random.as_ref(), &mut wanted.patience())?;
                        work(&mut opened, &key, &mut wanted)
                    }
                    (Interface::YubikeyOtp, _, Some(work)) => {
                        work(&mut YubiKey::new(port), &key, &mut wanted.patience())
                    }
                    (Interface::Fido | Interface::YubikeyOtp, ..) => Err(KeyError::NoCredential),
                }
            });
            let _nobody_waits = tell.send((number, Said::Result(result)));
            alarm.ring();
        };
        thread::Builder::new().name("key".to_owned()).stack_size(STACK).spawn(at_work).map(drop)
    }

    fn failed(&mut self, number: u64, error: &KeyError) {
        let now = Instant::now();
        let Some(asked) = self.at_work(number) else { return };
        asked.state = match error {
            KeyError::NoCredential | KeyError::Unsupported(_) => State::Useless,
            // The key itself waits for some half a minute only; whoever logs in may have longer.
            KeyError::TimedOut | KeyError::Transport(TransportError::Gone) | KeyError::Cancelled => {
                State::Again(now + REST)
            }
            error => {
                tracing::warn!(code = "key", %error, "a security key that is plugged in cannot be used");
                asked.failures += 1;
                if asked.failures < MOST_FAILURES { State::Again(now + REST) } else { State::Useless }
            }
        };
    }
}
