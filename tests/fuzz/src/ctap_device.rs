//! A hostile device on the other end: whatever it sends, and when, each exchange ends.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use oss2fa_core::random::{NoRandomness, Random};
use oss2fa_core::secret::SecretText;
use oss2fa_ctap::hid::{Assembler, ChannelId, MAX_MESSAGE};
use oss2fa_ctap::key::{Key, Proof};
use oss2fa_ctap::transport::{Feature, Go, HidTransport, Patience, Pause, Read, Report, TransportError};
use oss2fa_ctap::verify::{Login, RpId, UserVerification};
use oss2fa_ctap::yubikey::{Challenge, ResponseAssembler, Slot, TouchWait, YubiKey};

/// A host that is asked more often than this goes in circles.
const MOST_STEPS: usize = 20_000;

/// Says what the input says, and that the time is up when there is no more of it.
struct Hostile {
    reports: VecDeque<Report>,
    features: VecDeque<Feature>,
    steps: usize,
}

impl Hostile {
    fn step(&mut self) {
        self.steps += 1;
        assert!(self.steps < MOST_STEPS, "the exchange does not end");
    }
}

impl HidTransport for Hostile {
    fn write(&mut self, _: &Report) -> Result<(), TransportError> {
        self.step();
        Ok(())
    }

    fn read(&mut self, _: Instant) -> Result<Read, TransportError> {
        self.step();
        Ok(self.reports.pop_front().map_or(Read::TimeUp, Read::Report))
    }

    fn write_feature(&mut self, _: &Feature) -> Result<(), TransportError> {
        self.step();
        Ok(())
    }

    fn read_feature(&mut self) -> Result<Feature, TransportError> {
        self.step();
        self.features.pop_front().ok_or(TransportError::Gone)
    }

    fn pause(&mut self, _: Duration, _: Instant) -> Pause {
        self.step();
        if self.reports.is_empty() && self.features.is_empty() { Pause::TimeUp } else { Pause::Over }
    }
}

struct Counting;

impl Random for Counting {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), NoRandomness> {
        for (byte, number) in bytes.iter_mut().zip(1..) {
            *byte = number;
        }
        Ok(())
    }
}

/// The first byte chooses the exchange; the rest are reports, each with its length before it.
///
/// # Panics
/// Where an exchange does not end.
pub fn target(data: &[u8]) {
    let [kind, bytes @ ..] = data else { return };
    let mut watch = |_| Go::On;
    let patience = &mut Patience::until(Instant::now(), &mut watch);
    if kind % 4 == 3 {
        otp(bytes, patience);
        return;
    }
    let mut hostile = Hostile { reports: reports(bytes), features: VecDeque::new(), steps: 0 };
    let mut assembler = Assembler::new(ChannelId([1, 2, 3, 4]));
    for report in &hostile.reports {
        if let Ok(Some(message)) = assembler.push(report) {
            assert!(message.data.len() <= MAX_MESSAGE);
        }
    }
    // Without these no input gets past the opening: the nonce is what `Counting` gives.
    let version = if kind & 4 == 0 { 5 } else { 0 };
    hostile.reports.push_front(opening(version));
    let Ok(mut key) = Key::open(hostile, &Counting, patience) else { return };
    let login =
        Login::fresh(RpId::new("oss2fa.test").unwrap(), UserVerification::NotAsked, &Counting).unwrap();
    let ids = [vec![1; 20], vec![2; 64]];
    match kind % 4 {
        0 => {
            if let Ok(assertion) = key.assert(&login, &ids, Proof::Touch, &Counting, patience) {
                assert!(login.verify(&[], &assertion).is_err());
            }
        }
        1 => {
            let pin = SecretText::new("123456".to_owned());
            drop(key.assert(&login, &ids, Proof::Pin(&pin), &Counting, patience));
        }
        _ => {
            drop(key.wait_for_touch(patience));
            drop(key.assert_resident(&login, Proof::BuiltIn, &Counting, patience));
        }
    }
}

fn opening(flags: u8) -> Report {
    let mut report = [0; 64];
    let nonce: Vec<u8> = (1..=8).collect();
    let bytes =
        [&[0xff, 0xff, 0xff, 0xff, 0x86, 0, 17], nonce.as_slice(), &[1, 2, 3, 4, 2, 5, 7, 1, flags]].concat();
    report[..bytes.len()].copy_from_slice(&bytes);
    report
}

fn reports(mut bytes: &[u8]) -> VecDeque<Report> {
    let mut reports = VecDeque::new();
    while let [length, rest @ ..] = bytes {
        let (piece, rest) = rest.split_at(usize::from(*length).min(rest.len()).min(60));
        let mut report = [0; 64];
        report[..4].copy_from_slice(&[1, 2, 3, 4]);
        report[4..4 + piece.len()].copy_from_slice(piece);
        reports.push_back(report);
        bytes = rest;
    }
    reports
}

fn otp(bytes: &[u8], patience: &mut Patience<'_>) {
    let features: VecDeque<Feature> = bytes.chunks_exact(8).map(|part| part.try_into().unwrap()).collect();
    let mut assembler = ResponseAssembler::default();
    for part in &features {
        if let Ok(Some(reply)) = assembler.push(part) {
            assert!(reply.len() <= 80);
            break;
        }
    }
    let mut key = YubiKey::new(Hostile { reports: VecDeque::new(), features, steps: 0 });
    drop(key.state());
    let challenge = Challenge::fresh(&Counting).unwrap();
    if let Ok(answer) = key.answer(Slot::Two, &challenge, TouchWait::Wait, patience) {
        assert_eq!(answer.expose().len(), 20);
    }
    drop(key.serial(patience));
}
