//! A login as a state machine: events in, effects out; no I/O, no clock.
//!
//! `E` is the store's evidence that a code was right *and* unspent. The session cannot make one; it
//! only passes it from the event that brings it to the effect that lets the user in.

use crate::secret::SecretText;
use crate::wire::{Conversation, DisplayText, Echo};

/// Where the user stands, from the directory, the policy and the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// The directory has no such user.
    Unknown,
    /// Has devices: must prove one.
    MustProve,
    /// Must have a second factor and has none.
    NotEnrolled,
    /// Policy lets this user pass here without one.
    Skip,
    /// Directory or store failed.
    Unavailable,
}

/// What happens to a login.
#[derive(Debug)]
pub enum Event<E> {
    /// The look-up is back.
    Found(Standing),
    /// The user typed something.
    Answered(SecretText),
    /// The answer was judged.
    Judged(Judgement<E>),
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
    /// Show a message.
    Tell(DisplayText),
    /// Have the store judge an answer.
    Judge(SecretText),
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
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    LookingUp,
    Asking { known: Known },
    // A front end that shows prompts alone (sudo) has the way to enrol as a prompt.
    TellingHowToEnroll,
    Judging,
    Over,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Known {
    Yes,
    // Asked all the same, so that a stranger cannot tell which names exist.
    No,
}

impl Session {
    /// Begins with the look-up.
    #[must_use]
    pub fn start<E>(script: Script) -> (Self, Vec<Effect<E>>) {
        (Self { script, state: State::LookingUp }, vec![Effect::LookUp])
    }

    /// One step. An event that does not belong to the state ends the login with a refusal.
    #[must_use]
    pub fn step<E>(mut self, event: Event<E>) -> (Self, Vec<Effect<E>>) {
        let effects = match (self.state, event) {
            (State::Over, _) => Vec::new(),
            (State::TellingHowToEnroll, _) => self.finish(Finish::Refused(Refusal::NotEnrolled)),
            (_, Event::HungUp) => self.finish(Finish::Gone),
            (_, Event::Expired) => self.refuse(Refusal::Answer),
            (State::LookingUp, Event::Found(standing)) => self.found(standing),
            (State::Asking { known: Known::Yes }, Event::Answered(text)) if is_empty(&text) => {
                self.refuse(Refusal::Answer)
            }
            (State::Asking { known: Known::Yes }, Event::Answered(text)) => {
                self.state = State::Judging;
                vec![Effect::Judge(text)]
            }
            (State::Asking { known: Known::No }, Event::Answered(_)) => self.refuse(Refusal::Unknown),
            (State::Judging, Event::Judged(judgement)) => match judgement {
                Judgement::Admitted(evidence) => self.finish(Finish::Admitted(evidence)),
                Judgement::Refused => self.refuse(Refusal::Answer),
                Judgement::Locked => self.refuse(Refusal::Locked),
                Judgement::Unavailable => self.refuse(Refusal::Unavailable),
            },
            (
                State::LookingUp | State::Asking { .. } | State::Judging,
                Event::Found(_) | Event::Answered(_) | Event::Judged(_),
            ) => self.refuse(Refusal::Unavailable),
        };
        (self, effects)
    }

    fn found<E>(&mut self, standing: Standing) -> Vec<Effect<E>> {
        let known = match standing {
            Standing::MustProve => Known::Yes,
            Standing::Unknown => Known::No,
            Standing::NotEnrolled => return self.not_enrolled(),
            Standing::Skip => return self.finish(Finish::Skipped),
            Standing::Unavailable => return self.refuse(Refusal::Unavailable),
        };
        self.state = State::Asking { known };
        vec![Effect::Ask(self.script.echo, self.script.prompt.clone())]
    }

    // A user who is to enrol must learn how, also where messages are not shown.
    fn not_enrolled<E>(&mut self) -> Vec<Effect<E>> {
        match self.script.conversation {
            Conversation::Messages => self.refuse(Refusal::NotEnrolled),
            Conversation::PromptsOnly => {
                self.state = State::TellingHowToEnroll;
                let prompt = format!("{}\nPress Enter: ", self.script.how_to_enroll.as_str());
                vec![Effect::Ask(Echo::Off, DisplayText::new(&prompt))]
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

fn is_empty(text: &SecretText) -> bool {
    text.expose().trim().is_empty()
}
