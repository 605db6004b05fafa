//! Who may ask for what: the peer's uid, the policy, and a fresh code where devices are changed.

use std::time::Instant;

use oss2fa_core::ids::UserName;
use oss2fa_core::secret::SecretText;
use oss2fa_core::verdict::FactorKind;

use super::refusal::{refused, unavailable};
use super::subject::Subject;
use super::{Answer, Desk};
use crate::admin::{RefusalCode, Refused};
use crate::daemon::peer::Caller;
use crate::daemon::proof::{Elsewhere, Held, Which, hold};
use crate::directory::{Account, DirectoryError, Membership};
use crate::policy::SelfService;
use crate::source::{Source, clean};
use crate::store::device::Vouched;
use crate::store::{Attempt, Context, Event, Purpose, Report, Verdict};

/// No account can have this uid or gid (POSIX `(uid_t)-1`).
const NOBODYS: u32 = u32::MAX;

impl Desk<'_> {
    /// The user that is meant, where this caller may ask for them. Users need `verb` to be allowed;
    /// `None` stands for what is theirs in any case, or root's alone.
    pub(super) fn subject(&self, user: &str, verb: Option<SelfService>) -> Answer<Subject> {
        let account = self.account(user)?;
        let allowed = match (&account, self.caller) {
            (_, Caller::Root) => true,
            (Some(account), caller) => caller.may_act_for(account.uid),
            (None, Caller::User(_)) => false,
        };
        // The same words whether there is such a user or not.
        if !allowed {
            self.note_not_allowed(user);
            return Err(refused(
                RefusalCode::NotAllowed,
                "only root may do that for another user".to_owned(),
            ));
        }
        let Some(account) = account else {
            return Err(refused(
                RefusalCode::UnknownUser,
                format!("this host knows no user {}. See: getent passwd", clean(user)),
            ));
        };
        if let (Caller::User(_), Some(verb)) = (self.caller, verb)
            && !self.config.policy.allows(verb)
        {
            return Err(refused(
                RefusalCode::NotAllowed,
                "self_service in the agent's configuration does not allow that. Ask an administrator of this \
                 host"
                    .to_owned(),
            ));
        }
        let mut view = self.live.store.account_view(&account.name).map_err(|error| unavailable(&error))?;
        // The server lists them, and they are changed there.
        view.devices.retain(|device| !device.is_of_server());
        Ok(Subject { account, view })
    }

    /// The same; for root also somebody who has left the host, and not yet the store.
    pub(super) fn subject_or_gone(&self, user: &str, verb: Option<SelfService>) -> Answer<Subject> {
        if self.caller == Caller::Root
            && self.account(user)?.is_none()
            && let Ok(name) = UserName::from_directory(user)
        {
            let view = self.live.store.account_view(&name).map_err(|error| unavailable(&error))?;
            if view.account.is_some() {
                return Ok(Subject { account: Account { name, uid: NOBODYS, gid: NOBODYS }, view });
            }
        }
        self.subject(user, verb)
    }

    pub(super) fn account(&self, user: &str) -> Answer<Option<Account>> {
        self.live.directory.account(user).map_err(|error| unavailable(&error))
    }

    pub(super) fn only_root(&self, what: &str, instead: &str) -> Answer<()> {
        if self.caller == Caller::Root {
            return Ok(());
        }
        self.note_not_allowed("");
        Err(refused(
            RefusalCode::NotAllowed,
            format!("only root may {what}. {instead}").trim_end().to_owned(),
        ))
    }

    pub(super) fn note_not_allowed(&self, user: &str) {
        let context = Context {
            now: self.live.store.now(),
            user: clean(user),
            service: "cli".to_owned(),
            source: Source::of_uid(self.caller.uid()).as_str().to_owned(),
        };
        if let Err(error) = self.live.store.note(context, Event::NotAllowed, String::new()) {
            tracing::error!(code = "audit", %error, "an event could not be written to the audit");
        }
    }

    /// Root stands behind its own requests; a user who has a device shows a fresh code of it, or touches it.
    pub(super) fn vouch(&self, subject: &Subject, proof: Option<SecretText>) -> Answer<Vouched> {
        if self.caller == Caller::Root {
            return Ok(Vouched::Yes);
        }
        if !subject.has_any() {
            return Ok(Vouched::No);
        }
        if self.proof.as_ref().is_some_and(|touched| touched.is_of(subject)) {
            return Ok(Vouched::Yes);
        }
        let Some(proof) = proof else { return Err(proof_needed(subject)) };
        let held = self.hold(subject, &proof)?;
        self.judge(subject, held, Purpose::Change)?;
        Ok(Vouched::Yes)
    }

    pub(super) fn locked(subject: &Subject) -> Refused {
        refused(
            RefusalCode::Locked,
            format!(
                "too many wrong codes: there is a pause now, which ends by itself. Root can end it: \
                 oss2fa-agent unlock --user {}",
                subject.account.name
            ),
        )
    }

    pub(super) fn hold(&self, subject: &Subject, code: &SecretText) -> Answer<Held> {
        let all = [FactorKind::Totp, FactorKind::Hotp, FactorKind::RecoveryCode, FactorKind::YubicoOtp];
        let deadline = Instant::now() + self.config.agent.login_timeout;
        let elsewhere = Elsewhere { servers: self.validators.as_deref(), deadline };
        hold(
            self.live,
            &subject.view.devices,
            Which::Always,
            &all,
            code.expose(),
            self.config.policy.totp_skew,
            &elsewhere,
        )
        .map_err(|error| unavailable(&error))
    }

    pub(super) fn judge(&self, subject: &Subject, held: Held, purpose: Purpose) -> Answer<()> {
        let wrong = || {
            refused(
                RefusalCode::CodeRefused,
                "that code was not accepted. A code works once and for a short time: wait for the next one"
                    .to_owned(),
            )
        };
        let Some(account) = subject.view.account else { return Err(wrong()) };
        let attempt = Attempt {
            account,
            user: subject.account.name.clone(),
            service: "cli".to_owned(),
            source: Source::of_uid(self.caller.uid()),
            kinds: held.kinds,
            verified: held.verified,
            purpose,
            report: Report::Nobody,
        };
        match self.live.store.judge(attempt, self.config.locks) {
            Ok(Verdict::Admitted(_)) => Ok(()),
            Ok(Verdict::Refused) => Err(wrong()),
            Ok(Verdict::Locked) => Err(Self::locked(subject)),
            Err(error) => Err(unavailable(&error)),
        }
    }

    pub(super) fn is_exempt(&self, account: &Account) -> Answer<bool> {
        let rules = self.config.policy.base();
        let exempt = self
            .is_in_any(account, &rules.exempt_groups)
            .and_then(|exempt| Ok(exempt && !self.is_in_any(account, &rules.required_groups)?));
        exempt.map_err(|error| unavailable(&error))
    }

    fn is_in_any(&self, account: &Account, groups: &[String]) -> Result<bool, DirectoryError> {
        for group in groups {
            if self.live.directory.membership(account, group)? == Membership::Member {
                return Ok(true);
            }
        }
        Ok(false)
    }

    pub(super) fn context(&self, user: &UserName) -> Context {
        Context::new(self.live.store.now(), user, "cli", &Source::of_uid(self.caller.uid()))
    }
}

fn proof_needed(subject: &Subject) -> Refused {
    let proves = |kind: FactorKind| kind.is_security_key() && kind != FactorKind::YubikeyHmac;
    let keys = subject.active().any(|device| proves(device.kind));
    let by_hand = |kind: FactorKind| kind.is_security_key() || kind == FactorKind::SshSk;
    let codes = subject.active().any(|device| !by_hand(device.kind));
    let (code, what) = match (keys, codes) {
        // What sshd was shown and what a YubiKey answers is for that login.
        (false, false) => {
            (RefusalCode::NotAllowed, "a code or a touch, and these devices give neither: root can do it")
        }
        (true, false) => (RefusalCode::TouchNeeded, "the touch of a security key that is enrolled already"),
        (true, true) => (
            RefusalCode::CodeOrTouchNeeded,
            "a fresh code of one of them, or the touch of a security key that is enrolled already",
        ),
        (false, true) => (RefusalCode::ProofNeeded, "a fresh code of one of them"),
    };
    refused(code, format!("a change of your devices needs {what}"))
}
