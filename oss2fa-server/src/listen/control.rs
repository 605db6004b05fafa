//! What the accept loop knows of a connection, and may ask of it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Waker;

/// Shared by the accept loop and one connection.
///
/// A request costs two uncontended counts and no timer: the loop looks at all connections now and then, and
/// closes those on which nothing was asked for too long.
#[derive(Debug, Default)]
pub(super) struct Control {
    begun: AtomicU64,
    ended: AtomicU64,
    streams: AtomicU64,
    finish: AtomicBool,
    overdue: AtomicBool,
    // There since the connection began to speak HTTP. A task's waker stays good for as long as the task lives.
    waker: Mutex<Option<Waker>>,
}

/// Whether a connection speaks HTTP yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// No: it is in its TLS handshake, and no request of it can be under way.
    Handshake,
    /// Yes.
    Http,
}

/// What a connection has to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// Go on.
    Serve,
    /// Answer what was asked, then close.
    Finish,
    /// Close: nothing was asked in time.
    Leave,
}

impl Control {
    /// Notes that the connection speaks HTTP from now on.
    pub(super) fn attach(&self, waker: &Waker) {
        *self.waker.lock().unwrap_or_else(PoisonError::into_inner) = Some(waker.clone());
    }

    /// Asked by the connection whenever it runs.
    pub(super) fn order(&self) -> Order {
        if self.overdue.load(Ordering::Relaxed) {
            if !self.is_busy() {
                return Order::Leave;
            }
            self.overdue.store(false, Ordering::Relaxed);
        }
        if self.finish.load(Ordering::Relaxed) { Order::Finish } else { Order::Serve }
    }

    pub(super) fn stage(&self) -> Stage {
        match *self.waker.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(_) => Stage::Http,
            None => Stage::Handshake,
        }
    }

    /// Asks the connection to finish. One that is still in its handshake will not start to speak HTTP.
    pub(super) fn ask_to_finish(&self) -> Stage {
        self.tell(&self.finish)
    }

    /// Asks the connection to close, unless a request has come meanwhile.
    pub(super) fn ask_to_leave(&self) {
        self.tell(&self.overdue);
    }

    // Under the lock of `attach`: the connection either sees the order when it attaches, or is woken.
    fn tell(&self, flag: &AtomicBool) -> Stage {
        let waker = self.waker.lock().unwrap_or_else(PoisonError::into_inner);
        flag.store(true, Ordering::Relaxed);
        match &*waker {
            Some(waker) => {
                waker.wake_by_ref();
                Stage::Http
            }
            None => Stage::Handshake,
        }
    }

    /// Counts a request in.
    pub(super) fn begin(self: &Arc<Self>) -> Running {
        self.begun.fetch_add(1, Ordering::Relaxed);
        Running(Arc::clone(self))
    }

    /// Counts an answer in that is made bit by bit.
    pub(super) fn stream(self: &Arc<Self>) -> Streaming {
        self.streams.fetch_add(1, Ordering::Relaxed);
        Streaming { control: Arc::clone(self), making: None }
    }

    /// Whether such an answer has not come to its end.
    pub(super) fn is_streaming(&self) -> bool {
        self.streams.load(Ordering::Relaxed) > 0
    }

    /// How many requests there were, and parts of streams.
    pub(super) fn begun(&self) -> u64 {
        self.begun.load(Ordering::Relaxed)
    }

    /// Whether one of them is not yet answered, or being made.
    pub(super) fn is_busy(&self) -> bool {
        // In this order: an end that is seen has its beginning seen too.
        let ended = self.ended.load(Ordering::Acquire);
        self.begun.load(Ordering::Relaxed) != ended
    }
}

/// A request under way, until this is dropped with the last of its answer.
#[derive(Debug)]
pub(super) struct Running(Arc<Control>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.ended.fetch_add(1, Ordering::Release);
    }
}

/// An answer that is made bit by bit, until this is dropped with it.
///
/// A part that is being made is work under way. Once it is there, and until the next one is wanted, the time is the
/// client's: whoever takes nothing would else hold the connection for ever.
#[derive(Debug)]
pub(super) struct Streaming {
    control: Arc<Control>,
    making: Option<Running>,
}

impl Streaming {
    /// The next part is wanted.
    pub(super) fn wanted(&mut self) {
        if self.making.is_none() {
            self.making = Some(self.control.begin());
        }
    }

    /// It is there.
    pub(super) fn made(&mut self) {
        self.making = None;
    }
}

impl Drop for Streaming {
    fn drop(&mut self) {
        self.control.streams.fetch_sub(1, Ordering::Relaxed);
    }
}
