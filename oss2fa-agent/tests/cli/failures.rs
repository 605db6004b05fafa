//! Exit statuses and words when something is wrong.

use std::os::unix::net::UnixListener;

use oss2fa_agent::cli::Exit;
use serde_json::{Value, json};

use crate::scripted::{Answer, Host, Ran};

fn error_of(ran: &Ran) -> Value {
    assert_eq!(ran.stdout, "", "{ran}");
    serde_json::from_str(&ran.stderr).unwrap()
}

fn status_request() -> Value {
    json!({"status": {}})
}

#[test]
fn a_refusal_of_each_kind_has_its_exit_status_and_its_code() {
    for (code, exit) in [
        ("not_allowed", Exit::Refused),
        ("proof_needed", Exit::Refused),
        ("code_refused", Exit::Refused),
        ("locked", Exit::Refused),
        ("unknown_user", Exit::Refused),
        ("unknown_device", Exit::Refused),
        ("last_factor", Exit::Refused),
        ("bad_request", Exit::Refused),
        ("unavailable", Exit::Unavailable),
    ] {
        let answer = json!({"refused": {"code": code, "message": "it is so"}});
        let ran = Host::with_daemon([(status_request(), answer.clone())]).run(&["status"]);
        assert_eq!((ran.exit, ran.stderr.as_str()), (exit, "error: it is so\n"), "{code}");
        let ran = Host::with_daemon([(status_request(), answer)]).run(&["status", "--json"]);
        assert_eq!((ran.exit, error_of(&ran)), (exit, json!({"error": code, "message": "it is so"})));
    }
}

#[test]
fn without_an_agent_it_says_how_to_start_it() {
    let ran = Host::new().run(&["verify", "--user", "ferris", "123456"]);
    assert_eq!(ran.exit, Exit::Unavailable);
    insta::assert_snapshot!(ran.stderr);
    let ran = Host::new().run(&["verify", "--user", "ferris", "123456", "--json"]);
    assert_eq!(error_of(&ran)["error"], "agent_unreachable");
}

#[test]
fn a_socket_that_nobody_listens_on_is_no_agent() {
    let mut host = Host::new();
    drop(UnixListener::bind(host.path("agent.sock")).unwrap());
    let ran = host.run(&["status"]);
    assert_eq!(ran.exit, Exit::Unavailable);
    assert!(ran.stderr.contains("the agent is not running"), "{ran}");
}

#[test]
fn answers_that_are_none_are_not_believed() {
    let frame = |json: &str| {
        let mut bytes = u32::try_from(json.len()).unwrap().to_be_bytes().to_vec();
        bytes.extend(json.as_bytes());
        bytes
    };
    let mut all = String::new();
    for (name, bytes) in [
        ("hangs up", Vec::new()),
        ("half a frame", vec![0, 0, 0, 9, b'{']),
        ("4 GiB announced", vec![0xff; 4]),
        ("another version", frame(r#"{"version":2,"message":{"done":{}}}"#)),
        ("garbage", frame("certainly!")),
        ("the module's word", frame(r#"{"version":1,"message":{"done":{"outcome":"verified"}}}"#)),
        ("another request's answer", frame(r#"{"version":1,"message":{"recovery_codes":{"codes":[]}}}"#)),
    ] {
        let request = json!({"verify": {"user": "ferris", "code": "123456"}});
        let ran = Host::new()
            .serving([(request, Answer::Bytes(bytes))])
            .run(&["verify", "--user", "ferris", "123456"]);
        assert_eq!(ran.exit, Exit::Unavailable, "{name}: {ran}");
        assert!(!ran.stderr.contains("123456"), "{name}: {ran}");
        all.push_str(&format!("# {name}\n{ran}\n"));
    }
    insta::assert_snapshot!(all);
}

#[test]
fn a_configuration_that_cannot_be_used_is_a_matter_of_its_own() {
    let mut host = Host::new();
    host.configure("[locks]\nfree_attempts = 0\n");
    let ran = host.run(&["status"]);
    assert_eq!(ran.exit, Exit::Usage);
    insta::assert_snapshot!(ran.stderr);
    let ran = host.run(&["status", "--json"]);
    assert_eq!(error_of(&ran)["error"], "bad_configuration");
    let absent = host.path("absent.toml");
    assert_eq!(host.run_with(&["list"], &absent).exit, Exit::Usage);
}

#[test]
fn no_code_that_was_given_is_repeated() {
    for words in [
        "verify --user ferris 314159",
        "confirm --user ferris --device 7 314159",
        "resync --user ferris --device 7 314159 314159",
        "enroll totp --user ferris --code 314159",
    ] {
        let ran = Host::new().run(&words.split(' ').collect::<Vec<_>>());
        assert_eq!(ran.exit, Exit::Unavailable);
        assert!(!ran.to_string().contains("314159"), "{ran}");
    }
}
