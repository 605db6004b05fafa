//! One YubiKey: asking it through feature reports, and waiting for its touch (the status report is `status_st` of `ykdef.h`;
//! the slots' commands are those of Yubico's .NET SDK user's manual, OTP application, "Challenge-response").

use std::time::Duration;

use oss2fa_core::random::Random;
use oss2fa_core::secret::SecretBytes;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::answer::Challenge;
use super::frame::{self, PAYLOAD, Part, ResponseAssembler, checked};
use crate::error::{KeyError, Malformed};
use crate::transport::{Feature, Go, HidTransport, Meanwhile, Patience, Pause};

/// How long to leave it between two looks.
const LOOK: Duration = Duration::from_millis(10);
/// The same while a finger is awaited.
const TOUCH_LOOK: Duration = Duration::from_millis(100);
/// How often it may be looked at before it has taken a part, or has begun to answer: more than a second.
const LOOKS: usize = 150;

const SERIAL: u8 = 0x10;
const HMAC_LENGTH: usize = 20;

/// One of the two configurations of a YubiKey.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slot {
    /// The short touch.
    One,
    /// The long touch.
    Two,
}

impl Slot {
    fn hmac(self) -> u8 {
        match self {
            Self::One => 0x30,
            Self::Two => 0x38,
        }
    }
}

/// What to do about a slot that wants to be touched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TouchWait {
    /// Wait for it.
    Wait,
    /// Give up at once with [`KeyError::Cancelled`]: to see whether a slot answers by itself.
    GiveUp,
}

/// Whether a slot was set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Config {
    /// It was.
    Valid,
    /// It was not.
    Empty,
}

/// What a YubiKey says about itself while it is about nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct State {
    /// Version of its firmware: major, minor, build.
    pub version: [u8; 3],
    /// The slot of the short touch.
    pub one: Config,
    /// The slot of the long touch.
    pub two: Config,
}

impl State {
    /// Reads the report of an idle key: a byte that is not used, version, sequence of programming, touch level
    /// (low byte first: bits 0 and 1 say which slots are set up), flags.
    ///
    /// # Errors
    /// [`Malformed`] for a report that is a part of something.
    pub fn parse(feature: &Feature) -> Result<Self, Malformed> {
        if frame::part(feature) != Part::Idle {
            return Err(Malformed("state of a YubiKey"));
        }
        let [_, major, minor, build, _, level, ..] = feature;
        let config = |bit| if level & bit == 0 { Config::Empty } else { Config::Valid };
        Ok(Self { version: [*major, *minor, *build], one: config(1), two: config(2) })
    }
}

/// A YubiKey whose OTP interface was opened.
#[derive(Debug)]
pub struct YubiKey<T> {
    transport: T,
}

impl<T: HidTransport> YubiKey<T> {
    /// Over this transport.
    pub fn new(transport: T) -> Self {
        Self { transport }
    }

    /// The transport.
    #[must_use]
    pub fn into_transport(self) -> T {
        self.transport
    }

    /// Version and slots.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn state(&mut self) -> Result<State, KeyError> {
        Ok(State::parse(&self.transport.read_feature()?)?)
    }

    /// The serial number, where the key is set up to tell it (slot 0x10).
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn serial(&mut self, patience: &mut Patience<'_>) -> Result<u32, KeyError> {
        let reply = self.exchange(SERIAL, &[0; PAYLOAD], 4, TouchWait::GiveUp, patience)?;
        let number = reply.first_chunk::<4>().ok_or(Malformed("serial number"))?;
        Ok(u32::from_be_bytes(*number))
    }

    /// The HMAC-SHA1 of a challenge under the secret of a slot (slots 0x30 and 0x38).
    ///
    /// # Errors
    /// [`KeyError`]; [`KeyError::Unsupported`] for a slot that is not set up for it.
    pub fn answer(
        &mut self,
        slot: Slot,
        challenge: &Challenge,
        touch: TouchWait,
        patience: &mut Patience<'_>,
    ) -> Result<SecretBytes, KeyError> {
        let mut reply = self.exchange(slot.hmac(), &challenge.payload(), HMAC_LENGTH, touch, patience)?;
        Ok(SecretBytes::new(std::mem::take(&mut *reply)))
    }

    /// Asks two new challenges, and gives the second with its answer: what a store keeps until the first login.
    /// With a slot that wants touches, two.
    ///
    /// # Errors
    /// [`KeyError::SameAnswer`] from a key that answers both alike, as firmware 2.2 did; or another [`KeyError`].
    pub fn enrol(
        &mut self,
        slot: Slot,
        random: &dyn Random,
        patience: &mut Patience<'_>,
    ) -> Result<(Challenge, SecretBytes), KeyError> {
        let (first, second) = (Challenge::fresh(random)?, Challenge::fresh(random)?);
        if first == second {
            return Err(KeyError::NoRandomness);
        }
        let before = self.answer(slot, &first, TouchWait::Wait, patience)?;
        let answer = self.answer(slot, &second, TouchWait::Wait, patience)?;
        if bool::from(before.expose().ct_eq(answer.expose())) {
            return Err(KeyError::SameAnswer);
        }
        Ok((second, answer))
    }

    fn exchange(
        &mut self,
        slot: u8,
        payload: &[u8; PAYLOAD],
        length: usize,
        touch: TouchWait,
        patience: &mut Patience<'_>,
    ) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        // Each exchange begins by that: a finger that was awaited before is no longer.
        if patience.ask(Meanwhile::Processing) == Go::Cancel {
            return Err(KeyError::Cancelled);
        }
        let outcome = self.ask(slot, payload, touch, patience);
        // Whatever happened, the next one finds it idle; where it was pulled out, nothing can be written.
        let reset = self.transport.write_feature(&frame::RESET);
        let reply = outcome?;
        reset?;
        Ok(checked(&reply, length)?)
    }

    fn ask(
        &mut self,
        slot: u8,
        payload: &[u8; PAYLOAD],
        touch: TouchWait,
        patience: &mut Patience<'_>,
    ) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        for part in frame::request(slot, payload) {
            self.until_taken(patience)?;
            self.transport.write_feature(&part)?;
        }
        let mut assembler = ResponseAssembler::default();
        let (mut looks, mut begun, mut awaited) = (0, false, false);
        loop {
            let feature = Zeroizing::new(self.transport.read_feature()?);
            match frame::part(&feature) {
                Part::Reply => {
                    begun = true;
                    match assembler.push(&feature)? {
                        Some(reply) => return Ok(reply),
                        None => continue,
                    }
                }
                Part::Busy | Part::TouchAwaited | Part::Idle if begun => {
                    return Err(Malformed("reply of a YubiKey").into());
                }
                Part::TouchAwaited if touch == TouchWait::GiveUp => return Err(KeyError::Cancelled),
                Part::TouchAwaited => {
                    awaited = true;
                    self.wait(TOUCH_LOOK, Meanwhile::TouchNeeded, patience)?;
                }
                Part::Busy | Part::Idle => {
                    looks += 1;
                    // It has waited for its touch as long as it does, some 15 seconds.
                    if looks == LOOKS && awaited {
                        return Err(KeyError::TimedOut);
                    }
                    if looks == LOOKS {
                        return Err(KeyError::Unsupported("challenge-response in that slot"));
                    }
                    self.wait(LOOK, Meanwhile::Processing, patience)?;
                }
            }
        }
    }

    fn until_taken(&mut self, patience: &mut Patience<'_>) -> Result<(), KeyError> {
        for _ in 0..LOOKS {
            let [.., flags] = self.transport.read_feature()?;
            if flags & frame::WRITE == 0 {
                return Ok(());
            }
            self.wait(LOOK, Meanwhile::Processing, patience)?;
        }
        Err(KeyError::TimedOut)
    }

    fn wait(
        &mut self,
        length: Duration,
        what: Meanwhile,
        patience: &mut Patience<'_>,
    ) -> Result<(), KeyError> {
        match self.transport.pause(length, patience.deadline()) {
            Pause::TimeUp => Err(KeyError::TimedOut),
            Pause::Over if patience.ask(what) == Go::Cancel => Err(KeyError::Cancelled),
            Pause::Over => Ok(()),
        }
    }
}
