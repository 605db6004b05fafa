//! A security key in software: `oss2fa-virtual-key CERTIFICATE KEY STORE TOUCH`.
//!
//! Packets of CTAPHID go in at the standard input and out at the standard output, 64 bytes each. What they ask
//! is answered by the firmware application of the Nitrokey and the Solo 2, which others wrote: this program
//! frames, and stands in for the board. It ends when its input does, as a key that is pulled out.
//!
//! CERTIFICATE is that of the attestation, in DER, and KEY its P-256 scalar, 32 bytes. STORE is a folder: what
//! the key remembers without power. It is touched as long as a file TOUCH exists.
#![forbid(unsafe_code)]

mod firmware;
mod framing;
mod touch;

use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use firmware::Board;
use framing::{Framing, PACKET, Packet};

/// How often a key that is busy says so (CTAP 2.1 section 11.2.9.2.5 allows 100 ms).
const KEEPALIVE: Duration = Duration::from_millis(75);

/// What the loop waits for.
enum Event {
    /// A packet of the host.
    Packet(Packet),
    /// The firmware has answered.
    Answered,
    /// The host is gone.
    PulledOut,
}

fn main() {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let mut next = || arguments.next().expect("oss2fa-virtual-key CERTIFICATE KEY STORE TOUCH");
    let board = Board {
        certificate: std::fs::read(next()).expect("the certificate"),
        key: std::fs::read(next()).expect("the key").try_into().expect("a key of 32 bytes"),
        store: next(),
        touch: next(),
    };
    let (sender, events) = mpsc::channel();
    let packets = sender.clone();
    thread::spawn(move || {
        let mut packet = [0; PACKET];
        while io::stdin().lock().read_exact(&mut packet).is_ok() {
            packets.send(Event::Packet(packet)).expect("the loop");
        }
        packets.send(Event::PulledOut).expect("the loop");
    });
    let answered = move || sender.send(Event::Answered).expect("the loop");
    board.run(answered, |mut firmware, presence| {
        let mut framing = Framing::default();
        loop {
            let event = match framing.is_busy() {
                true => events.recv_timeout(KEEPALIVE),
                false => events.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            let packets = match event {
                Ok(Event::Packet(packet)) => framing.take(&packet, &mut firmware),
                Ok(Event::Answered) => framing.answer(firmware.answer()),
                Err(RecvTimeoutError::Timeout) => framing.keepalive(presence.is_awaited()),
                Ok(Event::PulledOut) | Err(RecvTimeoutError::Disconnected) => std::process::exit(0),
            };
            let mut output = io::stdout().lock();
            for packet in packets {
                // The reader has gone: so does the key.
                if output.write_all(&packet).and_then(|()| output.flush()).is_err() {
                    std::process::exit(0);
                }
            }
        }
    })
}
