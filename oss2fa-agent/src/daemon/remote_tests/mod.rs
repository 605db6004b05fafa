//! Logins that a server decides: what each of its answers comes to, and what its absence does.

mod absent;
mod choosing;
mod commands;
mod deciding;
mod keys;
mod keys_offline;
mod offline;

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
use super::heard_tests::Heard;
use super::live::Live;
use super::peer::Caller;
use super::{admin, courier, login};
use crate::admin::{OtpKind, Place, RefusalCode, Request, Response};
use crate::config::{Config, MasterKeySource, StoreConfig};
use crate::directory::{Account, Directory, DirectoryError, Membership};
use crate::outside::System;
use crate::server::scripted::{Asked, Identity, Reaction, Scripted};
use crate::store::without_server::Removed;
use crate::store::{Owner, Store, master_key};
use crate::token::soft::Hub;

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

struct Daemon {
    live: Arc<Live>,
    heard: Heard,
    hub: Hub,
    folder: TempDir,
}

/// How a login went.
#[derive(Debug)]
struct Ended {
    outcome: Outcome,
    prompts: Vec<String>,
    told: Vec<String>,
    took: Duration,
}

/// Whatever is waited for comes by then, also on a machine that does much else.
const SOON: Duration = Duration::from_secs(60);

/// A host that asks these URLs, trusts `trust`, and has these lines more in `[server]`, and then elsewhere.
fn host(urls: &[String], trust: &str, server: &str, more: &str) -> Daemon {
    let folder = TempDir::new().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, TOKEN).unwrap();
    std::fs::set_permissions(&token, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    // Where no answer is to be too late, a machine that does much else shall not make it so.
    let timeout = if server.contains("timeout") { "" } else { "timeout = 20\n" };
    let text = format!(
        "[server]\nurls = {urls:?}\ntoken_file = {:?}\n{trust}\nhost = \"tower\"\n{timeout}{server}\n{more}",
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
    let hub = Hub::default();
    let live = Live::new(config, store, Box::new(Passwd), Arc::new(hub.clone())).unwrap();
    Daemon { live: Arc::new(live), heard, hub, folder }
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

fn start_of(login: Login) -> Start {
    Start { login, conversation: Conversation::Messages, prompt: None, echo: Echo::Off, ssh: None }
}

impl Daemon {
    /// A login whose user types these lines, and hangs up after the last.
    fn login(&self, answers: &[&str]) -> Ended {
        self.login_by(who(), answers)
    }

    fn login_by(&self, login: Login, answers: &[&str]) -> Ended {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let (mut ours, mut theirs) = (Connection::new(ours).unwrap(), Connection::new(theirs).unwrap());
        let live = Arc::clone(&self.live);
        let begun = Instant::now();
        let serving =
            thread::spawn(move || login::authenticate(&live, &mut ours, Caller::Root, start_of(login)));
        let (mut prompts, mut told) = (Vec::new(), Vec::new());
        let mut answers = answers.iter();
        let outcome = loop {
            match theirs.receive(Instant::now() + SOON) {
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
            match theirs.receive(Instant::now() + SOON).unwrap() {
                AgentMessage::Account { answer } => return Ok(answer),
                AgentMessage::Done { outcome } => return Err(outcome),
                AgentMessage::Tell { .. } => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// What went to the system log, once all that is in the store has gone there: that happens just after the answer.
    fn events(&self) -> Vec<String> {
        self.heard.all_of(self.folder.path()).into_iter().map(|entry| entry.event).collect()
    }

    /// A login that ends like this, the quickest of a few: this machine has other work, too.
    fn login_within(&self, most: Duration, answers: &[&str], outcome: Outcome, words: &str) -> Ended {
        let mut took = Vec::new();
        loop {
            let ended = self.login(answers);
            assert_eq!(ended.outcome, outcome, "{words}");
            if ended.took < most {
                return ended;
            }
            took.push(ended.took);
            assert!(took.len() < 3, "{words}: {took:?}");
        }
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

/// Of a server that was there.
fn absent() -> String {
    // An address of loopback at which nobody else listens: on that of everybody the port may be another's by then.
    let listener = TcpListener::bind("127.83.9.1:0").unwrap();
    format!("https://{}", listener.local_addr().unwrap())
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
    let pad =
        |byte: u8| -> Vec<u8> { (0..64).map(|at| key.get(at).copied().unwrap_or_default() ^ byte).collect() };
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
