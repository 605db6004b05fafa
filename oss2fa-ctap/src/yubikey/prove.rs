//! A login by challenge-response: the answer to the challenge that was kept, and the challenge for the next time.

use oss2fa_core::random::Random;
use oss2fa_core::secret::SecretBytes;
use subtle::ConstantTimeEq;

use super::answer::{Answered, Challenge, ExpectedAnswer};
use super::device::{Slot, TouchWait, YubiKey};
use crate::error::KeyError;
use crate::transport::{HidTransport, Patience};

/// A YubiKey gave the answer that was expected, and what is to be asked next: made by [`YubiKey::prove`] and by
/// nothing else. It counts once the store has put the second in the place of what was asked.
///
/// ```compile_fail,E0451
/// # use {oss2fa_core::secret::SecretBytes, oss2fa_ctap::yubikey::{Answered, Challenge, Proven}};
/// fn forged(answered: Answered, next: Challenge, expected: SecretBytes) -> Proven {
///     Proven { answered, next, expected }
/// }
/// ```
#[derive(Debug)]
pub struct Proven {
    answered: Answered,
    next: Challenge,
    expected: SecretBytes,
}

impl Proven {
    /// Whose answer was right.
    #[must_use]
    pub fn answered(&self) -> &Answered {
        &self.answered
    }

    /// What the key is asked at its next login, and what it will answer then.
    #[must_use]
    pub fn next(&self) -> (&Challenge, &SecretBytes) {
        (&self.next, &self.expected)
    }
}

impl<T: HidTransport> YubiKey<T> {
    /// Asks for the answer to `kept`; where that is the one that was expected, also for that to a new challenge. A key
    /// computes no answer for later by the same touch: where its slot wants touches it wants two. `None` where the first
    /// answer is another one; nothing more is asked then.
    ///
    /// # Errors
    /// [`KeyError::SameAnswer`] from a key that answers both alike, or another [`KeyError`].
    pub fn prove(
        &mut self,
        slot: Slot,
        kept: &Challenge,
        expected: &ExpectedAnswer,
        random: &dyn Random,
        patience: &mut Patience<'_>,
    ) -> Result<Option<Proven>, KeyError> {
        let next = Challenge::fresh(random)?;
        if next == *kept {
            return Err(KeyError::NoRandomness);
        }
        let given = self.answer(slot, kept, TouchWait::Wait, patience)?;
        let Some(answered) = expected.check(&given) else { return Ok(None) };
        let answer = self.answer(slot, &next, TouchWait::Wait, patience)?;
        if bool::from(given.expose().ct_eq(answer.expose())) {
            return Err(KeyError::SameAnswer);
        }
        Ok(Some(Proven { answered, next, expected: answer }))
    }
}
