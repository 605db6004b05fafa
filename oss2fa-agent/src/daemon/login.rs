//! A login: performs what the session wants, until it ends.

use std::sync::Arc;
use std::time::Instant;

use oss2fa_core::session::{Effect, Event, Finish, Judgement, Refusal, Script, Session, Standing};
use oss2fa_core::wire::{
    AccountAnswer, AgentMessage, Conversation, DisplayText, Login, ModuleMessage, Outcome, Start,
};

use super::connection::{Broken, Connection};
use super::live::Live;
use super::peer::Caller;
use super::proof::hold;
use crate::admin::DeviceStatus;
use crate::config::Config;
use crate::directory::{Account, Membership};
use crate::policy::{Decision, Enrolled, Facts, Messages, SkipReason, address_of};
use crate::source::Source;
use crate::store::{self, Admitted, Attempt, Context, Device, Purpose, Verdict};

/// The words that clients of other systems look for, too.
const PROMPT: &str = "Verification code: ";

const REFUSED: &str = "That code was not accepted. A code works once and for a short time: wait for the \
next one, or use a recovery code.\n\
After several wrong codes there is a pause; it ends by itself, and an \
administrator of this host can end it at once.";

const UNAVAILABLE: &str = "The second factor could not be checked on this host. Ask its administrator: \
the log of oss2fa-agent says why.";

const ACCOUNT_REFUSED: &str = "This login showed no second factor, and this account must show one. \
Let your client answer questions after the key (for ssh: keyboard-interactive), or ask an administrator \
of this host.";

/// What the look-up found; a login keeps it to its end.
struct Case {
    account: Option<Account>,
    devices: Vec<Device>,
    decision: Decision,
}

/// Serves one auth phase.
pub(super) fn authenticate(
    live: &Live,
    connection: &mut Connection,
    caller: Caller,
    start: Start,
) -> Result<(), Broken> {
    let config = live.config();
    let deadline = Instant::now() + config.agent.login_timeout;
    let mut login = Serving {
        live,
        connection,
        caller,
        source: source(caller, &start.login),
        login: start.login.clone(),
        deadline,
        case: None,
        config,
    };
    let (mut session, mut effects) = Session::start(login.script(&start));
    loop {
        let mut event = None;
        for effect in effects {
            match login.perform(effect)? {
                Next::Nothing => {}
                Next::Event(next) => event = Some(next),
                Next::Over => return Ok(()),
            }
        }
        // A session that asks for nothing more has ended; if it did not say so, nobody gets in.
        let Some(event) = event else { return login.end(Outcome::Unavailable) };
        (session, effects) = session.step(event);
    }
}

/// Serves one account phase: must this user have a second factor here?
pub(super) fn account(
    live: &Live,
    connection: &mut Connection,
    caller: Caller,
    login: Login,
) -> Result<(), Broken> {
    let config = live.config();
    let source = source(caller, &login);
    let answer = match look_up(live, &config, caller, &login) {
        Ok(Some(case)) => match (case.account, case.decision) {
            (None, _) => Err(Outcome::UserUnknown),
            (Some(account), Decision::Skip(reason)) => {
                let context = Context::new(live.store.now(), &account.name, &login.service, &source);
                let detail = format!("account phase: {}", words(&reason));
                match live.store.note(context, store::Event::Skipped, detail) {
                    Ok(()) => Ok(AccountAnswer::NotRequired),
                    Err(error) => {
                        tracing::error!(code = "audit", %error, "a bypass that cannot be audited is refused");
                        Err(Outcome::Unavailable)
                    }
                }
            }
            (Some(account), Decision::MustProve | Decision::NotEnrolled) => {
                let context = Context::new(live.store.now(), &account.name, &login.service, &source);
                note(live, context, store::Event::AccountRefused, String::new());
                Ok(AccountAnswer::Required)
            }
        },
        Ok(None) => Err(Outcome::Refused),
        Err(()) => Err(Outcome::Unavailable),
    };
    match answer {
        Ok(answer) => {
            if answer == AccountAnswer::Required
                && config.policy.rules(&login.service).messages(&login.service) == Messages::Show
            {
                connection.send(&AgentMessage::Tell { text: DisplayText::new(ACCOUNT_REFUSED) })?;
            }
            connection.send(&AgentMessage::Account { answer })
        }
        Err(outcome) => connection.send(&AgentMessage::Done { outcome }),
    }
}

enum Next {
    Nothing,
    Event(Event<Admitted>),
    Over,
}

struct Serving<'a> {
    live: &'a Live,
    connection: &'a mut Connection,
    caller: Caller,
    source: Source,
    login: Login,
    deadline: Instant,
    case: Option<Case>,
    config: Arc<Config>,
}

impl Serving<'_> {
    fn script(&self, start: &Start) -> Script {
        let Login { user, service, .. } = &self.login;
        let conversation = match self.config.policy.rules(service).messages(service) {
            Messages::Show => start.conversation,
            Messages::Hide => Conversation::PromptsOnly,
        };
        Script {
            prompt: DisplayText::new(start.prompt.as_deref().unwrap_or(PROMPT)),
            echo: start.echo,
            conversation,
            refused: DisplayText::new(REFUSED),
            how_to_enroll: DisplayText::new(&format!(
                "The account {user} must show a second factor here and has none yet. Ask an administrator of \
                 this host to run: oss2fa-agent enroll totp --user {user}"
            )),
            unavailable: DisplayText::new(UNAVAILABLE),
        }
    }

    fn perform(&mut self, effect: Effect<Admitted>) -> Result<Next, Broken> {
        match effect {
            Effect::LookUp => Ok(Next::Event(Event::Found(self.look_up()))),
            Effect::Tell(text) => {
                self.connection.send(&AgentMessage::Tell { text })?;
                Ok(Next::Nothing)
            }
            Effect::Ask(echo, text) => {
                self.connection.send(&AgentMessage::Ask { echo, text })?;
                Ok(Next::Event(match self.connection.receive(self.deadline) {
                    Ok(ModuleMessage::Answer { text }) => Event::Answered(text),
                    Ok(ModuleMessage::Cancel) | Err(Broken::Gone | Broken::Io(_)) => Event::HungUp,
                    Ok(ModuleMessage::Start(_) | ModuleMessage::Account(_)) | Err(Broken::Late) => {
                        Event::Expired
                    }
                    Err(Broken::Frame(error)) => return Err(error.into()),
                }))
            }
            Effect::Judge(code) => Ok(Next::Event(Event::Judged(self.judge(code.expose())))),
            Effect::Finish(finish) => {
                self.finish(finish)?;
                Ok(Next::Over)
            }
        }
    }

    fn look_up(&mut self) -> Standing {
        match look_up(self.live, &self.config, self.caller, &self.login) {
            Err(()) => Standing::Unavailable,
            Ok(None) => {
                let context = self.context_of_stranger();
                let detail = format!("uid {} asked for another account", self.caller.uid());
                note(self.live, context, store::Event::NotAllowed, detail);
                Standing::Unavailable
            }
            Ok(Some(case)) => {
                let standing = match (&case.account, &case.decision) {
                    (None, _) => Standing::Unknown,
                    (Some(_), Decision::MustProve) => Standing::MustProve,
                    (Some(_), Decision::NotEnrolled) => Standing::NotEnrolled,
                    (Some(_), Decision::Skip(_)) => Standing::Skip,
                };
                self.case = Some(case);
                standing
            }
        }
    }

    fn judge(&self, code: &str) -> Judgement<Admitted> {
        let Some(Case { account: Some(account), devices, .. }) = &self.case else {
            return Judgement::Unavailable;
        };
        let Some(id) = devices.first().map(|device| device.account) else { return Judgement::Refused };
        let rules = self.config.policy.rules(&self.login.service);
        let held = hold(self.live, devices, &rules.factors, code, self.config.policy.totp_skew);
        let verdict = match held {
            Ok(held) => {
                let attempt = Attempt {
                    account: id,
                    user: account.name.clone(),
                    service: self.login.service.clone(),
                    source: self.source.clone(),
                    kinds: held.kinds,
                    verified: held.verified,
                    purpose: Purpose::Login,
                };
                self.live.store.judge(attempt, self.config.locks)
            }
            Err(error) => Err(error),
        };
        match verdict {
            Ok(Verdict::Admitted(evidence)) => Judgement::Admitted(evidence),
            Ok(Verdict::Refused) => Judgement::Refused,
            Ok(Verdict::Locked) => Judgement::Locked,
            Err(error) => {
                tracing::error!(code = "store", %error, user = %account.name, "a code could not be judged");
                Judgement::Unavailable
            }
        }
    }

    fn finish(&mut self, finish: Finish<Admitted>) -> Result<(), Broken> {
        let outcome = match finish {
            // The only place that lets somebody in: it takes the store's evidence.
            Finish::Admitted(Admitted { .. }) => Outcome::Verified,
            Finish::Skipped => self.skipped(),
            Finish::Refused(Refusal::Answer) => Outcome::Refused,
            Finish::Refused(Refusal::Locked) => Outcome::Locked,
            Finish::Refused(Refusal::Unknown) => {
                let context = self.context_of_stranger();
                note(self.live, context, store::Event::Refused, "no such user".to_owned());
                Outcome::UserUnknown
            }
            Finish::Refused(Refusal::NotEnrolled) => {
                if let Some(context) = self.context() {
                    note(self.live, context, store::Event::NotEnrolled, String::new());
                }
                Outcome::NotEnrolled
            }
            Finish::Refused(Refusal::Unavailable) => Outcome::Unavailable,
            Finish::Gone => return Ok(()),
        };
        self.end(outcome)
    }

    // A bypass is audited before it happens, or it does not happen.
    fn skipped(&self) -> Outcome {
        let (Some(context), Some(Case { decision: Decision::Skip(reason), .. })) =
            (self.context(), &self.case)
        else {
            return Outcome::Unavailable;
        };
        match self.live.store.note(context, store::Event::Skipped, words(reason)) {
            Ok(()) => Outcome::Skipped,
            Err(error) => {
                tracing::error!(code = "audit", %error, "a bypass that cannot be audited is refused");
                Outcome::Unavailable
            }
        }
    }

    // The name is as the program gave it: the directory does not know it, or may not be asked.
    fn context_of_stranger(&self) -> Context {
        Context {
            now: self.live.store.now(),
            user: crate::source::clean(&self.login.user),
            service: crate::source::clean(&self.login.service),
            source: self.source.as_str().to_owned(),
        }
    }

    fn context(&self) -> Option<Context> {
        let account = self.case.as_ref()?.account.as_ref()?;
        Some(Context::new(self.live.store.now(), &account.name, &self.login.service, &self.source))
    }

    fn end(&mut self, outcome: Outcome) -> Result<(), Broken> {
        let Login { user, service, .. } = &self.login;
        tracing::debug!(user, service, source = %self.source, ?outcome, "a login has ended");
        self.connection.send(&AgentMessage::Done { outcome })
    }
}

// Who is no root chooses every item of its own PAM handle, so only its uid counts.
fn source(caller: Caller, login: &Login) -> Source {
    match caller {
        Caller::Root => Source::of_login(login),
        Caller::User(uid) => Source::of_uid(uid),
    }
}

fn words(reason: &SkipReason) -> String {
    match reason {
        SkipReason::ExemptGroup(group) => format!("member of the exempt group {group}"),
        SkipReason::Network(network) => format!("comes from the skipped network {network}"),
        SkipReason::Unenrolled => "not enrolled, and policy says skip".to_owned(),
    }
}

fn note(live: &Live, context: Context, event: store::Event, detail: String) {
    if let Err(error) = live.store.note(context, event, detail) {
        tracing::error!(code = "audit", %error, "an event could not be written to the audit");
    }
}

// `Ok(None)` where the caller may not ask for this user. The reason of an `Err` is in the log.
fn look_up(live: &Live, config: &Config, caller: Caller, login: &Login) -> Result<Option<Case>, ()> {
    find(live, config, caller, login).map_err(|error| {
        tracing::error!(code = "look_up", %error, "a login is refused: who must do what could not be found out");
    })
}

fn find(live: &Live, config: &Config, caller: Caller, login: &Login) -> Result<Option<Case>, String> {
    let account = live.directory.account(&login.user).map_err(|error| error.to_string())?;
    let Some(account) = account else {
        return Ok((caller == Caller::Root).then(|| Case {
            account: None,
            devices: Vec::new(),
            decision: Decision::NotEnrolled,
        }));
    };
    if !caller.may_act_for(account.uid) {
        return Ok(None);
    }
    let view = live.store.account_view(&account.name).map_err(|error| error.to_string())?;
    let rules = config.policy.rules(&login.service);
    let usable =
        |device: &Device| device.status == DeviceStatus::Active && rules.factors.contains(&device.kind);
    let enrolled = match view.enrolled {
        Enrolled::Yes if !view.devices.iter().any(usable) => Enrolled::NoLonger,
        other => other,
    };
    let facts = Facts {
        enrolled,
        required_by: required_group(live, &account, &rules.required_groups)?,
        exempt_by: exempt_group(live, &account, &rules.exempt_groups)?,
        address: match caller {
            Caller::Root => login.rhost.as_deref().and_then(address_of),
            Caller::User(_) => None,
        },
    };
    let decision = rules.decide(&facts);
    Ok(Some(Case { account: Some(account), devices: view.devices, decision }))
}

// A group that must, and that nobody can find, may be the one this user is in: refused.
fn required_group(live: &Live, account: &Account, groups: &[String]) -> Result<Option<String>, String> {
    for group in groups {
        match live.directory.membership(account, group).map_err(|error| error.to_string())? {
            Membership::Member => return Ok(Some(group.clone())),
            Membership::Outsider => {}
            Membership::NoSuchGroup => {
                return Err(format!(
                    "the group {group} of required_groups does not exist: make it, or take it out of the configuration"
                ));
            }
        }
    }
    Ok(None)
}

fn exempt_group(live: &Live, account: &Account, groups: &[String]) -> Result<Option<String>, String> {
    for group in groups {
        match live.directory.membership(account, group).map_err(|error| error.to_string())? {
            Membership::Member => return Ok(Some(group.clone())),
            Membership::Outsider => {}
            Membership::NoSuchGroup => {
                tracing::warn!(group, "a group of exempt_groups does not exist: nobody is exempt by it");
            }
        }
    }
    Ok(None)
}
