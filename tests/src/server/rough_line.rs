//! A line to a server on which everything goes wrong that can: a TCP proxy on loopback that cuts, delays,
//! doubles and cuts short what passes.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// All of them.
const FAULTS: [Fault; 5] = [Fault::Cut, Fault::Delay, Fault::Double, Fault::CutShort, Fault::Hold];

/// Of twelve faults so many are of each; what holds everything up comes seldom.
const SHARES: [u64; FAULTS.len()] = [3, 3, 2, 3, 1];

/// Milliseconds that a delayed piece waits at most.
const LONGEST_DELAY: u64 = 60;

/// How long a held one does: longer than a host that waits two seconds for its server.
const HELD: Duration = Duration::from_millis(2500);

#[derive(Debug, Clone, Copy)]
enum Fault {
    /// Both ends find the connection closed.
    Cut,
    /// The piece comes late.
    Delay,
    /// It comes twice.
    Double,
    /// Half of it comes, then the end.
    CutShort,
    /// It comes when nobody waits for it any more.
    Hold,
}

/// The line; both directions of each connection go wrong by themselves.
#[derive(Debug)]
pub struct RoughLine {
    port: u16,
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    server: u16,
    /// Of ten thousand pieces.
    faulty: AtomicU32,
    dice: Mutex<u64>,
    counts: [AtomicUsize; FAULTS.len()],
    over: AtomicBool,
}

impl RoughLine {
    /// A line to a port of loopback. The same `seed` rolls the same dice.
    ///
    /// # Panics
    /// Where no port is free.
    #[must_use]
    pub fn to(server: u16, seed: u64) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(State {
            server,
            faulty: AtomicU32::new(0),
            dice: Mutex::new(seed),
            counts: Default::default(),
            over: AtomicBool::new(false),
        });
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if shared.over.load(Ordering::SeqCst) {
                    return;
                }
                connect(&shared, &stream);
            }
        });
        Self { port, state }
    }

    /// Where it begins.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// From now on so many of ten thousand pieces meet a fault.
    pub fn rough(&self, of_ten_thousand: u32) {
        self.state.faulty.store(of_ten_thousand, Ordering::SeqCst);
    }

    /// How often each fault has happened.
    #[must_use]
    pub fn happened(&self) -> Vec<(String, usize)> {
        let counts = self.state.counts.iter().map(|count| count.load(Ordering::SeqCst));
        FAULTS.iter().map(|fault| format!("{fault:?}")).zip(counts).collect()
    }
}

impl Drop for RoughLine {
    fn drop(&mut self) {
        self.state.over.store(true, Ordering::SeqCst);
        let _woken = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
    }
}

fn connect(state: &Arc<State>, caller: &TcpStream) {
    // A server that is not there: the caller finds its connection closed.
    let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, state.server)) else { return };
    for (from, to) in [(caller, &server), (&server, caller)] {
        let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
        let state = Arc::clone(state);
        thread::spawn(move || {
            pass(&state, &from, &to);
            for end in [&from, &to] {
                let _closed = end.shutdown(Shutdown::Both);
            }
        });
    }
}

fn pass(state: &State, mut from: &TcpStream, mut to: &TcpStream) {
    let mut piece = [0; 4096];
    loop {
        let Ok(length @ 1..) = from.read(&mut piece) else { return };
        let piece = &piece[..length];
        let sent = match state.fault() {
            None => to.write_all(piece),
            Some(Fault::Cut) => return,
            Some(Fault::Delay) => {
                thread::sleep(Duration::from_millis(state.roll() % LONGEST_DELAY));
                to.write_all(piece)
            }
            Some(Fault::Double) => to.write_all(piece).and_then(|()| to.write_all(piece)),
            Some(Fault::CutShort) => {
                let _gone = to.write_all(&piece[..length / 2]);
                return;
            }
            Some(Fault::Hold) => {
                thread::sleep(HELD);
                to.write_all(piece)
            }
        };
        if sent.is_err() {
            return;
        }
    }
}

impl State {
    fn fault(&self) -> Option<Fault> {
        let faulty = u64::from(self.faulty.load(Ordering::SeqCst));
        if self.roll() % 10_000 >= faulty {
            return None;
        }
        let mut rolled = self.roll() % SHARES.iter().sum::<u64>();
        for ((fault, share), count) in FAULTS.iter().zip(SHARES).zip(&self.counts) {
            if rolled < share {
                count.fetch_add(1, Ordering::SeqCst);
                return Some(*fault);
            }
            rolled -= share;
        }
        None
    }

    // SplitMix64: dice that fall the same way for the same seed.
    fn roll(&self) -> u64 {
        let mut dice = self.dice.lock().unwrap();
        *dice = dice.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = *dice;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}
