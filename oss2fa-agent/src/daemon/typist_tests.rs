//! Enrolments and logins with YubiKeys that type passwords, which are made by `ykgenerate`; the secrets are here, or with
//! a validation server that answers by a script.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::thread;

use oss2fa_core::factor::yubico_validation::ApiKey;
use oss2fa_core::ids::DeviceName;
use oss2fa_core::secret::SecretText;
use oss2fa_core::wire::{Conversation, Outcome};
use tempfile::TempDir;

use super::admin;
use super::keyring_tests::{Host, UID, host};
use super::peer::Caller;
use crate::admin::{
    ImportEntry, ImportResult, Imported, RefusalCode, Request, Response, TypistEnrollment, TypistSecrets,
};

const PUBLIC_ID: &str = "vvccccccbcgu";
const PRIVATE_ID: &str = "8792ebfe26cc";
const KEY: &str = "ecde18dbe76fbd0c33330f1c354871db";
const API_KEY: &str = "MTIzNDU2Nzg5MDEyMzQ1Njc4OTA=";

/// What the key types when it was touched so often since it was plugged in.
fn typed(used: u8) -> String {
    let output = Command::new("/usr/bin/ykgenerate")
        .args([KEY, PRIVATE_ID, "0001", "c9a8", "00", &format!("{used:02x}")])
        .output()
        .expect("ykgenerate of Debian's libyubikey-dev");
    assert!(output.status.success());
    format!("{PUBLIC_ID}{}", String::from_utf8(output.stdout).unwrap().trim())
}

fn enrollment(user: &str, otp: &str, secrets: Option<(&str, &str)>) -> TypistEnrollment {
    let secret = |text: &str| SecretText::new(text.to_owned());
    let secrets =
        secrets.map(|(private_id, key)| TypistSecrets { private_id: secret(private_id), key: secret(key) });
    TypistEnrollment { user: user.to_owned(), name: None, otp: secret(otp), secrets, proof: None }
}

impl Host {
    fn enroll(&self, caller: Caller, wanted: TypistEnrollment) -> Result<(), (RefusalCode, String)> {
        match admin::answer(&self.live, caller, Request::EnrollTypist(wanted)) {
            Response::Device(view) => {
                assert_eq!(view.name.as_str(), "yubico_otp");
                Ok(())
            }
            Response::Refused(refused) => Err((refused.code, refused.message)),
            other => panic!("{other:?}"),
        }
    }

    fn over_ssh(&self, otp: &str) -> Option<Outcome> {
        self.login_to("sshd", Conversation::Messages, &[otp]).outcome
    }
}

const OWN: Option<(&str, &str)> = Some((PRIVATE_ID, KEY));

/// The number that a key of this public id and number of touches has, as validation servers tell it.
struct Answer {
    status: &'static str,
    used: u8,
}

/// Answers each question in turn, signed; when there is nothing more to answer, nobody is there.
fn validates(answers: Vec<Answer>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/wsapi/2.0/verify", listener.local_addr().unwrap());
    thread::spawn(move || {
        for Answer { status, used } in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let mut head = vec![0; 8192];
            let length = stream.read(&mut head).unwrap();
            let text = String::from_utf8_lossy(&head[..length]).into_owned();
            let target = text.split(' ').nth(1).unwrap_or_default();
            let asked = reqwest::Url::parse(&format!("http://x{target}")).unwrap();
            let asked: BTreeMap<String, String> = asked.query_pairs().into_owned().collect();
            let used = used.to_string();
            let fields = [
                ("nonce", asked["nonce"].as_str()),
                ("otp", &asked["otp"]),
                ("sessioncounter", "1"),
                ("sessionuse", &used),
                ("status", status),
                ("timestamp", "7"),
            ];
            let lines = fields.map(|(name, value)| format!("{name}={value}")).join("\r\n");
            let body = format!("h={}\r\n{lines}\r\n", ApiKey::parse(API_KEY).unwrap().sign(fields));
            let head =
                format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
            stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
        }
    });
    url
}

/// A host that has its YubiKeys validated there.
fn host_of(url: &str) -> (Host, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    fs::write(&secret, API_KEY).unwrap();
    fs::set_permissions(&secret, Permissions::from_mode(0o600)).unwrap();
    let text = format!("[yubico]\nurls = [{url:?}]\nclient_id = 87\nsecret_file = {secret:?}\ntimeout = 2\n");
    (host(&text), folder)
}

#[test]
fn one_touch_enrols_a_key_with_its_own_secrets_and_each_one_after_it_lets_in() {
    let host = host("");
    assert_eq!(host.enroll(Caller::Root, enrollment("ferris", &typed(0), OWN)), Ok(()));
    assert_eq!(host.newest().event, "confirmed");
    assert_eq!(host.over_ssh(&typed(0)), Some(Outcome::Refused), "it has enrolled the key");
    assert_eq!(host.over_ssh(&typed(1)), Some(Outcome::Verified));
    assert_eq!(host.over_ssh(&typed(1)), Some(Outcome::Refused));
    let ended = host.login(&[&format!(" {} ", typed(2).to_uppercase())]);
    assert_eq!(
        (ended.outcome, ended.prompts),
        (Some(Outcome::Verified), vec!["Verification code: ".to_owned()])
    );
    assert!(host.newest().detail.starts_with("yubico_otp device="), "{:?}", host.newest());
}

#[test]
fn a_key_whose_secrets_are_others_is_not_enrolled() {
    let host = host("");
    let wrong = Some(("000000000000", KEY));
    let (code, why) = host.enroll(Caller::Root, enrollment("ferris", &typed(0), wrong)).unwrap_err();
    assert_eq!(code, RefusalCode::BadRequest);
    assert!(why.contains("does not have this private id"), "{why}");
    for (secrets, words) in [((PRIVATE_ID, "00"), "32 hexadecimal"), (("", KEY), "12 hexadecimal")] {
        let (_, why) = host.enroll(Caller::Root, enrollment("ferris", &typed(0), Some(secrets))).unwrap_err();
        assert!(why.contains(words), "{why}");
    }
    let (_, why) = host.enroll(Caller::Root, enrollment("ferris", "123456", OWN)).unwrap_err();
    assert!(why.contains("no password of a YubiKey"), "{why}");
    assert!(!why.contains(KEY), "{why}");
}

#[test]
fn a_password_vouches_for_one_more_device_as_any_code_does() {
    let host = host("");
    let caller = Caller::User(UID);
    assert_eq!(host.enroll(caller, enrollment("ferris", &typed(0), OWN)), Ok(()), "the first needs no code");
    let request = |proof: Option<String>| Request::RecoveryCodes {
        user: "ferris".to_owned(),
        proof: proof.map(SecretText::new),
    };
    let refusal = |response| match response {
        Response::Refused(refused) => refused.code,
        other => panic!("{other:?}"),
    };
    assert_eq!(refusal(admin::answer(&host.live, caller, request(None))), RefusalCode::ProofNeeded);
    let old = admin::answer(&host.live, caller, request(Some(typed(0))));
    assert_eq!(refusal(old), RefusalCode::CodeRefused);
    let fresh = admin::answer(&host.live, caller, request(Some(typed(1))));
    assert!(matches!(fresh, Response::RecoveryCodes { .. }), "{fresh:?}");
    let again = Request::Verify { user: "ferris".to_owned(), code: SecretText::new(typed(1)) };
    assert_eq!(refusal(admin::answer(&host.live, caller, again)), RefusalCode::CodeRefused);
    assert_eq!(
        host.enroll(Caller::User(UID + 1), enrollment("ferris", &typed(2), OWN)).unwrap_err().0,
        RefusalCode::NotAllowed
    );
}

#[test]
fn validation_servers_vouch_for_a_key_and_what_they_accept_is_spent_here_as_well() {
    let ok = |used| Answer { status: "OK", used };
    let replayed = Answer { status: "REPLAYED_OTP", used: 0 };
    // A server that forgets what it has accepted: this host does not.
    let (host, _folder) = host_of(&validates(vec![ok(0), ok(1), ok(1), replayed, ok(2)]));
    assert_eq!(host.enroll(Caller::Root, enrollment("ferris", &typed(0), None)), Ok(()));
    assert_eq!(host.over_ssh(&typed(1)), Some(Outcome::Verified));
    assert_eq!(host.over_ssh(&typed(1)), Some(Outcome::Refused));
    assert_eq!(host.over_ssh(&typed(2)), Some(Outcome::Refused), "they say that it was used");
    assert_eq!(host.over_ssh(&typed(2)), Some(Outcome::Verified));
}

#[test]
fn while_validation_servers_are_away_nobody_gets_in_and_no_try_is_counted() {
    let (host, _folder) = host_of(&validates(vec![Answer { status: "OK", used: 0 }]));
    assert_eq!(host.enroll(Caller::Root, enrollment("ferris", &typed(0), None)), Ok(()));
    let before = host.newest().seq;
    for _ in 0..10 {
        assert_eq!(host.over_ssh(&typed(1)), Some(Outcome::Unavailable));
    }
    assert_eq!(host.newest().seq, before, "a wrong try was written down");
    // Nobody is asked about a password of another key: that is a wrong code as any other.
    let foreign = format!("vvccccccbcgv{}", &typed(1)[12..]);
    assert_eq!(host.over_ssh(&foreign), Some(Outcome::Refused));
    let (code, why) = host.enroll(Caller::Root, enrollment("corro", &typed(1), None)).unwrap_err();
    assert_eq!(code, RefusalCode::Unavailable);
    assert!(why.contains("no validation server could judge"), "{why}");
}

#[test]
fn what_validation_servers_refuse_enrols_nothing() {
    let (host, _folder) = host_of(&validates(vec![Answer { status: "BAD_OTP", used: 0 }]));
    let (_, why) = host.enroll(Caller::Root, enrollment("ferris", &typed(0), None)).unwrap_err();
    assert!(why.contains("do not take that password"), "{why}");
}

#[test]
fn ids_of_pam_yubico_are_taken_over_only_where_somebody_can_judge_them() {
    let entries = || {
        let what = Imported::YubicoOtp { public_id: PUBLIC_ID.to_owned() };
        vec![ImportEntry { user: "ferris".to_owned(), name: DeviceName::new("pam_yubico").unwrap(), what }]
    };
    let import =
        |host: &Host| match admin::answer(&host.live, Caller::Root, Request::Import { entries: entries() }) {
            Response::Imported { mut report } => report.remove(0).result,
            other => panic!("{other:?}"),
        };
    let alone = host("");
    assert!(matches!(import(&alone), ImportResult::Refused(why) if why.contains("[yubico]")));
    let (host, _folder) = host_of(&validates(vec![Answer { status: "OK", used: 0 }]));
    assert!(matches!(import(&host), ImportResult::Imported(_)));
    assert_eq!(host.over_ssh(&typed(0)), Some(Outcome::Verified));
    assert_eq!(host.newest().event, "accepted");
}

#[test]
fn too_many_wrong_passwords_make_a_pause() {
    let host = host("[locks]\nfree_attempts = 2\n");
    assert_eq!(host.enroll(Caller::Root, enrollment("ferris", &typed(5), OWN)), Ok(()));
    for _ in 0..2 {
        assert_eq!(host.over_ssh(&typed(1)), Some(Outcome::Refused));
    }
    assert_eq!(host.over_ssh(&typed(6)), Some(Outcome::Locked));
}
