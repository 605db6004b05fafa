//! A login as a state machine: events in, effects out; no I/O, no clock.
//!
//! `E` is the store's evidence that a code was right *and* unspent. The session cannot make one; it
//! only passes it from the event that brings it to the effect that lets the user in.

mod beside;
mod touching;

pub use beside::Beside;

use crate::secret::SecretText;
use crate::wire::{Conversation, DisplayText, Echo};

/// Where the user stands, from the directory, the policy, and the store or the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// The directory has no such user.
    Unknown,
    /// May not pass whatever is shown; asked all the same, and nothing is judged.
    Denied,
    /// Has devices: must prove one.
    MustProve,
    /// Has security keys that may be plugged in here, and perhaps codes beside them.
    MayTouch(Codes),
    /// The same, where something else than the usual prompt is asked beside the keys.
    MayTouchBeside(Beside),
    /// Must prove one of a few: which, can be said first.
    MustChoose(Menu),
    /// Must prove a device of this host, because no server can be reached: the words of the prompt.
    MustProveOffline(DisplayText),
    /// Must have a second factor, has none, and may enrol one here and now.
    MayEnroll,
    /// Must have a second factor, has none, and is told how to get one.
    NotEnrolled,
    /// Policy lets this user pass here without one.
    Skip,
    /// Directory or store failed.
    Unavailable,
}

/// Whether a user of security keys can type a code as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Codes {
    /// They have something that makes codes.
    Beside,
    /// A key is all that they have.
    None,
}

/// What came of waiting for a touch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Touched<E> {
    /// A key answered, and that was judged.
    Judged(Judgement<E>),
    /// No key of the user's is there, or none was touched in time.
    Nothing,
    /// The key that is there wants its PIN first.
    PinWanted(Pin),
    /// The key that is there has not recognised its user, and may once more: so its owner is told.
    Again(DisplayText),
    /// The key that is there cannot be used now: why, in words for its owner.
    Unusable(DisplayText),
}

/// What is known of a key's PIN before it is typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pin {
    /// So many tries are left.
    TriesLeft(u8),
    /// It was wrong, and so many tries are left.
    Wrong(u8),
    /// The key no longer recognises its user by itself, and so many tries of its PIN are left.
    Instead(u8),
}

/// The devices that a user can choose from, each a few words: "TOTP", "e-mail to j***@example.org".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Menu(pub Vec<DisplayText>);

/// What came of opening a challenge on a device, or of sending its code again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Opened {
    /// The device shows its code by itself.
    Ready,
    /// A code is on its way to there.
    Sent(DisplayText),
    /// No code was sent: one was sent just now, or there were too many. The one from before counts.
    NotSentAgain(DisplayText),
    /// Not to be had.
    Refused,
    /// Too many tries.
    Locked,
    /// The server failed.
    Unavailable,
}

/// What happens to a login.
#[derive(Debug)]
pub enum Event<E> {
    /// The look-up is back.
    Found(Standing),
    /// What the program around the module had seen of the user before counts, and was spent by this very login.
    Shown(E),
    /// The user typed something.
    Answered(SecretText),
    /// The user typed something at a prompt beside which security keys were asked for their touch.
    AnsweredBeside {
        /// What they typed.
        text: SecretText,
        /// What the keys had said by then; `None` where they still waited.
        touched: Option<Touched<E>>,
    },
    /// The answer was judged.
    Judged(Judgement<E>),
    /// A wait for a touch is over.
    Touched(Touched<E>),
    /// A challenge was opened, or its code sent again.
    Opened(Opened),
    /// An enrolment has begun: what the user needs for it.
    Prepared(DisplayText),
    /// An enrolment could not begin.
    NotPrepared,
    /// The module's end is gone, or said `Cancel`.
    HungUp,
    /// The deadline has passed.
    Expired,
}

/// What the store made of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judgement<E> {
    /// Right, and spent by this very login.
    Admitted(E),
    /// Wrong, used before, or of no device.
    Refused,
    /// Too many tries; whether it was right is not said.
    Locked,
    /// The store failed.
    Unavailable,
}

/// What the agent's loop must do next.
#[derive(Debug, PartialEq, Eq)]
pub enum Effect<E> {
    /// Find the [`Standing`] of the user.
    LookUp,
    /// Show a prompt.
    Ask(Echo, DisplayText),
    /// Show a prompt, and ask the user's security keys for a touch as long as it is open.
    AskOrTouch(Echo, DisplayText),
    /// Show a message.
    Tell(DisplayText),
    /// Have an answer judged, of whatever device it is.
    Judge(SecretText),
    /// Wait for a touch of one of the user's security keys; beside codes not for long. What a prompt has begun goes on.
    Touch {
        /// Shown when a key wants to be touched, where it can be.
        words: Option<DisplayText>,
        /// What else the user has.
        codes: Codes,
        /// The PIN of the key that wanted one.
        pin: Option<SecretText>,
    },
    /// Open a challenge on this device of the menu, counted from 0.
    Open(usize),
    /// Send the code of the open challenge again.
    Resend,
    /// Have an answer to the open challenge judged.
    Complete(SecretText),
    /// Give the open challenge up.
    Cancel,
    /// Begin an enrolment.
    Prepare,
    /// Have the first code of the device that is being enrolled judged.
    Prove(SecretText),
    /// End the login.
    Finish(Finish<E>),
}

/// How a login ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finish<E> {
    /// The user is in; the evidence goes with it.
    Admitted(E),
    /// Policy asks for nothing here.
    Skipped,
    /// Not let in.
    Refused(Refusal),
    /// Nobody is there any more; nothing is answered.
    Gone,
}

/// Why a user is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Wrong, used, expired or denied.
    Answer,
    /// Too many tries.
    Locked,
    /// No such user.
    Unknown,
    /// No device, and policy says `deny`.
    NotEnrolled,
    /// The agent could not decide.
    Unavailable,
}

/// The words of one login.
#[derive(Debug, Clone)]
pub struct Script {
    /// The code prompt.
    pub prompt: DisplayText,
    /// Whether the code is shown while it is typed.
    pub echo: Echo,
    /// What the front end can show.
    pub conversation: Conversation,
    /// Told to whoever is refused; the same words whatever the reason, so that a stranger learns nothing.
    pub refused: DisplayText,
    /// Told to a user without a device.
    pub how_to_enroll: DisplayText,
    /// Told where the agent could not decide. Why is for the administrator: the log has it.
    pub unavailable: DisplayText,
}

/// A login under way.
#[derive(Debug)]
pub struct Session {
    script: Script,
    state: State,
    beside: Option<Beside>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    LookingUp,
    Asking { known: Known },
    // The keys are asked while the prompt is open. Enter before the touch waits for it, so often still; whatever else is
    // typed is a code.
    AskingOrTouching { waits: u8, codes: Codes },
    Touching { waits: u8, codes: Codes },
    AskingPin { waits: u8, codes: Codes },
    // Whoever chooses one of so many devices, or types a code straight away.
    Choosing { devices: usize },
    Opening { challenge: Challenge },
    // A challenge is open. Where a code was sent, it can be sent again.
    Answering { sent: Option<DisplayText> },
    Preparing,
    Enrolling,
    // A front end that shows prompts alone (sudo) has the way to enrol as a prompt.
    TellingHowToEnroll,
    Judging { challenge: Challenge },
    Over,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Known {
    Yes,
    // Asked all the same, so that a stranger cannot tell which names exist.
    No(Refusal),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Challenge {
    Open,
    None,
}

/// What sends a code again, at the prompt for it.
const SEND_AGAIN: &str = "r";

impl Session {
    /// Begins with the look-up.
    #[must_use]
    pub fn start<E>(script: Script) -> (Self, Vec<Effect<E>>) {
        (Self { script, state: State::LookingUp, beside: None }, vec![Effect::LookUp])
    }

    /// One step. An event that does not belong to the state ends the login with a refusal.
    #[must_use]
    pub fn step<E>(mut self, event: Event<E>) -> (Self, Vec<Effect<E>>) {
        let state = std::mem::replace(&mut self.state, State::Over);
        let given_up = match &state {
            State::Answering { .. }
            | State::Opening { challenge: Challenge::Open }
            | State::Judging { challenge: Challenge::Open } => Some(Effect::Cancel),
            _ => None,
        };
        let mut effects = self.next(state, event);
        // Whatever ends a login without its evidence also ends the challenge that it has opened.
        let ends = |effect: &Effect<E>| matches!(effect, Effect::Finish(finish) if !finish.is_admitted());
        if let Some(place) = effects.iter().position(ends) {
            effects.splice(place..place, given_up);
        }
        (self, effects)
    }

    fn next<E>(&mut self, state: State, event: Event<E>) -> Vec<Effect<E>> {
        match (state, event) {
            (State::Over, _) => Vec::new(),
            (State::TellingHowToEnroll, _) => self.finish(Finish::Refused(Refusal::NotEnrolled)),
            (_, Event::HungUp) => self.finish(Finish::Gone),
            (_, Event::Expired) => self.refuse(Refusal::Answer),
            (State::LookingUp, Event::Found(standing)) => self.found(standing),
            (State::LookingUp, Event::Shown(evidence)) => self.finish(Finish::Admitted(evidence)),
            (State::Asking { known: Known::No(refusal) }, Event::Answered(_)) => self.refuse(refusal),
            (
                State::Asking { .. } | State::Choosing { .. } | State::Answering { .. } | State::Enrolling,
                Event::Answered(text),
            ) if is_empty(&text) => self.refuse(Refusal::Answer),
            (State::Asking { known: Known::Yes }, Event::Answered(text)) => {
                self.wait(State::Judging { challenge: Challenge::None }, Effect::Judge(text))
            }
            (State::Choosing { devices }, Event::Answered(text)) => self.code_or_choice(text, devices),
            (State::Opening { .. }, Event::Opened(opened)) => self.opened(opened),
            (State::Answering { sent: Some(_) }, Event::Answered(text)) if asks_again(&text) => {
                self.wait(State::Opening { challenge: Challenge::Open }, Effect::Resend)
            }
            (State::Answering { .. }, Event::Answered(text)) => {
                self.wait(State::Judging { challenge: Challenge::Open }, Effect::Complete(text))
            }
            (State::AskingOrTouching { waits, codes }, Event::AnsweredBeside { text, touched }) => {
                self.answered_beside(waits, codes, text, touched)
            }
            (State::AskingPin { .. }, Event::Answered(text)) if is_empty(&text) => {
                self.refuse(Refusal::Answer)
            }
            (State::AskingPin { waits, codes }, Event::Answered(text)) => {
                // Typed for this wait: it costs none of those that Enter begins.
                self.touch(waits.saturating_add(1), codes, Some(text))
            }
            (State::Touching { waits, codes }, Event::Touched(touched)) => {
                self.touched(waits, codes, touched)
            }
            (State::Preparing, Event::Prepared(shown)) => {
                let prompt = DisplayText::new(&format!("{}\n{FIRST_CODE}", shown.as_str()));
                self.wait(State::Enrolling, Effect::Ask(self.script.echo, prompt))
            }
            (State::Preparing, Event::NotPrepared) => self.refuse(Refusal::Unavailable),
            (State::Enrolling, Event::Answered(text)) => {
                self.wait(State::Judging { challenge: Challenge::None }, Effect::Prove(text))
            }
            (State::Judging { .. }, Event::Judged(judgement)) => match judgement {
                Judgement::Admitted(evidence) => self.finish(Finish::Admitted(evidence)),
                Judgement::Refused => self.refuse(Refusal::Answer),
                Judgement::Locked => self.refuse(Refusal::Locked),
                Judgement::Unavailable => self.refuse(Refusal::Unavailable),
            },
            (
                State::LookingUp
                | State::Asking { .. }
                | State::AskingOrTouching { .. }
                | State::Touching { .. }
                | State::AskingPin { .. }
                | State::Choosing { .. }
                | State::Opening { .. }
                | State::Answering { .. }
                | State::Preparing
                | State::Enrolling
                | State::Judging { .. },
                Event::Found(_)
                | Event::Shown(_)
                | Event::Answered(_)
                | Event::AnsweredBeside { .. }
                | Event::Judged(_)
                | Event::Touched(_)
                | Event::Opened(_)
                | Event::Prepared(_)
                | Event::NotPrepared,
            ) => self.refuse(Refusal::Unavailable),
        }
    }

    fn found<E>(&mut self, standing: Standing) -> Vec<Effect<E>> {
        let prompt = self.script.prompt.clone();
        let (state, prompt) = match standing {
            Standing::MustProve => (State::Asking { known: Known::Yes }, prompt),
            Standing::MustProveOffline(words) => (State::Asking { known: Known::Yes }, words),
            Standing::Unknown => (State::Asking { known: Known::No(Refusal::Unknown) }, prompt),
            Standing::Denied => (State::Asking { known: Known::No(Refusal::Answer) }, prompt),
            Standing::MustChoose(menu) => (State::Choosing { devices: menu.0.len() }, menu.prompt()),
            Standing::MayTouch(codes) => return self.may_touch(codes),
            Standing::MayTouchBeside(beside) => {
                self.beside = Some(beside);
                return self.may_touch(Codes::Beside);
            }
            Standing::MayEnroll => return self.wait(State::Preparing, Effect::Prepare),
            Standing::NotEnrolled => return self.not_enrolled(),
            Standing::Skip => return self.finish(Finish::Skipped),
            Standing::Unavailable => return self.refuse(Refusal::Unavailable),
        };
        self.wait(state, Effect::Ask(self.script.echo, prompt))
    }

    fn opened<E>(&mut self, opened: Opened) -> Vec<Effect<E>> {
        let (sent, prompt) = match opened {
            Opened::Ready => (None, self.script.prompt.clone()),
            Opened::Sent(to) => {
                let prompt = format!("Code sent to {} ({SEND_AGAIN}: send again): ", to.as_str());
                (Some(to), DisplayText::new(&prompt))
            }
            Opened::NotSentAgain(to) => {
                let prompt =
                    format!("No other code is sent now. The code that was sent to {}: ", to.as_str());
                (Some(to), DisplayText::new(&prompt))
            }
            Opened::Refused => return self.refuse(Refusal::Answer),
            Opened::Locked => return self.refuse(Refusal::Locked),
            Opened::Unavailable => return self.refuse(Refusal::Unavailable),
        };
        self.wait(State::Answering { sent }, Effect::Ask(self.script.echo, prompt))
    }

    fn wait<E>(&mut self, state: State, effect: Effect<E>) -> Vec<Effect<E>> {
        self.state = state;
        vec![effect]
    }

    // A user who is to enrol must learn how, also where messages are not shown.
    fn not_enrolled<E>(&mut self) -> Vec<Effect<E>> {
        match self.script.conversation {
            Conversation::Messages => self.refuse(Refusal::NotEnrolled),
            Conversation::PromptsOnly => {
                let prompt = format!("{}\nPress Enter: ", self.script.how_to_enroll.as_str());
                self.wait(State::TellingHowToEnroll, Effect::Ask(Echo::Off, DisplayText::new(&prompt)))
            }
        }
    }

    fn refuse<E>(&mut self, refusal: Refusal) -> Vec<Effect<E>> {
        let words = match refusal {
            Refusal::Answer | Refusal::Locked | Refusal::Unknown => &self.script.refused,
            Refusal::NotEnrolled => &self.script.how_to_enroll,
            Refusal::Unavailable => &self.script.unavailable,
        };
        let mut effects = Vec::new();
        if self.script.conversation == Conversation::Messages {
            effects.push(Effect::Tell(words.clone()));
        }
        effects.extend(self.finish(Finish::Refused(refusal)));
        effects
    }

    fn finish<E>(&mut self, finish: Finish<E>) -> Vec<Effect<E>> {
        self.state = State::Over;
        vec![Effect::Finish(finish)]
    }
}

impl<E> Finish<E> {
    fn is_admitted(&self) -> bool {
        matches!(self, Self::Admitted(_))
    }
}

impl Menu {
    // In the prompt, since some front ends show nothing else.
    fn prompt(&self) -> DisplayText {
        let lines = self.0.iter().zip(1..).map(|(device, number)| format!("{number}. {}\n", device.as_str()));
        DisplayText::new(&format!("{}Number, or code: ", lines.collect::<String>()))
    }
}

const FIRST_CODE: &str = "First code: ";

fn is_empty(text: &SecretText) -> bool {
    text.expose().trim().is_empty()
}

fn asks_again(text: &SecretText) -> bool {
    text.expose().trim().eq_ignore_ascii_case(SEND_AGAIN)
}

// A menu has few lines: whatever is longer than their numbers is a code.
fn chosen(text: &SecretText, devices: usize) -> Option<usize> {
    let text = text.expose().trim();
    let number: usize = text.parse().ok().filter(|_| text.len() <= 2 && !text.starts_with(['+', '0']))?;
    (1..=devices).contains(&number).then(|| number - 1)
}
