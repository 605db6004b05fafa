//! Enrolling and taking over security keys by the command line.

use oss2fa_agent::cli::Exit;
use serde_json::{Value, json};

use crate::scripted::{Answer, Host};

fn wanted(kind: &str, pin: bool, proof: Option<&str>) -> Value {
    json!({"enroll_key": {"user": "ferris", "kind": kind, "name": null, "resident": false, "pin": pin, "proof": proof}})
}

fn step(text: &str) -> (Value, Option<Value>) {
    (json!({"step": {"text": text}}), None)
}

fn device() -> (Value, Option<Value>) {
    let view = json!({"device": 3, "user": "ferris", "name": "fido2", "kind": "fido2", "status": "active",
        "parameters": null, "codes_left": null, "created_at": 1_795_378_335, "last_used_at": null});
    (json!({"device": view}), None)
}

fn pin_wanted(question: &str, typed: &str) -> (Value, Option<Value>) {
    (json!({"pin_wanted": {"question": question}}), Some(json!({"pin": {"pin": typed}})))
}

#[test]
fn an_enrolment_says_what_to_do_and_asks_for_the_pin() {
    let talk = vec![
        step("Plug in your security key if it is not, and touch it when it blinks."),
        pin_wanted("PIN of Soft key (8 tries left): ", "1234"),
        pin_wanted("Wrong PIN. PIN of Soft key (7 tries left): ", "4711"),
        step("Touch it now."),
        device(),
    ];
    let mut host =
        Host::new().serving([(wanted("fido2", true, None), Answer::Talk(talk))]).typing("1234\n4711\n");
    let ran = host.run(&["enroll", "fido2", "--user", "ferris", "--pin"]);
    assert_eq!(ran.exit, Exit::Done, "{ran}");
    insta::assert_snapshot!(ran);
}

#[test]
fn one_more_key_asks_for_a_code_first() {
    let refused = json!({"refused": {"code": "proof_needed", "message": "a change of your devices needs a fresh code of one of them"}});
    let mut host = Host::new()
        .serving([
            (wanted("u2f", false, None), Answer::Message(refused)),
            (wanted("u2f", false, Some("123456")), Answer::Talk(vec![step("Touch it now."), device()])),
        ])
        .on_a_terminal()
        .typing("123456\n");
    let ran = host.run(&["enroll", "u2f", "--user", "ferris"]);
    assert_eq!(ran.exit, Exit::Done, "{ran}");
}

fn by_touch(change: Value) -> Value {
    json!({"by_touch": {"change": change}})
}

fn refused(code: &str) -> Answer {
    Answer::Message(json!({"refused": {"code": code, "message": "a change of your devices needs a proof"}}))
}

const TOUCH_OWN: &str = "Touch a security key that is enrolled already: that shows that the change is yours.";

#[test]
fn whoever_has_keys_alone_touches_one_and_types_nothing() {
    let talk = vec![
        step(TOUCH_OWN),
        step("Touch it now."),
        step("Plug in your security key if it is not, and touch it when it blinks."),
        device(),
    ];
    let mut host = Host::new().serving([
        (wanted("fido2", false, None), refused("touch_needed")),
        (by_touch(wanted("fido2", false, None)), Answer::Talk(talk)),
    ]);
    let ran = host.run(&["enroll", "fido2", "--user", "ferris"]);
    assert_eq!(ran.exit, Exit::Done, "{ran}");
    assert!(ran.stderr.contains(TOUCH_OWN), "{ran}");
}

#[test]
fn whoever_has_both_types_a_code_or_presses_enter_and_touches() {
    let remove = |proof: Option<&str>| json!({"remove": {"user": "ferris", "device": 3, "proof": proof}});
    let done = (json!({"done": {}}), None);
    let words = ["remove", "--user", "ferris", "--device", "3"];
    let mut host = Host::new()
        .serving([
            (remove(None), refused("code_or_touch_needed")),
            (by_touch(remove(None)), Answer::Talk(vec![step(TOUCH_OWN), done])),
        ])
        .on_a_terminal()
        .typing("\n");
    let ran = host.run(&words);
    assert_eq!(ran.exit, Exit::Done, "{ran}");
    assert!(
        ran.stderr.contains("Code from one of your devices, or Enter to touch your security key: "),
        "{ran}"
    );
    let mut host = Host::new()
        .serving([
            (remove(None), refused("code_or_touch_needed")),
            (remove(Some("123456")), Answer::Message(json!({"done": {}}))),
        ])
        .on_a_terminal()
        .typing("123456\n");
    assert_eq!(host.run(&words).exit, Exit::Done);
    // Where nobody can be asked, it is said what can be given.
    let mut host = Host::new().serving([(remove(None), refused("code_or_touch_needed"))]);
    let ran = host.run(&words);
    assert!(ran.exit == Exit::Refused && ran.stderr.contains("--touch"), "{ran}");
}

#[test]
fn a_touch_can_be_asked_for_and_goes_with_no_code() {
    let remove = json!({"remove": {"user": "ferris", "device": 3, "proof": null}});
    let talk = Answer::Talk(vec![step(TOUCH_OWN), (json!({"done": {}}), None)]);
    let mut host = Host::new().serving([(by_touch(remove), talk)]);
    let ran = host.run(&["remove", "--user", "ferris", "--device", "3", "--touch"]);
    assert_eq!(ran.exit, Exit::Done, "{ran}");
    let ran = Host::new().run(&["remove", "--user", "ferris", "--device", "3", "--touch", "--code", "1"]);
    assert_eq!(ran.exit, Exit::Usage, "{ran}");
}

#[test]
fn a_daemon_that_hangs_up_in_the_middle_is_a_failure() {
    let talk = vec![step("Touch it now.")];
    let mut host = Host::new().serving([(wanted("fido2", false, None), Answer::Talk(talk))]);
    let ran = host.run(&["enroll", "fido2", "--user", "ferris"]);
    assert!(ran.exit != Exit::Done && ran.stderr.contains("hung up"), "{ran}");
}

#[test]
fn what_belongs_to_other_kinds_is_refused() {
    for words in [["u2f", "--pin"], ["u2f", "--resident"], ["totp", "--pin"], ["fido2", "--local"]] {
        let ran = Host::new().run(&["enroll", words[0], "--user", "ferris", words[1]]);
        assert_eq!(ran.exit, Exit::Usage, "{words:?}: {ran}");
    }
}

#[test]
fn the_mapping_of_pam_u2f_is_taken_over_with_its_origin() {
    let key = |user: &str, kind: &str, rp_id: &str, pin: bool| {
        json!({"user": user, "name": "pam_u2f", "what": {"security_key": {"kind": kind, "id": "01".repeat(16),
            "public_key": "07".repeat(64), "algorithm": "es256", "rp_id": rp_id, "pin": pin}}})
    };
    let request = json!({"import": {"entries": [
        key("ferris", "fido2", "pam://office", true),
        key("corro", "u2f", "pam://old", false),
    ]}});
    let report = json!({"imported": {"report": [
        {"user": "ferris", "result": {"imported": 1}},
        {"user": "corro", "result": {"refused": "this credential belongs to somebody else here"}},
    ]}});
    let mut host = Host::with_daemon([(request, report)]);
    let new = format!("{},{}", "AQEB".repeat(5) + "AQ==", "BwcH".repeat(21) + "Bw==");
    let file =
        format!("ferris:{new},es256,+presence+pin\ncorro:{},04{}\nnobody\n", &new[..24], "07".repeat(64));
    let path = host.write("u2f_mappings", &file);
    let words =
        ["import", "u2f-keys", path.to_str().unwrap(), "--origin", "pam://office", "--appid", "pam://old"];
    let ran = host.run(&words);
    assert_eq!(ran.exit, Exit::Refused, "{ran}");
    insta::assert_snapshot!(ran);
}
