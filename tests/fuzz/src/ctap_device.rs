//! A hostile device on the other end: whatever it sends, and when, each exchange ends.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use oss2fa_core::random::{NoRandomness, Random};
use oss2fa_core::secret::SecretText;
use oss2fa_ctap::cose::Algorithm;
use oss2fa_ctap::ctap2::make_credential::{Protection, Residence};
use oss2fa_ctap::hid::{Assembler, ChannelId, MAX_MESSAGE};
use oss2fa_ctap::key::{Key, Owner, Proof};
use oss2fa_ctap::transport::{Feature, Go, HidTransport, Patience, Pause, Read, Report, TransportError};
use oss2fa_ctap::verify::{
    Aaguids, AttestationPolicy, Attested, Demand, Login, Registration, RegistrationPolicy, RpId,
    UserVerification,
};
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

/// What is drawn twice is not the same.
#[derive(Default)]
struct Different(AtomicU8);

impl Random for Different {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), NoRandomness> {
        Counting.fill(bytes)?;
        if let Some(first) = bytes.first_mut() {
            *first = self.0.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }
}

/// The first byte chooses the exchange; the rest are reports, each with its length before it. Of its bits 4 makes it a
/// key of U2F, 8 an enrolment in place of a login; with 16 the user has credentials already, and with 32 the key is first asked
/// how often its PIN may be wrong.
///
/// # Panics
/// Where an exchange does not end.
pub fn target(data: &[u8]) {
    let [kind, bytes @ ..] = data else { return };
    let mut watch = |_| Go::On;
    let patience = &mut Patience::until(Instant::now(), &mut watch);
    if kind % 4 == 3 {
        otp(*kind, bytes, patience);
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
    if kind & 32 != 0 {
        drop(key.pin_tries(patience));
    }
    if kind & 8 != 0 {
        enrolment(*kind, &mut key, patience);
        return;
    }
    let login = Login::fresh(rp(), UserVerification::NotAsked, &Counting).unwrap();
    let ids = ids();
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

fn rp() -> RpId {
    RpId::new("oss2fa.test").unwrap()
}

fn ids() -> [Vec<u8>; 2] {
    [vec![1; 20], vec![2; 64]]
}

fn enrolment(kind: u8, key: &mut Key<Hostile>, patience: &mut Patience<'_>) {
    let policy = RegistrationPolicy {
        verification: UserVerification::NotAsked,
        algorithms: vec![Algorithm::Es256, Algorithm::EdDsa],
        // Keys of U2F know nothing of it.
        protection: (kind & 4 == 0).then_some(Protection::OptionalWithList),
        attestation: AttestationPolicy { demand: Demand::Nothing, models: Aaguids::Any },
    };
    let registration = Registration::fresh(rp(), policy, &Counting).unwrap();
    let pin = SecretText::new("123456".to_owned());
    let (proof, residence) = match kind % 4 {
        0 => (Proof::Touch, Residence::ById),
        1 => (Proof::Pin(&pin), Residence::ById),
        _ => (Proof::BuiltIn, Residence::Resident),
    };
    let owner = Owner { id: &[7; 32], name: "ferris" };
    let known = if kind & 16 == 0 { Vec::new() } else { ids().to_vec() };
    let made = key.register(&registration, owner, &known, residence, proof, &Counting, patience);
    let Ok(answer) = made else { return };
    if let Ok(enrolled) = registration.verify(&answer) {
        // No anchor was given.
        assert_ne!(*enrolled.attested(), Attested::ByAnchor);
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

fn otp(kind: u8, bytes: &[u8], patience: &mut Patience<'_>) {
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
    if kind & 8 != 0 {
        if let Ok((asked, answer)) = key.enrol(Slot::Two, &Different::default(), patience) {
            assert_eq!((asked.as_bytes()[0], answer.expose().len()), (1, 20));
        }
        return;
    }
    let challenge = Challenge::fresh(&Counting).unwrap();
    if let Ok(answer) = key.answer(Slot::Two, &challenge, TouchWait::Wait, patience) {
        assert_eq!(answer.expose().len(), 20);
    }
    drop(key.serial(patience));
}
