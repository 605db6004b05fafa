//! A user directory or a store that fails: every path that would have let somebody pass refuses.

use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::unistd::{getegid, geteuid};
use oss2fa_core::ids::{DeviceId, DeviceName, UserName};
use oss2fa_core::secret::SecretText;
use oss2fa_core::wire::{AccountAnswer, AgentMessage, Conversation, Echo, Login, Outcome, Start};
use tempfile::TempDir;

use super::connection::Connection;
use super::live::Live;
use super::peer::Caller;
use super::{admin, login};
use crate::admin::{ImportEntry, Imported, OtpKind, Place, RefusalCode, Request, Response};
use crate::config::{Config, MasterKeySource, StoreConfig};
use crate::directory::{Account, Directory, DirectoryError, Membership};
use crate::outside::System;
use crate::store::writer::EventSink;
use crate::store::{AuditEntry, Owner, Store, master_key};
use crate::token::soft::Hub;

const UID: u32 = 1000;

/// A directory with one user, who is in the group `robots`, and with parts that do not answer.
#[derive(Clone, Copy)]
pub(super) enum Ldap {
    Healthy,
    NoUsers,
    NoGroup(&'static str),
    Lost(&'static str),
}

fn failed(what: &str) -> DirectoryError {
    DirectoryError { what: what.to_owned(), reason: "the server does not answer".to_owned() }
}

impl Directory for Ldap {
    fn account(&self, name: &str) -> Result<Option<Account>, DirectoryError> {
        match (self, UserName::from_directory(name)) {
            (Self::NoUsers, _) => Err(failed(name)),
            (_, Ok(canonical)) if name == "ferris" => {
                Ok(Some(Account { name: canonical, uid: UID, gid: UID }))
            }
            _ => Ok(None),
        }
    }

    fn membership(&self, _: &Account, group: &str) -> Result<Membership, DirectoryError> {
        match self {
            Self::NoGroup(silent) if *silent == group => Err(failed(group)),
            Self::Lost(lost) if *lost == group => Ok(Membership::NoSuchGroup),
            _ if group == "robots" => Ok(Membership::Member),
            _ => Ok(Membership::Outsider),
        }
    }
}

struct Nowhere;

impl EventSink for Nowhere {
    fn event(&mut self, _: &AuditEntry) {}
}

pub(super) struct Daemon {
    pub(super) folder: TempDir,
    pub(super) live: Arc<Live>,
}

/// Everything that can let somebody pass without a second factor.
const LAX: &str = "[policy]\nunenrolled = \"skip\"\nrequired_groups = [\"wheel\"]\nexempt_groups = [\"robots\"]\n\
                   skip_networks = [\"192.0.2.0/24\"]\n";

pub(super) fn daemon(directory: Ldap, config: &str) -> Daemon {
    let folder = TempDir::new().unwrap();
    let config = Config::parse(Path::new("/agent.toml"), config).unwrap();
    let key = MasterKeySource::File(folder.path().join("master.key"));
    let store = StoreConfig { path: folder.path().join("agent.db"), master_key: key };
    let owner = Owner { uid: geteuid().as_raw(), gid: getegid().as_raw() };
    let master = master_key::find(&store.master_key, owner, None).unwrap();
    let system = Arc::new(System);
    let store = Store::open(&store, master, owner, system.clone(), system, Box::new(Nowhere)).unwrap();
    Daemon {
        folder,
        live: Arc::new(Live::new(config, store, Box::new(directory), Arc::new(Hub::default())).unwrap()),
    }
}

pub(super) fn who(rhost: Option<&str>) -> Login {
    Login {
        user: "ferris".to_owned(),
        service: "sshd".to_owned(),
        tty: None,
        rhost: rhost.map(str::to_owned),
        ruser: None,
    }
}

pub(super) fn soon() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

impl Daemon {
    fn break_store(&self, sql: &str) {
        rusqlite::Connection::open(self.folder.path().join("agent.db")).unwrap().execute_batch(sql).unwrap();
    }

    /// How a login ends that nobody answers.
    fn authenticates(&self, caller: Caller, login: Login) -> Outcome {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let (mut ours, mut theirs) = (Connection::new(ours).unwrap(), Connection::new(theirs).unwrap());
        let start =
            Start { login, conversation: Conversation::Messages, prompt: None, echo: Echo::Off, ssh: None };
        // Its answers fit into the socket's buffer: it ends before anybody reads.
        login::authenticate(&self.live, &mut ours, caller, start).unwrap();
        loop {
            match theirs.receive(soon()).unwrap() {
                AgentMessage::Done { outcome } => return outcome,
                AgentMessage::Tell { .. } => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// What the account phase hears: an answer, or that there is none.
    fn accounts(&self, caller: Caller, login: Login) -> Result<AccountAnswer, Outcome> {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let (mut ours, mut theirs) = (Connection::new(ours).unwrap(), Connection::new(theirs).unwrap());
        login::account(&self.live, &mut ours, caller, login).unwrap();
        loop {
            match theirs.receive(soon()).unwrap() {
                AgentMessage::Account { answer } => return Ok(answer),
                AgentMessage::Done { outcome } => return Err(outcome),
                AgentMessage::Tell { .. } => {}
                other => panic!("{other:?}"),
            }
        }
    }

    fn refusal(&self, caller: Caller, request: Request) -> RefusalCode {
        match admin::answer(&self.live, caller, request) {
            Response::Refused(refused) => refused.code,
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_healthy_directory_lets_pass_whom_policy_lets_pass() {
    let daemon = daemon(Ldap::Healthy, LAX);
    for rhost in [None, Some("192.0.2.1")] {
        assert_eq!(daemon.authenticates(Caller::Root, who(rhost)), Outcome::Skipped);
        assert_eq!(daemon.accounts(Caller::Root, who(rhost)), Ok(AccountAnswer::NotRequired));
    }
}

#[test]
fn a_directory_that_fails_lets_nobody_pass() {
    let faults = [
        Ldap::NoUsers,
        Ldap::NoGroup("wheel"),
        Ldap::NoGroup("robots"),
        // A group that must, and that nobody knows, may be the one this user is in.
        Ldap::Lost("wheel"),
    ];
    for fault in faults {
        let daemon = daemon(fault, LAX);
        for caller in [Caller::Root, Caller::User(UID)] {
            for rhost in [None, Some("198.51.100.1"), Some("192.0.2.1")] {
                assert_eq!(daemon.authenticates(caller, who(rhost)), Outcome::Unavailable);
                assert_eq!(daemon.accounts(caller, who(rhost)), Err(Outcome::Unavailable));
            }
        }
    }
}

#[test]
fn an_exempt_group_that_nobody_knows_exempts_nobody() {
    let config = LAX.replace("\"skip\"", "\"deny\"");
    let daemon = daemon(Ldap::Lost("robots"), &config);
    assert_eq!(daemon.authenticates(Caller::Root, who(None)), Outcome::NotEnrolled);
    assert_eq!(daemon.accounts(Caller::Root, who(None)), Ok(AccountAnswer::Required));
}

#[test]
fn a_network_is_skipped_for_a_login_that_root_vouches_for() {
    let config = LAX.replace("\"skip\"", "\"deny\"").replace("\"robots\"", "");
    let daemon = daemon(Ldap::Healthy, &config);
    let near = || who(Some("192.0.2.1"));
    assert_eq!(daemon.authenticates(Caller::Root, near()), Outcome::Skipped);
    // Who is not root writes the remote host into its own PAM handle.
    assert_eq!(daemon.authenticates(Caller::User(UID), near()), Outcome::NotEnrolled);
    assert_eq!(daemon.accounts(Caller::User(UID), near()), Ok(AccountAnswer::Required));
    // And asks for nobody else.
    assert_eq!(daemon.authenticates(Caller::User(UID + 1), near()), Outcome::Unavailable);
    assert_eq!(daemon.accounts(Caller::User(UID + 1), near()), Err(Outcome::Refused));
}

#[test]
fn a_store_that_cannot_be_read_lets_nobody_pass() {
    for damage in ["DROP TABLE account", "DROP TABLE audit"] {
        let daemon = daemon(Ldap::Healthy, LAX);
        daemon.break_store(damage);
        assert_eq!(daemon.authenticates(Caller::Root, who(None)), Outcome::Unavailable, "{damage}");
        let heard = daemon.accounts(Caller::Root, who(None));
        assert_eq!(heard, Err(Outcome::Unavailable), "{damage}");
    }
}

#[test]
fn no_request_gets_past_a_directory_that_fails() {
    let daemon = daemon(Ldap::NoUsers, "");
    let user = || "ferris".to_owned();
    let code = || SecretText::new("123456".to_owned());
    let name = || DeviceName::new("phone").unwrap();
    let device = DeviceId(1);
    let requests = || {
        vec![
            Request::Enroll {
                user: user(),
                kind: OtpKind::Totp,
                name: None,
                parameters: Default::default(),
                proof: None,
                place: Place::Usual,
            },
            Request::Confirm { user: user(), device, code: code(), name: None },
            Request::List { user: Some(user()), after: None },
            Request::Remove { user: user(), device, proof: None },
            Request::Rename { user: user(), device, name: name() },
            Request::RecoveryCodes { user: user(), proof: None },
            Request::Resync { user: user(), device, first: code(), second: code() },
            Request::Verify { user: user(), code: code() },
        ]
    };
    let roots = vec![
        Request::Forget { user: user() },
        Request::Unlock { user: user() },
        Request::Export { user: user(), device },
        Request::Import {
            entries: vec![ImportEntry {
                user: user(),
                name: name(),
                what: Imported::ScratchCodes { codes: vec![SecretText::new("77283484".to_owned())] },
            }],
        },
    ];
    for request in requests().into_iter().chain(roots) {
        let asked = format!("{request:?}");
        assert_eq!(daemon.refusal(Caller::Root, request), RefusalCode::Unavailable, "{asked}");
    }
    for request in requests() {
        let asked = format!("{request:?}");
        assert_eq!(daemon.refusal(Caller::User(UID), request), RefusalCode::Unavailable, "{asked}");
    }
    let [users, devices, ..] = daemon.live.store.counts().unwrap();
    assert_eq!((users, devices), (0, 0));
}

#[test]
fn a_device_that_only_waits_is_none_where_its_kind_alone_would_count() {
    let config = "[policy.service.sshd]\nfactors = [\"totp\"]\n";
    let daemon = daemon(Ldap::Healthy, config);
    let user = || "ferris".to_owned();
    let enroll = |kind| Request::Enroll {
        user: user(),
        kind,
        name: None,
        parameters: Default::default(),
        proof: None,
        place: Place::Usual,
    };
    assert!(matches!(
        admin::answer(&daemon.live, Caller::Root, enroll(OtpKind::Totp)),
        Response::Enrolled(_)
    ));
    assert!(matches!(
        admin::answer(&daemon.live, Caller::Root, Request::RecoveryCodes { user: user(), proof: None }),
        Response::RecoveryCodes { .. }
    ));
    // Nothing is asked that could not be answered.
    assert_eq!(daemon.authenticates(Caller::Root, who(None)), Outcome::NotEnrolled);
}
