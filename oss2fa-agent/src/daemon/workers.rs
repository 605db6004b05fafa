//! The threads that take connections and serve them, one at a time each.
//!
//! At least one is always waiting for the next connection, so that a login that waits for somebody to
//! type holds nobody up. One event wakes one thread; threads that are not needed end after a while.

use std::os::unix::net::UnixListener;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::eventfd::{EfdFlags, EventFd};

use super::converse::converse;
use super::live::Live;
use super::peer::Connections;

/// Connections that are served at the same time; more wait in the socket's queue.
const MOST: usize = 1000;

/// Threads that wait for a connection when there is nothing to do.
const SPARE: usize = 2;

/// Threads that wait between two bursts.
const READY: usize = 64;

/// A login's stack: JSON, SQLite, and the user directory's own modules, which want the most.
const STACK: usize = 512 * 1024;

/// How long a thread waits before it is one too many, in milliseconds.
const IDLE: u16 = 10_000;

/// How long to wait where the system has no thread or descriptor to give.
const PAUSE: Duration = Duration::from_millis(50);

const CONNECTION: u64 = 0;
const STOP: u64 = 1;

/// All threads of the daemon that serve.
pub(super) struct Workers {
    live: Arc<Live>,
    listener: UnixListener,
    events: Epoll,
    stop: EventFd,
    stopping: AtomicBool,
    connections: Connections,
    waiting: AtomicUsize,
    alive: Mutex<usize>,
    one_ended: Condvar,
}

impl Workers {
    /// Starts to serve what comes in over `listener`, which must not block.
    pub(super) fn start(live: Arc<Live>, listener: UnixListener) -> std::io::Result<Arc<Self>> {
        let events = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let stop = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
        events.add(&listener, EpollEvent::new(one_shot(), CONNECTION))?;
        events.add(&stop, EpollEvent::new(EpollFlags::EPOLLIN, STOP))?;
        let workers = Arc::new(Self {
            live,
            listener,
            events,
            stop,
            stopping: AtomicBool::new(false),
            connections: Connections::default(),
            waiting: AtomicUsize::new(0),
            alive: Mutex::new(0),
            one_ended: Condvar::new(),
        });
        workers.add_one()?;
        Ok(workers)
    }

    /// Takes no more connections, and returns when those that are served have ended, or after `grace`:
    /// one login that is left at its prompt must not hold up all that come after the restart.
    pub(super) fn finish(&self, grace: Duration) {
        self.stopping.store(true, Ordering::SeqCst);
        if let Err(errno) = self.stop.write(1) {
            tracing::error!(code = "stop", %errno, "the threads could not be told to stop");
            return;
        }
        let ended = self.one_ended.wait_timeout_while(self.alive(), grace, |alive| *alive > 0);
        let (alive, _) = ended.unwrap_or_else(PoisonError::into_inner);
        if *alive > 0 {
            tracing::warn!(logins = *alive, "the agent stops with logins that nobody answered");
        }
    }

    /// How many connections are served at the moment.
    pub(super) fn busy(&self) -> usize {
        self.alive().saturating_sub(self.waiting.load(Ordering::Relaxed))
    }

    fn add_one(self: &Arc<Self>) -> std::io::Result<()> {
        let mut alive = self.alive();
        if *alive >= MOST {
            return Ok(());
        }
        let workers = Arc::clone(self);
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let started = thread::Builder::new().name("login".to_owned()).stack_size(STACK).spawn(move || {
            let _alive = Alive(&workers);
            workers.serve();
        });
        match started {
            Ok(_) => *alive += 1,
            Err(_) => drop(self.waiting.fetch_sub(1, Ordering::Relaxed)),
        }
        started.map(drop)
    }

    // Counted as waiting when it begins.
    fn serve(self: &Arc<Self>) {
        loop {
            let next = self.next_connection();
            let idle = matches!(next, Next::Idle);
            if self.waiting.fetch_sub(1, Ordering::Relaxed) == 1
                && matches!(next, Next::Connection(_))
                && let Err(error) = self.add_one()
            {
                tracing::error!(code = "thread", %error, "no further thread: logins will wait for each other");
            }
            match next {
                Next::Connection(stream) => converse(&self.live, &self.connections, stream),
                Next::Nothing | Next::Idle => {}
                Next::End => return,
            }
            let enough = if idle { SPARE } else { READY };
            if self.waiting.fetch_add(1, Ordering::Relaxed) >= enough {
                self.waiting.fetch_sub(1, Ordering::Relaxed);
                return;
            }
        }
    }

    fn next_connection(&self) -> Next {
        if self.stopping.load(Ordering::SeqCst) {
            return Next::End;
        }
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
        // Asked for itself: of two events at once the other one may have been told.
        if self.stopping.load(Ordering::SeqCst) || events.iter().any(|event| event.data() == STOP) {
            return Next::End;
        }
        let accepted = self.listener.accept();
        // Armed again before this connection is served: the next one wakes another thread.
        let mut again = EpollEvent::new(one_shot(), CONNECTION);
        if let Err(errno) = self.events.modify(&self.listener, &mut again) {
            tracing::error!(code = "wait", %errno, "the socket could not be watched again");
        }
        match accepted {
            Ok((stream, _)) => Next::Connection(stream),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Next::Nothing,
            Err(error) => {
                // Out of descriptors, most likely: some are given back soon.
                tracing::error!(code = "accept", %error, "a connection could not be taken");
                thread::sleep(PAUSE);
                Next::Nothing
            }
        }
    }

    fn alive(&self) -> MutexGuard<'_, usize> {
        self.alive.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Next {
    Connection(std::os::unix::net::UnixStream),
    Nothing,
    Idle,
    End,
}

/// Counts a thread out, also one that panicked.
struct Alive<'a>(&'a Workers);

impl Drop for Alive<'_> {
    fn drop(&mut self) {
        *self.0.alive() -= 1;
        self.0.one_ended.notify_all();
    }
}

fn one_shot() -> EpollFlags {
    EpollFlags::EPOLLIN | EpollFlags::EPOLLONESHOT
}
