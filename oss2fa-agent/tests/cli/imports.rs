//! Taking over devices from other systems' files.

use std::os::unix::fs::symlink;
use std::process::Command;

use oss2fa_agent::cli::Exit;
use serde_json::{Value, json};

use crate::scripted::{Host, Ran};

// The secret of RFC 4226 appendix D.
const HEX: &str = "3132333435363738393031323334353637383930";
const BASE32: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

fn entry(user: &str, kind: &str, name: &str, next_position: u64) -> Value {
    json!({"user": user, "name": name, "what": {"otp": {"kind": kind, "secret": BASE32,
        "parameters": {"algorithm": "sha1", "digits": 6, "period": 30}, "next_position": next_position, "drift": 0}}})
}

fn import(entries: &[Value]) -> Value {
    json!({"import": {"entries": entries}})
}

fn imported(lines: &[Value]) -> Value {
    json!({"imported": {"report": lines}})
}

fn run(host: &mut Host, words: &[&str], file: &str) -> Ran {
    let path = host.path(file);
    let words: Vec<&str> = words.iter().copied().chain([path.to_str().unwrap()]).collect();
    host.run(&words)
}

#[test]
fn each_entry_of_users_oath_has_a_line_of_report() {
    let file = format!(
        "# users\nHOTP alice - {HEX} 41\nHOTP/T30 bob - {HEX}\nHOTP mallory 1234 {HEX}\n\nHOTP carol - {HEX}\nHOTP dave - {HEX}\n"
    );
    let script = || {
        [(
            import(&[
                entry("alice", "hotp", "pam_oath", 41),
                entry("bob", "totp", "pam_oath", 0),
                entry("carol", "hotp", "pam_oath", 0),
                entry("dave", "hotp", "pam_oath", 0),
            ]),
            imported(&[
                json!({"user": "alice", "result": {"imported": 1}}),
                json!({"user": "bob", "result": {"already_there": 2}}),
                json!({"user": "carol", "result": "unknown_user"}),
                json!({"user": "dave", "result": {"refused": "too many devices"}}),
            ]),
        )]
    };
    let mut host = Host::with_daemon(script());
    host.write("users.oath", &file);
    let ran = run(&mut host, &["import", "users-oath"], "users.oath");
    assert_eq!(ran.exit, Exit::Refused);
    assert!(!ran.to_string().contains("3132"), "no secret is shown: {ran}");
    insta::assert_snapshot!(ran);

    let mut host = Host::with_daemon(script());
    host.write("users.oath", &file);
    let ran = run(&mut host, &["import", "users-oath", "--json"], "users.oath");
    assert_eq!(ran.exit, Exit::Refused);
    insta::assert_snapshot!("each_entry_of_users_oath_as_json", ran);
}

#[test]
fn what_is_there_already_is_as_good_as_imported() {
    let mut host = Host::with_daemon([(
        import(&[entry("alice", "hotp", "pam_oath", 0)]),
        imported(&[json!({"user": "alice", "result": {"already_there": 1}})]),
    )]);
    host.write("users.oath", &format!("HOTP alice - {HEX}\n"));
    assert_eq!(run(&mut host, &["import", "users-oath"], "users.oath").exit, Exit::Done);
}

#[test]
fn a_google_authenticator_file_brings_its_scratch_codes() {
    let scratch = json!({"user": "ferris", "name": "scratch codes",
        "what": {"scratch_codes": {"codes": ["12345678", "87654321"]}}});
    let mut host = Host::with_daemon([(
        import(&[entry("ferris", "totp", "google-authenticator", 0), scratch]),
        imported(&[
            json!({"user": "ferris", "result": {"imported": 1}}),
            json!({"user": "ferris", "result": {"imported": 2}}),
        ]),
    )]);
    host.write("file", &format!("{BASE32}\n\" RATE_LIMIT 3 30\n\" TOTP_AUTH\n12345678\n87654321\n"));
    let ran = run(&mut host, &["import", "google-authenticator", "--user", "ferris"], "file");
    assert_eq!(ran.exit, Exit::Done, "{ran}");
    assert!(!ran.to_string().contains("12345678"), "{ran}");
    insta::assert_snapshot!(ran);
}

#[test]
fn a_google_authenticator_file_that_is_wrong_is_not_taken_at_all() {
    let mut host = Host::with_daemon([]);
    host.write("file", &format!("{BASE32}\n\" TOTP_AUTH\nnot a code\n"));
    let ran = run(&mut host, &["import", "google-authenticator", "--user", "ferris"], "file");
    assert_eq!(ran.exit, Exit::Refused);
    assert!(ran.stdout.starts_with("line 3: not imported: "), "{ran}");
    assert!(!ran.to_string().contains("not a code"), "{ran}");
}

#[test]
fn uris_are_for_the_account_in_them_or_for_the_user_named() {
    for (user, words) in [("alice", vec![]), ("ferris", vec!["--user", "ferris"])] {
        let mut host = Host::with_daemon([(
            import(&[entry(user, "totp", "authenticator app", 0)]),
            imported(&[json!({"user": user, "result": {"imported": 1}})]),
        )]);
        host.write("uris", &format!("otpauth://totp/Example:alice?secret={BASE32}&issuer=Example\n"));
        let words: Vec<&str> = ["import", "otpauth"].into_iter().chain(words).collect();
        let ran = run(&mut host, &words, "uris");
        assert_eq!(ran.exit, Exit::Done, "{ran}");
    }
}

#[test]
fn long_files_go_in_batches_of_forty() {
    let script = (0..3).map(|batch: u64| {
        let users = (batch * 40..(batch * 40 + 40).min(90)).map(|n| format!("user{n}"));
        let entries: Vec<_> = users.clone().map(|user| entry(&user, "hotp", "pam_oath", 0)).collect();
        let lines: Vec<_> = users
            .enumerate()
            .map(|(n, user)| json!({"user": user, "result": {"imported": batch * 40 + n as u64}}))
            .collect();
        (import(&entries), imported(&lines))
    });
    let mut host = Host::with_daemon(script);
    let lines: String = (0..90).map(|n| format!("HOTP user{n} - {HEX}\n")).collect();
    host.write("users.oath", &lines);
    let ran = run(&mut host, &["import", "users-oath"], "users.oath");
    assert_eq!(ran.exit, Exit::Done, "{ran}");
    assert!(ran.stdout.contains("line 90: user89: hotp: imported as device 89\n"), "{ran}");
    assert!(ran.stdout.ends_with("90 entries: 90 imported, 0 there already, 0 not taken over.\n"), "{ran}");
}

#[test]
fn an_agent_that_goes_away_in_the_middle_leaves_a_report_of_what_was_done() {
    let entries: Vec<_> = (0..40).map(|n| entry(&format!("user{n}"), "hotp", "pam_oath", 0)).collect();
    let lines: Vec<_> =
        (0..40).map(|n| json!({"user": format!("user{n}"), "result": {"imported": n}})).collect();
    let mut host = Host::with_daemon([
        (import(&entries), imported(&lines)),
        (
            import(&[entry("user40", "hotp", "pam_oath", 0)]),
            json!({"refused": {"code": "unavailable", "message": "the store failed"}}),
        ),
    ]);
    let lines: String = (0..41).map(|n| format!("HOTP user{n} - {HEX}\n")).collect();
    host.write("users.oath", &lines);
    let ran = run(&mut host, &["import", "users-oath"], "users.oath");
    assert_eq!(ran.exit, Exit::Unavailable);
    assert_eq!(ran.stdout.lines().count(), 40, "{ran}");
    assert!(ran.stderr.contains("40 of 41 entries were dealt with before that"), "{ran}");
}

#[test]
fn files_that_are_traps_are_not_read() {
    let mut host = Host::new();
    host.write("real", "x");
    symlink(host.path("real"), host.path("link")).unwrap();
    assert!(Command::new("mkfifo").arg(host.path("pipe")).status().unwrap().success());
    std::fs::create_dir(host.path("folder")).unwrap();
    std::fs::write(host.path("binary"), [0xff, 0xfe]).unwrap();
    std::fs::File::create(host.path("huge")).unwrap().set_len(16 * 1024 * 1024 + 1).unwrap();
    let mut all = String::new();
    for file in ["absent", "link", "pipe", "folder", "binary", "huge"] {
        let ran = run(&mut host, &["import", "google-authenticator", "--user", "ferris"], file);
        assert_eq!(ran.exit, Exit::Refused, "{ran}");
        all.push_str(&format!("# {file}\n{ran}\n"));
    }
    insta::assert_snapshot!(all);
}
