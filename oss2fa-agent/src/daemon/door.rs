//! The door: takes connections from the socket, and never more than can be served at once.

use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::sys::epoll::{Epoll, EpollEvent, EpollFlags};

/// Connections that are served at the same time; more wait in the socket's queue.
pub(super) const MOST: usize = 1000;

/// The event that says that somebody is at the door.
pub(super) const KNOCK: u64 = 0;

/// Where connections come in.
pub(super) struct Door {
    listener: UnixListener,
    events: Arc<Epoll>,
    inside: Mutex<Inside>,
    one_left: Condvar,
}

struct Inside {
    served: usize,
    watch: Watch,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Watch {
    /// Who knocks next makes an event.
    On,
    /// A thread is at the door, or there are enough inside.
    Off,
    /// Nobody comes in any more.
    Over,
}

/// A place inside, of one connection; given back on drop.
pub(super) struct Inmate(Arc<Door>);

impl Door {
    /// `listener` must not block. One event of `events` wakes one thread.
    pub(super) fn new(listener: UnixListener, events: &Arc<Epoll>) -> std::io::Result<Arc<Self>> {
        events.add(&listener, knock())?;
        Ok(Arc::new(Self {
            listener,
            events: Arc::clone(events),
            inside: Mutex::new(Inside { served: 0, watch: Watch::On }),
            one_left: Condvar::new(),
        }))
    }

    /// Lets in who knocked. The door is watched again before that one is served, so that the next wakes another thread.
    pub(super) fn let_in(self: &Arc<Self>) -> std::io::Result<Option<(UnixStream, Inmate)>> {
        let mut inside = self.inside();
        if inside.watch == Watch::Over {
            return Ok(None);
        }
        let accepted = match self.listener.accept() {
            Ok((stream, _)) => {
                inside.served += 1;
                Ok(Some((stream, Inmate(Arc::clone(self)))))
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        };
        inside.watch = Watch::Off;
        self.watch(&mut inside);
        accepted
    }

    /// Lets nobody in any more.
    pub(super) fn close(&self) {
        let mut inside = self.inside();
        inside.watch = Watch::Over;
        if let Err(errno) = self.events.delete(&self.listener) {
            tracing::error!(code = "wait", %errno, "the socket is still watched");
        }
    }

    /// Waits until all have left, or for `grace`; returns how many are still inside.
    pub(super) fn wait_until_empty(&self, grace: Duration) -> usize {
        let left = self.one_left.wait_timeout_while(self.inside(), grace, |inside| inside.served > 0);
        let (inside, _) = left.unwrap_or_else(PoisonError::into_inner);
        inside.served
    }

    /// How many connections are served at the moment.
    pub(super) fn served(&self) -> usize {
        self.inside().served
    }

    fn watch(&self, inside: &mut Inside) {
        if inside.watch != Watch::Off || inside.served >= MOST {
            return;
        }
        match self.events.modify(&self.listener, &mut knock()) {
            Ok(()) => inside.watch = Watch::On,
            Err(errno) => tracing::error!(code = "wait", %errno, "the socket could not be watched again"),
        }
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Inmate {
    fn drop(&mut self) {
        let mut inside = self.0.inside();
        inside.served = inside.served.saturating_sub(1);
        self.0.watch(&mut inside);
        self.0.one_left.notify_all();
    }
}

fn knock() -> EpollEvent {
    EpollEvent::new(EpollFlags::EPOLLIN | EpollFlags::EPOLLONESHOT, KNOCK)
}
