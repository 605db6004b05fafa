//! Enrolling keys of ssh that live on security keys, by the command line.

use oss2fa_agent::cli::Exit;
use serde_json::{Value, json};

use crate::scripted::{Answer, Host};

const KEY: &str = include_str!("../../../oss2fa-core/tests/data/ssh_sk/ecdsa.pub");
const PLAIN: &str = include_str!("../../../oss2fa-core/tests/data/ssh_sk/plain.pub");

fn two_words() -> String {
    KEY.split(' ').take(2).collect::<Vec<_>>().join(" ")
}

fn wanted(name: Option<&str>, proof: Option<&str>) -> Value {
    json!({"enroll_ssh_key": {"user": "ferris", "key": two_words(), "name": name, "proof": proof}})
}

fn device(name: &str) -> Value {
    json!({"device": {"device": 3, "user": "ferris", "name": name, "kind": "ssh_sk", "status": "active",
        "parameters": null, "codes_left": null, "created_at": 1_795_378_335, "last_used_at": null}})
}

fn enroll(host: &mut Host, text: &str, more: &[&str]) -> crate::scripted::Ran {
    let path = host.write("id.pub", text);
    let words = [&["enroll", "ssh-sk", path.to_str().unwrap(), "--user", "ferris"], more].concat();
    host.run(&words)
}

#[test]
fn a_key_is_enrolled_by_its_file_and_named_by_its_comment() {
    let mut host = Host::with_daemon([(wanted(Some("ferris@ecdsa"), None), device("ferris@ecdsa"))]);
    let ran = enroll(&mut host, KEY, &[]);
    assert_eq!(ran.exit, Exit::Done, "{ran}");
    insta::assert_snapshot!(ran);
    let mut host = Host::with_daemon([(wanted(Some("key ring"), None), device("key ring"))]);
    assert_eq!(enroll(&mut host, KEY, &["--name", "key ring"]).exit, Exit::Done);
    let mut host = Host::with_daemon([(wanted(None, None), device("ssh_sk"))]);
    assert_eq!(enroll(&mut host, &two_words(), &[]).exit, Exit::Done);
}

#[test]
fn one_more_device_asks_for_a_code_first() {
    let refused = json!({"refused": {"code": "proof_needed", "message": "a change of your devices needs a fresh code of one of them"}});
    let mut host = Host::new()
        .serving([
            (wanted(Some("k"), None), Answer::Message(refused)),
            (wanted(Some("k"), Some("123456")), Answer::Message(device("k"))),
        ])
        .on_a_terminal()
        .typing("123456\n");
    let ran = enroll(&mut host, KEY, &["--name", "k"]);
    assert_eq!(ran.exit, Exit::Done, "{ran}");
}

#[test]
fn what_is_no_such_key_is_told_without_asking_the_agent() {
    for (text, why) in [
        (PLAIN, "ssh-keygen -t ecdsa-sk"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\n", "the private part of a key"),
        ("", "there is no key in it"),
    ] {
        let ran = enroll(&mut Host::new(), text, &[]);
        assert!(ran.exit == Exit::Refused && ran.stderr.contains(why), "{ran}");
    }
    for words in [
        vec!["enroll", "ssh-sk"],
        vec!["enroll", "ssh-sk", "x.pub", "--pin"],
        vec!["enroll", "ssh-sk", "x.pub", "--local"],
    ] {
        let ran = Host::new().run(&words);
        assert_eq!(ran.exit, Exit::Usage, "{words:?}: {ran}");
    }
}
