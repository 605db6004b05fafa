//! Enrolments and logins with security keys of software, by the daemon's own conversations.

mod attestation;
mod beside;
mod changes;
mod fingers;
mod imported;

use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use nix::unistd::{getegid, geteuid};
use oss2fa_core::ids::{DeviceName, UserName};
use oss2fa_core::secret::SecretText;
use oss2fa_core::verdict::FactorKind;
use oss2fa_core::wire::{AgentMessage, Conversation, Echo, Login, ModuleMessage, Outcome, Start};
use tempfile::TempDir;

use super::connection::{Broken, Connection};
use super::heard_tests::Heard;
use super::live::Live;
use super::peer::Caller;
use super::{admin, login};
use crate::admin::{
    DeviceView, ImportEntry, ImportResult, Imported, KeyAlgorithm, KeyEnrollment, KeyKind, OtpKind,
    RefusalCode, Request, Response,
};
use crate::config::{Config, MasterKeySource, StoreConfig};
use crate::directory::{Account, Directory, DirectoryError, Membership};
use crate::outside::System;
use crate::store::{AuditEntry, Owner, Store, master_key};
use crate::token::soft::{Finger, Hub, Protocol, SoftKey};

pub(super) const UID: u32 = 1000;
pub(super) const SOON: Duration = Duration::from_secs(60);

struct Passwd;

impl Directory for Passwd {
    fn account(&self, name: &str) -> Result<Option<Account>, DirectoryError> {
        let uid = match name {
            "ferris" => UID,
            "corro" => UID + 1,
            _ => return Ok(None),
        };
        Ok(UserName::from_directory(name).ok().map(|name| Account { name, uid, gid: uid }))
    }

    fn membership(&self, _: &Account, _: &str) -> Result<Membership, DirectoryError> {
        Ok(Membership::Outsider)
    }
}

pub(super) struct Host {
    pub(super) live: Arc<Live>,
    pub(super) hub: Hub,
    pub(super) heard: Heard,
    folder: TempDir,
}

/// How a login went.
pub(super) struct Ended {
    pub(super) outcome: Option<Outcome>,
    pub(super) prompts: Vec<String>,
    pub(super) told: Vec<String>,
}

pub(super) fn host(more: &str) -> Host {
    host_with("login_timeout = 5", more)
}

/// The same, where a login that ends before its time is up is to be told from one that does not, on any machine.
pub(super) fn patient_host() -> Host {
    host_with("login_timeout = 60", "[keys]\ntouch_timeout = 60\n")
}

fn host_with(agent: &str, more: &str) -> Host {
    let folder = TempDir::new().unwrap();
    let text = format!("[agent]\n{agent}\n{more}");
    let config = Config::parse(Path::new("/agent.toml"), &text).unwrap();
    let key = MasterKeySource::File(folder.path().join("master.key"));
    let store = StoreConfig { path: folder.path().join("agent.db"), master_key: key };
    let owner = Owner { uid: geteuid().as_raw(), gid: getegid().as_raw() };
    let master = master_key::find(&store.master_key, owner, None).unwrap();
    let (system, heard, hub) = (Arc::new(System), Heard::default(), Hub::default());
    let sink = Box::new(heard.clone());
    let store = Store::open(&store, master, owner, system.clone(), system, sink).unwrap();
    let live = Live::new(config, store, Box::new(Passwd), Arc::new(hub.clone())).unwrap();
    Host { live: Arc::new(live), hub, heard, folder }
}

pub(super) fn key_of(user: &str, kind: KeyKind) -> KeyEnrollment {
    KeyEnrollment { user: user.to_owned(), kind, name: None, resident: false, pin: false, proof: None }
}

impl Host {
    /// An enrolment by `caller`, who types these PINs; what was said, and how it ended.
    fn enroll_as(&self, caller: Caller, wanted: KeyEnrollment, pins: &[&str]) -> (Vec<String>, Response) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let (mut ours, mut theirs) = (Connection::new(ours).unwrap(), Connection::new(theirs).unwrap());
        let (mut said, mut pins) = (Vec::new(), pins.iter());
        thread::scope(|scope| {
            let serving = scope.spawn(move || admin::enroll_key(&self.live, &mut ours, caller, wanted));
            loop {
                match theirs.receive(Instant::now() + SOON).unwrap() {
                    Response::Step { text } => said.push(text.as_str().to_owned()),
                    Response::PinWanted { question } => {
                        said.push(question.as_str().to_owned());
                        let pin = SecretText::new(pins.next().unwrap().to_string());
                        // Whoever was asked had the key in hand, and has it still.
                        self.hub.touch();
                        theirs.send(&Request::Pin { pin }).unwrap();
                    }
                    ended => {
                        serving.join().unwrap().unwrap();
                        return (said, ended);
                    }
                }
            }
        })
    }

    fn enrolled(&self, wanted: KeyEnrollment, pins: &[&str]) -> DeviceView {
        match self.enroll_as(Caller::Root, wanted, pins) {
            (_, Response::Device(view)) => view,
            (said, other) => panic!("{other:?} after {said:?}"),
        }
    }

    /// A key that is plugged in and enrolled for `user`.
    pub(super) fn with_key(&self, user: &str, protocol: Protocol, kind: KeyKind) -> SoftKey {
        let key = SoftKey::new(protocol, user.len() as u8);
        self.hub.plug_in(user, &key);
        key.touch();
        self.enrolled(key_of(user, kind), &[]);
        key
    }

    pub(super) fn with_codes(&self, user: &str) {
        let what = Imported::Otp {
            kind: OtpKind::Hotp,
            secret: SecretText::new("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ".to_owned()),
            parameters: Default::default(),
            next_position: 0,
            drift: 0,
        };
        let entry = ImportEntry { user: user.to_owned(), name: DeviceName::new("token").unwrap(), what };
        let response = admin::answer(&self.live, Caller::Root, Request::Import { entries: vec![entry] });
        assert!(matches!(response, Response::Imported { .. }), "{response:?}");
    }

    /// A login of `ferris`, who types these lines and hangs up after the last.
    pub(super) fn login_to(&self, service: &str, conversation: Conversation, answers: &[&str]) -> Ended {
        let login = Login {
            user: "ferris".to_owned(),
            service: service.to_owned(),
            tty: Some("tty1".to_owned()),
            rhost: None,
            ruser: None,
        };
        let (ours, theirs) = UnixStream::pair().unwrap();
        let (mut ours, mut theirs) = (Connection::new(ours).unwrap(), Connection::new(theirs).unwrap());
        let (mut prompts, mut told, mut answers) = (Vec::new(), Vec::new(), answers.iter());
        let start = Start { login, conversation, prompt: None, echo: Echo::Off, ssh: None };
        thread::scope(|scope| {
            let serving =
                scope.spawn(move || login::authenticate(&self.live, &mut ours, Caller::Root, start));
            let outcome = loop {
                match theirs.receive(Instant::now() + SOON).unwrap() {
                    AgentMessage::Ask { text, .. } => {
                        prompts.push(text.as_str().to_owned());
                        let Some(answer) = answers.next() else { break None };
                        let text = SecretText::new((*answer).to_owned());
                        theirs.send(&ModuleMessage::Answer { text }).unwrap();
                    }
                    AgentMessage::Tell { text } => told.push(text.as_str().to_owned()),
                    AgentMessage::Done { outcome } => break Some(outcome),
                    other => panic!("{other:?}"),
                }
            };
            drop(theirs);
            serving.join().unwrap().unwrap();
            Ended { outcome, prompts, told }
        })
    }

    pub(super) fn login(&self, answers: &[&str]) -> Ended {
        self.login_to("sudo", Conversation::Messages, answers)
    }

    /// All that went to the system log, once all that is in the store has gone there: that happens just after the answer.
    pub(super) fn logged(&self) -> Vec<AuditEntry> {
        self.heard.all_of(self.folder.path())
    }

    pub(super) fn newest(&self) -> AuditEntry {
        self.logged().pop().unwrap()
    }
}

#[test]
fn a_key_of_fido2_is_enrolled_and_lets_its_owner_in_with_a_touch() {
    let host = host("");
    let key = host.with_key("ferris", Protocol::Ctap2, KeyKind::Fido2);
    for _ in 0..2 {
        key.touch();
        let ended = host.login(&[]);
        assert_eq!(ended.outcome, Some(Outcome::Verified));
        assert_eq!(ended.told[0], "Have your security key plugged in.");
        assert!(ended.prompts.is_empty());
    }
    assert_eq!(host.newest().event, "accepted");
    assert!(host.newest().detail.starts_with("fido2 device="), "{}", host.newest().detail);
}

#[test]
fn a_key_of_u2f_is_enrolled_and_lets_its_owner_in_with_a_touch() {
    for protocol in [Protocol::U2f, Protocol::Both] {
        let host = host("");
        let key = host.with_key("ferris", protocol, KeyKind::U2f);
        key.touch();
        assert_eq!(host.login(&[]).outcome, Some(Outcome::Verified), "{protocol:?}");
        assert!(host.newest().detail.starts_with("u2f device="));
    }
}

#[test]
fn the_words_of_an_enrolment_say_what_to_do() {
    let host = host("");
    let key = SoftKey::new(Protocol::Ctap2, 1);
    host.hub.plug_in("one", &key);
    thread::scope(|scope| {
        scope.spawn(|| {
            // By the second time the first was heard.
            while key.inside().reminded < 2 {
                thread::sleep(Duration::from_millis(1));
            }
            key.touch();
        });
        let (said, ended) = host.enroll_as(Caller::Root, key_of("ferris", KeyKind::Fido2), &[]);
        assert_eq!(
            said,
            ["Plug in your security key if it is not, and touch it when it blinks.", "Touch it now."]
        );
        let Response::Device(view) = ended else { panic!("{ended:?}") };
        assert_eq!((view.kind, view.name.as_str()), (FactorKind::Fido2, "fido2"));
    });
    assert_eq!(host.newest().event, "confirmed");
}

#[test]
fn a_key_with_a_pin_is_enrolled_by_it_and_a_wrong_one_says_how_many_tries_are_left() {
    let host = host("");
    let key = SoftKey::new(Protocol::Ctap2, 1).with_pin("4711");
    host.hub.plug_in("one", &key);
    key.touch();
    let (said, ended) = host.enroll_as(Caller::Root, key_of("ferris", KeyKind::Fido2), &["1234", "4711"]);
    assert!(matches!(ended, Response::Device(_)), "{ended:?}");
    let questions: Vec<_> = said.iter().filter(|line| line.contains("PIN")).collect();
    assert_eq!(
        questions,
        ["PIN of Soft key (8 tries left): ", "Wrong PIN. PIN of Soft key (7 tries left): "]
    );
}

#[test]
fn row_02_an_empty_pin_enrols_nothing_and_costs_no_try() {
    let host = host("");
    let key = SoftKey::new(Protocol::Ctap2, 1).with_pin("4711");
    host.hub.plug_in("one", &key);
    key.touch();
    let (_, ended) = host.enroll_as(Caller::Root, key_of("ferris", KeyKind::Fido2), &[""]);
    assert!(matches!(ended, Response::Refused(_)), "{ended:?}");
    assert_eq!(key.inside().tries_left, 8);
}

#[test]
fn a_key_that_is_enrolled_is_not_enrolled_again_and_another_one_is() {
    let host = host("");
    let first = host.with_key("ferris", Protocol::Ctap2, KeyKind::Fido2);
    let second = SoftKey::new(Protocol::Ctap2, 99);
    host.hub.plug_in("second", &second);
    second.touch();
    let (said, ended) = host.enroll_as(Caller::Root, key_of("ferris", KeyKind::Fido2), &[]);
    assert!(matches!(ended, Response::Device(_)), "{ended:?}");
    assert!(said.len() < 4, "{said:?}");
    assert_eq!(first.inside().blinking, 1, "it was asked for a touch once, when it was enrolled");
    first.touch();
    assert_eq!(host.login(&[]).outcome, Some(Outcome::Verified));
}

#[test]
fn one_more_key_needs_a_proof_and_the_first_does_not() {
    let host = host("");
    let key = SoftKey::new(Protocol::Ctap2, 1);
    host.hub.plug_in("one", &key);
    let caller = Caller::User(UID);
    key.touch();
    assert!(matches!(host.enroll_as(caller, key_of("ferris", KeyKind::Fido2), &[]).1, Response::Device(_)));
    match host.enroll_as(caller, key_of("ferris", KeyKind::Fido2), &[]).1 {
        Response::Refused(refused) => assert_eq!(refused.code, RefusalCode::TouchNeeded),
        other => panic!("{other:?}"),
    }
    host.with_codes("ferris");
    match host.enroll_as(caller, key_of("ferris", KeyKind::Fido2), &[]).1 {
        Response::Refused(refused) => assert_eq!(refused.code, RefusalCode::CodeOrTouchNeeded),
        other => panic!("{other:?}"),
    }
    match host.enroll_as(caller, key_of("corro", KeyKind::Fido2), &[]).1 {
        Response::Refused(refused) => assert_eq!(refused.code, RefusalCode::NotAllowed),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_model_that_is_not_allowed_is_not_enrolled() {
    let host = host("[keys]\nallowed_models = [\"ee882879-721c-4913-9775-3dfcce97072a\"]\n");
    let key = SoftKey::new(Protocol::Ctap2, 1);
    host.hub.plug_in("one", &key);
    key.touch();
    match host.enroll_as(Caller::Root, key_of("ferris", KeyKind::Fido2), &[]).1 {
        Response::Refused(refused) => assert!(refused.message.contains("model"), "{refused:?}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_foreign_key_lets_nobody_in_and_is_not_waited_for_beside_codes() {
    let host = patient_host();
    host.with_key("ferris", Protocol::Ctap2, KeyKind::Fido2);
    host.with_codes("ferris");
    host.hub.pull_out("ferris");
    let foreign = host.with_key("corro", Protocol::Ctap2, KeyKind::Fido2);
    foreign.touch();
    let begun = Instant::now();
    // RFC 4226, appendix D.
    let ended = host.login(&["755224"]);
    assert_eq!(ended.outcome, Some(Outcome::Verified));
    assert!(begun.elapsed() < Duration::from_secs(20), "it waited");
    assert_eq!(ended.told, ["Touch your security key and press Enter, or type a code."]);
    assert_eq!(ended.prompts, ["Verification code: "]);
    assert_eq!(foreign.inside().blinking, 1, "it blinked for somebody else");
}

#[test]
fn a_key_that_comes_while_its_owner_waits_counts() {
    let host = host("");
    let key = host.with_key("ferris", Protocol::Ctap2, KeyKind::Fido2);
    host.hub.pull_out("ferris");
    thread::scope(|scope| {
        let login = scope.spawn(|| host.login(&[]));
        thread::sleep(Duration::from_millis(100));
        key.touch();
        host.hub.plug_in("elsewhere", &key);
        assert_eq!(login.join().unwrap().outcome, Some(Outcome::Verified));
    });
}

#[test]
fn without_a_touch_nobody_gets_in() {
    let host = host("");
    host.with_key("ferris", Protocol::Ctap2, KeyKind::Fido2);
    assert_eq!(host.login(&[]).outcome, Some(Outcome::Refused));
}

#[test]
fn whoever_hangs_up_stops_the_wait_at_once() {
    let host = patient_host();
    let key = host.with_key("ferris", Protocol::Ctap2, KeyKind::Fido2);
    let (ours, theirs) = UnixStream::pair().unwrap();
    let mut ours = Connection::new(ours).unwrap();
    let login =
        Login { user: "ferris".to_owned(), service: "sudo".to_owned(), tty: None, rhost: None, ruser: None };
    let start =
        Start { login, conversation: Conversation::Messages, prompt: None, echo: Echo::Off, ssh: None };
    thread::scope(|scope| {
        let serving = scope.spawn(|| login::authenticate(&host.live, &mut ours, Caller::Root, start));
        while key.inside().blinking < 2 {
            thread::sleep(Duration::from_millis(1));
        }
        let begun = Instant::now();
        drop(theirs);
        serving.join().unwrap().unwrap();
        while key.inside().open > 0 {
            thread::sleep(Duration::from_millis(1));
        }
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    });
    assert_eq!(key.inside().cancelled, 1);
}

#[test]
fn a_cloned_key_is_refused_and_audited() {
    let host = host("");
    let key = host.with_key("ferris", Protocol::Ctap2, KeyKind::Fido2);
    key.inside().count = 10;
    key.touch();
    assert_eq!(host.login(&[]).outcome, Some(Outcome::Verified));
    // The copy has not heard of that login.
    key.inside().count = 3;
    key.touch();
    assert_eq!(host.login(&[]).outcome, Some(Outcome::Refused));
    assert_eq!(host.newest().event, "cloned_key");
}

#[test]
fn policy_asks_for_the_pin_and_for_nothing_where_prompts_are_relabelled() {
    let host = host("[policy]\nuser_verification = \"required\"\n");
    let key = SoftKey::new(Protocol::Ctap2, 1).with_pin("4711");
    host.hub.plug_in("one", &key);
    key.touch();
    host.enrolled(key_of("ferris", KeyKind::Fido2), &["4711"]);
    host.with_codes("ferris");
    key.touch();
    let ended = host.login(&["", "1111", "4711"]);
    assert_eq!(ended.outcome, Some(Outcome::Verified));
    assert_eq!(
        ended.prompts[1..],
        ["PIN of your security key (8 tries left): ", "Wrong PIN. PIN of your security key (7 tries left): "]
    );
    assert!(host.newest().detail.ends_with("touched, and knows its user"));
    let ended = host.login_to("polkit-1", Conversation::Messages, &["755224"]);
    assert_eq!(ended.outcome, Some(Outcome::Verified));
    assert!(!ended.prompts.concat().contains("PIN"), "{:?}", ended.prompts);
}

#[test]
fn a_key_with_three_tries_left_is_not_risked() {
    let host = host("[policy]\nuser_verification = \"required\"\n");
    let key = SoftKey::new(Protocol::Ctap2, 1).with_pin("4711");
    host.hub.plug_in("one", &key);
    key.touch();
    host.enrolled(key_of("ferris", KeyKind::Fido2), &["4711"]);
    host.with_codes("ferris");
    key.inside().tries_left = 4;
    let ended = host.login(&["", "1111", "755224"]);
    assert_eq!(ended.outcome, Some(Outcome::Verified), "by the code");
    assert!(ended.told.iter().any(|told| told.contains("3 tries are left")), "{:?}", ended.told);
    assert_eq!(key.inside().tries_left, 3);
    // Not even asked for.
    assert!(!host.login(&[""]).prompts.concat().contains("PIN"));
}

#[test]
fn a_key_that_cannot_be_used_keeps_out_no_other_of_its_owner() {
    let host = host("[policy]\nuser_verification = \"required\"\n");
    let [worn, good] = [1, 2].map(|number| {
        let key = SoftKey::new(Protocol::Ctap2, number).with_pin("4711");
        host.hub.plug_in(&number.to_string(), &key);
        key.touch();
        host.enrolled(key_of("ferris", KeyKind::Fido2), &["4711"]);
        host.hub.pull_out(&number.to_string());
        key
    });
    worn.inside().tries_left = 3;
    host.hub.plug_in("worn", &worn);
    host.hub.plug_in("good", &good);
    good.touch();
    let ended = host.login(&["4711"]);
    assert_eq!(
        (ended.outcome, worn.inside().tries_left),
        (Some(Outcome::Verified), 3),
        "{:?}",
        ended.prompts
    );
    host.hub.pull_out("good");
    let ended = host.login(&[]);
    assert!(ended.told.iter().any(|told| told.contains("3 tries are left")), "{:?}", ended.told);
}

#[test]
fn nobody_is_asked_for_the_pin_of_a_key_that_they_do_not_touch() {
    let host = host("[policy]\nuser_verification = \"required\"\n");
    let key = SoftKey::new(Protocol::Ctap2, 1).with_pin("4711");
    host.hub.plug_in("somebody else's", &key);
    let (ours, theirs) = UnixStream::pair().unwrap();
    let (mut ours, mut theirs) = (Connection::new(ours).unwrap(), Connection::new(theirs).unwrap());
    thread::scope(|scope| {
        let wanted = key_of("ferris", KeyKind::Fido2);
        let serving = scope.spawn(|| admin::enroll_key(&host.live, &mut ours, Caller::User(UID), wanted));
        while key.inside().blinking == 0 {
            thread::sleep(Duration::from_millis(1));
        }
        let until = Instant::now() + Duration::from_millis(700);
        loop {
            match theirs.receive(until) {
                Ok(Response::Step { .. }) => {}
                Err(Broken::Late) => break,
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(key.inside().tries_left, 8);
        assert_eq!(key.inside().blinking, 1);
        key.touch();
        let asked = theirs.receive::<Response>(Instant::now() + SOON);
        assert!(matches!(asked, Ok(Response::PinWanted { .. })), "{asked:?}");
        drop(theirs);
        let _gone = serving.join().unwrap();
    });
}

#[test]
fn a_touch_is_too_little_where_policy_wants_the_user_verified() {
    let host = host("[policy]\nuser_verification = \"required\"\n");
    let key = SoftKey::new(Protocol::U2f, 1);
    host.hub.plug_in("one", &key);
    key.touch();
    host.enrolled(key_of("ferris", KeyKind::U2f), &[]);
    key.touch();
    assert_eq!(host.login(&[]).outcome, Some(Outcome::Refused));
}

#[test]
fn one_service_may_want_the_user_verified_and_another_one_not() {
    let rules = [("su", "touch"), ("sudo", "required")];
    let rules =
        rules.map(|(name, what)| format!("[policy.service.{name}]\nuser_verification = \"{what}\"\n"));
    let host = host(&rules.concat());
    let key = host.with_key("ferris", Protocol::U2f, KeyKind::U2f);
    for (service, outcome) in [("su", Outcome::Verified), ("sudo", Outcome::Refused)] {
        key.touch();
        let ended = host.login_to(service, Conversation::Messages, &[]);
        assert_eq!(ended.outcome, Some(outcome), "{service}");
    }
}

#[test]
fn whoever_logs_in_from_elsewhere_is_asked_for_a_code() {
    let host = host("");
    let key = host.with_key("ferris", Protocol::Ctap2, KeyKind::Fido2);
    host.with_codes("ferris");
    key.touch();
    let ended = host.login_to("sshd", Conversation::Messages, &["755224"]);
    assert_eq!(
        (ended.outcome, ended.prompts),
        (Some(Outcome::Verified), vec!["Verification code: ".to_owned()])
    );
    assert_eq!(key.inside().blinking, 1);
}

#[test]
fn where_messages_are_not_shown_enter_waits_for_the_touch() {
    let host = host("");
    let key = host.with_key("ferris", Protocol::Ctap2, KeyKind::Fido2);
    key.touch();
    let ended = host.login_to("sudo", Conversation::PromptsOnly, &[""]);
    assert_eq!(ended.outcome, Some(Outcome::Verified));
    assert_eq!((ended.prompts.len(), ended.told.len()), (1, 0));
}

#[test]
fn a_kind_that_policy_does_not_list_does_not_count() {
    let host = host("[policy.service.sudo]\nfactors = [\"hotp\"]\n");
    let key = host.with_key("ferris", Protocol::Ctap2, KeyKind::Fido2);
    host.with_codes("ferris");
    key.touch();
    assert_eq!(host.login(&["755224"]).prompts, ["Verification code: "]);
}

#[test]
fn from_the_keys_answer_to_the_verdict_the_agent_takes_milliseconds() {
    let host = host("");
    let key = host.with_key("ferris", Protocol::Ctap2, KeyKind::Fido2);
    let mut took: Vec<Duration> = (0..20)
        .map(|_| {
            key.touch();
            assert_eq!(host.login(&[]).outcome, Some(Outcome::Verified));
            key.inside().answered_at.unwrap().elapsed()
        })
        .collect();
    took.sort();
    // `make bench` has the figure of the optimised program, which is another one. The quicker ones: this machine has other
    // work, too.
    assert!(took[4] < Duration::from_millis(250), "{took:?}");
}
