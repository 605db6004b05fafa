//! A YubiKey of software: its serial number, and challenge-response in both slots.

use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use oss2fa_ctap::transport::{Feature, HidTransport, Pause, Read, Report, TransportError};
use oss2fa_ctap::yubikey::{FRAME, PAYLOAD, crc16};
use sha1::{Digest, Sha1};

const WRITE: u8 = 0x80;
const RESPONSE: u8 = 0x40;
const AWAITED: u8 = 0x20;
const RESET: u8 = 0x8f;

/// What a slot is set up for.
#[derive(Clone)]
enum Setup {
    Empty,
    /// Something else than challenge-response.
    Typing,
    /// The secret, and whether each answer wants a touch.
    Hmac {
        secret: Vec<u8>,
        touch: bool,
    },
}

/// A key; its clones are the same one.
#[derive(Clone)]
pub(crate) struct SoftYubikey(Arc<Mutex<Inside>>);

pub(crate) struct Inside {
    pub(crate) gone: bool,
    /// `None` where it is not to tell it.
    pub(crate) serial: Option<u32>,
    slots: [Setup; 2],
    /// Touches that are to come.
    pub(crate) touches: usize,
    /// How often it has begun to blink, how many answers it gave, how many have it open and ever had, and how often one of
    /// those has looked at it.
    pub(crate) blinking: usize,
    pub(crate) answered: usize,
    pub(crate) open: usize,
    pub(crate) opened: usize,
    pub(crate) looks: usize,
}

impl SoftYubikey {
    /// With both slots empty.
    pub(crate) fn new(serial: u32) -> Self {
        Self(Arc::new(Mutex::new(Inside {
            gone: false,
            serial: Some(serial),
            slots: [Setup::Empty, Setup::Empty],
            touches: 0,
            blinking: 0,
            answered: 0,
            open: 0,
            opened: 0,
            looks: 0,
        })))
    }

    /// Sets the second slot up with this secret.
    pub(crate) fn answering(self, secret: u8) -> Self {
        self.inside().slots[1] = Setup::Hmac { secret: vec![secret; 20], touch: false };
        self
    }

    /// The same, and each answer wants a touch.
    pub(crate) fn asking_for_touches(self, secret: u8) -> Self {
        self.inside().slots[1] = Setup::Hmac { secret: vec![secret; 20], touch: true };
        self
    }

    /// Sets the first slot up for something else.
    pub(crate) fn typing(self) -> Self {
        self.inside().slots[0] = Setup::Typing;
        self
    }

    /// Sets the first slot up with this secret.
    pub(crate) fn answering_first(self, secret: u8) -> Self {
        self.inside().slots[0] = Setup::Hmac { secret: vec![secret; 20], touch: false };
        self
    }

    /// It does not tell its serial number.
    pub(crate) fn without_a_number(self) -> Self {
        self.inside().serial = None;
        self
    }

    pub(crate) fn touch(&self, times: usize) {
        self.inside().touches += times;
    }

    pub(crate) fn inside(&self) -> MutexGuard<'_, Inside> {
        self.0.lock().unwrap()
    }

    pub(super) fn open(&self) -> Wire {
        let mut inside = self.inside();
        inside.open += 1;
        inside.opened += 1;
        drop(inside);
        Wire { key: self.clone(), request: [0; FRAME], reply: Vec::new(), awaited: None }
    }
}

/// One opened key.
pub(super) struct Wire {
    key: SoftYubikey,
    request: [u8; FRAME],
    reply: Vec<Feature>,
    awaited: Option<Vec<u8>>,
}

impl Wire {
    fn take(&mut self) {
        let (payload, slot) = (&self.request[..PAYLOAD], self.request[PAYLOAD]);
        assert_eq!(self.request[PAYLOAD + 1..][..2], crc16(payload).to_le_bytes(), "a checksum");
        let inside = self.key.inside();
        let setup = match slot {
            0x10 => {
                let serial = inside.serial.map(u32::to_be_bytes);
                drop(inside);
                return serial.into_iter().for_each(|serial| self.answer(&serial));
            }
            0x30 => inside.slots[0].clone(),
            0x38 => inside.slots[1].clone(),
            _ => Setup::Empty,
        };
        drop(inside);
        let Setup::Hmac { secret, touch } = setup else { return };
        let length =
            payload.iter().rposition(|byte| *byte != payload[PAYLOAD - 1]).map_or(0, |last| last + 1);
        let digest = hmac(&secret, &payload[..length]);
        if touch {
            self.key.inside().blinking += 1;
            self.awaited = Some(digest);
        } else {
            self.key.inside().answered += 1;
            self.answer(&digest);
        }
    }

    fn answer(&mut self, data: &[u8]) {
        let whole = [data, &(!crc16(data)).to_le_bytes()].concat();
        self.reply.push([0, 0, 0, 0, 0, 0, 0, RESPONSE]);
        for (number, part) in whole.chunks(7).enumerate().collect::<Vec<_>>().into_iter().rev() {
            let mut feature = [0; 8];
            feature[..part.len()].copy_from_slice(part);
            feature[7] = RESPONSE | number as u8;
            self.reply.push(feature);
        }
    }
}

/// HMAC-SHA1 (RFC 2104) with a key that is no longer than a block.
fn hmac(key: &[u8], message: &[u8]) -> Vec<u8> {
    let pad =
        |with: u8| -> Vec<u8> { (0..64).map(|at| key.get(at).copied().unwrap_or_default() ^ with).collect() };
    let inner = Sha1::digest([pad(0x36).as_slice(), message].concat());
    Sha1::digest([pad(0x5c).as_slice(), &inner].concat()).to_vec()
}

impl HidTransport for Wire {
    fn write(&mut self, _: &Report) -> Result<(), TransportError> {
        Err(TransportError::Failed)
    }

    fn read(&mut self, _: Instant) -> Result<Read, TransportError> {
        Err(TransportError::Failed)
    }

    fn write_feature(&mut self, feature: &Feature) -> Result<(), TransportError> {
        if self.key.inside().gone {
            return Err(TransportError::Gone);
        }
        let [data @ .., mark] = feature;
        if *mark == RESET {
            (self.request, self.reply, self.awaited) = ([0; FRAME], Vec::new(), None);
        } else if mark & WRITE != 0 {
            let number = usize::from(mark & 0x1f);
            self.request[number * 7..][..7].copy_from_slice(data);
            if number == 9 {
                self.take();
                self.request = [0; FRAME];
            }
        }
        Ok(())
    }

    fn read_feature(&mut self) -> Result<Feature, TransportError> {
        let mut inside = self.key.inside();
        inside.looks += 1;
        if inside.gone {
            return Err(TransportError::Gone);
        }
        if self.awaited.is_some() {
            if inside.touches == 0 {
                return Ok([0, 0, 0, 0, 0, 0, 0, AWAITED | 0x0f]);
            }
            inside.touches -= 1;
            inside.answered += 1;
            drop(inside);
            let digest = self.awaited.take().unwrap();
            self.answer(&digest);
            inside = self.key.inside();
        }
        if let Some(part) = self.reply.pop() {
            return Ok(part);
        }
        let level = |slot: &Setup, bit| if matches!(slot, Setup::Empty) { 0 } else { bit };
        let levels = level(&inside.slots[0], 1) | level(&inside.slots[1], 2);
        Ok([0, 5, 4, 3, 1, levels, 0, 0])
    }

    fn pause(&mut self, _: Duration, deadline: Instant) -> Pause {
        thread::sleep(Duration::from_millis(2));
        if Instant::now() < deadline { Pause::Over } else { Pause::TimeUp }
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.key.inside().open -= 1;
    }
}

#[test]
fn the_key_of_software_has_the_known_answer() {
    // FIPS 198, second example.
    let key: Vec<u8> = (0x30..=0x43).collect();
    let expected = "0922d3405faa3d194f82a45830737d5cc6c75d24";
    assert_eq!(data_encoding::HEXLOWER.encode(&hmac(&key, b"Sample #2")), expected);
}
