//! One run: connections around an epoll, until the time or the requests are over.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::time::{Duration, Instant};

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::resource::{Usage, UsageWho, getrusage};
use serde::Serialize;

use super::connection::{Connection, Progress};
use super::latency::Latencies;
use super::requests::Requests;
use super::target::Target;

// A server that is silent for so long is not slow any more.
const SILENCE: Duration = Duration::from_secs(30);

const EVENTS_AT_ONCE: usize = 256;
const KEPT_OF_A_REFUSAL: usize = 400;

/// How fast the requests come.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pace {
    /// Each connection asks again as soon as it was answered.
    Full,
    /// So many fall due each second, evenly, whether or not the earlier ones were answered.
    PerSecond(f64),
}

/// The answer that counts.
#[derive(Debug, Clone)]
pub struct Expected {
    /// Its status.
    pub status: u16,
    /// What its body contains.
    pub contains: Vec<u8>,
}

/// What to do.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Connections, each with one request under way.
    pub connections: usize,
    /// At first, without counting.
    pub warm_up: Duration,
    /// Then counting.
    pub measured: Duration,
    /// How fast.
    pub pace: Pace,
    /// Everything else is a refusal.
    pub expected: Expected,
}

/// What came of it.
#[derive(Debug, Clone, Serialize)]
pub struct Outcome {
    /// Seconds that were counted; fewer than planned where the requests ran out.
    pub seconds: f64,
    /// Expected answers in those seconds.
    pub accepted: u64,
    /// The same for one second.
    pub per_second: f64,
    /// Of the expected answers to requests that fell due in those seconds.
    pub latency: Latencies,
    /// Requests sent, with those of the warm-up.
    pub sent: u64,
    /// All answers by status, with those of the warm-up.
    pub statuses: BTreeMap<u16, u64>,
    /// Answers that were not the expected one, with those of the warm-up.
    pub refused: u64,
    /// The first of them.
    pub first_refusal: Option<String>,
    /// Requests whose connection ended instead.
    pub broken: u64,
    /// Processor time of this load generator, in seconds.
    pub own_cpu_seconds: f64,
}

impl Outcome {
    /// The outcome, if every request got the expected answer.
    ///
    /// # Errors
    /// With the first answer that was another.
    pub fn flawless(self) -> io::Result<Self> {
        if self.refused == 0 && self.broken == 0 && self.accepted > 0 {
            return Ok(self);
        }
        let first = self.first_refusal.as_deref().unwrap_or("none");
        Err(io::Error::other(format!(
            "{} answers as expected, {} others, {} connections broke; statuses {:?}; the first other: {first}",
            self.accepted, self.refused, self.broken, self.statuses
        )))
    }
}

/// Sends requests until the time is over, or there are none left; and waits for all answers.
///
/// # Errors
/// Where the server cannot be connected to, does not speak HTTP/1.1, or is silent for 30 seconds; or where
/// the plan has no connections, or a rate that is no rate.
pub fn run(target: &Target, requests: &mut Requests, plan: &Plan) -> io::Result<Outcome> {
    let possible = !matches!(plan.pace, Pace::PerSecond(rate) if !rate.is_normal() || rate < 0.0);
    if plan.connections == 0 || !possible {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "a plan without connections or rate"));
    }
    let cpu = cpu_seconds()?;
    let mut run = Run::begin(target, plan)?;
    run.until_done(requests)?;
    Ok(run.outcome(cpu_seconds()? - cpu))
}

struct Run<'a> {
    target: &'a Target,
    plan: &'a Plan,
    epoll: Epoll,
    connections: Vec<Connection>,
    idle: VecDeque<usize>,
    begun: Instant,
    counted_from: Instant,
    end: Instant,
    accepted: u64,
    latencies: Vec<Duration>,
    sent: u64,
    statuses: BTreeMap<u16, u64>,
    refused: u64,
    first_refusal: Option<String>,
    broken: u64,
}

impl<'a> Run<'a> {
    fn begin(target: &'a Target, plan: &'a Plan) -> io::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let mut connections = Vec::with_capacity(plan.connections);
        for slot in 0..plan.connections {
            let connection = Connection::new(target.open()?);
            epoll.add(&connection, interest(slot, EpollFlags::EPOLLIN))?;
            connections.push(connection);
        }
        let begun = Instant::now();
        let counted_from = begun + plan.warm_up;
        Ok(Self {
            target,
            plan,
            epoll,
            idle: (0..connections.len()).collect(),
            connections,
            begun,
            counted_from,
            end: counted_from + plan.measured,
            accepted: 0,
            latencies: Vec::with_capacity(1 << 17),
            sent: 0,
            statuses: BTreeMap::new(),
            refused: 0,
            first_refusal: None,
            broken: 0,
        })
    }

    fn until_done(&mut self, requests: &mut Requests) -> io::Result<()> {
        let mut events = [EpollEvent::empty(); EVENTS_AT_ONCE];
        loop {
            let next = self.send_what_is_due(requests)?;
            if next.is_none() && self.idle.len() == self.connections.len() {
                // Where the requests ran out, the last answer was the end.
                self.end = self.end.min(Instant::now());
                return Ok(());
            }
            let patience = next.filter(|_| !self.idle.is_empty()).map_or(SILENCE, |due| {
                // Up to a whole millisecond late, which then counts against the server.
                due.saturating_duration_since(Instant::now()).max(Duration::from_millis(1))
            });
            let timeout = EpollTimeout::try_from(patience).unwrap_or(EpollTimeout::MAX);
            let count = self.epoll.wait(&mut events, timeout)?;
            if count == 0 && patience == SILENCE {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "the server does not answer any more"));
            }
            let now = Instant::now();
            for event in events.iter().take(count) {
                self.receive(usize::try_from(event.data()).unwrap_or(usize::MAX), now)?;
            }
        }
    }

    // When the next request is due; `None` after the last.
    fn send_what_is_due(&mut self, requests: &mut Requests) -> io::Result<Option<Instant>> {
        let now = Instant::now();
        loop {
            let due = match self.plan.pace {
                Pace::Full => now,
                #[expect(clippy::cast_precision_loss, reason = "fewer requests than 2^52")]
                Pace::PerSecond(rate) => self.begun + Duration::from_secs_f64(self.sent as f64 / rate),
            };
            if due >= self.end {
                return Ok(None);
            }
            let Some(&slot) = self.idle.front().filter(|_| due <= now) else { return Ok(Some(due)) };
            let Some(request) = requests.take() else {
                return Ok(None);
            };
            self.idle.pop_front();
            self.sent += 1;
            let Some(connection) = self.connections.get_mut(slot) else { return Err(no_such(slot)) };
            match connection.send(request, due) {
                // Its end is read, and counted, as that of an answer.
                Err(error) if gone(&error) => {}
                sent => sent?,
            }
            if connection.blocked() {
                let both = EpollFlags::EPOLLIN | EpollFlags::EPOLLOUT;
                self.epoll.modify(&*connection, &mut interest(slot, both))?;
            }
        }
    }

    fn receive(&mut self, slot: usize, now: Instant) -> io::Result<()> {
        let Some(connection) = self.connections.get_mut(slot) else { return Err(no_such(slot)) };
        let due = connection.due;
        let was_blocked = connection.blocked();
        let progress = match connection.receive() {
            Err(error) if gone(&error) => Progress::Closed,
            progress => progress?,
        };
        let closes = match progress {
            Progress::Waiting => {
                if was_blocked && !connection.blocked() {
                    self.epoll.modify(&*connection, &mut interest(slot, EpollFlags::EPOLLIN))?;
                }
                return Ok(());
            }
            Progress::Answered(answer) => {
                *self.statuses.entry(answer.status).or_default() += 1;
                let expected = &self.plan.expected;
                if answer.status != expected.status || !contains(answer.body, &expected.contains) {
                    self.refused += 1;
                    let body = answer.body.get(..KEPT_OF_A_REFUSAL).unwrap_or(answer.body);
                    let text = || format!("{} {}", answer.status, String::from_utf8_lossy(body));
                    self.first_refusal.get_or_insert_with(text);
                } else {
                    self.accepted += u64::from(now >= self.counted_from && now < self.end);
                    if let Some(due) = due.filter(|due| *due >= self.counted_from) {
                        self.latencies.push(now - due);
                    }
                }
                answer.closes
            }
            Progress::Closed => {
                self.broken += u64::from(due.is_some());
                true
            }
        };
        connection.answered();
        if closes {
            self.epoll.delete(&*connection)?;
            *connection = Connection::new(self.target.open()?);
            self.epoll.add(&*connection, interest(slot, EpollFlags::EPOLLIN))?;
        }
        // One that was closed between two requests is in the queue already.
        if due.is_some() {
            self.idle.push_back(slot);
        }
        Ok(())
    }

    fn outcome(self, own_cpu_seconds: f64) -> Outcome {
        let seconds = self.end.saturating_duration_since(self.counted_from).as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "fewer answers than 2^52")]
        let per_second = if seconds > 0.0 { self.accepted as f64 / seconds } else { 0.0 };
        Outcome {
            seconds,
            accepted: self.accepted,
            per_second,
            latency: Latencies::of(self.latencies),
            sent: self.sent,
            statuses: self.statuses,
            refused: self.refused,
            first_refusal: self.first_refusal,
            broken: self.broken,
            own_cpu_seconds,
        }
    }
}

fn interest(slot: usize, flags: EpollFlags) -> EpollEvent {
    EpollEvent::new(flags, slot as u64)
}

fn contains(body: &[u8], wanted: &[u8]) -> bool {
    wanted.is_empty() || body.windows(wanted.len()).any(|part| part == wanted)
}

fn gone(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset};
    matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset)
}

fn no_such(slot: usize) -> io::Error {
    io::Error::other(format!("no connection {slot}"))
}

// Of this thread: the server may run on others of this process, in tests.
fn cpu_seconds() -> io::Result<f64> {
    let usage: Usage = getrusage(UsageWho::RUSAGE_THREAD)?;
    let [user, system] = [usage.user_time(), usage.system_time()]
        .map(|time| Duration::from_secs(time.tv_sec().unsigned_abs()) + micros(time.tv_usec()));
    Ok((user + system).as_secs_f64())
}

fn micros(count: i64) -> Duration {
    Duration::from_micros(count.unsigned_abs())
}
