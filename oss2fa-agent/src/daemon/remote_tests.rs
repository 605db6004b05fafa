//! Logins that a server decides: what each of its answers comes to, and what its absence does.

use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use nix::unistd::{getegid, geteuid};
use oss2fa_core::ids::{DeviceId, DeviceName, UserName};
use oss2fa_core::secret::SecretText;
use oss2fa_core::wire::{
    AccountAnswer, AgentMessage, Conversation, Echo, Login, ModuleMessage, Outcome, Start,
};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::connection::Connection;
use super::live::Live;
use super::peer::Caller;
use super::{admin, courier, login};
use crate::admin::{OtpKind, Place, RefusalCode, Request, Response};
use crate::config::{Config, MasterKeySource, StoreConfig};
use crate::directory::{Account, Directory, DirectoryError, Membership};
use crate::outside::System;
use crate::server::scripted::{Asked, Identity, Reaction, Scripted};
use crate::store::without_server::Removed;
use crate::store::writer::EventSink;
use crate::store::{AuditEntry, Owner, Store, master_key};

const UID: u32 = 1000;
const TOKEN: &str = "0123456789abcdef0123456789abcdef01234567";

/// A host with the user `ferris`.
#[derive(Clone, Copy)]
struct Passwd;

impl Directory for Passwd {
    fn account(&self, name: &str) -> Result<Option<Account>, DirectoryError> {
        let known = UserName::from_directory(name).ok().filter(|_| name == "ferris");
        Ok(known.map(|name| Account { name, uid: UID, gid: UID }))
    }

    fn membership(&self, _: &Account, group: &str) -> Result<Membership, DirectoryError> {
        Ok(if group == "robots" { Membership::Member } else { Membership::Outsider })
    }
}

#[derive(Clone, Default)]
struct Heard(Arc<std::sync::Mutex<Vec<AuditEntry>>>);

impl EventSink for Heard {
    fn event(&mut self, entry: &AuditEntry) {
        self.0.lock().unwrap().push(entry.clone());
    }
}

struct Daemon {
    live: Arc<Live>,
    heard: Heard,
    _folder: TempDir,
}

/// How a login went.
#[derive(Debug)]
struct Ended {
    outcome: Outcome,
    prompts: Vec<String>,
    told: Vec<String>,
    took: Duration,
}

/// A host that asks these URLs, trusts `trust`, and has these lines more in `[server]`, and then elsewhere.
fn host(urls: &[String], trust: &str, server: &str, more: &str) -> Daemon {
    let folder = TempDir::new().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, TOKEN).unwrap();
    std::fs::set_permissions(&token, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let text = format!(
        "[server]\nurls = {urls:?}\ntoken_file = {:?}\n{trust}\nhost = \"tower\"\ntimeout = 1\n{server}\n{more}",
        token.display().to_string()
    );
    let config = Config::parse(Path::new("/agent.toml"), &text).unwrap();
    let key = MasterKeySource::File(folder.path().join("master.key"));
    let store = StoreConfig { path: folder.path().join("agent.db"), master_key: key };
    let owner = Owner { uid: geteuid().as_raw(), gid: getegid().as_raw() };
    let master = master_key::find(&store.master_key, owner, None).unwrap();
    let (system, heard) = (Arc::new(System), Heard::default());
    let sink = Box::new(heard.clone());
    let store = Store::open(&store, master, owner, system.clone(), system, sink).unwrap();
    Daemon { live: Arc::new(Live::new(config, store, Box::new(Passwd)).unwrap()), heard, _folder: folder }
}

fn asking(server: &Scripted, more: &str) -> Daemon {
    asking_with(server, "", more)
}

fn asking_with(server: &Scripted, section: &str, more: &str) -> Daemon {
    host(&[server.url()], &format!("ca_file = {:?}", server.ca_file().display().to_string()), section, more)
}

fn who() -> Login {
    Login {
        user: "ferris".to_owned(),
        service: "sshd".to_owned(),
        tty: Some("ssh".to_owned()),
        rhost: Some("192.0.2.7".to_owned()),
        ruser: None,
    }
}

impl Daemon {
    /// A login whose user types these lines, and hangs up after the last.
    fn login(&self, answers: &[&str]) -> Ended {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let (mut ours, mut theirs) = (Connection::new(ours).unwrap(), Connection::new(theirs).unwrap());
        let live = Arc::clone(&self.live);
        let begun = Instant::now();
        let serving = thread::spawn(move || {
            let start =
                Start { login: who(), conversation: Conversation::Messages, prompt: None, echo: Echo::Off };
            login::authenticate(&live, &mut ours, Caller::Root, start)
        });
        let (mut prompts, mut told) = (Vec::new(), Vec::new());
        let mut answers = answers.iter();
        let outcome = loop {
            match theirs.receive(Instant::now() + Duration::from_secs(10)) {
                Ok(AgentMessage::Ask { text, .. }) => {
                    prompts.push(text.as_str().to_owned());
                    let Some(answer) = answers.next() else { break None };
                    let text = SecretText::new((*answer).to_owned());
                    theirs.send(&ModuleMessage::Answer { text }).unwrap();
                }
                Ok(AgentMessage::Tell { text }) => told.push(text.as_str().to_owned()),
                Ok(AgentMessage::Done { outcome }) => break Some(outcome),
                other => panic!("{other:?}"),
            }
        };
        let took = begun.elapsed();
        drop(theirs);
        serving.join().unwrap().unwrap();
        // Nobody hears of the outcome of a login that was left.
        Ended { outcome: outcome.unwrap_or(Outcome::Refused), prompts, told, took }
    }

    fn account(&self) -> Result<AccountAnswer, Outcome> {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let (mut ours, mut theirs) = (Connection::new(ours).unwrap(), Connection::new(theirs).unwrap());
        login::account(&self.live, &mut ours, Caller::Root, who()).unwrap();
        loop {
            match theirs.receive(Instant::now() + Duration::from_secs(5)).unwrap() {
                AgentMessage::Account { answer } => return Ok(answer),
                AgentMessage::Done { outcome } => return Err(outcome),
                AgentMessage::Tell { .. } => {}
                other => panic!("{other:?}"),
            }
        }
    }

    fn events(&self) -> Vec<String> {
        self.heard.0.lock().unwrap().iter().map(|entry| entry.event.clone()).collect()
    }

    fn waiting(&self) -> Vec<String> {
        self.live.store.waiting_events(100).unwrap().into_iter().map(|event| event.event).collect()
    }
}

fn device(pk: i64, kind: &str, address: Option<&str>) -> Value {
    json!({
        "pk": pk, "kind": {"pk": 1, "name": kind, "description": "words"}, "name": format!("device {pk}"),
        "address": address, "created_at": "2026-11-01T00:00:00Z", "last_used_at": null,
    })
}

fn refused(status: u16, code: &str) -> Reaction {
    Reaction::Answer(status, json!({"error": {"code": code, "message": "words"}}))
}

/// Challenges ferris, who has one authenticator app, whose code is 123456.
fn well(asked: &Asked) -> Reaction {
    match asked.path.as_str() {
        "/integrations/clients/auth" => {
            Reaction::Answer(200, json!({"result": 2, "devices": [device(7, "TOTP", None)]}))
        }
        "/integrations/clients/verify" if asked.body["token"] == "123456" => {
            Reaction::Answer(200, json!({"client": 3, "device": 7}))
        }
        "/integrations/clients/verify" => refused(403, "wrong_token"),
        _ => refused(404, "not_found"),
    }
}

/// Decides so.
fn decides(result: i64) -> impl Fn(&Asked, usize) -> Reaction + Send + Sync {
    move |_, _| Reaction::Answer(200, json!({"result": result, "devices": []}))
}

#[test]
fn a_right_code_lets_in_and_the_server_is_told_who_where_and_whence() {
    let server = Scripted::start(Identity::Right, |asked, _| well(asked));
    let host = asking(&server, "");
    let ended = host.login(&["123456"]);
    assert_eq!((ended.outcome, ended.prompts), (Outcome::Verified, vec!["Verification code: ".to_owned()]));
    let verify = &server.asked_for("/integrations/clients/verify")[0];
    assert_eq!(verify.body["username"], "ferris");
    let context = &verify.body["binding_context"];
    assert_eq!(
        (
            &context["host"],
            &context["service"],
            &context["tty"],
            &context["address"],
            &context["remote_host"]
        ),
        (&json!("tower"), &json!("sshd"), &json!("ssh"), &json!("192.0.2.7"), &json!("192.0.2.7"))
    );
    assert!(context["program"].is_string(), "{context}");
    assert!(server.asked().iter().all(|asked| asked.key.is_some() && asked.token.as_deref() == Some(TOKEN)));
    assert_eq!(host.events(), ["accepted"]);
}

#[test]
fn wrong_codes_locks_and_answers_about_this_host_are_what_they_are() {
    for (reaction, outcome, event) in [
        (refused(403, "wrong_token"), Outcome::Refused, Some("refused")),
        (refused(403, "client_inactive"), Outcome::Refused, Some("refused")),
        (refused(404, "not_found"), Outcome::Refused, Some("refused")),
        (refused(429, "locked"), Outcome::Locked, Some("locked")),
        (refused(401, "unauthorized"), Outcome::Unavailable, None),
        (refused(403, "network_not_allowed"), Outcome::Unavailable, None),
        (refused(429, "too_many_requests"), Outcome::Unavailable, None),
        (refused(500, "internal"), Outcome::Unavailable, None),
        (Reaction::Answer(200, json!({})), Outcome::Unavailable, None),
        (Reaction::Answer(200, json!({"client": 3})), Outcome::Unavailable, None),
        (Reaction::Answer(200, json!({"client": "3", "device": 7})), Outcome::Unavailable, None),
        (Reaction::Answer(200, json!([])), Outcome::Unavailable, None),
        (Reaction::Answer(200, Value::Null), Outcome::Unavailable, None),
        (Reaction::Answer(201, json!({"client": 3, "device": 7})), Outcome::Unavailable, None),
        (Reaction::Answer(202, json!({"client": 3, "device": 7})), Outcome::Unavailable, None),
        (Reaction::Answer(204, Value::Null), Outcome::Unavailable, None),
        (
            Reaction::WithHead(302, "Location: https://127.0.0.1/", json!({"client": 3, "device": 7})),
            Outcome::Unavailable,
            None,
        ),
    ] {
        let words = format!("{reaction:?}");
        let server = Scripted::start(Identity::Right, move |asked, _| match asked.path.as_str() {
            "/integrations/clients/verify" => reaction.clone(),
            _ => well(asked),
        });
        let host = asking_with(&server, "fail_open_services = [\"sshd\"]", "");
        assert_eq!(host.login(&["123456"]).outcome, outcome, "{words}");
        assert_eq!(host.events(), event.into_iter().collect::<Vec<_>>(), "{words}");
    }
}

#[test]
fn each_decision_is_obeyed() {
    let skip = "[policy]\nunenrolled = \"skip\"\n";
    for (result, policy, outcome, account) in [
        (1, "", Outcome::NotEnrolled, Ok(AccountAnswer::Required)),
        (1, skip, Outcome::Skipped, Ok(AccountAnswer::NotRequired)),
        (3, "", Outcome::Skipped, Ok(AccountAnswer::NotRequired)),
        (4, "", Outcome::Refused, Ok(AccountAnswer::Required)),
        (4, skip, Outcome::Refused, Ok(AccountAnswer::Required)),
        // A challenge on nothing, and decisions that nobody knows.
        (2, skip, Outcome::Unavailable, Err(Outcome::Unavailable)),
        (0, skip, Outcome::Unavailable, Err(Outcome::Unavailable)),
        (5, skip, Outcome::Unavailable, Err(Outcome::Unavailable)),
    ] {
        let server = Scripted::start(Identity::Right, decides(result));
        let host = asking(&server, policy);
        assert_eq!(host.login(&["123456"]).outcome, outcome, "{result} {policy}");
        assert_eq!(host.account(), account, "{result} {policy}");
        let skipped = host.events().iter().filter(|event| *event == "skipped").count();
        assert_eq!(skipped, if outcome == Outcome::Skipped { 2 } else { 0 }, "each bypass is audited");
    }
}

#[test]
fn whom_the_server_denies_is_asked_like_everybody_else() {
    let server = Scripted::start(Identity::Right, decides(4));
    let ended = asking(&server, "").login(&["123456"]);
    assert_eq!(ended.prompts, ["Verification code: "]);
    assert_eq!(ended.told.len(), 1);
    assert!(ended.told[0].starts_with("That code was not accepted."), "{:?}", ended.told);
    assert_eq!(server.asked_for("/integrations/clients/verify").len(), 0);
}

#[test]
fn whoever_was_seen_with_a_device_is_never_taken_for_somebody_without() {
    // Challenged once; then the server has lost the devices.
    let server = Scripted::start(Identity::Right, |asked, before| match (asked.path.as_str(), before) {
        ("/integrations/clients/auth", 0) => well(asked),
        _ => Reaction::Answer(200, json!({"result": 1, "devices": []})),
    });
    let host = asking(&server, "[policy]\nunenrolled = \"skip\"\n");
    assert_eq!(host.login(&[""]).outcome, Outcome::Refused);
    assert_eq!(host.login(&[]).outcome, Outcome::NotEnrolled);
    assert_eq!(host.account(), Ok(AccountAnswer::Required));
}

#[test]
fn local_policy_comes_first_and_asks_no_server() {
    let server = Scripted::start(Identity::Right, |asked, _| well(asked));
    for policy in ["exempt_groups = [\"robots\"]", "skip_networks = [\"192.0.2.0/24\"]"] {
        let host = asking(&server, &format!("[policy]\n{policy}\n"));
        assert_eq!(host.login(&[]).outcome, Outcome::Skipped);
    }
    assert_eq!(server.asked().len(), 0);
}

#[test]
fn whoever_is_not_the_server_is_never_believed_nor_taken_for_an_absent_one() {
    for identity in
        [Identity::Expired, Identity::OfAnotherName, Identity::OfAnotherAuthority, Identity::Plain]
    {
        let server = Scripted::start(identity, decides(3));
        let host = asking_with(&server, "fail_open_services = [\"sshd\"]", "");
        let ended = host.login(&["123456"]);
        assert_eq!(ended.outcome, Outcome::Unavailable, "{identity:?}");
        assert!(ended.took < Duration::from_millis(1300), "{identity:?} {:?}", ended.took);
        assert_eq!(ended.told.len(), 1);
        assert!(ended.told[0].starts_with("The second factor could not be checked"), "{:?}", ended.told);
        assert!(host.events().is_empty() && host.waiting().is_empty());
    }
}

#[test]
fn a_pinned_certificate_is_the_one_or_not() {
    // Nobody vouches for it, and its name and dates say nothing.
    for identity in
        [Identity::Right, Identity::OfAnotherName, Identity::OfAnotherAuthority, Identity::Expired]
    {
        let server = Scripted::start(identity, |asked, _| well(asked));
        let pin = format!("pinned_certificate = {:?}", server.fingerprint);
        assert_eq!(host(&[server.url()], &pin, "", "").login(&["123456"]).outcome, Outcome::Verified);
        let other = format!("pinned_certificate = \"sha256:{}\"", "ab".repeat(32));
        let host = host(&[server.url()], &other, "fail_open_services = [\"sshd\"]", "");
        assert_eq!(host.login(&["123456"]).outcome, Outcome::Unavailable);
    }
}

#[test]
fn a_server_that_is_slow_broken_or_talks_nonsense_is_not_away() {
    let slow = Duration::from_secs(4);
    for reaction in [
        Reaction::Late(slow, 200, json!({"result": 3, "devices": []})),
        Reaction::Garbage,
        Reaction::Cut,
        Reaction::HalfAnAnswer,
        refused(500, "internal"),
        refused(503, "store_unavailable"),
        refused(401, "unauthorized"),
        Reaction::WithHead(307, "Location: /elsewhere", json!({"result": 3, "devices": []})),
        Reaction::Answer(200, json!({"result": "3"})),
    ] {
        let words = format!("{reaction:?}");
        let server = Scripted::start(Identity::Right, move |_, _| reaction.clone());
        let host = asking_with(&server, "fail_open_services = [\"sshd\"]", "");
        let ended = host.login(&["123456"]);
        assert_eq!(ended.outcome, Outcome::Unavailable, "{words}");
        assert!(ended.took < Duration::from_millis(1400), "{words} {:?}", ended.took);
        assert!(host.events().is_empty() && host.waiting().is_empty(), "{words}");
        assert_eq!(host.account(), Err(Outcome::Unavailable), "{words}");
    }
}

/// Of a server that was there.
fn absent() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("https://{}", listener.local_addr().unwrap())
}

#[test]
fn without_a_server_logins_are_refused_at_once_while_that_is_known() {
    let server = Scripted::start(Identity::Right, |asked, _| well(asked));
    let host = asking(&server, "");
    assert_eq!(host.login(&["123456"]).outcome, Outcome::Verified);
    server.stop();
    let first = host.login(&["123456"]);
    assert_eq!(first.outcome, Outcome::Unavailable);
    assert!(first.took < Duration::from_millis(1300), "{:?}", first.took);
    // The quickest of a few: this machine has other work, too.
    let known: Vec<Ended> = (0..5).map(|_| host.login(&["123456"])).collect();
    assert!(known.iter().all(|ended| ended.outcome == Outcome::Unavailable));
    assert!(known.iter().any(|ended| ended.took < Duration::from_millis(50)), "{known:?}");
    // And back as soon as it is.
    let again = Scripted::start_at(server.address(), Identity::Right, |asked, _| well(asked));
    let pin = host.login(&["123456"]);
    assert_eq!(pin.outcome, Outcome::Unavailable, "another authority: {:?}", again.url());
}

#[test]
fn a_server_that_is_back_is_asked_again_at_once() {
    let server = Scripted::start(Identity::Right, |asked, _| well(asked));
    let pin = format!("pinned_certificate = {:?}", server.fingerprint);
    let url = absent();
    let host = host(&[url.clone()], &pin, "", "");
    assert_eq!(host.login(&["123456"]).outcome, Outcome::Unavailable);
    drop(server);
    let back =
        Scripted::start_at(url.trim_start_matches("https://").parse().unwrap(), Identity::Plain, decides(3));
    let ended = host.login(&["123456"]);
    // It is no TLS that answers now: reached, and so refused for another reason.
    assert_eq!(ended.outcome, Outcome::Unavailable);
    assert!(host.live.in_force().server.unwrap().known_away().is_none(), "{}", back.url());
}

#[test]
fn fail_open_takes_the_proof_the_service_and_the_audit() {
    let urls = [absent(), absent()];
    let open = host(&urls, "", "fail_open_services = [\"sshd\"]", "");
    for _ in 0..2 {
        assert_eq!(open.login(&[]).outcome, Outcome::Skipped);
    }
    assert_eq!(open.account(), Ok(AccountAnswer::NotRequired));
    assert_eq!(open.events(), ["fail_open", "fail_open", "fail_open"]);
    assert_eq!(open.waiting(), ["fail_open", "fail_open", "fail_open"]);
    // Another service, and none.
    for section in ["fail_open_services = [\"sudo\"]", ""] {
        let shut = host(&urls, "", section, "");
        assert_eq!(shut.login(&[]).outcome, Outcome::Unavailable);
        assert!(shut.events().is_empty() && shut.waiting().is_empty());
    }
}

#[test]
fn one_server_that_was_reached_is_enough_to_refuse() {
    let server = Scripted::start(Identity::OfAnotherName, decides(3));
    let trust = format!("ca_file = {:?}", server.ca_file().display().to_string());
    for urls in [[absent(), server.url()], [server.url(), absent()]] {
        let host = host(&urls, &trust, "fail_open_services = [\"sshd\"]", "");
        for _ in 0..2 {
            assert_eq!(host.login(&[]).outcome, Outcome::Unavailable);
        }
    }
}

#[test]
fn the_next_url_is_asked_where_one_is_away_or_unwell() {
    let sick = Scripted::start(Identity::Right, |_, _| refused(503, "store_unavailable"));
    let server = Scripted::start(Identity::Right, |asked, _| well(asked));
    let both = format!(
        "{}{}",
        std::fs::read_to_string(sick.ca_file()).unwrap(),
        std::fs::read_to_string(server.ca_file()).unwrap()
    );
    std::fs::write(server.ca_file(), both).unwrap();
    let trust = format!("ca_file = {:?}", server.ca_file().display().to_string());
    let host = host(&[absent(), sick.url(), server.url()], &trust, "", "");
    assert_eq!(host.login(&["123456"]).outcome, Outcome::Verified);
    // One question, one key, wherever it goes.
    let keys = |server: &Scripted| server.asked_for("/integrations/clients/auth")[0].key.clone();
    assert_eq!(keys(&sick), keys(&server));
}

#[test]
fn a_connection_that_is_cut_is_asked_again_with_the_same_key() {
    for cut in [Reaction::Cut, Reaction::HalfAnAnswer] {
        let server = Scripted::start(Identity::Right, move |asked, before| match before {
            0 | 1 => cut.clone(),
            _ => well(asked),
        });
        let host = asking(&server, "");
        assert_eq!(host.login(&["123456"]).outcome, Outcome::Verified);
        for path in ["/integrations/clients/auth", "/integrations/clients/verify"] {
            let asked = server.asked_for(path);
            assert_eq!(asked.len(), 3, "{path}");
            assert!(asked.iter().all(|again| again.key == asked[0].key && again.body == asked[0].body));
        }
        let keys =
            server.asked().into_iter().map(|asked| asked.key).collect::<std::collections::BTreeSet<_>>();
        assert_eq!(keys.len(), 2, "one for each question");
    }
}

#[test]
fn a_question_that_is_still_being_answered_is_waited_for() {
    let server = Scripted::start(Identity::Right, |asked, before| match (asked.path.as_str(), before) {
        ("/integrations/clients/verify", 0 | 1) => refused(409, "idempotency_in_progress"),
        _ => well(asked),
    });
    assert_eq!(asking(&server, "").login(&["123456"]).outcome, Outcome::Verified);
}

/// Ferris has an app and two addresses.
fn several(asked: &Asked) -> Reaction {
    let challenge = |address: Option<&str>| {
        json!({"pk": 11, "username": "ferris", "device_pk": 8, "status": 2,
               "public_details": address.map(|address| json!({"address": address}))})
    };
    match (asked.method.as_str(), asked.path.as_str()) {
        (_, "/integrations/clients/auth") => Reaction::Answer(
            200,
            json!({"result": 2, "devices": [
                device(7, "TOTP", None),
                device(8, "EMAIL", Some("f***@example.org")),
                device(9, "RECOVERY", None),
            ]}),
        ),
        (_, "/integrations/challenges") if asked.body["device_pk"] == 8 => {
            Reaction::Answer(201, challenge(Some("f***@example.org")))
        }
        (_, "/integrations/challenges") => Reaction::Answer(201, challenge(None)),
        (_, "/integrations/challenges/11/resend") => {
            Reaction::Answer(200, challenge(Some("f***@example.org")))
        }
        (_, "/integrations/challenges/11/complete") if asked.body["token"] == "654321" => {
            Reaction::Answer(200, json!({"client": 3, "device": 8, "status": 3}))
        }
        (_, "/integrations/challenges/11/complete") => refused(403, "wrong_token"),
        ("DELETE", "/integrations/challenges/11") => Reaction::Answer(204, Value::Null),
        _ => well(asked),
    }
}

const MENU: &str = "1. TOTP\n2. e-mail to f***@example.org\nNumber, or code: ";
const SENT: &str = "Code sent to f***@example.org (r: send again): ";

#[test]
fn a_device_is_chosen_from_a_menu_and_its_code_sent() {
    let server = Scripted::start(Identity::Right, |asked, _| several(asked));
    let host = asking(&server, "");
    let ended = host.login(&["2", "654321"]);
    assert_eq!((ended.outcome, ended.prompts), (Outcome::Verified, vec![MENU.to_owned(), SENT.to_owned()]));
    let ended = host.login(&["2", "r", "654321"]);
    assert_eq!(ended.prompts, [MENU, SENT, SENT]);
    assert_eq!(ended.outcome, Outcome::Verified);
    // A code typed straight away, and an app that was chosen.
    assert_eq!(host.login(&["123456"]).outcome, Outcome::Verified);
    let ended = host.login(&["1", "654321"]);
    assert_eq!((ended.outcome, &*ended.prompts[1]), (Outcome::Verified, "Verification code: "));
    assert_eq!(server.asked_for("/integrations/challenges/11").len(), 0, "none was given up");
    assert_eq!(host.login(&["2", "000000"]).outcome, Outcome::Refused);
}

#[test]
fn whoever_hangs_up_gives_the_challenge_up() {
    let server = Scripted::start(Identity::Right, |asked, _| several(asked));
    let host = asking(&server, "");
    let left = host.login(&["2"]);
    assert_eq!(left.prompts, [MENU, SENT]);
    let begun = Instant::now();
    while server.asked_for("/integrations/challenges/11").is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", server.asked());
        thread::sleep(Duration::from_millis(2));
    }
    assert_eq!(server.asked_for("/integrations/challenges/11")[0].method, "DELETE");
}

#[test]
fn a_challenge_is_complete_only_with_the_status_that_says_so() {
    for body in [json!({"client": 3, "device": 8, "status": 2}), json!({"client": 3, "device": 8})] {
        let server = Scripted::start(Identity::Right, move |asked, _| match asked.path.as_str() {
            "/integrations/challenges/11/complete" => Reaction::Answer(200, body.clone()),
            _ => several(asked),
        });
        assert_eq!(asking(&server, "").login(&["2", "654321"]).outcome, Outcome::Unavailable);
    }
}

#[test]
fn a_user_without_a_device_enrols_in_the_login_where_that_is_wanted() {
    let uri = "otpauth://totp/OSS2FA:ferris?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=OSS2FA";
    let answer = move |asked: &Asked, _: usize| match asked.path.as_str() {
        "/integrations/clients/auth" => Reaction::Answer(200, json!({"result": 1, "devices": []})),
        "/integrations/enrollments" => Reaction::Answer(201, json!({"pk": 5, "status": 1})),
        "/integrations/enrollments/5/prepare-device" => {
            Reaction::Answer(200, json!({"pk": 5, "public_details": {"provisioning_uri": uri}}))
        }
        "/integrations/enrollments/5/complete" if asked.body["token"] == "123456" => {
            Reaction::WithHead(201, "X-Client-Id: 3", Value::Null)
        }
        // Not enrolled, whatever the status says.
        "/integrations/enrollments/5/complete" if asked.body["token"] == "222222" => {
            Reaction::Answer(201, Value::Null)
        }
        "/integrations/enrollments/5/complete" if asked.body["token"] == "333333" => {
            Reaction::WithHead(200, "X-Client-Id: 3", json!({"pk": 5}))
        }
        _ => refused(403, "wrong_token"),
    };
    let server = Scripted::start(Identity::Right, answer);
    let host = asking(&server, "[policy]\nenroll_at_login = [\"sshd\"]\n");
    let ended = host.login(&["123456"]);
    assert_eq!(ended.outcome, Outcome::Verified);
    assert!(ended.prompts[0].contains(uri) && ended.prompts[0].contains('█'), "{}", ended.prompts[0]);
    assert!(ended.prompts[0].ends_with("First code: "));
    assert_eq!(host.login(&["000000"]).outcome, Outcome::Refused);
    assert_eq!(host.login(&["222222"]).outcome, Outcome::Unavailable);
    assert_eq!(host.login(&["333333"]).outcome, Outcome::Unavailable);
    // In other services they are told how.
    let other = asking(&server, "[policy]\nenroll_at_login = [\"sudo\"]\n");
    assert_eq!(other.login(&[]).outcome, Outcome::NotEnrolled);
}

/// An enrolment of an offline device by the command line of root; gives the number outside and the secret.
fn enroll_offline(host: &Daemon) -> (DeviceId, Vec<u8>) {
    let request = Request::EnrollOffline { user: "ferris".to_owned(), name: None, proof: None };
    let made = match admin::answer(&host.live, Caller::Root, request) {
        Response::Enrolled(made) => made,
        other => panic!("{other:?}"),
    };
    assert_eq!(made.place, Place::Host);
    let secret = oss2fa_core::otpauth::parse(made.provisioning_uri.expose()).unwrap().secret;
    (made.device, secret.expose().to_vec())
}

/// RFC 4226 section 5.3, by hand: not the product's own generator.
fn hotp(secret: &[u8], counter: u64) -> String {
    let mac = hmac_sha1(secret, &counter.to_be_bytes());
    let offset = usize::from(mac[19] & 15);
    let word = u32::from_be_bytes(mac[offset..offset + 4].try_into().unwrap()) & 0x7fff_ffff;
    format!("{:06}", word % 1_000_000)
}

// RFC 2104 section 2.
fn hmac_sha1(key: &[u8], text: &[u8]) -> [u8; 20] {
    use sha1::{Digest, Sha1};
    let pad = |byte: u8| -> Vec<u8> {
        (0..64).map(|at| key.get(at).copied().unwrap_or_default() ^ byte).collect()
    };
    let inner = Sha1::new().chain_update(pad(0x36)).chain_update(text).finalize();
    Sha1::new().chain_update(pad(0x5c)).chain_update(inner).finalize().into()
}

/// Lists the credential 41 as `status` says, takes events, and else does as `well`.
fn listing(status: &'static str) -> impl Fn(&Asked, usize) -> Reaction + Send + Sync {
    move |asked, _| match asked.path.split('?').next().unwrap() {
        "/integrations/offline-credentials" if asked.method == "POST" => {
            Reaction::Answer(201, json!({"pk": 41, "status": "active"}))
        }
        "/integrations/offline-credentials" => {
            Reaction::Answer(200, json!({"results": [{"pk": 41, "status": status}], "next": null}))
        }
        "/integrations/offline-credentials/41" => Reaction::Answer(204, Value::Null),
        "/integrations/host-events" => Reaction::Answer(200, json!({"recorded": 1})),
        "/integrations/clients" => Reaction::Answer(200, json!({"results": [{"pk": 3}], "next": null})),
        "/integrations/clients/3/devices" => Reaction::Answer(200, json!([device(7, "TOTP", None)])),
        _ => well(asked),
    }
}

fn confirm(host: &Daemon, device: DeviceId, code: &str) -> Response {
    let code = SecretText::new(code.to_owned());
    let confirm = Request::Confirm { user: "ferris".to_owned(), device, code, name: None };
    admin::answer(&host.live, Caller::Root, confirm)
}

fn prompt_offline(ended: &Ended) -> bool {
    ended.prompts.iter().any(|prompt| prompt.starts_with("The server cannot be reached."))
}

#[test]
fn an_offline_code_counts_once_and_only_while_the_server_is_proved_away() {
    let server = Scripted::start(Identity::Right, listing("active"));
    let host = asking(&server, "");
    let (device, secret) = enroll_offline(&host);
    assert!(device.0 < 0, "{device}");
    assert!(matches!(confirm(&host, device, &hotp(&secret, 0)), Response::Device(_)));
    let noted = &server.asked_for("/integrations/offline-credentials")[0];
    assert_eq!(noted.body, json!({"username": "ferris", "host": "tower", "name": "offline"}), "and no secret");
    // While the server answers it is a wrong code, and the server's business.
    let online = host.login(&[&hotp(&secret, 1)]);
    assert_eq!(online.outcome, Outcome::Refused);
    assert!(!prompt_offline(&online), "{online:?}");
    server.stop();
    let right = hotp(&secret, 2);
    let first = host.login(&[&right]);
    assert_eq!(first.outcome, Outcome::Verified);
    assert!(prompt_offline(&first), "{first:?}");
    assert_eq!(host.login(&[&right]).outcome, Outcome::Refused, "used");
    assert_eq!(host.login(&[&hotp(&secret, 1)]).outcome, Outcome::Refused, "passed over");
    // The server's own codes do not count without it.
    assert_eq!(host.login(&["123456"]).outcome, Outcome::Refused);
    assert_eq!(host.waiting(), ["offline_code", "offline_refused", "offline_refused", "offline_refused"]);
    for _ in 0..2 {
        assert_eq!(host.login(&["000000"]).outcome, Outcome::Refused);
    }
    assert_eq!(host.login(&[&hotp(&secret, 3)]).outcome, Outcome::Locked, "tries are counted here");
}

#[test]
fn what_the_server_has_revoked_is_gone_here_and_what_happened_is_told_once() {
    let server = Scripted::start(Identity::Right, listing("active"));
    let pin = format!("pinned_certificate = {:?}", server.fingerprint);
    let host = host(&[server.url()], &pin, "", "");
    let (device, secret) = enroll_offline(&host);
    assert!(matches!(confirm(&host, device, &hotp(&secret, 0)), Response::Device(_)));
    let asked = host.live.in_force().server.unwrap();
    courier::round(&host.live, &asked).unwrap();
    assert_eq!(host.live.store.offline_devices().unwrap()[0].removed, Removed::No, "it is listed");
    // Told: what waits, with the host's own ids; then nothing waits.
    let note = || {
        let context = crate::store::Context::of_agent(1_800_000_000);
        host.live.store.note_fail_open(context, "in a test".to_owned()).unwrap();
    };
    note();
    note();
    courier::round(&host.live, &asked).unwrap();
    courier::round(&host.live, &asked).unwrap();
    let told = server.asked_for("/integrations/host-events");
    assert_eq!(told.len(), 1);
    let events = told[0].body["events"].as_array().unwrap();
    assert_eq!((&told[0].body["host"], events.len()), (&json!("tower"), 2));
    assert_eq!((&events[0]["event"], &events[0]["at"]), (&json!("fail_open"), &json!("2027-01-15T08:00:00Z")));
    assert_ne!(events[0]["id"], events[1]["id"]);
    assert!(host.waiting().is_empty());
}

#[test]
fn a_credential_that_the_server_does_not_list_as_active_is_dropped() {
    for answer in ["revoked", "unheard-of"] {
        let server = Scripted::start(Identity::Right, listing("revoked"));
        let host = asking(&server, "");
        let (device, secret) = enroll_offline(&host);
        assert!(matches!(confirm(&host, device, &hotp(&secret, 0)), Response::Device(_)));
        courier::round(&host.live, &host.live.in_force().server.unwrap()).unwrap();
        assert_eq!(host.live.store.offline_devices().unwrap()[0].removed, Removed::Yes, "{answer}");
        assert!(host.events().contains(&"offline_revoked".to_owned()));
        server.stop();
        assert_eq!(host.login(&[&hotp(&secret, 1)]).outcome, Outcome::Unavailable);
    }
}

#[test]
fn events_that_were_not_taken_wait() {
    let server = Scripted::start(Identity::Right, |asked, before| match (asked.path.as_str(), before) {
        ("/integrations/host-events", 0) => refused(500, "internal"),
        ("/integrations/host-events", _) => Reaction::Answer(200, json!({"recorded": 1})),
        _ => well(asked),
    });
    let host = asking(&server, "");
    let context = crate::store::Context::of_agent(1_800_000_000);
    host.live.store.note_fail_open(context, String::new()).unwrap();
    let asked = host.live.in_force().server.unwrap();
    assert!(courier::round(&host.live, &asked).is_err());
    assert_eq!(host.waiting(), ["fail_open"]);
    courier::round(&host.live, &asked).unwrap();
    assert!(host.waiting().is_empty());
    let told = server.asked_for("/integrations/host-events");
    assert_eq!(told[0].body["events"][0]["id"], told[1].body["events"][0]["id"], "the same id, so that it is once");
}

#[test]
fn break_glass_accounts_are_verified_here_online_or_not() {
    let server = Scripted::start(Identity::Right, |asked, _| well(asked));
    let host = asking_with(&server, "mode = \"remote-then-local\"", "");
    // Without a device here the server decides.
    assert_eq!(host.login(&["123456"]).outcome, Outcome::Verified);
    let enroll = Request::Enroll {
        user: "ferris".to_owned(),
        kind: OtpKind::Hotp,
        name: None,
        parameters: Default::default(),
        proof: None,
        place: Place::Host,
    };
    let made = match admin::answer(&host.live, Caller::Root, enroll) {
        Response::Enrolled(made) => made,
        other => panic!("{other:?}"),
    };
    let secret = oss2fa_core::otpauth::parse(made.provisioning_uri.expose()).unwrap().secret.expose().to_vec();
    assert!(matches!(confirm(&host, made.device, &hotp(&secret, 0)), Response::Device(_)));
    let before = server.asked().len();
    assert_eq!(host.login(&[&hotp(&secret, 1)]).outcome, Outcome::Verified);
    assert_eq!(host.login(&["123456"]).outcome, Outcome::Refused, "the server's codes are others");
    assert_eq!(server.asked().len(), before, "the server was not asked");
    server.stop();
    assert_eq!(host.login(&[&hotp(&secret, 2)]).outcome, Outcome::Verified);
}

#[test]
fn devices_of_this_host_do_not_count_where_the_server_decides_alone() {
    let server = Scripted::start(Identity::Right, |asked, _| well(asked));
    let host = asking(&server, "");
    let enroll = Request::Enroll {
        user: "ferris".to_owned(),
        kind: OtpKind::Hotp,
        name: None,
        parameters: Default::default(),
        proof: None,
        place: Place::Host,
    };
    match admin::answer(&host.live, Caller::Root, enroll) {
        Response::Refused(refused) => assert_eq!(refused.code, RefusalCode::AtServer),
        other => panic!("{other:?}"),
    }
}

#[test]
fn nobody_enrols_or_removes_without_a_code_nor_for_somebody_else() {
    let server = Scripted::start(Identity::Right, |asked, before| match asked.path.as_str() {
        "/integrations/enrollments/5" => Reaction::Answer(200, json!({"pk": 5, "username": "gopher"})),
        _ => listing("active")(asked, before),
    });
    let host = asking(&server, "");
    let code = || SecretText::new("123456".to_owned());
    let (user, device) = (|| "ferris".to_owned(), DeviceId(7));
    let totp = |proof| Request::Enroll {
        user: user(),
        kind: OtpKind::Totp,
        name: None,
        parameters: Default::default(),
        proof,
        place: Place::Usual,
    };
    let refusal = |caller, request| match admin::answer(&host.live, caller, request) {
        Response::Refused(refused) => refused.code,
        other => panic!("{other:?}"),
    };
    let owner = Caller::User(UID);
    let wrong = || Some(SecretText::new("000000".to_owned()));
    for (request, code) in [
        (totp(None), RefusalCode::ProofNeeded),
        (totp(wrong()), RefusalCode::CodeRefused),
        (Request::EnrollOffline { user: user(), name: None, proof: None }, RefusalCode::ProofNeeded),
        (Request::RecoveryCodes { user: user(), proof: None }, RefusalCode::ProofNeeded),
        (Request::Remove { user: user(), device, proof: Some(code()) }, RefusalCode::LastFactor),
        (Request::Remove { user: user(), device: DeviceId(99), proof: None }, RefusalCode::UnknownDevice),
        // An enrolment of somebody else.
        (
            Request::Confirm { user: user(), device: DeviceId(5), code: code(), name: None },
            RefusalCode::UnknownDevice,
        ),
        (Request::Resync { user: user(), device, first: code(), second: code() }, RefusalCode::AtServer),
        (Request::Export { user: user(), device }, RefusalCode::AtServer),
    ] {
        let words = format!("{request:?}");
        assert_eq!(refusal(owner, request), code, "{words}");
    }
    for request in [
        totp(Some(code())),
        Request::EnrollOffline { user: user(), name: None, proof: Some(code()) },
        Request::Remove { user: user(), device, proof: Some(code()) },
        Request::Rename { user: user(), device, name: DeviceName::new("phone").unwrap() },
        Request::Verify { user: user(), code: code() },
        Request::List { user: Some(user()), after: None },
    ] {
        let words = format!("{request:?}");
        assert_eq!(refusal(Caller::User(UID + 1), request), RefusalCode::NotAllowed, "{words}");
    }
    assert!(server.asked_for("/integrations/enrollments").is_empty(), "nothing was begun");
}

#[test]
fn the_servers_devices_and_the_hosts_own_are_listed_apart() {
    let server = Scripted::start(Identity::Right, listing("active"));
    let host = asking(&server, "");
    let (offline, secret) = enroll_offline(&host);
    assert!(matches!(confirm(&host, offline, &hotp(&secret, 0)), Response::Device(_)));
    let list = Request::List { user: Some("ferris".to_owned()), after: None };
    match admin::answer(&host.live, Caller::Root, list) {
        Response::Devices { devices, .. } => {
            let listed: Vec<_> =
                devices.iter().map(|view| (view.device, view.shown_as.as_deref())).collect();
            assert_eq!(listed, [(DeviceId(7), None), (offline, Some("hotp, offline"))]);
        }
        other => panic!("{other:?}"),
    }
    let remove = Request::Remove { user: "ferris".to_owned(), device: offline, proof: None };
    assert!(matches!(admin::answer(&host.live, Caller::Root, remove), Response::Done {}));
    assert_eq!(server.asked_for("/integrations/offline-credentials/41")[0].method, "DELETE");
}
