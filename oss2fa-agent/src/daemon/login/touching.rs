//! The security keys of a login: asked by themselves, or beside a prompt that is open.

use std::os::fd::AsFd;
use std::path::PathBuf;
use std::time::Instant;

use oss2fa_core::secret::SecretText;
use oss2fa_core::session::{Codes, Event, Judgement, Touched};
use oss2fa_core::wire::{AgentMessage, DisplayText};
use oss2fa_ctap::transport::Go;

use super::super::connection::Broken;
use super::super::keyring::{Found, Keyring};
use super::super::proof::Which;
use super::super::ruling::{Case, Ruling};
use super::{Evidence, Serving, answered};
use crate::policy::prompts;
use crate::store::{Answer, Touch};
use crate::token::bus::{Reached, Sign, Wait, Without};

impl<'a> Serving<'a> {
    pub(super) fn touch(
        &mut self,
        mut words: Option<DisplayText>,
        codes: Codes,
        pin: Option<SecretText>,
    ) -> Event<Evidence> {
        let nothing = Event::Touched(Touched::Nothing);
        let Some(keyring) = self.case.as_ref().and_then(|case| self.keyring(case)) else { return nothing };
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
        let connection = &mut *self.connection;
        let mut watch = |sign| {
            let told = match (sign, words.take_if(|_| sign == Sign::Touch)) {
                (Sign::Touch, Some(text)) => connection.send(&AgentMessage::Tell { text }).is_ok(),
                _ => true,
            };
            if told && connection.is_open() { Go::On } else { Go::Cancel }
        };
        match wait.go_on(deadline, without, line.as_ref().map(AsFd::as_fd), &mut watch) {
            Reached::Answer(found) => Event::Touched(self.touched(found)),
            Reached::TimeUp if deadline == self.deadline => Event::Expired,
            Reached::NoKey | Reached::TimeUp => nothing,
            Reached::Left => Event::HungUp,
        }
    }

    /// The keys are asked until the prompt that is open is answered. A touch is judged there and then: held back, its
    /// counter could be behind that of a later one.
    pub(super) fn touch_beside(&mut self) -> Result<Event<Evidence>, Broken> {
        let mut touched = None;
        let mut answer = None;
        if let Some(keyring) = self.case.as_ref().and_then(|case| self.keyring(case)) {
            let mut wait = self.begin(keyring, None);
            let line = self.connection.line();
            let connection = &mut *self.connection;
            let mut watch = |_| match connection.receive_if_there().transpose() {
                None => Go::On,
                Some(come) => {
                    answer = Some(come);
                    Go::Cancel
                }
            };
            match wait.go_on(self.deadline, Without::Wait, line.as_ref().map(AsFd::as_fd), &mut watch) {
                Reached::Answer(found) => touched = Some(self.touched(found)),
                Reached::Left => self.wait = Some(wait),
                Reached::NoKey | Reached::TimeUp => {}
            }
        }
        let answer = answer.unwrap_or_else(|| self.connection.receive(self.deadline));
        answered(answer, |text| Event::AnsweredBeside { text, touched })
    }

    fn begin(&self, keyring: Keyring, pin: Option<(PathBuf, SecretText)>) -> Wait<'a, Found> {
        let work = keyring.work(pin, prompts(&self.login.service), self.live.bus.random());
        self.live.bus.begin(&work, self.deadline)
    }

    fn touched(&mut self, found: Found) -> Touched<Evidence> {
        match found {
            Found::Answered(answer) => Touched::Judged(self.judge_touch(answer)),
            Found::Signed(signed) => Touched::Judged(self.judge_signed(&signed)),
            Found::PinWanted(path, pin) => {
                self.pin_of = Some(path);
                Touched::PinWanted(pin)
            }
            Found::Unusable(why) => Touched::Unusable(DisplayText::new(&why.to_string())),
        }
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
