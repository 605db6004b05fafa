//! A login's wait for its user's security keys, and what comes of their answers.

use std::ops::ControlFlow;
use std::time::Instant;

use oss2fa_core::secret::SecretText;
use oss2fa_core::session::{Codes, Event, Judgement, Touched};
use oss2fa_core::wire::{AgentMessage, DisplayText};
use oss2fa_ctap::transport::Go;
use oss2fa_ctap::yubikey::Proven;

use super::super::keyring::{Found, Keyring};
use super::super::proof::Which;
use super::super::ruling::{Case, Ruling};
use super::{Evidence, Serving};
use crate::policy::prompts;
use crate::store::challenge_response::Outstanding;
use crate::store::{self, Answer, Exchange, Exchanged, Touch};
use crate::token::bus::{Reached, Sign, Without};

const TOUCH_AGAIN: &str = "Touch it once more: that is for its next login.";

const WRONG_ANSWER: &str = "Your YubiKey gives another answer than the one expected: its slot was set up anew, or has \
answered elsewhere. It has to be removed here and enrolled again.";

/// How often a login has a challenge answered that another one was faster with.
const EXCHANGES: usize = 3;

impl Serving<'_> {
    pub(super) fn keyring(&self, case: &Case) -> Option<Keyring> {
        let rules = self.in_force.config.policy.rules(&self.login.service);
        Keyring::of(self.live, &case.devices, rules, &self.login)
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
                    if let Some(Err(error)) = self.case.as_mut().map(|case| case.look_again(self.live)) {
                        tracing::error!(code = "store", %error, "a challenge could not be looked up");
                        return Event::Touched(Touched::Judged(Judgement::Unavailable));
                    }
                }
            }
        }
        self.note(store::Event::Refused, "yubikey_hmac: other logins were faster".to_owned());
        Event::Touched(Touched::Judged(Judgement::Refused))
    }

    fn touch_once(
        &mut self,
        mut words: Option<DisplayText>,
        codes: Codes,
        pin: Option<SecretText>,
    ) -> ControlFlow<Event<Evidence>> {
        let nothing = Event::Touched(Touched::Nothing);
        let Some(keyring) = self.case.as_ref().and_then(|case| self.keyring(case)) else {
            return ControlFlow::Break(nothing);
        };
        let (deadline, without) = match codes {
            Codes::Beside => {
                let patience = self.in_force.config.keys.touch_timeout;
                (self.deadline.min(Instant::now() + patience), Without::End)
            }
            Codes::None => (self.deadline, Without::Wait),
        };
        let pin = pin.and_then(|pin| Some((self.pin_of.take()?, pin)));
        let work = keyring.work(pin, prompts(&self.login.service), self.live.bus.random());
        let connection = &mut *self.connection;
        let mut again = words.as_ref().map(|_| DisplayText::new(TOUCH_AGAIN));
        let mut watch = |sign| {
            let text = match sign {
                Sign::Touch => words.take(),
                Sign::TouchAgain => again.take(),
                Sign::Quiet => None,
            };
            let told = text.is_none_or(|text| connection.send(&AgentMessage::Tell { text }).is_ok());
            if told && connection.is_open() { Go::On } else { Go::Cancel }
        };
        ControlFlow::Break(match self.live.bus.reach_any(&work, deadline, without, &mut watch) {
            Reached::Answer(Found::Answered(answer)) => {
                Event::Touched(Touched::Judged(self.judge_touch(answer)))
            }
            Reached::Answer(Found::PinWanted(path, pin)) => {
                self.pin_of = Some(path);
                Event::Touched(Touched::PinWanted(pin))
            }
            Reached::Answer(Found::Unusable(why)) => {
                Event::Touched(Touched::Unusable(DisplayText::new(&why.to_string())))
            }
            Reached::Answer(Found::Proven(found)) => match self.judge_exchange(*found) {
                Some(judgement) => Event::Touched(Touched::Judged(judgement)),
                None => return ControlFlow::Continue(()),
            },
            Reached::Answer(Found::WrongAnswer(device)) => {
                let detail = format!("yubikey_hmac device={device}: another answer than the one expected");
                self.note(store::Event::Refused, detail);
                Event::Touched(Touched::Unusable(DisplayText::new(WRONG_ANSWER)))
            }
            Reached::TimeUp if deadline == self.deadline => Event::Expired,
            Reached::NoKey | Reached::TimeUp => nothing,
            Reached::Left => Event::HungUp,
        })
    }

    /// `None` where the right answer came too late to count.
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
        let Some(Case { account: Some(account), devices, ruling: Ruling::Prove }) = &self.case else {
            return Judgement::Unavailable;
        };
        let Some(id) = devices.first().map(|device| device.account) else { return Judgement::Refused };
        let touch = Touch {
            account: id,
            user: account.name.clone(),
            service: self.login.service.clone(),
            source: self.source.clone(),
            answer,
            report: self.report(Which::Always),
        };
        self.by_store(account.name.as_str(), self.live.store.judge_touch(touch, self.in_force.config.locks))
    }
}
