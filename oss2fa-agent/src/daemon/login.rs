//! A login: performs what the session wants, until it ends.

mod afar;
mod by_server;
mod touching;

use std::path::PathBuf;
use std::time::Instant;

use oss2fa_core::secret::SecretText;
use oss2fa_core::session::{
    Beside, Codes, Effect, Event, Finish, Judgement, Opened, Refusal, Script, Session, Standing,
};
use oss2fa_core::wire::{
    AccountAnswer, AgentMessage, Conversation, DisplayText, Login, ModuleMessage, Outcome, SshAuthInfo, Start,
};

use super::asking::Open;
use super::connection::{Broken, Connection};
use super::keyring::{Found, Keyring};
use super::live::{InForce, Live};
use super::peer::Caller;
use super::proof::{Elsewhere, NotHeld, Which, hold};
use super::recognition::Misses;
use super::ruling::{Bypass, Case, LookUp, NotFoundOut, Ruling};
use crate::policy::Messages;
use crate::server::Proven;
use crate::source::Source;
use crate::store::{self, Admitted, Attempt, Context, Report, StoreError, Verdict};
use crate::token::bus::Wait;

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

const OFFLINE: &str = "The server cannot be reached. Code of your offline device for this host: ";

/// What lets somebody in: the store of this host, or the server, verified a factor and spent it.
#[derive(Debug)]
enum Evidence {
    Here(Admitted),
    Server(Proven),
}

/// An auth phase after a step of it.
pub(super) enum Turn {
    /// It has ended.
    Over,
    /// Somebody has been asked, and has all the time until the deadline.
    Asked(Box<Paused>),
}

/// An auth phase while somebody is at its prompt: all of it but its connection. It needs no thread.
pub(super) struct Paused {
    session: Session,
    caller: Caller,
    source: Source,
    login: Login,
    /// When it ends by itself.
    pub(super) deadline: Instant,
    case: Option<Case>,
    open: Open,
    pin_of: Option<PathBuf>,
    misses: Misses,
    in_force: InForce,
}

impl Paused {
    /// Waits for the answer, and serves on from there.
    pub(super) fn resume(self, live: &Live, connection: &mut Connection) -> Result<Turn, Broken> {
        match answered(connection.receive(self.deadline), Event::Answered) {
            Ok(event) => self.go_on(live, connection, event),
            Err(broken) => {
                self.give_up(live, connection)?;
                Err(broken)
            }
        }
    }

    /// Ends it as if the other end had gone: what is open at the server is given up.
    pub(super) fn give_up(self, live: &Live, connection: &mut Connection) -> Result<(), Broken> {
        self.go_on(live, connection, Event::HungUp).map(|_| ())
    }

    fn go_on(self, live: &Live, connection: &mut Connection, event: Event<Evidence>) -> Result<Turn, Broken> {
        let Self { session, caller, source, login, deadline, case, open, pin_of, misses, in_force } = self;
        let login = Serving {
            live,
            connection,
            caller,
            source,
            login,
            // What sshd has said was looked at before anybody was asked.
            ssh: None,
            deadline,
            case,
            open,
            pin_of,
            misses,
            wait: None,
            no_use: None,
            in_force,
        };
        let (session, effects) = session.step(event);
        login.run(session, effects)
    }
}

/// Serves an auth phase up to its first question.
pub(super) fn begin(
    live: &Live,
    connection: &mut Connection,
    caller: Caller,
    start: Start,
) -> Result<Turn, Broken> {
    let in_force = live.in_force();
    let deadline = Instant::now() + in_force.config.agent.login_timeout;
    let login = Serving {
        live,
        connection,
        caller,
        source: source(caller, &start.login),
        login: start.login.clone(),
        ssh: start.ssh.clone(),
        deadline,
        case: None,
        open: Open::default(),
        pin_of: None,
        misses: Misses::default(),
        wait: None,
        no_use: None,
        in_force,
    };
    let (session, effects) = Session::start(login.script(&start));
    login.run(session, effects)
}

/// Serves a whole auth phase.
#[cfg(test)]
pub(super) fn authenticate(
    live: &Live,
    connection: &mut Connection,
    caller: Caller,
    start: Start,
) -> Result<(), Broken> {
    let mut turn = begin(live, connection, caller, start)?;
    while let Turn::Asked(paused) = turn {
        turn = paused.resume(live, connection)?;
    }
    Ok(())
}

/// Serves one account phase: must this user have a second factor here?
pub(super) fn account(
    live: &Live,
    connection: &mut Connection,
    caller: Caller,
    login: Login,
) -> Result<(), Broken> {
    let in_force = live.in_force();
    let source = source(caller, &login);
    let deadline = Instant::now() + in_force.config.agent.login_timeout;
    let program = in_force.server.as_ref().and_then(|_| connection.program());
    let look_up = LookUp { live, in_force: &in_force, caller, login: &login, program, deadline };
    let answer = match look_up.find() {
        Ok(Some(case)) => match (case.account, case.ruling) {
            (None, _) => Err(Outcome::UserUnknown),
            (Some(account), Ruling::Pass(bypass)) => {
                let context = Context::new(live.store.now(), &account.name, &login.service, &source);
                match let_pass(live, context, &bypass, "account phase: ") {
                    Outcome::Skipped => Ok(AccountAnswer::NotRequired),
                    refused => Err(refused),
                }
            }
            (Some(account), _) => {
                let context = Context::new(live.store.now(), &account.name, &login.service, &source);
                note(live, context, store::Event::AccountRefused, String::new());
                Ok(AccountAnswer::Required)
            }
        },
        Ok(None) => Err(Outcome::Refused),
        Err(NotFoundOut) => Err(Outcome::Unavailable),
    };
    match answer {
        Ok(answer) => {
            if answer == AccountAnswer::Required
                && in_force.config.policy.rules(&login.service).messages(&login.service) == Messages::Show
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
    Asked,
    Event(Event<Evidence>),
    Over,
}

struct Serving<'a> {
    live: &'a Live,
    connection: &'a mut Connection,
    caller: Caller,
    source: Source,
    login: Login,
    ssh: Option<SshAuthInfo>,
    deadline: Instant,
    case: Option<Case>,
    open: Open,
    pin_of: Option<PathBuf>,
    misses: Misses,
    // What a prompt has begun, and a touch after it goes on with.
    wait: Option<Wait<'a, Found>>,
    /// What is the matter with a key that is plugged in, while others may be of use.
    no_use: Option<DisplayText>,
    in_force: InForce,
}

impl<'a> Serving<'a> {
    // To the end, or to the next question.
    fn run(mut self, mut session: Session, mut effects: Vec<Effect<Evidence>>) -> Result<Turn, Broken> {
        loop {
            let mut event = None;
            for effect in effects {
                match self.perform(effect)? {
                    Next::Nothing => {}
                    Next::Asked => return Ok(Turn::Asked(Box::new(self.paused(session)))),
                    Next::Event(next) => event = Some(next),
                    Next::Over => return Ok(Turn::Over),
                }
            }
            // A session that asks for nothing more has ended; if it did not say so, nobody gets in.
            let Some(event) = event else { return self.end(Outcome::Unavailable).map(|()| Turn::Over) };
            (session, effects) = session.step(event);
        }
    }

    fn paused(self, session: Session) -> Paused {
        let Self { caller, source, login, deadline, case, open, pin_of, misses, in_force, .. } = self;
        Paused { session, caller, source, login, deadline, case, open, pin_of, misses, in_force }
    }

    fn script(&self, start: &Start) -> Script {
        let Login { user, service, .. } = &self.login;
        let conversation = match self.in_force.config.policy.rules(service).messages(service) {
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

    fn perform(&mut self, effect: Effect<Evidence>) -> Result<Next, Broken> {
        if !matches!(effect, Effect::Touch { .. }) {
            // No key blinks for what goes on without it.
            (self.wait, self.no_use) = (None, None);
        }
        match effect {
            Effect::LookUp => {
                let standing = self.look_up();
                Ok(Next::Event(match self.shown_afar() {
                    Some(admitted) => Event::Shown(Evidence::Here(admitted)),
                    None => Event::Found(standing),
                }))
            }
            Effect::Tell(text) => {
                // Whoever has gone is found out by the question, which gives up what is open for them.
                let _gone = self.connection.send(&AgentMessage::Tell { text });
                Ok(Next::Nothing)
            }
            Effect::Ask(echo, text) => Ok(match self.connection.send(&AgentMessage::Ask { echo, text }) {
                Ok(()) => Next::Asked,
                Err(_) => Next::Event(Event::HungUp),
            }),
            Effect::AskOrTouch(echo, text) => match self.connection.send(&AgentMessage::Ask { echo, text }) {
                Ok(()) => self.touch_beside().map(Next::Event),
                Err(_) => Ok(Next::Event(Event::HungUp)),
            },
            Effect::Touch { words, codes, pin } => Ok(Next::Event(self.touch(words, codes, pin))),
            Effect::Judge(code) => Ok(Next::Event(Event::Judged(self.judge(&code)))),
            Effect::Open(choice) => Ok(Next::Event(Event::Opened(self.opening(choice)))),
            Effect::Resend => Ok(Next::Event(Event::Opened(self.resending()))),
            Effect::Complete(code) => Ok(Next::Event(Event::Judged(self.complete(&code)))),
            Effect::Prepare => Ok(Next::Event(self.prepare())),
            Effect::Prove(code) => Ok(Next::Event(Event::Judged(self.prove(&code)))),
            Effect::Cancel => {
                self.cancel();
                Ok(Next::Nothing)
            }
            Effect::Finish(finish) => {
                self.finish(finish)?;
                Ok(Next::Over)
            }
        }
    }

    fn look_up(&mut self) -> Standing {
        let program = self.in_force.server.as_ref().and_then(|_| self.connection.program());
        let look_up = LookUp {
            live: self.live,
            in_force: &self.in_force,
            caller: self.caller,
            login: &self.login,
            program,
            deadline: self.deadline,
        };
        match look_up.find() {
            Err(NotFoundOut) => Standing::Unavailable,
            Ok(None) => {
                let context = self.context_of_stranger();
                let detail = format!("uid {} asked for another account", self.caller.uid());
                note(self.live, context, store::Event::NotAllowed, detail);
                Standing::Unavailable
            }
            Ok(Some(case)) => {
                let standing = match (&case.account, &case.ruling) {
                    (None, _) => Standing::Unknown,
                    (Some(_), Ruling::Prove) => self
                        .keyring(&case)
                        .map_or(Standing::MustProve, |keyring| Standing::MayTouch(keyring.codes)),
                    (Some(_), Ruling::Ask(asked)) => {
                        asked.standing(self.in_force.config.policy.rules(&self.login.service))
                    }
                    (Some(_), Ruling::ProveOffline(_)) => match self.keyring(&case) {
                        None => Standing::MustProveOffline(DisplayText::new(OFFLINE)),
                        Some(Keyring { codes: Codes::None, .. }) => Standing::MayTouch(Codes::None),
                        Some(_) => Standing::MayTouchBeside(Beside::Words(DisplayText::new(OFFLINE))),
                    },
                    (Some(_), Ruling::NotEnrolled) => Standing::NotEnrolled,
                    (Some(_), Ruling::Enroll(_)) => Standing::MayEnroll,
                    (Some(_), Ruling::Denied) => Standing::Denied,
                    (Some(_), Ruling::Pass(_)) => Standing::Skip,
                };
                self.case = Some(case);
                standing
            }
        }
    }

    fn judge(&self, code: &SecretText) -> Judgement<Evidence> {
        match self.case.as_ref().map(|case| &case.ruling) {
            Some(Ruling::Prove) => self.judge_here(code, Which::Always),
            Some(Ruling::ProveOffline(proof)) => self.judge_here(code, Which::Offline(proof)),
            Some(Ruling::Ask(asked)) => self.by_server(asked.judge(code, self.deadline)),
            _ => Judgement::Unavailable,
        }
    }

    fn complete(&self, code: &SecretText) -> Judgement<Evidence> {
        match self.case.as_ref().map(|case| &case.ruling) {
            Some(Ruling::Ask(asked)) => self.by_server(asked.complete(&self.open, code, self.deadline)),
            _ => Judgement::Unavailable,
        }
    }

    fn prove(&self, code: &SecretText) -> Judgement<Evidence> {
        match self.case.as_ref().map(|case| &case.ruling) {
            Some(Ruling::Enroll(asked)) => self.by_server(asked.prove(&self.open, code, self.deadline)),
            _ => Judgement::Unavailable,
        }
    }

    fn opening(&mut self, choice: usize) -> Opened {
        match self.case.as_ref().map(|case| &case.ruling) {
            Some(Ruling::Ask(asked)) => asked.open(choice, &mut self.open, self.deadline),
            _ => Opened::Unavailable,
        }
    }

    fn resending(&self) -> Opened {
        match self.case.as_ref().map(|case| &case.ruling) {
            Some(Ruling::Ask(asked)) => asked.resend(&self.open, self.deadline),
            _ => Opened::Unavailable,
        }
    }

    fn prepare(&mut self) -> Event<Evidence> {
        let prepared = match self.case.as_ref().map(|case| &case.ruling) {
            Some(Ruling::Enroll(asked)) => asked.prepare(&mut self.open, self.deadline),
            _ => None,
        };
        prepared.map_or(Event::NotPrepared, Event::Prepared)
    }

    fn cancel(&mut self) {
        if let Some(Case { ruling: Ruling::Ask(asked), .. }) = &self.case {
            asked.cancel(&mut self.open);
        }
    }

    fn judge_here(&self, code: &SecretText, which: Which<'_>) -> Judgement<Evidence> {
        let Some(Case { account: Some(account), devices, .. }) = &self.case else {
            return Judgement::Unavailable;
        };
        let Some(id) = devices.first().map(|device| device.account) else { return Judgement::Refused };
        let config = &self.in_force.config;
        let allowed = &config.policy.rules(&self.login.service).factors;
        let elsewhere = Elsewhere { servers: self.in_force.validators.as_deref(), deadline: self.deadline };
        let held =
            hold(self.live, devices, which, allowed, code.expose(), config.policy.totp_skew, &elsewhere);
        let verdict = match held {
            Ok(held) => {
                let attempt = Attempt {
                    account: id,
                    user: account.name.clone(),
                    service: self.login.service.clone(),
                    source: self.source.clone(),
                    kinds: held.kinds,
                    verified: held.verified,
                    purpose: which.purpose(),
                    report: self.report(which),
                };
                self.live.store.judge(attempt, config.locks)
            }
            Err(NotHeld::Store(error)) => Err(error),
            Err(NotHeld::NoAnswer(error)) => {
                let user = account.name.as_str();
                tracing::error!(code = "otp_not_validated", %error, user, "a login is refused");
                return Judgement::Unavailable;
            }
        };
        self.by_store(account.name.as_str(), verdict)
    }

    fn by_store(&self, user: &str, verdict: Result<Verdict, StoreError>) -> Judgement<Evidence> {
        match verdict {
            Ok(Verdict::Admitted(evidence)) => Judgement::Admitted(Evidence::Here(evidence)),
            Ok(Verdict::Refused) => Judgement::Refused,
            Ok(Verdict::Locked) => Judgement::Locked,
            Err(error) => {
                tracing::error!(code = "store", %error, user, "an answer could not be judged");
                Judgement::Unavailable
            }
        }
    }

    // Of what is decided here while the server is away it hears later.
    fn report(&self, which: Which<'_>) -> Report {
        let away = || self.in_force.server.as_ref().is_some_and(|server| server.known_away().is_some());
        match which {
            Which::Offline(_) => Report::Server,
            Which::Always if away() => Report::Server,
            Which::Always => Report::Nobody,
        }
    }

    fn finish(&mut self, finish: Finish<Evidence>) -> Result<(), Broken> {
        let outcome = match finish {
            // The only place that lets somebody in: it takes the store's evidence, or the server's.
            Finish::Admitted(Evidence::Here(Admitted { .. }) | Evidence::Server(Proven { .. })) => {
                Outcome::Verified
            }
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

    fn skipped(&self) -> Outcome {
        let (Some(context), Some(Case { ruling: Ruling::Pass(bypass), .. })) = (self.context(), &self.case)
        else {
            return Outcome::Unavailable;
        };
        let_pass(self.live, context, bypass, "")
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

    fn note(&self, event: store::Event, detail: String) {
        if let Some(context) = self.context() {
            note(self.live, context, event, detail);
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

// What the module has sent while a prompt was open.
fn answered(
    come: Result<ModuleMessage, Broken>,
    event: impl FnOnce(SecretText) -> Event<Evidence>,
) -> Result<Event<Evidence>, Broken> {
    Ok(match come {
        Ok(ModuleMessage::Answer { text }) => event(text),
        Ok(ModuleMessage::Cancel) | Err(Broken::Gone | Broken::Io(_)) => Event::HungUp,
        Ok(ModuleMessage::Start(_) | ModuleMessage::Account(_)) | Err(Broken::Late) => Event::Expired,
        Err(Broken::Frame(error)) => return Err(error.into()),
    })
}

// Who is no root chooses every item of its own PAM handle, so only its uid counts.
fn source(caller: Caller, login: &Login) -> Source {
    match caller {
        Caller::Root => Source::of_login(login),
        Caller::User(uid) => Source::of_uid(uid),
    }
}

// A bypass is audited before it happens, or it does not happen.
fn let_pass(live: &Live, context: Context, bypass: &Bypass, phase: &str) -> Outcome {
    let detail = format!("{phase}{}", bypass.words());
    let noted = match bypass {
        Bypass::Policy(_) | Bypass::Server => live.store.note(context, store::Event::Skipped, detail),
        Bypass::FailOpen(_) => live.store.note_fail_open(context, detail),
    };
    match noted {
        Ok(()) => Outcome::Skipped,
        Err(error) => {
            tracing::error!(code = "audit", %error, "a bypass that cannot be audited is refused");
            Outcome::Unavailable
        }
    }
}

fn note(live: &Live, context: Context, event: store::Event, detail: String) {
    if let Err(error) = live.store.note(context, event, detail) {
        tracing::error!(code = "audit", %error, "an event could not be written to the audit");
    }
}
