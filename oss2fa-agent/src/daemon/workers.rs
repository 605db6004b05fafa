//! The threads that serve connections, each one at a time.
//!
//! A login whose user is at a prompt has none: it is kept (`prompts.rs`), and whichever thread is free goes on with it.
//! At least one is always waiting for what comes next, so that a login that waits for a server or for a touch holds
//! nobody up. One event wakes one thread; threads that are not needed end after a while.

use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollTimeout};

use super::converse::{AtPrompt, converse};
use super::door::{Door, Inmate, KNOCK, MOST};
use super::live::Live;
use super::peer::Connections;
use super::prompts::{Kept, Prompts, TIME_UP};
use super::waiting::Waiting;

/// Threads that wait when there is nothing to do.
const SPARE: usize = 2;

/// Threads that start as soon as all others are busy, and that wait between two bursts. Each costs memory: for work that
/// is done at once these are enough, and take turns.
const READY: usize = 64;

/// How long all of them must have been busy before there is one more: they wait for something slow.
const PATIENCE: Duration = Duration::from_millis(20);

/// A login's stack: JSON, SQLite, and the user directory's own modules, which want the most.
const STACK: usize = 512 * 1024;

/// How long a thread waits before it is one too many, in milliseconds.
const IDLE: u16 = 10_000;

/// How long to wait where the system has no thread or descriptor to give.
const PAUSE: Duration = Duration::from_millis(50);

/// All threads of the daemon that serve.
pub(super) struct Workers {
    live: Arc<Live>,
    events: Arc<Epoll>,
    door: Arc<Door>,
    prompts: Prompts,
    connections: Connections,
    waiting: Waiting,
    alive: AtomicUsize,
    overseer: OnceLock<Thread>,
}

impl Workers {
    /// Starts to serve what comes in over `listener`, which must not block.
    pub(super) fn start(live: Arc<Live>, listener: UnixListener) -> std::io::Result<Arc<Self>> {
        let events = Arc::new(Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?);
        let workers = Arc::new(Self {
            live,
            door: Door::new(listener, &events)?,
            prompts: Prompts::new(&events)?,
            events,
            connections: Connections::default(),
            waiting: Waiting::default(),
            alive: AtomicUsize::new(0),
            overseer: OnceLock::new(),
        });
        let overseer = Arc::clone(&workers);
        let overseer = thread::Builder::new()
            .name("overseer".to_owned())
            .stack_size(STACK)
            .spawn(move || overseer.oversee())?;
        let _first = workers.overseer.set(overseer.thread().clone());
        workers.add_one()?;
        Ok(workers)
    }

    /// Takes no more connections.
    pub(super) fn close(&self) {
        self.door.close();
    }

    /// Returns when the connections that are served have ended, or after `grace`:
    /// one login that is left at its prompt must not hold up all that come after the restart.
    pub(super) fn finish(&self, grace: Duration) {
        let left = self.door.wait_until_empty(grace);
        if left > 0 {
            tracing::warn!(logins = left, "the agent stops with logins that nobody answered");
        }
        // What they have open at a server is given up.
        for Kept { login, .. } in self.prompts.take_all() {
            login.give_up(&self.live);
        }
    }

    /// How many connections are served at the moment.
    pub(super) fn busy(&self) -> usize {
        self.door.served()
    }

    // All are busy.
    fn want_one_more(self: &Arc<Self>) {
        if self.alive.load(Ordering::Relaxed) >= READY {
            self.wake_overseer();
        } else if let Err(error) = self.add_one() {
            no_thread(&error);
            self.wake_overseer();
        }
    }

    fn wake_overseer(&self) {
        self.overseer.get().map(Thread::unpark);
    }

    fn oversee(self: &Arc<Self>) {
        loop {
            thread::park();
            let mut more = 1;
            loop {
                thread::sleep(PATIENCE);
                if self.waiting.any() {
                    break;
                }
                // Twice as many each time: whoever comes behind a crowd that waits for something slow waits shortly.
                for _ in 0..more {
                    if self.alive.load(Ordering::Relaxed) >= MOST {
                        break;
                    }
                    if let Err(error) = self.add_one() {
                        no_thread(&error);
                        thread::sleep(PAUSE);
                        break;
                    }
                }
                if self.alive.load(Ordering::Relaxed) >= MOST {
                    break;
                }
                more = (more * 2).min(READY);
            }
        }
    }

    // Counted as waiting when it begins.
    fn add_one(self: &Arc<Self>) -> std::io::Result<()> {
        let workers = Arc::clone(self);
        self.waiting.one_comes();
        self.alive.fetch_add(1, Ordering::Relaxed);
        let started = thread::Builder::new().name("login".to_owned()).stack_size(STACK).spawn(move || {
            let _alive = Alive(&workers);
            workers.serve();
        });
        if started.is_err() {
            let _none = self.waiting.leave_none();
            self.alive.fetch_sub(1, Ordering::Relaxed);
        }
        started.map(drop)
    }

    fn serve(self: &Arc<Self>) {
        loop {
            let next = self.next();
            let enough = if matches!(next, Next::Idle) { SPARE } else { READY };
            if self.waiting.leave_none() && next.is_work() {
                self.want_one_more();
            }
            match next {
                Next::Connection(stream, inmate) => {
                    self.keep(converse(&self.live, &self.connections, stream), inmate);
                }
                Next::Answer(Kept { login, inmate }) => self.keep(login.resume(&self.live), inmate),
                Next::Nothing | Next::Idle => {}
            }
            if !self.waiting.stays(enough) {
                return;
            }
        }
    }

    fn keep(&self, mut login: Option<AtPrompt>, mut inmate: Inmate) {
        while let Some(asked) = login.take() {
            // What has come already makes no event.
            if asked.has_more() {
                login = asked.resume(&self.live);
                continue;
            }
            if let Err(kept) = self.prompts.keep(Kept { login: asked, inmate }) {
                // It cannot be watched: this thread waits for the answer.
                login = kept.login.resume(&self.live);
                inmate = kept.inmate;
                continue;
            }
            return;
        }
    }

    fn next(&self) -> Next {
        let mut events = [EpollEvent::empty()];
        match self.events.wait(&mut events, EpollTimeout::from(IDLE)) {
            Ok(0) => return Next::Idle,
            Err(Errno::EINTR) => return Next::Nothing,
            Ok(_) => {}
            Err(errno) => {
                tracing::error!(code = "wait", %errno, "waiting for connections failed");
                thread::sleep(PAUSE);
                return Next::Nothing;
            }
        }
        let [event] = events;
        match event.data() {
            KNOCK => match self.door.let_in() {
                Ok(Some((stream, inmate))) => Next::Connection(stream, inmate),
                Ok(None) => Next::Nothing,
                Err(error) => {
                    // Out of descriptors, most likely: some are given back soon.
                    tracing::error!(code = "accept", %error, "a connection could not be taken");
                    thread::sleep(PAUSE);
                    Next::Nothing
                }
            },
            TIME_UP => self.prompts.expired(Instant::now()).map_or(Next::Nothing, Next::Answer),
            number => self.prompts.take(number).map_or(Next::Nothing, Next::Answer),
        }
    }
}

enum Next {
    Connection(UnixStream, Inmate),
    Answer(Kept),
    Nothing,
    Idle,
}

impl Next {
    fn is_work(&self) -> bool {
        matches!(self, Self::Connection(..) | Self::Answer(_))
    }
}

/// Counts a thread out, also one that panicked, which may have been the last.
struct Alive<'a>(&'a Workers);

impl Drop for Alive<'_> {
    fn drop(&mut self) {
        self.0.alive.fetch_sub(1, Ordering::Relaxed);
        if thread::panicking() {
            self.0.wake_overseer();
        }
    }
}

fn no_thread(error: &std::io::Error) {
    tracing::error!(code = "thread", %error, "no further thread: logins will wait for each other");
}
