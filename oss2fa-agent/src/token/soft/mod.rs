//! Security keys of software, for tests: they are plugged in and out, touched, and sign for themselves.

mod authenticator;
mod yubikey;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use oss2fa_ctap::hid::{Assembler, ChannelId, Command, fragment};
use oss2fa_ctap::transport::{Feature, HidTransport, Pause, Read, Report, TransportError};

#[cfg(test)]
pub(crate) use self::authenticator::Finger;
pub(crate) use self::authenticator::{Protocol, SoftKey};
pub(crate) use self::yubikey::SoftYubikey;
use super::Plugged;
use super::ports::{Port, Ports};

const CHANNEL: ChannelId = ChannelId([1, 2, 3, 4]);
const TICK: Duration = Duration::from_millis(2);

/// What is plugged into a host of a test.
#[derive(Clone, Default)]
pub(crate) struct Hub(Arc<Sockets>);

#[derive(Default)]
struct Sockets {
    keys: Mutex<Vec<(PathBuf, SoftKey)>>,
    yubikeys: Mutex<Vec<(PathBuf, SoftYubikey)>>,
    changes: AtomicU64,
}

impl Hub {
    pub(crate) fn plug_in(&self, name: &str, key: &SoftKey) {
        key.inside().gone = false;
        self.0.keys.lock().unwrap().push((PathBuf::from(name), key.clone()));
        self.0.changes.fetch_add(1, Ordering::SeqCst);
    }

    pub(crate) fn plug_in_yubikey(&self, name: &str, key: &SoftYubikey) {
        key.inside().gone = false;
        self.0.yubikeys.lock().unwrap().push((PathBuf::from(name), key.clone()));
        self.0.changes.fetch_add(1, Ordering::SeqCst);
    }

    pub(crate) fn pull_out_yubikey(&self, name: &str) {
        let mut keys = self.0.yubikeys.lock().unwrap();
        for (_, key) in keys.iter().filter(|(path, _)| path.as_os_str() == name) {
            key.inside().gone = true;
        }
        keys.retain(|(path, _)| path.as_os_str() != name);
        self.0.changes.fetch_add(1, Ordering::SeqCst);
    }

    pub(crate) fn pull_out(&self, name: &str) {
        let mut keys = self.0.keys.lock().unwrap();
        for (_, key) in keys.iter().filter(|(path, _)| path.as_os_str() == name) {
            key.inside().gone = true;
        }
        keys.retain(|(path, _)| path.as_os_str() != name);
        self.0.changes.fetch_add(1, Ordering::SeqCst);
    }

    /// Somebody touches the keys that are plugged in.
    pub(crate) fn touch(&self) {
        self.0.keys.lock().unwrap().iter().for_each(|(_, key)| key.touch());
    }
}

impl Ports for Hub {
    fn mark(&self) -> u64 {
        self.0.changes.load(Ordering::SeqCst)
    }

    fn plugged(&self) -> Vec<Plugged> {
        let keys = self.0.keys.lock().unwrap();
        let named = |path: &PathBuf| {
            Plugged::from_system(path.clone(), (1, 2), (0xf1d0, 1), ("Soft", "Soft key")).unwrap()
        };
        let yubikeys = self.0.yubikeys.lock().unwrap();
        let answers = |path: &PathBuf| {
            Plugged::from_system(path.clone(), (0x1050, 0x0407), (1, 6), ("Yubico", "YubiKey OTP")).unwrap()
        };
        let all = keys.iter().map(|(path, _)| named(path));
        all.chain(yubikeys.iter().map(|(path, _)| answers(path))).collect()
    }

    fn open(&self, key: &Plugged) -> Result<Port, TransportError> {
        let yubikeys = self.0.yubikeys.lock().unwrap();
        if let Some((_, found)) = yubikeys.iter().find(|(path, _)| *path == key.path) {
            return Ok(Box::new(found.open()));
        }
        let keys = self.0.keys.lock().unwrap();
        let (_, found) = keys.iter().find(|(path, _)| *path == key.path).ok_or(TransportError::Gone)?;
        found.inside().open += 1;
        let assembler = Assembler::new(CHANNEL);
        Ok(Box::new(Wire { key: found.clone(), assembler, out: VecDeque::new(), pending: None }))
    }
}

/// One opened key.
struct Wire {
    key: SoftKey,
    assembler: Assembler,
    out: VecDeque<Report>,
    /// A request of CTAP2 that waits for its touch.
    pending: Option<Vec<u8>>,
}

impl Wire {
    fn answer(&mut self, channel: ChannelId, command: Command, data: &[u8]) {
        self.out.extend(fragment(channel, command, data).unwrap());
    }
}

impl HidTransport for Wire {
    fn write(&mut self, report: &Report) -> Result<(), TransportError> {
        if self.key.inside().gone {
            return Err(TransportError::Gone);
        }
        if let Ok(Some(message)) = Assembler::new(ChannelId::BROADCAST).push(report) {
            let flags = self.key.inside().protocol.capabilities();
            let answer = [&message.data[..8], &CHANNEL.0, &[2, 1, 0, 0, flags]].concat();
            self.answer(ChannelId::BROADCAST, Command::INIT, &answer);
        }
        let Ok(Some(message)) = self.assembler.push(report) else { return Ok(()) };
        match message.command {
            Command::MSG => {
                let answer = self.key.inside().u2f(&message.data);
                self.answer(CHANNEL, Command::MSG, &answer);
            }
            Command::CBOR if self.key.inside().waits_for_touch(&message.data) => {
                self.key.inside().blinking += 1;
                self.pending = Some(message.data.to_vec());
            }
            Command::CBOR => {
                let answer = self.key.inside().ctap2(&message.data);
                self.answer(CHANNEL, Command::CBOR, &answer);
            }
            Command::CANCEL if self.pending.take().is_some() => {
                self.key.inside().cancelled += 1;
                self.answer(CHANNEL, Command::CBOR, &[0x2d]);
            }
            _ => {}
        }
        Ok(())
    }

    fn read(&mut self, deadline: Instant) -> Result<Read, TransportError> {
        let begun = Instant::now();
        loop {
            if self.key.inside().gone {
                return Err(TransportError::Gone);
            }
            if let Some(report) = self.out.pop_front() {
                return Ok(Read::Report(report));
            }
            if self.pending.is_some() && self.key.inside().take_touch() {
                let request = self.pending.take().unwrap_or_default();
                let answer = self.key.inside().ctap2(&request);
                self.answer(CHANNEL, Command::CBOR, &answer);
                self.key.inside().answered_at = Some(Instant::now());
                continue;
            }
            if Instant::now() >= deadline {
                return Ok(Read::TimeUp);
            }
            if begun.elapsed() > TICK * 5 {
                if self.pending.is_some() {
                    self.answer(CHANNEL, Command::KEEPALIVE, &[2]);
                    self.key.inside().reminded += 1;
                    continue;
                }
                return Ok(Read::Quiet);
            }
            thread::sleep(TICK);
        }
    }

    fn write_feature(&mut self, _: &Feature) -> Result<(), TransportError> {
        Err(TransportError::Failed)
    }

    fn read_feature(&mut self) -> Result<Feature, TransportError> {
        Err(TransportError::Failed)
    }

    fn pause(&mut self, _: Duration, deadline: Instant) -> Pause {
        thread::sleep(TICK);
        if Instant::now() < deadline { Pause::Over } else { Pause::TimeUp }
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.key.inside().open -= 1;
    }
}
