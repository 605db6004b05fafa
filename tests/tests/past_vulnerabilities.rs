//! Holes that other systems had, tried on this one. The numbers are the rows of SECURITY.md.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failure is a panic in tests, in their helpers too"
)]

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use oss2fa_core::wire::Outcome;
use oss2fa_tests::Factor::{Hotp, RecoveryCodes, Totp};
use oss2fa_tests::{Dialogue, FakeAgent, Host, Pam, Plan, Reaction, stack, start};
use serde_json::{Value, json};

fn plan() -> Plan {
    Host::new()
        .user("ferris")
        .enrolled(Totp)
        .pam("shown", &stack::revealing(""))
        .set("locks.free_attempts", 100)
        .set("locks.free_attempts_per_source", 10_000)
}

// PAM numbers of so many logins, and the last line of the program.
fn through_libpam(host: &Host, user: &str, times: usize, behaviour: &str) -> (BTreeSet<String>, String) {
    let times = times.to_string();
    let words = ["/usr/bin/python3", "-c", include_str!("libpam.py"), "shown", user, &times, behaviour];
    let output = host.program(&words).output();
    let mut lines: Vec<&str> = output.lines().collect();
    let last = lines.pop().unwrap().to_owned();
    (lines.into_iter().map(str::to_owned).collect(), last)
}

#[test]
fn row_01_a_program_that_runs_out_of_descriptors_lets_nobody_in() {
    let host = plan().start();
    let wrong = host.wrong_code("ferris");
    for most in 3..12 {
        let limit = format!("--nofile={most}");
        let words = ["prlimit", &limit, "pamtester", "shown", "ferris", "authenticate"];
        let ran = host.program(&words).input(&format!("{wrong}\n")).run();
        assert_ne!(ran.status, 0, "{most}: {ran}");
        let text = ran.text();
        assert!(!text.contains("successfully") && !text.contains("credentials expired"), "{most}: {ran}");
    }
}

#[test]
fn row_02_and_09_a_conversation_that_gives_nothing_lets_nobody_in() {
    const CONV_ERR: &str = "19";
    const AUTH_ERR: &str = "7";
    let host = plan().start();
    let code = host.code("ferris");
    for (behaviour, expected) in [
        ("null", CONV_ERR),
        ("no-array", CONV_ERR),
        ("error", CONV_ERR),
        (&format!("stale={code}"), CONV_ERR),
        ("empty", AUTH_ERR),
    ] {
        let (codes, _) = through_libpam(&host, "ferris", 2, behaviour);
        assert_eq!(codes, BTreeSet::from([expected.to_owned()]), "{behaviour}");
    }
    assert_eq!(
        through_libpam(&host, "ferris", 1, &format!("text={code}")).0,
        BTreeSet::from(["0".to_owned()])
    );
}

#[test]
fn row_03_and_11_root_follows_no_link_of_a_user_and_writes_nothing_for_one() {
    let host = plan().start();
    let home = host.path("/home/ferris");
    std::os::unix::fs::symlink("/etc/shadow", home.join(".google_authenticator")).unwrap();
    std::os::unix::fs::symlink("/etc/victim", home.join("backup")).unwrap();
    host.program(&["mkfifo", "/home/ferris/pipe"]).succeed();
    let begun = Instant::now();
    for file in ["/home/ferris/.google_authenticator", "/home/ferris/pipe", "/dev/zero", "/home/ferris"] {
        let ran = host.cli(&["import", "google-authenticator", file, "--user", "ferris"]).run();
        assert_eq!(ran.status, 1, "{file}: {ran}");
        assert!(!ran.text().contains("root:"), "{ran}");
        assert_eq!(host.cli(&["import", "users-oath", file]).run().status, 1, "{file}");
    }
    assert!(begun.elapsed() < Duration::from_secs(60), "a pipe is not waited for");
    assert_eq!(host.cli(&["backup", "/home/ferris/backup"]).run().status, 1);
    assert!(!host.path("/etc/victim").exists());
}

#[test]
fn row_08_a_thousand_logins_in_one_process_leave_no_descriptor_thread_or_handler() {
    let host = plan().start();
    let wrong = format!("text={}", host.wrong_code("ferris"));
    let before = through_libpam(&host, "ferris", 1, &wrong).1;
    let (codes, after) = through_libpam(&host, "ferris", 1000, &wrong);
    assert_eq!(codes, BTreeSet::from(["7".to_owned(), "11".to_owned()]), "AUTH_ERR, then MAXTRIES");
    let number = |line: &str, name: &str| -> String {
        line.split(name).nth(1).unwrap().split(' ').next().unwrap().to_owned()
    };
    let descriptors = number(&after, "descriptors=");
    let (first, last) = descriptors.split_once("..").unwrap();
    assert_eq!(first, last, "{after}");
    assert_eq!(number(&after, "threads="), "1");
    assert_eq!(number(&before, "handlers="), number(&after, "handlers="));
}

#[test]
fn row_16_a_group_file_that_cannot_be_read_excuses_nobody() {
    let host = plan()
        .user("robot")
        .in_group("robots")
        .user("admin")
        .in_group("admins")
        .set("policy.exempt_groups", vec!["robots"])
        .set("policy.required_groups", vec!["admins"])
        .set("policy.unenrolled", "skip")
        .start();
    assert_eq!(host.authenticate("shown", "robot", &[]).0, Pam::Ignore);
    assert_eq!(host.authenticate("shown", "admin", &["1"]).0, Pam::AuthErr);
    fs::set_permissions(host.path("/etc/group"), PermissionsExt::from_mode(0o000)).unwrap();
    for user in ["robot", "admin", "ferris"] {
        let (pam, ran) = host.authenticate("shown", user, &["1"]);
        assert!(!matches!(pam, Pam::Success | Pam::Ignore), "{user}: {pam:?} {ran}");
    }
}

#[test]
fn row_16_a_required_group_that_nobody_knows_refuses() {
    let host = plan()
        .user("gopher")
        .set("policy.required_groups", vec!["no-such-group"])
        .set("policy.unenrolled", "skip")
        .start();
    let (pam, ran) = host.authenticate("shown", "gopher", &["1"]);
    assert!(!matches!(pam, Pam::Success | Pam::Ignore), "{pam:?} {ran}");
}

#[test]
fn row_17_text_of_the_agent_cannot_drive_the_terminal() {
    let host = plan().without_agent();
    let frame = |message: Value| {
        let body = json!({"version": 1, "message": message}).to_string();
        [&u32::try_from(body.len()).unwrap().to_be_bytes(), body.as_bytes()].concat()
    };
    let evil = "a\u{1b}]0;owned\u{7}\u{1b}[2J\u{9b}31m\r\u{8}\u{202e}z";
    let _agent = FakeAgent::listen(
        &host,
        Reaction::Talk(vec![
            [
                frame(json!({"tell": {"text": evil}})),
                frame(json!({"ask": {"echo": "off", "text": format!("{evil}: ")}})),
            ]
            .concat(),
            frame(json!({"done": {"outcome": "refused"}})),
        ]),
    );
    let (pam, ran) = host.authenticate("shown", "ferris", &["1"]);
    assert_eq!(pam, Pam::AuthErr, "{ran}");
    let shown = ran.text();
    assert!(shown.contains("owned"), "it was shown: {shown:?}");
    let odd = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
    assert!(!shown.contains(odd), "{shown:?}");
}

#[test]
fn row_25_a_remote_name_that_looks_local_skips_nothing() {
    let host = plan()
        .user("gopher")
        .enrolled(Hotp)
        .set("policy.skip_networks", vec!["127.0.0.0/8", "192.0.2.0/24", "::1/128", "0.0.0.0/32"])
        .start();
    let from = |rhost: &str| {
        let item = format!("rhost={rhost}");
        host.pamtester("shown", "gopher", &[&item], &["authenticate"], &["000"]).run()
    };
    assert_eq!(from("192.0.2.7").0, Pam::Ignore, "an address in a network that is skipped");
    host.syslog().wait_for("comes from the skipped network 192.0.2.0/24");
    for rhost in [
        "LOCAL",
        "local",
        "localhost",
        "tty1",
        "/dev/tty1",
        ":0",
        "gopher",
        "root",
        "oss2fa",
        "0",
        "1",
        "127",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "127.0.0.01",
        "192.0.2",
        "192.0.2.7 ",
        " 192.0.2.7",
        "192.0.2.7/24",
        "192.0.2.7,198.51.100.1",
        "192.0.2.7.example.com",
        "192.0.2.7%eth0",
        "::1%lo",
        "[::1]",
        "ALL",
        "@group",
        "*",
        "198.51.100.1",
        "none",
    ] {
        let (pam, ran) = from(rhost);
        assert!(matches!(pam, Pam::AuthErr | Pam::MaxTries), "{rhost}: {pam:?} {ran}");
    }
    assert_eq!(from("::ffff:192.0.2.7").0, Pam::Ignore, "an IPv4 address in IPv6 clothes is what it is");
    let (pam, _) = host.authenticate("shown", "gopher", &["000"]);
    assert!(matches!(pam, Pam::AuthErr | Pam::MaxTries), "no remote host at all is no address");
}

#[test]
fn row_26_names_that_the_host_does_not_know_never_pass() {
    let host = plan().user("gopher").set("policy.unenrolled", "skip").start();
    for user in ["nobody-here", "root2", "12345", "+", "-", "ferris.", "*"] {
        for answer in ["", " ", "000000", "\0", "\u{fffd}"] {
            let (pam, ran) = host.authenticate("shown", user, &[answer]);
            assert_eq!(pam, Pam::UserUnknown, "{user:?} {answer:?}: {ran}");
        }
        let (pam, ran) = host.authenticate("shown", user, &[]);
        assert!(matches!(pam, Pam::ConvErr | Pam::UserUnknown), "{user:?}: {ran}");
    }
}

#[test]
fn row_29_names_that_are_paths_open_nothing() {
    let host = plan().set("policy.unenrolled", "skip").start();
    let files = || fs::read_dir(host.path("/var/lib/oss2fa")).unwrap().count();
    let before = files();
    for user in ["../ferris", "./ferris", "/etc/passwd", "..", ".", "a/b", "ferris/", "ferris\u{0}x"] {
        let start = start(user, "../../sudo", Some("../../etc"));
        let outcome = Dialogue::login(&host.socket(), &start, "000000").unwrap();
        assert!(matches!(outcome, Outcome::UserUnknown | Outcome::Unavailable), "{user:?}: {outcome:?}");
    }
    assert_eq!(files(), before);
}

#[test]
fn row_29_what_is_typed_after_a_time_out_is_not_shown_and_does_not_count() {
    // Long enough to come to the prompt.
    let host = plan().pam("short", &stack::revealing("timeout=5")).start();
    let mut terminal = host.pamtester("short", "ferris", &[], &["authenticate"], &[]).program().terminal();
    let _before = terminal.expect("code: ");
    std::thread::sleep(Duration::from_millis(5500));
    let code = host.code("ferris");
    terminal.send(&code);
    let end = terminal.finish();
    assert_eq!(Pam::of(&end.rest), Pam::AuthinfoUnavail, "{end:?}");
    assert!(!end.transcript.contains(&code), "{end:?}");
    assert_eq!(host.authenticate("shown", "ferris", &[&code]).0, Pam::Success, "the code was not spent");
}

const CLIENT: &str = "import socket, sys\n\
    s = socket.socket(socket.AF_UNIX); s.connect('/run/oss2fa/agent.sock'); s.settimeout(60)\n\
    body = sys.argv[1].encode()\n\
    s.sendall(len(body).to_bytes(4, 'big') + body)\n\
    n = int.from_bytes(s.recv(4), 'big')\n\
    print(s.recv(n).decode())";

// A request as a program of that user's would send it, without our command line.
fn request_as(host: &Host, user: &str, message: &Value) -> Value {
    let body = json!({"version": 1, "message": message}).to_string();
    let output = host.program(&["/usr/bin/python3", "-c", CLIENT, &body]).as_user(user).output();
    let answer: Value = serde_json::from_str(&output).unwrap_or_else(|_| panic!("no answer to {message}"));
    answer["message"].clone()
}

#[test]
fn row_35_a_uid_asks_for_itself_alone_whatever_it_asks() {
    let host = plan().user("gopher").enrolled(Hotp).enrolled(RecoveryCodes).start();
    let token = host.token("gopher");
    let device = token.device;
    let (code, after) = (token.code_at(token.position), token.code_at(token.position + 1));
    let parameters = json!({"algorithm": "sha1", "digits": 6, "period": 30});
    let enroll = |user: &str| json!({"enroll": {"user": user, "kind": "totp", "name": null, "parameters": parameters, "proof": code}});
    let for_another = [
        enroll("gopher"),
        json!({"confirm": {"user": "gopher", "device": device, "code": code}}),
        json!({"list": {"user": "gopher", "after": null}}),
        json!({"remove": {"user": "gopher", "device": device, "proof": code}}),
        json!({"rename": {"user": "gopher", "device": device, "name": "mine"}}),
        json!({"recovery_codes": {"user": "gopher", "proof": code}}),
        json!({"resync": {"user": "gopher", "device": device, "first": code, "second": after}}),
        json!({"verify": {"user": "gopher", "code": code}}),
        enroll("root"),
        json!({"list": {"user": "root", "after": null}}),
        json!({"verify": {"user": "oss2fa", "code": code}}),
    ];
    let for_root_alone = [
        json!({"list": {"user": null, "after": null}}),
        json!({"forget": {"user": "ferris"}}),
        json!({"unlock": {"user": "ferris"}}),
        json!({"import": {"entries": []}}),
        json!({"import": {"entries": [{"user": "gopher", "name": "mine", "what": {"otp": {"kind": "totp",
            "secret": "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ", "parameters": parameters, "next_position": 0, "drift": 0}}}]}}),
        json!({"export": {"user": "ferris", "device": 1}}),
        json!({"export": {"user": "gopher", "device": device}}),
        json!({"status": {}}),
    ];
    for request in for_another.iter().chain(&for_root_alone) {
        let answer = request_as(&host, "ferris", request);
        assert_eq!(answer["refused"]["code"], "not_allowed", "{request}: {answer}");
        assert!(!answer.to_string().contains("otpauth"), "{answer}");
    }
    // Nor by way of its own name: a device is its owner's.
    let foreign = json!({"rename": {"user": "ferris", "device": device, "name": "mine"}});
    assert_eq!(request_as(&host, "ferris", &foreign)["refused"]["code"], "unknown_device");
    let own = json!({"list": {"user": "ferris", "after": null}});
    assert_eq!(request_as(&host, "ferris", &own)["devices"]["devices"].as_array().unwrap().len(), 1);
    // Nothing of it happened, and no code was spent.
    let outcome = Dialogue::login(&host.socket(), &start("gopher", "shown", None), &code).unwrap();
    assert_eq!(outcome, Outcome::Verified);
    host.syslog().wait_for("event=not_allowed");
}

#[test]
fn row_35_a_login_for_another_says_the_same_for_names_that_exist_and_names_that_do_not() {
    let host = plan().user("gopher").enrolled(Hotp).start();
    let ask = |user: &str| {
        let login = json!({"user": user, "service": "sshd"});
        let message = json!({"start": {"login": login, "conversation": "messages", "echo": "off"}});
        request_as(&host, "ferris", &message).to_string()
    };
    assert_eq!(ask("gopher"), ask("nobody-here"));
    let account = |user: &str| {
        request_as(&host, "ferris", &json!({"account": {"user": user, "service": "sshd"}})).to_string()
    };
    assert_eq!(account("gopher"), account("nobody-here"));
    let verify = |user: &str| {
        let answer = request_as(&host, "ferris", &json!({"verify": {"user": user, "code": "000000"}}));
        answer.to_string().replace(user, "")
    };
    assert_eq!(verify("gopher"), verify("nobody-here"));
}

#[test]
fn row_36_hostile_names_make_no_line_of_their_own() {
    let host = plan().start();
    let evil = "x\"\n<86>oss2fa-agent[1]: audit seq=9 event=accepted user=\"root\"\u{1b}[2J\u{85}";
    for (user, service, rhost) in
        [(evil, "shown", None), ("ferris", evil, None), ("ferris", "shown", Some(evil))]
    {
        let outcome = Dialogue::login(&host.socket(), &start(user, service, rhost), "000000").unwrap();
        assert_ne!(outcome, Outcome::Verified);
    }
    let device = host.token("ferris").device.to_string();
    assert_eq!(host.cli(&["rename", "--user", "ferris", "--device", &device, evil]).run().status, 2);
    let quotes = "my \"phone\" event=accepted";
    host.cli(&["rename", "--user", "ferris", "--device", &device, quotes]).succeed();
    for text in
        [host.syslog().text(), host.log(), host.cli(&["audit"]).output(), host.cli(&["list"]).output()]
    {
        assert!(!text.contains('\u{1b}') && !text.contains('\u{85}'), "{text}");
        assert!(!text.lines().any(|line| line.starts_with("<86>oss2fa-agent[1]")), "{text}");
    }
    // Also in the lines of the module itself.
    host.write("/etc/pam.d/shown", &stack::revealing("debug"));
    let item = format!("rhost={evil}");
    let _ran = host.pamtester("shown", evil, &[&item], &["authenticate"], &["000000"]).run();
    assert!(!host.syslog().text().contains('\u{1b}'), "{}", host.syslog().text());
    host.cli(&["audit", "--verify"]).succeed();
}

#[test]
fn row_45_other_spellings_of_a_name_are_not_that_user() {
    let host = plan().start();
    let code = host.code("ferris");
    for user in [
        "Ferris",
        "FERRIS",
        "ferris ",
        " ferris",
        "ferris\t",
        "ｆｅｒｒｉｓ",
        "ferrıs",
        "ferris\u{200b}",
        "1000",
    ] {
        let outcome = Dialogue::login(&host.socket(), &start(user, "shown", None), &code).unwrap();
        assert!(matches!(outcome, Outcome::UserUnknown | Outcome::Unavailable), "{user:?}: {outcome:?}");
    }
    let outcome = Dialogue::login(&host.socket(), &start("ferris", "shown", None), &code).unwrap();
    assert_eq!(outcome, Outcome::Verified);
}
