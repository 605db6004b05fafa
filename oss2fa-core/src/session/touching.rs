//! The part of a login that has security keys in it: what is shown, and what a touch and a typed line come to.

use super::{Codes, Effect, Finish, Judgement, Known, Pin, Refusal, Session, State, Touched, is_empty};
use crate::secret::SecretText;
use crate::wire::{Conversation, DisplayText, Echo};

/// How often a login waits for a touch beside a code prompt.
const WAITS: u8 = 2;

const TOUCH: &str = "Touch your security key.";
const TOUCH_OR_WAIT: &str = "Touch your security key, or wait to be asked for a code.";
const PLUG_IN: &str = "Have your security key plugged in.";
const TOUCH_OR_CODE: &str = "Touch your security key and press Enter, or type a code.";
const NOT_NOW: &str = "The security key does not recognise you now.";
const ENTER: &str = "Press Enter: ";
const TOUCH_AND_ENTER: &str = "Touch your security key, and press Enter: ";

impl Session {
    // Whoever can type a code is let type it at once, beside the key. Where messages are not shown, a prompt has to say
    // what to do before it is done.
    pub(super) fn may_touch<E>(&mut self, codes: Codes) -> Vec<Effect<E>> {
        match (self.script.conversation, codes) {
            (Conversation::PromptsOnly, _) | (Conversation::Messages, Codes::Beside) => {
                self.ask_or_touch(WAITS, codes)
            }
            (Conversation::Messages, Codes::None) => {
                let mut effects = vec![Effect::Tell(DisplayText::new(PLUG_IN))];
                effects.extend(self.touch(WAITS, codes, None));
                effects
            }
        }
    }

    pub(super) fn touch<E>(&mut self, waits: u8, codes: Codes, pin: Option<SecretText>) -> Vec<Effect<E>> {
        let words = match (self.script.conversation, codes) {
            (Conversation::PromptsOnly, _) => None,
            (Conversation::Messages, Codes::Beside) => Some(DisplayText::new(TOUCH_OR_WAIT)),
            (Conversation::Messages, Codes::None) => Some(DisplayText::new(TOUCH)),
        };
        let state = State::Touching { waits: waits.saturating_sub(1), codes };
        self.wait(state, Effect::Touch { words, codes, pin })
    }

    // A touch that was judged counts, whatever was typed beside it: some keys type something when they are touched.
    pub(super) fn answered_beside<E>(
        &mut self,
        waits: u8,
        codes: Codes,
        text: SecretText,
        touched: Option<Touched<E>>,
    ) -> Vec<Effect<E>> {
        let is_code = codes == Codes::Beside && !is_empty(&text);
        match touched {
            Some(Touched::Judged(Judgement::Locked) | Touched::PinWanted(_) | Touched::Unusable(_))
            | Some(Touched::Nothing | Touched::Again(_))
            | None
                if is_code =>
            {
                self.typed(text)
            }
            Some(Touched::Nothing) | None => self.touch(waits, codes, None),
            Some(touched) => self.touched(waits, codes, touched),
        }
    }

    pub(super) fn touched<E>(&mut self, waits: u8, codes: Codes, touched: Touched<E>) -> Vec<Effect<E>> {
        match touched {
            Touched::Judged(Judgement::Admitted(evidence)) => self.finish(Finish::Admitted(evidence)),
            Touched::Judged(Judgement::Refused) => self.refuse(Refusal::Answer),
            Touched::Judged(Judgement::Unavailable) => self.refuse(Refusal::Unavailable),
            // Locked are the keys: a code may still be tried.
            Touched::Judged(Judgement::Locked) if codes == Codes::None => self.refuse(Refusal::Locked),
            Touched::PinWanted(pin) => {
                let prompt = DisplayText::new(&pin.prompt());
                self.wait(State::AskingPin { waits, codes }, Effect::Ask(Echo::Off, prompt))
            }
            Touched::Again(why) => self.again(&why, waits, codes),
            Touched::Unusable(why) => self.unusable(&why, codes),
            Touched::Judged(Judgement::Locked) => self.after_keys(0, codes),
            Touched::Nothing => self.after_keys(waits, codes),
        }
    }

    // Only its owner can mend the key, and must read why, also where messages are not shown.
    fn unusable<E>(&mut self, why: &DisplayText, codes: Codes) -> Vec<Effect<E>> {
        let (state, echo, prompt) = match (self.script.conversation, codes) {
            (Conversation::Messages, _) => {
                let mut effects = vec![Effect::Tell(why.clone())];
                effects.extend(self.after_keys(0, codes));
                return effects;
            }
            (Conversation::PromptsOnly, Codes::Beside) => {
                (self.state_beside(), self.script.echo, self.prompt_beside())
            }
            (Conversation::PromptsOnly, Codes::None) => {
                let known = Known::No(Refusal::Answer);
                (State::Asking { known }, Echo::Off, DisplayText::new(ENTER))
            }
        };
        let prompt = DisplayText::new(&format!("{}\n{}", why.as_str(), prompt.as_str()));
        self.wait(state, Effect::Ask(echo, prompt))
    }

    // Whoever can type a code may do so now.
    fn again<E>(&mut self, why: &DisplayText, waits: u8, codes: Codes) -> Vec<Effect<E>> {
        if self.script.conversation == Conversation::PromptsOnly {
            return self.prompt_or_touch(waits, codes, Some(why));
        }
        let mut effects = vec![Effect::Tell(why.clone())];
        effects.extend(match codes {
            Codes::Beside => self.ask_or_touch(waits, codes),
            Codes::None => self.touch(waits, codes, None),
        });
        effects
    }

    fn after_keys<E>(&mut self, waits: u8, codes: Codes) -> Vec<Effect<E>> {
        match (codes, waits) {
            (Codes::None, _) => self.refuse(Refusal::Answer),
            (Codes::Beside, 0) => self.ask_beside(),
            (Codes::Beside, waits) => self.ask_or_touch(waits, codes),
        }
    }

    fn ask_or_touch<E>(&mut self, waits: u8, codes: Codes) -> Vec<Effect<E>> {
        self.prompt_or_touch(waits, codes, None)
    }

    // What has to be said first stands in the prompt.
    fn prompt_or_touch<E>(&mut self, waits: u8, codes: Codes, first: Option<&DisplayText>) -> Vec<Effect<E>> {
        let prompt = self.prompt_beside();
        let prompt = prompt.as_str();
        let mut effects = Vec::new();
        let (echo, prompt) = match (codes, self.script.conversation) {
            (Codes::Beside, Conversation::PromptsOnly) => {
                (self.script.echo, format!("{TOUCH_OR_CODE}\n{prompt}"))
            }
            // Some programs show a message, and their own words in place of a prompt's.
            (Codes::Beside, Conversation::Messages) => {
                effects.push(Effect::Tell(DisplayText::new(TOUCH_OR_CODE)));
                (self.script.echo, prompt.to_owned())
            }
            (Codes::None, _) => (Echo::Off, TOUCH_AND_ENTER.to_owned()),
        };
        let prompt = first.map_or_else(|| prompt.clone(), |first| format!("{}\n{prompt}", first.as_str()));
        let ask = Effect::AskOrTouch(echo, DisplayText::new(&prompt));
        effects.extend(self.wait(State::AskingOrTouching { waits, codes }, ask));
        effects
    }
}

impl Pin {
    fn prompt(self) -> String {
        match self {
            Self::TriesLeft(left) => format!("PIN of your security key ({left} tries left): "),
            Self::Wrong(left) => format!("Wrong PIN. PIN of your security key ({left} tries left): "),
            Self::Instead(left) => {
                format!("{NOT_NOW} PIN of your security key ({left} tries left): ")
            }
        }
    }
}
