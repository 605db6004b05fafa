//! Each command's request and what is made of the answer.

use nix::unistd::{User, getuid};
use serde_json::{Value, json};

use crate::scripted::{Host, Ran};
use oss2fa_agent::cli::Exit;

const URI: &str = "otpauth://totp/host:ferris?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=host\
                   &algorithm=SHA1&digits=6&period=30";

fn device(id: u64, name: &str, kind: &str, status: &str) -> Value {
    let parameters = match kind {
        "recovery_code" => Value::Null,
        _ => json!({"algorithm": "sha1", "digits": 6, "period": 30}),
    };
    json!({"device": id, "user": "ferris", "name": name, "kind": kind, "status": status,
        "parameters": parameters, "codes_left": null, "created_at": 1_700_000_000_u64, "last_used_at": null})
}

fn enroll_request(proof: Option<&str>) -> Value {
    json!({"enroll": {"user": "ferris", "kind": "totp", "name": null, "proof": proof,
        "parameters": {"algorithm": "sha1", "digits": 6, "period": 30}}})
}

fn enrolled() -> Value {
    json!({"enrolled": {"device": 7, "kind": "totp", "status": "pending", "provisioning_uri": URI}})
}

fn confirm_request(code: &str) -> Value {
    json!({"confirm": {"user": "ferris", "device": 7, "code": code}})
}

fn refused(code: &str, message: &str) -> Value {
    json!({"refused": {"code": code, "message": message}})
}

fn own_name() -> String {
    User::from_uid(getuid()).unwrap().unwrap().name
}

fn json_of(ran: &Ran) -> Value {
    assert_eq!(ran.exit, Exit::Done, "{ran}");
    assert_eq!(ran.stdout.lines().count(), 1, "{ran}");
    serde_json::from_str(&ran.stdout).unwrap()
}

#[test]
fn enroll_shows_a_device_and_asks_for_its_first_code() {
    let ran = Host::with_daemon([
        (enroll_request(None), enrolled()),
        (confirm_request("123456"), json!({"device": device(7, "totp", "totp", "active")})),
    ])
    .on_a_terminal()
    .typing(" 123456 \n")
    .run(&["enroll", "totp", "--user", "ferris"]);
    assert_eq!(ran.exit, Exit::Done, "{ran}");
    insta::assert_snapshot!(ran);
}

#[test]
fn enroll_asks_three_times_and_then_says_how_to_go_on() {
    let wrong = || refused("code_refused", "that code was not accepted");
    let ran = Host::with_daemon([
        (enroll_request(None), enrolled()),
        (confirm_request("1"), wrong()),
        (confirm_request("2"), wrong()),
        (confirm_request("3"), wrong()),
    ])
    .on_a_terminal()
    .typing("1\n2\n3\n4\n")
    .run(&["enroll", "totp", "--user", "ferris"]);
    assert_eq!(ran.exit, Exit::Refused);
    insta::assert_snapshot!(ran.stderr);
}

#[test]
fn enroll_stops_asking_when_the_user_is_locked_or_gone() {
    let locked = Host::with_daemon([
        (enroll_request(None), enrolled()),
        (confirm_request("1"), refused("locked", "too many wrong codes")),
    ])
    .typing("1\n2\n")
    .run(&["enroll", "totp", "--user", "ferris"]);
    assert_eq!(locked.exit, Exit::Refused);
    assert!(locked.stderr.contains("too many wrong codes"), "{locked}");
    let gone =
        Host::with_daemon([(enroll_request(None), enrolled())]).run(&["enroll", "totp", "--user", "ferris"]);
    assert_eq!(gone.exit, Exit::Refused);
    assert!(gone.stderr.contains("confirm --user ferris --device 7 CODE"), "{gone}");
}

#[test]
fn enroll_says_what_many_apps_do_with_unusual_values() {
    let request = json!({"enroll": {"user": "ferris", "kind": "totp", "name": "key ring", "proof": null,
        "parameters": {"algorithm": "sha512", "digits": 8, "period": 60}}});
    let ran = Host::with_daemon([
        (request, enrolled()),
        (confirm_request("1"), refused("code_refused", "that code was not accepted")),
    ])
    .typing("1\n")
    .run(&[
        "enroll",
        "totp",
        "-u",
        "ferris",
        "-n",
        "key ring",
        "--digits",
        "8",
        "--algorithm",
        "sha512",
        "--period",
        "60",
    ]);
    assert!(ran.stderr.contains("Many apps know only 6 digits, sha1 and 30 seconds"), "{ran}");
}

#[test]
fn enroll_as_json_prints_one_object_and_asks_nothing() {
    let ran = Host::with_daemon([(enroll_request(None), enrolled())])
        .on_a_terminal()
        .typing("123456\n")
        .run(&["enroll", "totp", "--user", "ferris", "--json"]);
    assert_eq!(
        json_of(&ran),
        json!({"device": 7, "kind": "totp", "status": "pending", "provisioning_uri": URI})
    );
    assert_eq!(ran.stderr, "");
}

#[test]
fn hotp_is_shown_with_its_counter() {
    let request = json!({"enroll": {"user": "ferris", "kind": "hotp", "name": null, "proof": null,
        "parameters": {"algorithm": "sha1", "digits": 6, "period": 30}}});
    let uri = "otpauth://hotp/host:ferris?secret=GEZDGNBVGY3TQOJQ&issuer=host&digits=6&counter=0";
    let answer =
        json!({"enrolled": {"device": 7, "kind": "hotp", "status": "pending", "provisioning_uri": uri}});
    let ran = Host::with_daemon([(request, answer)]).run(&["enroll", "hotp", "--user", "ferris"]);
    assert!(ran.stdout.contains("Type       counter-based (HOTP), 6 digits, counter 0, sha1"), "{ran}");
    assert!(ran.stdout.contains("Secret     GEZD GNBV GY3T QOJQ\n"), "{ran}");
}

#[test]
fn the_user_is_the_caller_where_none_is_named() {
    let ran =
        Host::with_daemon([(json!({"verify": {"user": own_name(), "code": "123456"}}), json!({"done": {}}))])
            .run(&["verify", "123456"]);
    assert_eq!(ran.exit, Exit::Done, "{ran}");
}

#[test]
fn a_uid_without_an_account_must_name_a_user() {
    let ran = Host::new().run_by(4_000_000_001).run(&["verify", "123456"]);
    assert_eq!(ran.exit, Exit::Usage);
    assert!(ran.stderr.contains("user id 4000000001: name one with --user"), "{ran}");
}

#[test]
fn a_needed_proof_is_asked_for() {
    let ran = Host::with_daemon([
        (enroll_request(None), refused("proof_needed", "a change needs a fresh code")),
        (enroll_request(Some("111111")), refused("code_refused", "that code was not accepted")),
        (enroll_request(Some("222222")), enrolled()),
        (confirm_request("333333"), json!({"device": device(7, "totp", "totp", "active")})),
    ])
    .on_a_terminal()
    .typing("111111\n222222\n333333\n")
    .run(&["enroll", "totp", "--user", "ferris"]);
    assert_eq!(ran.exit, Exit::Done, "{ran}");
    insta::assert_snapshot!(ran.stderr);
}

#[test]
fn a_proof_is_asked_for_three_times_at_most() {
    let request = |proof: Option<&str>| json!({"recovery_codes": {"user": "ferris", "proof": proof}});
    let wrong = || refused("code_refused", "that code was not accepted");
    let ran = Host::with_daemon([
        (request(None), refused("proof_needed", "a change needs a fresh code")),
        (request(Some("1")), wrong()),
        (request(Some("2")), wrong()),
        (request(Some("3")), wrong()),
    ])
    .on_a_terminal()
    .typing("1\n2\n3\n4\n")
    .run(&["recovery-codes", "--user", "ferris"]);
    assert_eq!(ran.exit, Exit::Refused);
    assert!(ran.stderr.ends_with("error: that code was not accepted\n"), "{ran}");
}

#[test]
fn a_needed_proof_is_not_asked_for_where_nobody_can_answer() {
    let script = || [(enroll_request(None), refused("proof_needed", "a change needs a fresh code"))];
    let piped = Host::with_daemon(script()).typing("111111\n").run(&["enroll", "totp", "--user", "ferris"]);
    assert_eq!(piped.exit, Exit::Refused);
    assert!(piped.stderr.contains("--code"), "{piped}");
    let json =
        Host::with_daemon(script()).on_a_terminal().run(&["enroll", "totp", "--user", "ferris", "--json"]);
    assert_eq!(json.exit, Exit::Refused);
    let error: Value = serde_json::from_str(&json.stderr).unwrap();
    assert_eq!(error["error"], "proof_needed");
}

#[test]
fn a_given_proof_goes_along_and_is_not_asked_for_again() {
    for (words, stdin) in [("--code 111111", ""), ("--code -", "111111\n")] {
        let ran = Host::with_daemon([(
            enroll_request(Some("111111")),
            refused("code_refused", "that code was not accepted"),
        )])
        .on_a_terminal()
        .typing(stdin)
        .run(&["enroll", "totp", "--user", "ferris"].into_iter().chain(words.split(' ')).collect::<Vec<_>>());
        assert_eq!(ran.exit, Exit::Refused, "{ran}");
    }
}

#[test]
fn codes_can_come_from_standard_input() {
    let ran = Host::with_daemon([(
        json!({"resync": {"user": "ferris", "device": 7, "first": "111111", "second": "222222"}}),
        json!({"device": device(7, "token", "hotp", "active")}),
    )])
    .typing("111111\n222222\n")
    .run(&["resync", "--user", "ferris", "--device", "7", "-", "-"]);
    assert_eq!(ran.stdout, "Device 7 (token) of ferris is in step again.\n", "{ran}");
    let empty = Host::with_daemon([]).run(&["verify", "--user", "ferris", "-"]);
    assert_eq!(empty.exit, Exit::Refused);
    assert!(empty.stderr.contains("the input ended before a code was typed"), "{empty}");
}

#[test]
fn what_each_command_sends_and_says() {
    let mut all = String::new();
    let done = || json!({"done": {}});
    let cases: Vec<(&str, Value, Value)> = vec![
        (
            "confirm --user ferris --device 7 123456",
            confirm_request("123456"),
            json!({"device": device(7, "phone", "totp", "active")}),
        ),
        (
            "rename --user ferris --device 7 phone",
            json!({"rename": {"user": "ferris", "device": 7, "name": "phone"}}),
            json!({"device": device(7, "phone", "totp", "active")}),
        ),
        (
            "remove --user ferris --device 7",
            json!({"remove": {"user": "ferris", "device": 7, "proof": null}}),
            done(),
        ),
        (
            "remove --user ferris --device 7 --code 123456",
            json!({"remove": {"user": "ferris", "device": 7, "proof": "123456"}}),
            done(),
        ),
        ("remove --user ferris --all --forget", json!({"forget": {"user": "ferris"}}), done()),
        (
            "recovery-codes --user ferris",
            json!({"recovery_codes": {"user": "ferris", "proof": null}}),
            json!({"recovery_codes": {"codes": ["aaaa-bbbb-cccc-dddd", "eeee-ffff-gggg-hhhh"]}}),
        ),
        (
            "resync --user ferris --device 7 111111 222222",
            json!({"resync": {"user": "ferris", "device": 7, "first": "111111", "second": "222222"}}),
            json!({"device": device(7, "token", "hotp", "active")}),
        ),
        ("unlock --user ferris", json!({"unlock": {"user": "ferris"}}), done()),
        ("verify --user ferris 123456", json!({"verify": {"user": "ferris", "code": "123456"}}), done()),
        (
            "export --user ferris --device 7",
            json!({"export": {"user": "ferris", "device": 7}}),
            json!({"exported": {"provisioning_uri": URI}}),
        ),
        (
            "status",
            json!({"status": {}}),
            json!({"status": {"version": "1.2.3", "uptime": 93_784, "config": "/etc/oss2fa/agent.toml",
                "store": "/var/lib/oss2fa/agent.db", "users": 2, "devices": 3, "locks": 1, "audit_events": 42,
                "unenrolled": "skip", "reload_error": "the configuration has a key that is not known"}}),
        ),
    ];
    for (words, request, answer) in cases {
        for form in ["", " --json"] {
            let words = format!("{words}{form}");
            let ran = Host::with_daemon([(request.clone(), answer.clone())])
                .run(&words.split(' ').collect::<Vec<_>>());
            assert_eq!(ran.exit, Exit::Done, "{ran}");
            if !form.is_empty() {
                assert!(json_of(&ran).is_object() || json_of(&ran).is_array());
            }
            all.push_str(&format!("$ oss2fa-agent {words}\n{ran}\n"));
        }
    }
    insta::assert_snapshot!(all);
}

#[test]
fn export_takes_all_devices_that_have_a_secret() {
    let devices = [
        device(3, "phone", "totp", "active"),
        device(4, "paper", "recovery_code", "active"),
        device(5, "half", "totp", "pending"),
        device(6, "token", "hotp", "active"),
    ];
    let export = |id: u64| json!({"export": {"user": "ferris", "device": id}});
    let exported = |uri: &str| json!({"exported": {"provisioning_uri": uri}});
    let ran = Host::with_daemon([
        (
            json!({"list": {"user": "ferris", "after": null}}),
            json!({"devices": {"devices": devices, "more": "no"}}),
        ),
        (export(3), exported("otpauth://totp/a")),
        (export(6), exported("otpauth://hotp/b")),
    ])
    .run(&["export", "--user", "ferris"]);
    assert_eq!(ran.stdout, "otpauth://totp/a\notpauth://hotp/b\n");
}

#[test]
fn a_list_has_a_column_for_each_thing_and_dates_for_people() {
    let mut used = device(12, "phone", "totp", "active");
    used["last_used_at"] = json!(1_700_000_030);
    used["parameters"] = json!({"algorithm": "sha256", "digits": 8, "period": 60});
    let mut paper = device(13, "recovery codes", "recovery_code", "active");
    paper["codes_left"] = json!(1);
    let devices = [device(7, "totp", "totp", "pending"), used, paper];
    let ran = Host::with_daemon([(
        json!({"list": {"user": "ferris", "after": null}}),
        json!({"devices": {"devices": devices, "more": "no"}}),
    )])
    .run(&["list", "--user", "ferris"]);
    insta::assert_snapshot!(ran.stdout);
}

#[test]
fn a_list_is_an_array_of_all_pages() {
    let page = |devices: Value, more: &str| json!({"devices": {"devices": devices, "more": more}});
    let (first, second) = (device(3, "phone", "totp", "active"), device(9, "token", "hotp", "active"));
    let ran = Host::with_daemon([
        (json!({"list": {"user": null, "after": null}}), page(json!([first]), "yes")),
        (json!({"list": {"user": null, "after": 3}}), page(json!([second]), "no")),
    ])
    .run_by(0)
    .run(&["list", "--json"]);
    assert_eq!(json_of(&ran), json!([first, second]));
}

#[test]
fn a_page_that_does_not_move_on_ends_the_list() {
    let page = json!({"devices": {"devices": [device(3, "phone", "totp", "active")], "more": "yes"}});
    let ran = Host::with_daemon([
        (json!({"list": {"user": null, "after": null}}), page.clone()),
        (json!({"list": {"user": null, "after": 3}}), page),
    ])
    .run_by(0)
    .run(&["list"]);
    assert_eq!(ran.exit, Exit::Done, "{ran}");
}

#[test]
fn only_root_lists_everybody() {
    let empty = json!({"devices": {"devices": [], "more": "no"}});
    let root = Host::with_daemon([(json!({"list": {"user": null, "after": null}}), empty.clone())])
        .run_by(0)
        .run(&["list"]);
    assert_eq!(root.stdout, "Nobody has a device yet.\n");
    // "games" or the like: any account that is not root's.
    let other = User::from_name("daemon").unwrap().unwrap();
    let ran = Host::with_daemon([(json!({"list": {"user": "daemon", "after": null}}), empty)])
        .run_by(other.uid.as_raw())
        .run(&["list"]);
    assert!(ran.stdout.starts_with("daemon has no device. Add one with: "), "{ran}");
    assert!(!ran.stdout.contains("--user"), "it is their own: {ran}");
}

#[test]
fn names_cannot_drive_the_terminal() {
    let mut evil = device(3, "phone", "totp", "active");
    evil["user"] = json!("fer\u{1b}[2Jris\u{202e}");
    let ran = Host::with_daemon([(
        json!({"list": {"user": null, "after": null}}),
        json!({"devices": {"devices": [evil], "more": "no"}}),
    )])
    .run_by(0)
    .run(&["list"]);
    assert!(ran.stdout.contains("fer\u{fffd}[2Jris\u{fffd}"), "{ran}");
}
