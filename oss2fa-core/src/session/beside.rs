//! What is asked of a user of security keys who touches none: a code, with its own words, or one of a few devices.

use super::{Challenge, Effect, Known, Menu, Session, State, chosen};
use crate::secret::SecretText;
use crate::wire::DisplayText;

/// What is asked beside the keys, where it is not the usual prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Beside {
    /// A code, with these words.
    Words(DisplayText),
    /// A code, or one of a few devices.
    Menu(Menu),
}

impl Session {
    /// Asks for that alone.
    pub(super) fn ask_beside<E>(&mut self) -> Vec<Effect<E>> {
        self.wait(self.state_beside(), Effect::Ask(self.script.echo, self.prompt_beside()))
    }

    pub(super) fn state_beside(&self) -> State {
        match self.choices() {
            0 => State::Asking { known: Known::Yes },
            devices => State::Choosing { devices },
        }
    }

    pub(super) fn prompt_beside(&self) -> DisplayText {
        match &self.beside {
            Some(Beside::Words(words)) => words.clone(),
            Some(Beside::Menu(menu)) => menu.prompt(),
            None => self.script.prompt.clone(),
        }
    }

    /// A code, or the number of a device, where there are some to choose from.
    pub(super) fn typed<E>(&mut self, text: SecretText) -> Vec<Effect<E>> {
        let devices = self.choices();
        self.code_or_choice(text, devices)
    }

    pub(super) fn code_or_choice<E>(&mut self, text: SecretText, devices: usize) -> Vec<Effect<E>> {
        match chosen(&text, devices) {
            Some(device) => self.wait(State::Opening { challenge: Challenge::None }, Effect::Open(device)),
            None => self.wait(State::Judging { challenge: Challenge::None }, Effect::Judge(text)),
        }
    }

    fn choices(&self) -> usize {
        match &self.beside {
            Some(Beside::Menu(menu)) => menu.0.len(),
            Some(Beside::Words(_)) | None => 0,
        }
    }
}
