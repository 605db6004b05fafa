//! The YubiKeys of the user who logs in, and what each that is plugged in is asked by challenge-response.

use std::sync::Arc;

use oss2fa_core::random::Random;
use oss2fa_ctap::error::KeyError;
use oss2fa_ctap::transport::Patience;
use oss2fa_ctap::verify::UserVerification;
use oss2fa_ctap::yubikey::{Config, Slot, State, YubiKey};

use super::keyring::Found;
use super::live::Live;
use crate::store::Device;
use crate::store::challenge_response::Outstanding;
use crate::token::bus::YubikeyWork;
use crate::token::ports::Port;

/// What the YubiKeys of a user are to be asked.
#[derive(Default)]
pub(super) struct Challenges(Vec<Outstanding>);

impl Challenges {
    /// A YubiKey knows nothing of who touches it: where policy wants its user verified, it does not count.
    pub(super) fn add(&mut self, live: &Live, device: &Device, policy: UserVerification) {
        if policy == UserVerification::Required {
            return;
        }
        match device.challenge(live.store.keys()) {
            Ok(found) => self.0.extend(found),
            // One damaged row must not keep the owner of another device out.
            Err(error) => tracing::error!(code = "seal", %error, "a device is skipped"),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What is done with each YubiKey that is plugged in; `None` where the user has none.
    pub(super) fn work(self, random: Arc<dyn Random>) -> Option<YubikeyWork<Found>> {
        if self.is_empty() {
            return None;
        }
        Some(Arc::new(move |key, _, patience| self.ask(key, random.as_ref(), patience)))
    }

    // One of somebody else's is known by its number, and does not blink.
    fn ask(
        &self,
        key: &mut YubiKey<Port>,
        random: &dyn Random,
        patience: &mut Patience<'_>,
    ) -> Result<Found, KeyError> {
        let state = key.state()?;
        let serial = match self.0.iter().any(|one| one.kept.serial.is_some()) {
            true => serial(key, patience)?,
            false => None,
        };
        for one in &self.0 {
            let other = one.kept.serial.is_some() && one.kept.serial != serial;
            if other || !is_set_up(state, one.kept.slot) {
                continue;
            }
            let (slot, challenge) = (one.kept.slot, &one.kept.challenge);
            match key.prove(slot, challenge, &one.expected, random, patience) {
                Ok(Some(proven)) => return Ok(Found::Proven(Box::new((one.clone(), proven)))),
                Ok(None) if one.kept.serial.is_some() => {
                    return Ok(Found::WrongAnswer(one.expected.device));
                }
                Err(error @ KeyError::SameAnswer) => return Ok(Found::Unusable(error)),
                // It tells no number, so it is not known whose it is; or that slot does something else.
                Ok(None) | Err(KeyError::Unsupported(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Err(KeyError::NoCredential)
    }
}

/// Whether a slot does anything at all.
pub(super) fn is_set_up(state: State, slot: Slot) -> bool {
    let config = match slot {
        Slot::One => state.one,
        Slot::Two => state.two,
    };
    config == Config::Valid
}

/// The number of a key; `None` where it does not tell it.
pub(super) fn serial(key: &mut YubiKey<Port>, patience: &mut Patience<'_>) -> Result<Option<u32>, KeyError> {
    match key.serial(patience) {
        Ok(serial) => Ok(Some(serial)),
        Err(KeyError::Unsupported(_)) => Ok(None),
        Err(error) => Err(error),
    }
}
