//! Logins that a server decides: what each of its answers comes to, and what its absence does.

use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use nix::unistd::{getegid, geteuid};
use oss2fa_core::ids::UserName;
use oss2fa_core::secret::SecretText;
use oss2fa_core::wire::{
    AccountAnswer, AgentMessage, Conversation, Echo, Login, ModuleMessage, Outcome, Start,
};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::connection::Connection;
use super::live::Live;
use super::login;
use super::peer::Caller;
use crate::config::{Config, MasterKeySource, StoreConfig};
use crate::directory::{Account, Directory, DirectoryError, Membership};
use crate::outside::System;
use crate::server::scripted::{Asked, Identity, Reaction, Scripted};
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
