//! The part of a login that waits for security keys: beside a prompt that is open, or for the touch alone.

use std::ops::ControlFlow;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::time::Instant;

use oss2fa_core::secret::SecretText;
use oss2fa_core::session::{Codes, Event, Judgement, Touched};
use oss2fa_core::wire::{AgentMessage, DisplayText, ModuleMessage};
use oss2fa_ctap::transport::Go;
use oss2fa_ctap::verify::Refusal;
use oss2fa_ctap::yubikey::Proven;

use super::{Evidence, Serving, answered};
use crate::daemon::connection::Broken;
use crate::daemon::keyring::{Found, Keyring};
use crate::daemon::proof::Which;
use crate::daemon::ruling::{Case, Ruling};
use crate::policy::prompts;
use crate::store::challenge_response::Outstanding;
use crate::store::{self, Answer, Exchange, Exchanged, StoreError, Touch};
use crate::token::bus::{Reached, Sign, Wait, Without};

const TOUCH_AGAIN: &str = "Touch it once more: that is for its next login.";

const WRONG_ANSWER: &str = "Your YubiKey gives another answer than the one expected: its slot was set up anew, or has \
answered elsewhere. It has to be removed here and enrolled again.";

const FORGED: &str = "A device that is plugged in calls itself your security key, and does not answer as that does: pull \
it out.";

/// How often a login has a challenge answered that another one was faster with.
const EXCHANGES: usize = 3;

/// What the answer of a key comes to.
enum Come {
    /// This.
    To(Touched<Evidence>),
    /// It was right, and too late to count: another login was faster with the same challenge.
    Late,
    /// Nothing; the key that gave it is asked no more, and this is the matter with it.
    NoUse(DisplayText),
}

impl<'a> Serving<'a> {
    pub(super) fn keyring(&self, case: &Case) -> Option<Keyring> {
        let rules = self.in_force.config.policy.rules(&self.login.service);
        match &case.ruling {
            Ruling::Ask(asked) => asked.keyring(rules, self.deadline),
            Ruling::ProveOffline(_) => Keyring::without_server(self.live, &case.devices, rules, &self.login),
            _ => Keyring::of(self.live, &case.devices, rules, &self.login),
        }
    }

    /// Waits for a touch. Of two logins that had a YubiKey answer the same challenge, one asks again.
    pub(super) fn touch(
        &mut self,
        words: Option<DisplayText>,
        codes: Codes,
        mut pin: Option<SecretText>,
    ) -> Event<Evidence> {
        for _ in 0..EXCHANGES {
            match self.touch_once(words.clone(), codes, pin.take()) {
                ControlFlow::Break(event) => return event,
                ControlFlow::Continue(()) => {
                    if self.look_again().is_err() {
                        return Event::Touched(Touched::Judged(Judgement::Unavailable));
                    }
                }
            }
        }
        Event::Touched(self.outrun())
    }

    fn touch_once(
        &mut self,
        mut words: Option<DisplayText>,
        codes: Codes,
        pin: Option<SecretText>,
    ) -> ControlFlow<Event<Evidence>> {
        let Some(keyring) = self.case.as_ref().and_then(|case| self.keyring(case)) else {
            return ControlFlow::Break(Event::Touched(Touched::Nothing));
        };
        let (deadline, without) = match codes {
            Codes::Beside => {
                let patience = self.in_force.config.keys.touch_timeout;
                (self.deadline.min(Instant::now() + patience), Without::End)
            }
            Codes::None => (self.deadline, Without::Wait),
        };
        let pin = pin.and_then(|pin| Some((self.pin_of.take()?, pin)));
        let mut wait = match (self.wait.take(), pin) {
            (Some(wait), None) => wait,
            (_, pin) => self.begin(keyring, pin),
        };
        let line = self.connection.line();
        let mut again = words.as_ref().map(|_| DisplayText::new(TOUCH_AGAIN));
        loop {
            let without = if self.no_use.is_some() { Without::End } else { without };
            let connection = &mut *self.connection;
            let mut watch = |sign| {
                let text = match sign {
                    Sign::Touch => words.take(),
                    Sign::TouchAgain => again.take(),
                    Sign::Quiet => None,
                };
                let told = text.is_none_or(|text| connection.send(&AgentMessage::Tell { text }).is_ok());
                if told && connection.is_open() { Go::On } else { Go::Cancel }
            };
            let reached = wait.go_on(deadline, without, line.as_ref().map(AsFd::as_fd), &mut watch);
            return ControlFlow::Break(match (reached, self.no_use.take()) {
                (Reached::Answer(found), no_use) => match self.come(found) {
                    Come::To(touched) => Event::Touched(touched),
                    Come::Late => {
                        self.no_use = no_use;
                        return ControlFlow::Continue(());
                    }
                    Come::NoUse(why) => {
                        self.no_use = no_use.or(Some(why));
                        continue;
                    }
                },
                (Reached::Left, _) => Event::HungUp,
                (Reached::NoKey | Reached::TimeUp, Some(why)) => Event::Touched(Touched::Unusable(why)),
                (Reached::TimeUp, None) if deadline == self.deadline => Event::Expired,
                (Reached::NoKey | Reached::TimeUp, None) => Event::Touched(Touched::Nothing),
            });
        }
    }

    /// The keys are asked until the prompt that is open is answered. A touch is judged there and then: held back, its
    /// counter could be behind that of a later one.
    pub(super) fn touch_beside(&mut self) -> Result<Event<Evidence>, Broken> {
        let mut answer = None;
        let mut touched = None;
        for left in (0..EXCHANGES).rev() {
            match self.touch_meanwhile(&mut answer) {
                Some(Come::To(judged)) => touched = Some(judged),
                Some(Come::Late) => {
                    touched = match self.look_again() {
                        Err(_) => Some(Touched::Judged(Judgement::Unavailable)),
                        Ok(()) if left == 0 => Some(self.outrun()),
                        Ok(()) => continue,
                    };
                }
                Some(Come::NoUse(_)) | None => {}
            }
            break;
        }
        let answer = answer.unwrap_or_else(|| self.connection.receive(self.deadline));
        answered(answer, |text| Event::AnsweredBeside { text, touched })
    }

    // `None` where the prompt was answered first, or nothing comes of the keys. As long as the prompt is open, a key may
    // still be plugged in, whatever is the matter with another one.
    fn touch_meanwhile(&mut self, answer: &mut Option<Result<ModuleMessage, Broken>>) -> Option<Come> {
        let keyring = self.case.as_ref().and_then(|case| self.keyring(case))?;
        let mut wait = self.begin(keyring, None);
        let line = self.connection.line();
        loop {
            let connection = &mut *self.connection;
            let mut watch = |_| match connection.receive_if_there().transpose() {
                None => Go::On,
                Some(come) => {
                    *answer = Some(come);
                    Go::Cancel
                }
            };
            let line = line.as_ref().map(AsFd::as_fd);
            match wait.go_on(self.deadline, Without::Wait, line, &mut watch) {
                Reached::Answer(found) => match self.come(found) {
                    Come::NoUse(why) => {
                        self.no_use.get_or_insert(why);
                    }
                    come => return Some(come),
                },
                Reached::Left => {
                    self.wait = Some(wait);
                    return None;
                }
                Reached::NoKey | Reached::TimeUp => return None,
            }
        }
    }

    fn begin(&self, keyring: Keyring, pin: Option<(PathBuf, SecretText)>) -> Wait<'a, Found> {
        let prompts = prompts(&self.login.service);
        let works = keyring.work(pin, prompts, &self.misses, self.live.bus.random());
        self.live.bus.begin(&works, self.deadline)
    }

    // One key that is of no use keeps out no other: the wait goes on with those, and what is the matter with the one is
    // the answer when none of them has a better one.
    fn come(&mut self, found: Found) -> Come {
        match found {
            Found::Answered(answer) => {
                let is_forged = is_forged(&answer);
                match self.judge_touch(answer) {
                    Judgement::Refused | Judgement::Locked if is_forged => {
                        Come::NoUse(DisplayText::new(FORGED))
                    }
                    judged => Come::To(Touched::Judged(judged)),
                }
            }
            Found::Signed(signed) => Come::To(Touched::Judged(self.judge_signed(&signed))),
            Found::PinWanted(path, pin) => {
                self.pin_of = Some(path);
                Come::To(Touched::PinWanted(pin))
            }
            Found::Again(words) => Come::To(Touched::Again(words)),
            Found::Unusable(why) => Come::NoUse(DisplayText::new(&why.to_string())),
            Found::Proven(found) => match self.judge_exchange(*found) {
                Some(judged) => Come::To(Touched::Judged(judged)),
                None => Come::Late,
            },
            Found::WrongAnswer(device) => {
                let detail = format!("yubikey_hmac device={device}: another answer than the one expected");
                self.note(store::Event::Refused, detail);
                Come::NoUse(DisplayText::new(WRONG_ANSWER))
            }
            Found::Forged(device) => {
                self.note(
                    store::Event::Refused,
                    format!("device={device} at the server: {}", Refusal::Signature),
                );
                Come::NoUse(DisplayText::new(FORGED))
            }
        }
    }

    fn look_again(&mut self) -> Result<(), StoreError> {
        let looked = self.case.as_mut().map_or(Ok(()), |case| case.look_again(self.live));
        looked.inspect_err(|error| {
            tracing::error!(code = "store", %error, "a challenge could not be looked up");
        })
    }

    fn outrun(&self) -> Touched<Evidence> {
        self.note(store::Event::Refused, "yubikey_hmac: other logins were faster".to_owned());
        Touched::Judged(Judgement::Refused)
    }

    // `None` where it came too late to count.
    fn judge_exchange(&self, (before, proven): (Outstanding, Proven)) -> Option<Judgement<Evidence>> {
        let Some(Case { account: Some(account), devices, ruling: Ruling::Prove }) = &self.case else {
            return Some(Judgement::Unavailable);
        };
        let Some(id) = devices.first().map(|device| device.account) else { return Some(Judgement::Refused) };
        let exchange = Exchange {
            account: id,
            user: account.name.clone(),
            service: self.login.service.clone(),
            source: self.source.clone(),
            before,
            proven,
            report: self.report(Which::Always),
        };
        let verdict = match self.live.store.judge_exchange(exchange, self.in_force.config.locks) {
            Ok(Exchanged::Outrun) => return None,
            Ok(Exchanged::Judged(verdict)) => Ok(verdict),
            Err(error) => Err(error),
        };
        Some(self.by_store(account.name.as_str(), verdict))
    }

    fn judge_touch(&self, answer: Answer) -> Judgement<Evidence> {
        let Some(Case { account: Some(account), devices, ruling }) = &self.case else {
            return Judgement::Unavailable;
        };
        let which = match ruling {
            Ruling::Prove => Which::Always,
            Ruling::ProveOffline(proof) => Which::Offline(proof),
            _ => return Judgement::Unavailable,
        };
        let Some(id) = devices.first().map(|device| device.account) else { return Judgement::Refused };
        let touch = Touch {
            account: id,
            user: account.name.clone(),
            service: self.login.service.clone(),
            source: self.source.clone(),
            answer,
            purpose: which.purpose(),
            report: self.report(which),
        };
        self.by_store(account.name.as_str(), self.live.store.judge_touch(touch, self.in_force.config.locks))
    }
}

// Anybody can build a device that says it is somebody's key. What a counter says was signed: that is the key itself, or a
// copy of it, and no login goes on beside that.
fn is_forged(answer: &Answer) -> bool {
    match &answer.verified {
        Ok(_) | Err(Refusal::Cloned { .. }) => false,
        Err(_) => true,
    }
}
