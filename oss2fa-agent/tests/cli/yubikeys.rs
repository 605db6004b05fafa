//! Enrolling and taking over YubiKeys by the command line.

use oss2fa_agent::cli::Exit;
use serde_json::{Value, json};

use crate::scripted::{Answer, Host};

const OTP: &str = "vvccccccbcgubudelvecubhnnrglftvvvvkftcnrjldh";

fn device(kind: &str) -> Value {
    let view = json!({"device": 3, "user": "ferris", "name": kind, "kind": kind, "status": "active",
        "parameters": null, "codes_left": null, "created_at": 1_795_378_335, "last_used_at": null});
    json!({"device": view})
}

fn slot(number: &str) -> Value {
    json!({"enroll_yubikey": {"user": "ferris", "slot": number, "name": null, "proof": null}})
}

fn typist(secrets: Value, proof: Option<&str>) -> Value {
    json!({"enroll_typist": {"user": "ferris", "name": null, "otp": OTP, "secrets": secrets, "proof": proof}})
}

#[test]
fn a_slot_is_enrolled_with_words_at_each_step() {
    for (words, number) in [(vec!["--slot", "1"], "1"), (vec!["--slot", "2"], "2"), (vec![], "2")] {
        let steps = ["Plug in your YubiKey.", "Touch it now.", "Touch it once more."];
        let mut talk: Vec<(Value, Option<Value>)> =
            steps.map(|text| (json!({"step": {"text": text}}), None)).to_vec();
        talk.push((device("yubikey_hmac"), None));
        let mut host = Host::new().serving([(slot(number), Answer::Talk(talk))]);
        let ran = host.run(&[vec!["enroll", "yubikey-hmac", "--user", "ferris"], words].concat());
        assert_eq!(ran.exit, Exit::Done, "{ran}");
        insta::allow_duplicates! { insta::assert_snapshot!(ran) };
    }
}

#[test]
fn one_touch_enrols_a_key_that_validation_servers_know() {
    let mut host = Host::with_daemon([(typist(Value::Null, None), device("yubico_otp"))]).typing(OTP);
    let ran = host.run(&["enroll", "yubico-otp", "--user", "ferris"]);
    assert_eq!(ran.exit, Exit::Done, "{ran}");
    assert!(!ran.to_string().contains(OTP), "{ran}");
    insta::assert_snapshot!(ran);
}

#[test]
fn own_secrets_are_asked_for_before_the_touch() {
    let (private_id, key) = ("8792ebfe26cc", "ecde18dbe76fbd0c33330f1c354871db");
    let secrets = json!({"private_id": private_id, "key": key});
    let mut host = Host::with_daemon([(typist(secrets.clone(), None), device("yubico_otp"))])
        .on_a_terminal()
        .typing(&format!("{private_id}\n{key}\n{OTP}\n"));
    let ran = host.run(&["enroll", "yubico-otp", "--user", "ferris", "--own-secrets"]);
    assert_eq!(ran.exit, Exit::Done, "{ran}");
    assert!(ran.stderr.contains("AES key (32 hexadecimal digits, not shown): "), "{ran}");
    assert!(!ran.to_string().contains(key), "{ran}");

    let mut host =
        Host::with_daemon([(typist(secrets, None), device("yubico_otp"))]).typing(&format!("{key}\n{OTP}\n"));
    let words = ["enroll", "yubico-otp", "--user", "ferris", "--own-secrets", "--private-id", private_id];
    let ran = host.run(&[words.as_slice(), &["--aes-key", "-", "--public-id", "vvccccccbcgu"]].concat());
    assert_eq!(ran.exit, Exit::Done, "{ran}");
}

#[test]
fn a_key_that_is_not_the_one_that_is_meant_is_not_sent() {
    let mut host = Host::new().typing(OTP);
    let ran = host.run(&["enroll", "yubico-otp", "--user", "ferris", "--public-id", "vvccccccbcgv"]);
    assert_eq!(ran.exit, Exit::Usage, "{ran}");
    assert!(ran.stderr.contains("vvccccccbcgu"), "{ran}");
}

#[test]
fn one_more_key_asks_for_a_code_and_the_touch_is_kept() {
    let refused = json!({"refused": {"code": "proof_needed", "message": "a change of your devices needs a fresh code of one of them"}});
    let mut host = Host::with_daemon([
        (typist(Value::Null, None), refused),
        (typist(Value::Null, Some("123456")), device("yubico_otp")),
    ])
    .on_a_terminal()
    .typing(&format!("{OTP}\n123456\n"));
    let ran = host.run(&["enroll", "yubico-otp", "--user", "ferris"]);
    assert_eq!(ran.exit, Exit::Done, "{ran}");
}

#[test]
fn what_belongs_to_other_kinds_is_refused() {
    for words in [
        vec!["totp", "--slot", "1"],
        vec!["yubico-otp", "--slot", "1"],
        vec!["yubikey-hmac", "--own-secrets"],
        vec!["fido2", "--public-id", "vvccccccbcgu"],
        vec!["yubikey-hmac", "--slot", "3"],
        vec!["yubico-otp", "--aes-key", "-"],
        vec!["yubico-otp", "--public-id", "12345"],
        vec!["yubico-otp", "--pin"],
        vec!["yubikey-hmac", "ferris@example.org"],
    ] {
        let ran = Host::new().run(&[vec!["enroll"], words.clone(), vec!["--user", "ferris"]].concat());
        assert_eq!(ran.exit, Exit::Usage, "{words:?}: {ran}");
    }
}

#[test]
fn the_mapping_of_pam_yubico_is_taken_over() {
    let key = |user: &str, public_id: &str| json!({"user": user, "name": "pam_yubico", "what": {"yubico_otp": {"public_id": public_id}}});
    let request = json!({"import": {"entries": [
        key("ferris", "vvccccccbcgu"), key("ferris", "ccccccducrrn"), key("corro", "ccccccducrrn"),
    ]}});
    let report = json!({"imported": {"report": [
        {"user": "ferris", "result": {"imported": 1}},
        {"user": "ferris", "result": {"already_there": 2}},
        {"user": "corro", "result": "unknown_user"},
    ]}});
    let mut host = Host::with_daemon([(request, report)]);
    let state = format!("v2:{}:{}:{}:10000:2", "0f".repeat(63), "1f".repeat(20), "2f".repeat(32));
    let file = format!(
        "# from pam_yubico\nferris:vvccccccbcgu:CCCCCCDUCRRN:nomodhex1\ncorro:ccccccducrrn\nnobody\n{state}\n"
    );
    let path = host.write("yubikey_mappings", &file);
    let ran = host.run(&["import", "yubikey-authfile", path.to_str().unwrap()]);
    assert_eq!(ran.exit, Exit::Refused, "{ran}");
    insta::assert_snapshot!(ran);
}
