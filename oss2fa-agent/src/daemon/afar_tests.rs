//! Logins by ssh with a key on a security key: what sshd says of it counts, or a code is asked for.

use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use nix::unistd::{getegid, geteuid};
use oss2fa_core::ids::{DeviceId, DeviceName, UserName};
use oss2fa_core::secret::SecretText;
use oss2fa_core::wire::{
    AgentMessage, Conversation, Echo, Login, ModuleMessage, Outcome, SshAuthInfo, Start,
};
use tempfile::TempDir;

use super::connection::Connection;
use super::heard_tests::Heard;
use super::live::Live;
use super::peer::Caller;
use super::{admin, login};
use crate::admin::{
    DeviceView, ImportEntry, Imported, OtpKind, RefusalCode, Refused, Request, Response, Status,
};
use crate::config::{Config, MasterKeySource, StoreConfig};
use crate::directory::{Account, Directory, DirectoryError, Membership};
use crate::outside::System;
use crate::store::{AuditEntry, Owner, Store, master_key};
use crate::token::soft::Hub;

const UID: u32 = 1000;
const SOON: Duration = Duration::from_secs(60);
const ECDSA: &str = include_str!("../../../oss2fa-core/tests/data/ssh_sk/ecdsa.pub");
const ED25519: &str = include_str!("../../../oss2fa-core/tests/data/ssh_sk/ed25519.pub");
const PLAIN: &str = include_str!("../../../oss2fa-core/tests/data/ssh_sk/plain.pub");
const CERTIFICATE: &str = include_str!("../../../oss2fa-core/tests/data/ssh_sk/ecdsa-cert.pub");
const COUNTS: &str = "ssh_touch_services = [\"sshd\"]\n";
const INSISTS: &str = "PubkeyAuthOptions touch-required\n";
/// Of RFC 4226, appendix D: the first code of the user's other device.
const CODE: &str = "755224";

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

    fn membership(&self, _: &Account, group: &str) -> Result<Membership, DirectoryError> {
        Ok(if group == "staff" { Membership::Member } else { Membership::Outsider })
    }
}

struct Host {
    live: Live,
    heard: Heard,
    folder: TempDir,
}

/// What sshd says after it has taken the key in this file.
fn after(file: &str) -> String {
    let words: Vec<&str> = file.split(' ').take(2).collect();
    format!("publickey {}\n", words.join(" "))
}

/// A host with these lines of `[policy]`, and an sshd with these.
fn host(policy: &str, sshd: &str) -> Host {
    let folder = TempDir::new().unwrap();
    let sshd_config = folder.path().join("sshd_config");
    std::fs::write(&sshd_config, sshd).unwrap();
    let text = format!(
        "[agent]\nlogin_timeout = 5\n[keys]\nsshd_config = {:?}\n[policy]\n{policy}",
        sshd_config.display().to_string()
    );
    let config = Config::parse(Path::new("/agent.toml"), &text).unwrap();
    let key = MasterKeySource::File(folder.path().join("master.key"));
    let store = StoreConfig { path: folder.path().join("agent.db"), master_key: key };
    let owner = Owner { uid: geteuid().as_raw(), gid: getegid().as_raw() };
    let master = master_key::find(&store.master_key, owner, None).unwrap();
    let (system, heard) = (Arc::new(System), Heard::default());
    let sink = Box::new(heard.clone());
    let store = Store::open(&store, master, owner, system.clone(), system, sink).unwrap();
    let live = Live::new(config, store, Box::new(Passwd), Arc::new(Hub::default())).unwrap();
    Host { live, heard, folder }
}

/// The host of most tests: the touch counts, and `ferris` has enrolled the key and a device with codes.
fn prepared(policy: &str, sshd: &str) -> Host {
    let host = host(policy, sshd);
    host.enrolled("ferris", ECDSA);
    host.with_codes("ferris");
    host
}

impl Host {
    fn sshd_config(&self) -> PathBuf {
        self.folder.path().join("sshd_config")
    }

    fn ask(&self, caller: Caller, request: Request) -> Response {
        admin::answer(&self.live, caller, request)
    }

    fn enroll_as(
        &self,
        caller: Caller,
        user: &str,
        file: &str,
        proof: Option<&str>,
    ) -> Result<DeviceView, Refused> {
        let proof = proof.map(|code| SecretText::new(code.to_owned()));
        let request =
            Request::EnrollSshKey { user: user.to_owned(), key: file.to_owned(), name: None, proof };
        match self.ask(caller, request) {
            Response::Device(view) => Ok(view),
            Response::Refused(refused) => Err(refused),
            other => panic!("{other:?}"),
        }
    }

    fn enrolled(&self, user: &str, file: &str) -> DeviceId {
        self.enroll_as(Caller::Root, user, file, None).unwrap().device
    }

    fn with_codes(&self, user: &str) {
        let what = Imported::Otp {
            kind: OtpKind::Hotp,
            secret: SecretText::new("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ".to_owned()),
            parameters: Default::default(),
            next_position: 0,
            drift: 0,
        };
        let entry = ImportEntry { user: user.to_owned(), name: DeviceName::new("token").unwrap(), what };
        let response = self.ask(Caller::Root, Request::Import { entries: vec![entry] });
        assert!(matches!(response, Response::Imported { .. }), "{response:?}");
    }

    /// A login that `caller` begins, and that hangs up at the first prompt: how it ended, or what was asked.
    fn login_by(
        &self,
        caller: Caller,
        user: &str,
        service: &str,
        ssh: Option<&str>,
    ) -> Result<Outcome, String> {
        let login = Login {
            user: user.to_owned(),
            service: service.to_owned(),
            tty: Some("ssh".to_owned()),
            rhost: Some("192.0.2.7".to_owned()),
            ruser: None,
        };
        let ssh = ssh.map(|said| SshAuthInfo::new(said.as_bytes()).unwrap());
        let start =
            Start { login, conversation: Conversation::PromptsOnly, prompt: None, echo: Echo::Off, ssh };
        let (ours, theirs) = UnixStream::pair().unwrap();
        let (mut ours, mut theirs) = (Connection::new(ours).unwrap(), Connection::new(theirs).unwrap());
        thread::scope(|scope| {
            let serving = scope.spawn(move || login::authenticate(&self.live, &mut ours, caller, start));
            let ended = match theirs.receive(Instant::now() + SOON).unwrap() {
                AgentMessage::Ask { text, .. } => {
                    theirs.send(&ModuleMessage::Cancel).unwrap();
                    Err(text.as_str().to_owned())
                }
                AgentMessage::Done { outcome } => Ok(outcome),
                other => panic!("{other:?}"),
            };
            drop(theirs);
            // It may have had more to say to whoever has hung up.
            let _told = serving.join().unwrap();
            ended
        })
    }

    /// A login of `ferris` by sshd, which says this of it.
    fn login(&self, ssh: &str) -> Result<Outcome, String> {
        self.login_by(Caller::Root, "ferris", "sshd", Some(ssh))
    }

    /// The newest event, once all that are in the store have gone to the system log: that happens just after the answer.
    fn newest(&self) -> AuditEntry {
        self.heard.all_of(self.folder.path()).pop().unwrap()
    }

    fn last_used(&self, user: &str, id: DeviceId) -> Option<u64> {
        let list = Request::List { user: Some(user.to_owned()), after: None };
        let Response::Devices { devices, .. } = self.ask(Caller::Root, list) else { panic!("no list") };
        devices.iter().find(|view| view.device == id).unwrap().last_used_at
    }

    fn remove_as(&self, caller: Caller, device: DeviceId, proof: Option<&str>) -> Result<(), Refused> {
        let proof = proof.map(|code| SecretText::new(code.to_owned()));
        match self.ask(caller, Request::Remove { user: "ferris".to_owned(), device, proof }) {
            Response::Done {} => Ok(()),
            Response::Refused(refused) => Err(refused),
            other => panic!("{other:?}"),
        }
    }
}

fn asked() -> Result<Outcome, String> {
    Err("Verification code: ".to_owned())
}

#[test]
fn the_touch_of_an_enrolled_key_lets_its_owner_in_without_a_prompt() {
    let host = host(COUNTS, INSISTS);
    host.with_codes("ferris");
    let (ecdsa, ed25519) = (host.enrolled("ferris", ECDSA), host.enrolled("ferris", ED25519));
    assert_eq!(host.newest().event, "confirmed");
    assert!(host.newest().detail.contains("SHA256:4Zq4NvkzyOrcfA0NDTOJJA73lSlsXgDOjWqx1rgE7QE"));
    for (file, id) in [(ECDSA, ecdsa), (ED25519, ed25519)] {
        assert_eq!(host.last_used("ferris", id), None);
        assert_eq!(host.login(&after(file)), Ok(Outcome::Verified));
        assert!(host.last_used("ferris", id).is_some());
    }
    // Each login has a signature of its own, which sshd has verified.
    assert_eq!(host.login(&after(ECDSA)), Ok(Outcome::Verified));
    let entry = host.newest();
    assert_eq!(
        (entry.event.as_str(), entry.user.as_str(), entry.service.as_str()),
        ("accepted", "ferris", "sshd")
    );
    assert_eq!(entry.source, "net:192.0.2.7");
    assert_eq!(
        entry.detail,
        format!(
            "ssh_sk device={ecdsa} SHA256:YfxyAoN7k01mLpOFpO2x8dhREXxkenkd8ySB+K95yuA, sshd insists on its touch"
        )
    );
    // Another method beside it, before or after.
    let both = format!("password\n{}keyboard-interactive/pam\n", after(ECDSA));
    assert_eq!(host.login(&both), Ok(Outcome::Verified));
}

#[test]
fn a_code_is_asked_for_where_the_key_is_none_that_counts() {
    let host = prepared(COUNTS, INSISTS);
    host.enrolled("corro", ED25519);
    for said in [
        after(PLAIN),
        after(CERTIFICATE),
        after(ED25519),
        "password\n".to_owned(),
        format!("hostbased{}", &after(ECDSA)[9..]),
    ] {
        assert_eq!(host.login(&said), asked(), "{said}");
    }
    assert_eq!(host.login_by(Caller::Root, "ferris", "sshd", None), asked());
    assert_eq!(host.login(&after(ECDSA)), Ok(Outcome::Verified), "the one that does");
}

#[test]
fn only_sshd_is_believed_and_only_where_policy_names_it() {
    let host = prepared(COUNTS, INSISTS);
    let said = after(ECDSA);
    assert_eq!(
        host.login_by(Caller::User(UID), "ferris", "sshd", Some(&said)),
        asked(),
        "a program of the user's"
    );
    assert_eq!(host.login_by(Caller::Root, "ferris", "sudo", Some(&said)), asked());
    for policy in [
        "",
        "ssh_touch_services = []\n",
        "ssh_touch_services = [\"ssh\"]\n",
        "ssh_touch_services = [\"sshd\"]\n[policy.service.sshd]\nfactors = [\"totp\", \"hotp\"]\n",
        // A service without a rule goes by the strictest of all.
        "ssh_touch_services = [\"sshd\"]\n[policy.service.sudo]\nfactors = [\"hotp\"]\n",
    ] {
        assert_eq!(prepared(policy, INSISTS).login(&said), asked(), "{policy}");
    }
}

#[test]
fn it_counts_only_where_sshd_insists_on_the_touch_of_this_very_login() {
    let said = after(ECDSA);
    let required = format!("{COUNTS}user_verification = \"required\"\n");
    for (policy, sshd, counts) in [
        (COUNTS, "", false),
        (COUNTS, "PubkeyAuthOptions none\n", false),
        (COUNTS, "PubkeyAuthOptions touch-required\nMatch User ferris\nPubkeyAuthOptions none\n", false),
        (COUNTS, "PubkeyAuthOptions touch-required\nMatch Group staff\nPubkeyAuthOptions none\n", false),
        (
            COUNTS,
            "PubkeyAuthOptions touch-required\nMatch Address 192.0.2.0/24\nPubkeyAuthOptions none\n",
            false,
        ),
        (COUNTS, "PubkeyAuthOptions touch-required\nMatch Host elsewhere\nPubkeyAuthOptions none\n", false),
        (COUNTS, "PubkeyAuthOptions touch-required\nMatch User corro\nPubkeyAuthOptions none\n", true),
        (COUNTS, "Match User ferris Address 192.0.2.0/24\nPubkeyAuthOptions touch-required\n", true),
        (COUNTS, "Match User corro\nPubkeyAuthOptions touch-required\n", false),
        (COUNTS, "PubkeyAuthOptions touch-required\nInclude /nonexistent/[a]/*.conf\n", false),
        (required.as_str(), INSISTS, false),
        (required.as_str(), "PubkeyAuthOptions touch-required verify-required\n", true),
    ] {
        let expected = if counts { Ok(Outcome::Verified) } else { asked() };
        assert_eq!(prepared(policy, sshd).login(&said), expected, "{policy}{sshd}");
    }
}

#[test]
fn what_sshd_goes_by_is_read_at_each_login() {
    let host = prepared(COUNTS, INSISTS);
    let said = after(ECDSA);
    assert_eq!(host.login(&said), Ok(Outcome::Verified));
    std::fs::write(host.sshd_config(), "PubkeyAuthOptions none\n").unwrap();
    assert_eq!(host.login(&said), asked());
    std::fs::write(host.sshd_config(), INSISTS).unwrap();
    assert_eq!(host.login(&said), Ok(Outcome::Verified));
    std::fs::remove_file(host.sshd_config()).unwrap();
    assert_eq!(host.login(&said), asked());
}

#[test]
fn a_key_counts_for_whoever_has_enrolled_it_and_as_long_as_they_have() {
    let host = prepared(COUNTS, INSISTS);
    host.with_codes("corro");
    let said = after(ECDSA);
    assert_eq!(host.login_by(Caller::Root, "corro", "sshd", Some(&said)), asked(), "it is somebody else's");
    // Whoever becomes root has one key for both accounts.
    let second = host.enrolled("corro", ECDSA);
    assert_eq!(host.login_by(Caller::Root, "corro", "sshd", Some(&said)), Ok(Outcome::Verified));
    assert!(host.newest().detail.contains(&format!("device={second} ")));
    let first = host.enroll_as(Caller::Root, "ferris", ECDSA, None).unwrap_err();
    assert!(first.message.contains("enrolled already"), "{first:?}");

    let list = Request::List { user: Some("ferris".to_owned()), after: None };
    let Response::Devices { devices, .. } = host.ask(Caller::Root, list) else { panic!("no list") };
    let rename = Request::Rename {
        user: "ferris".to_owned(),
        device: devices[0].device,
        name: DeviceName::new("key ring").unwrap(),
    };
    assert!(
        matches!(host.ask(Caller::Root, rename), Response::Device(view) if view.name.as_str() == "key ring")
    );
    host.remove_as(Caller::Root, devices[0].device, None).unwrap();
    assert_eq!(host.login(&said), asked());
    assert_eq!(host.login_by(Caller::Root, "corro", "sshd", Some(&said)), Ok(Outcome::Verified));
}

#[test]
fn an_enrolment_needs_what_every_other_one_does() {
    let host = host(COUNTS, INSISTS);
    let (owner, other) = (Caller::User(UID), Caller::User(UID + 1));
    let refusal = |caller, file, proof| {
        host.enroll_as(caller, "ferris", file, proof).map(drop).map_err(|refused| refused.code)
    };
    assert_eq!(refusal(other, ECDSA, None), Err(RefusalCode::NotAllowed));
    for bad in [PLAIN, CERTIFICATE, "", "no-touch-required sk-ssh-ed25519@openssh.com AAAA"] {
        assert_eq!(refusal(owner, bad, None), Err(RefusalCode::BadRequest), "{bad}");
    }
    host.with_codes("ferris");
    assert_eq!(refusal(owner, ECDSA, None), Err(RefusalCode::ProofNeeded));
    assert_eq!(refusal(owner, ECDSA, Some("000000")), Err(RefusalCode::CodeRefused));
    assert_eq!(refusal(owner, PLAIN, Some(CODE)), Err(RefusalCode::BadRequest), "and the code is not spent");
    assert_eq!(refusal(owner, ECDSA, Some(CODE)), Ok(()));
    let forbidden = self::host("ssh_touch_services = [\"sshd\"]\nself_service = [\"list\"]\n", INSISTS);
    let refused = forbidden.enroll_as(owner, "ferris", ECDSA, None).unwrap_err();
    assert_eq!(refused.code, RefusalCode::NotAllowed);
}

#[test]
fn whoever_has_nothing_but_such_a_key_is_told_how_to_enrol_where_it_does_not_count() {
    let host = host(COUNTS, INSISTS);
    let (owner, key) = (Caller::User(UID), host.enrolled("ferris", ECDSA));
    assert_eq!(host.login(&after(ECDSA)), Ok(Outcome::Verified));
    // Where messages are not shown the prompt says it.
    for (service, ssh) in [("sudo", None), ("login", Some(after(ECDSA)))] {
        let prompt = host.login_by(Caller::Root, "ferris", service, ssh.as_deref()).unwrap_err();
        assert!(prompt.contains("oss2fa-agent enroll totp --user ferris"), "{service}: {prompt}");
    }
    assert_eq!(host.login(&after(PLAIN)), asked(), "as everybody who has a device that counts here");
    // Deleting it never turns the second factor off.
    assert_eq!(host.remove_as(owner, key, None).unwrap_err().code, RefusalCode::LastFactor);
    assert_eq!(host.enroll_as(owner, "ferris", ED25519, None).unwrap_err().code, RefusalCode::NotAllowed);
    host.with_codes("ferris");
    let codes = DeviceId(key.0 + 1);
    let last = host.remove_as(owner, codes, Some(CODE)).unwrap_err();
    assert_eq!(last.code, RefusalCode::LastFactor, "the key opens nothing at the host itself");
    host.remove_as(owner, key, Some(CODE)).unwrap();
    assert_eq!(host.login(&after(ECDSA)), asked());
}

#[test]
fn the_status_says_where_a_touch_counts_and_why_it_does_not() {
    let status = |host: &Host| match host.ask(Caller::Root, Request::Status {}) {
        Response::Status(Status { ssh_touch, .. }) => {
            ssh_touch.into_iter().map(|touch| (touch.service, touch.not_counted)).collect::<Vec<_>>()
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(status(&host("", INSISTS)), []);
    assert_eq!(status(&host(COUNTS, INSISTS)), [("sshd".to_owned(), None)]);
    let not = status(&host(COUNTS, ""));
    assert!(not[0].1.as_ref().unwrap().contains("`PubkeyAuthOptions none`, as it is by default"), "{not:?}");
    let for_some =
        status(&host(COUNTS, "PubkeyAuthOptions touch-required\nMatch User corro\nPubkeyAuthOptions none\n"));
    assert!(for_some[0].1.as_ref().unwrap().contains("`Match User corro`"), "{for_some:?}");
}
