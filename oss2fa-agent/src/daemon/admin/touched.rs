//! A change of one's own devices that a touch proves: whoever has security keys alone needs nobody else for it.

use std::os::fd::AsFd;
use std::path::PathBuf;
use std::time::Instant;

use oss2fa_core::secret::SecretText;
use oss2fa_core::session::Pin;
use oss2fa_core::verdict::FactorKind;
use oss2fa_core::wire::DisplayText;
use oss2fa_ctap::transport::Go;

use super::refusal::{bad_request, refused, unavailable};
use super::security_key::{Ended, PATIENCE, answer, say};
use super::subject::Subject;
use super::{Answer, Desk};
use crate::admin::{RefusalCode, Request, Response};
use crate::daemon::connection::{Broken, Connection};
use crate::daemon::keyring::{Found, Keyring};
use crate::daemon::live::Live;
use crate::daemon::peer::Caller;
use crate::daemon::recognition::Misses;
use crate::policy::{Prompts, SelfService};
use crate::source::Source;
use crate::store::device::AccountId;
use crate::store::{self, Admitted, Purpose, Report, Touch, Verdict};
use crate::token::bus::{Reached, Sign, Without};

/// A key of this account was touched for the request that is served now, and that was judged.
pub(super) struct Touched {
    account: AccountId,
    _evidence: Admitted,
}

impl Touched {
    pub(super) fn is_of(&self, subject: &Subject) -> bool {
        subject.view.account == Some(self.account)
    }
}

/// Serves one change that is proven by a touch.
pub(in crate::daemon) fn by_touch(
    live: &Live,
    connection: &mut Connection,
    caller: Caller,
    change: Request,
) -> Result<(), Broken> {
    let ended = Desk::of(live, caller).by_touch(connection, change);
    connection.send(&answer(ended)?)
}

impl Desk<'_> {
    fn by_touch(mut self, connection: &mut Connection, change: Request) -> Result<Response, Ended> {
        let Some((user, verb)) = changed(&change) else {
            return Err(bad_request(&"no touch is needed for that").into());
        };
        let subject = self.subject(user, Some(verb))?;
        if self.server_of(&subject).is_some() {
            return Err(refused(
                RefusalCode::AtServer,
                "a server decides about this user's devices: a change of them needs a code".to_owned(),
            )
            .into());
        }
        if self.caller != Caller::Root && subject.has_any() {
            self.proof = Some(self.touched(connection, &subject)?);
        }
        match change {
            Request::EnrollKey(wanted) => self.enroll_key(connection, wanted),
            Request::EnrollYubikey(wanted) => self.enroll_yubikey(connection, &wanted),
            other => Ok(self.handle(other)?),
        }
    }

    fn touched(&self, connection: &mut Connection, subject: &Subject) -> Result<Touched, Ended> {
        say(
            connection,
            "Touch a security key that is enrolled already: that shows that the change is yours.",
        )?;
        let (mut typed, misses) = (None, Misses::default());
        loop {
            match self.reach_own(connection, subject, typed.take(), &misses)? {
                Found::Answered(answer) => return Ok(self.judge_own(subject, answer)?),
                Found::Signed(_) => {
                    return Err(bad_request(&"a key of the server proves no change here").into());
                }
                Found::Again(words) => say(connection, words.as_str())?,
                Found::Unusable(why) => return Err(bad_request(&why).into()),
                // Challenge-response is for logins alone, and nothing asks for it here.
                Found::Proven(_) | Found::WrongAnswer(_) | Found::Forged(_) => {
                    return Err(bad_request(&"challenge-response proves no change").into());
                }
                Found::PinWanted(path, pin) => {
                    let question = DisplayText::new(&question(pin));
                    connection.send(&Response::PinWanted { question })?;
                    match connection.receive(Instant::now() + PATIENCE)? {
                        Request::Pin { pin } if !pin.expose().is_empty() => typed = Some((path, pin)),
                        _ => return Err(bad_request(&"no PIN was typed: nothing was changed").into()),
                    }
                }
            }
        }
    }

    fn reach_own(
        &self,
        connection: &mut Connection,
        subject: &Subject,
        typed: Option<(PathBuf, SecretText)>,
        misses: &Misses,
    ) -> Result<Found, Ended> {
        let verification = self.config.policy.rules("cli").user_verification;
        let by_touch = subject.view.devices.iter().filter(|device| device.kind != FactorKind::YubikeyHmac);
        let Some(keyring) = Keyring::among(self.live, by_touch, verification) else {
            let message = format!(
                "{} has no security key that counts here: give a code with --code",
                subject.account.name
            );
            return Err(refused(RefusalCode::ProofNeeded, message).into());
        };
        let works = keyring.work(typed, Prompts::AsTheyAre, misses, self.live.bus.random());
        let (line, mut broken) = (connection.line(), None);
        let mut watch = |sign| {
            if sign == Sign::Touch
                && let Err(error) = say(connection, "Touch it now.")
            {
                broken = Some(error);
                return Go::Cancel;
            }
            if connection.is_open() { Go::On } else { Go::Cancel }
        };
        match self.live.bus.reach_any(
            &works,
            Instant::now() + PATIENCE,
            Without::Wait,
            line.as_ref().map(AsFd::as_fd),
            &mut watch,
        ) {
            Reached::Answer(found) => Ok(found),
            Reached::Left => Err(broken.unwrap_or(Broken::Gone).into()),
            Reached::NoKey | Reached::TimeUp => Err(refused(
                RefusalCode::CodeRefused,
                format!(
                    "no security key of {} was touched within {} seconds: nothing was changed",
                    subject.account.name,
                    PATIENCE.as_secs()
                ),
            )
            .into()),
        }
    }

    fn judge_own(&self, subject: &Subject, answer: store::Answer) -> Answer<Touched> {
        let wrong = || {
            refused(
                RefusalCode::CodeRefused,
                "that security key was not accepted: nothing was changed".to_owned(),
            )
        };
        let Some(account) = subject.view.account else { return Err(wrong()) };
        let touch = Touch {
            account,
            user: subject.account.name.clone(),
            service: "cli".to_owned(),
            source: Source::of_uid(self.caller.uid()),
            answer,
            purpose: Purpose::Change,
            report: Report::Nobody,
        };
        match self.live.store.judge_touch(touch, self.config.locks) {
            Ok(Verdict::Admitted(evidence)) => Ok(Touched { account, _evidence: evidence }),
            Ok(Verdict::Refused) => Err(wrong()),
            Ok(Verdict::Locked) => Err(Self::locked(subject)),
            Err(error) => Err(unavailable(&error)),
        }
    }
}

// What needs a proof at all, whose devices it changes, and what a user must be allowed to do for themselves.
fn changed(change: &Request) -> Option<(&str, SelfService)> {
    match change {
        Request::Enroll { user, .. }
        | Request::EnrollAddress { user, .. }
        | Request::EnrollSshKey { user, .. }
        | Request::EnrollOffline { user, .. }
        | Request::RecoveryCodes { user, .. } => Some((user, SelfService::Enroll)),
        Request::EnrollKey(wanted) => Some((&wanted.user, SelfService::Enroll)),
        Request::EnrollTypist(wanted) => Some((&wanted.user, SelfService::Enroll)),
        Request::EnrollYubikey(wanted) => Some((&wanted.user, SelfService::Enroll)),
        Request::Remove { user, .. } => Some((user, SelfService::Remove)),
        Request::ByTouch { .. }
        | Request::Pin { .. }
        | Request::Confirm { .. }
        | Request::List { .. }
        | Request::Forget { .. }
        | Request::Rename { .. }
        | Request::Resync { .. }
        | Request::Unlock { .. }
        | Request::Verify { .. }
        | Request::Import { .. }
        | Request::Export { .. }
        | Request::Status {} => None,
    }
}

fn question(pin: Pin) -> String {
    match pin {
        Pin::TriesLeft(left) => format!("PIN of your security key ({left} tries left): "),
        Pin::Wrong(left) => format!("Wrong PIN. PIN of your security key ({left} tries left): "),
        Pin::Instead(left) => {
            format!(
                "The security key does not recognise you now. PIN of your security key ({left} tries left): "
            )
        }
    }
}
