//! Locks: they stop who guesses, and do not stop the owner.
#![expect(clippy::unwrap_used, reason = "a failure is a panic in tests, in their helpers too")]

use std::thread::sleep;
use std::time::Duration;

use oss2fa_core::wire::Outcome;
use oss2fa_tests::Factor::{RecoveryCodes, Totp};
use oss2fa_tests::{Dialogue, Host, Pam, Plan, stack, start};

const STRANGER: &str = "203.0.113.66";
const OFFICE: &str = "192.0.2.10";

fn plan() -> Plan {
    Host::new().user("ferris").enrolled(Totp).enrolled(RecoveryCodes).pam("shown", &stack::revealing(""))
}

fn login(host: &Host, rhost: &str, code: &str) -> Outcome {
    Dialogue::login(&host.socket(), &start("ferris", "shown", Some(rhost)), code).unwrap()
}

fn hammer(host: &Host, rhost: &str, times: usize) {
    let wrong = host.wrong_code("ferris");
    for _ in 0..times {
        assert_ne!(login(host, rhost, &wrong), Outcome::Verified);
    }
}

#[test]
fn a_stranger_who_hammers_locks_out_nobody_but_himself() {
    let host = plan().start();
    hammer(&host, STRANGER, 30);
    assert_eq!(login(&host, STRANGER, &host.code("ferris")), Outcome::Locked, "even with a right code");
    assert_eq!(login(&host, OFFICE, &host.code("ferris")), Outcome::Verified, "from elsewhere");
    assert_eq!(login(&host, STRANGER, &host.recovery_code("ferris")), Outcome::Verified, "another factor");
}

#[test]
fn a_stranger_with_many_addresses_does_not_lock_out_an_owner_at_a_known_place() {
    let host = plan().set("locks.free_attempts_per_user", 20).start();
    assert_eq!(login(&host, OFFICE, &host.code("ferris")), Outcome::Verified);
    let wrong = host.wrong_code("ferris");
    for n in 0..40 {
        assert_ne!(login(&host, &format!("203.0.113.{n}"), &wrong), Outcome::Verified);
    }
    assert_eq!(login(&host, "203.0.113.99", &host.code("ferris")), Outcome::Locked, "from a new place");
    assert_eq!(login(&host, OFFICE, &host.code("ferris")), Outcome::Verified, "from the known one");
}

#[test]
fn a_source_that_tries_many_users_is_stopped() {
    let host = plan()
        .user("gopher")
        .enrolled(Totp)
        .set("locks.free_attempts", 100)
        .set("locks.free_attempts_per_source", 10)
        .start();
    hammer(&host, STRANGER, 10);
    let gopher = start("gopher", "shown", Some(STRANGER));
    let outcome = Dialogue::login(&host.socket(), &gopher, &host.code("gopher")).unwrap();
    assert_eq!(outcome, Outcome::Locked, "the source is locked, for whatever user");
}

#[test]
fn addresses_of_one_ipv6_network_are_one_source() {
    let host = plan().start();
    let wrong = host.wrong_code("ferris");
    for n in 0..8 {
        assert_ne!(login(&host, &format!("2001:db8:0:1::{n:x}"), &wrong), Outcome::Verified);
    }
    assert_eq!(login(&host, "2001:db8:0:1:ffff::1", &host.code("ferris")), Outcome::Locked);
    assert_eq!(login(&host, "2001:db8:0:2::1", &host.code("ferris")), Outcome::Verified);
}

#[test]
fn a_lock_survives_a_restart_and_releases_by_itself() {
    let host = plan().set("locks.first_pause", 10).set("locks.longest_pause", 10).start();
    hammer(&host, STRANGER, 5);
    host.restart_agent();
    assert_eq!(login(&host, STRANGER, &host.code("ferris")), Outcome::Locked);
    sleep(Duration::from_millis(11_100));
    assert_eq!(login(&host, STRANGER, &host.code("ferris")), Outcome::Verified);
    hammer(&host, STRANGER, 4);
    assert_eq!(login(&host, STRANGER, &host.code("ferris")), Outcome::Verified, "success starts it anew");
}

#[test]
fn pauses_back_off() {
    // Long enough that what is done between the looks, on a machine that does much else, is not a second pause.
    let host = plan().set("locks.free_attempts", 1).set("locks.first_pause", 8).start();
    hammer(&host, STRANGER, 1);
    sleep(Duration::from_millis(8100));
    hammer(&host, STRANGER, 1);
    sleep(Duration::from_millis(8600));
    assert_eq!(login(&host, STRANGER, &host.code("ferris")), Outcome::Locked, "the second pause is longer");
    sleep(Duration::from_millis(7500));
    assert_eq!(login(&host, STRANGER, &host.code("ferris")), Outcome::Verified);
}

#[test]
fn an_administrator_unlocks() {
    let host = plan().start();
    hammer(&host, STRANGER, 10);
    assert_eq!(host.cli_json(&["status"])["locks"], 1);
    host.cli(&["unlock", "--user", "ferris"]).succeed();
    assert_eq!(login(&host, STRANGER, &host.code("ferris")), Outcome::Verified);
    host.syslog().wait_for("event=unlocked user=\"ferris\"");
}

#[test]
fn a_locked_user_is_told_what_any_wrong_code_is_told() {
    let host = plan().start();
    let items = [&format!("rhost={STRANGER}")[..]];
    let told = |code: &str| {
        let (pam, ran) = host.pamtester("shown", "ferris", &items, &["authenticate"], &[code]).run();
        (pam, ran.text().split("pamtester: ").next().unwrap().to_owned())
    };
    let (wrong, words_of_wrong) = told(&host.wrong_code("ferris"));
    assert_eq!(wrong, Pam::AuthErr);
    hammer(&host, STRANGER, 10);
    let (locked, words_of_locked) = told(&host.wrong_code("ferris"));
    assert_eq!(locked, Pam::MaxTries);
    let (locked_right, words_of_right) = told(&host.code("ferris"));
    assert_eq!(locked_right, Pam::MaxTries, "nor does a right code show");
    assert_eq!(words_of_wrong, words_of_locked);
    assert_eq!(words_of_wrong, words_of_right);
}

#[test]
fn wrong_codes_on_every_path_count() {
    let host = plan().set("locks.free_attempts", 3).start();
    let device = host.token("ferris").device.to_string();
    let wrong = host.wrong_code("ferris");
    let cli = |words: &[&str]| host.program(words).as_user("ferris").run();
    for words in [
        &["oss2fa-agent", "verify", &wrong][..],
        &["oss2fa-agent", "resync", "--device", &device, &wrong, &wrong],
        &["oss2fa-agent", "enroll", "totp", "--json", "--code", &wrong],
    ] {
        let ran = cli(words);
        assert_eq!(ran.status, 1, "{words:?}: {ran}");
    }
    let locked = cli(&["oss2fa-agent", "verify", "--json", &host.code("ferris")]);
    assert!(locked.stderr.contains("\"locked\""), "{locked}");
    assert_eq!(login(&host, OFFICE, &host.code("ferris")), Outcome::Verified, "logins are another source");
}

#[test]
fn row_27_wrong_codes_on_one_ssh_connection_are_counted_in_our_store() {
    const FREE: usize = 30;
    const ALL: usize = 250;
    let host = plan()
        .pam("sshd", stack::SECOND_FACTOR)
        .set("locks.free_attempts", i64::try_from(FREE).unwrap())
        .set("locks.free_attempts_per_source", 10_000)
        .start();
    let sshd = host.sshd("keyboard-interactive").line("MaxAuthTries 1000").start();
    let wrong = host.wrong_code("ferris");
    let mut ssh = sshd.ssh("ferris", &["NumberOfPasswordPrompts=1000"], &["id"]).terminal();
    // sshd itself would go on for a thousand tries.
    for _ in 0..FREE {
        let _before = ssh.expect("Verification code: ");
        ssh.send(&wrong);
    }
    let end = ssh.answer("Verification code: ", &host.code("ferris")).finish();
    assert_eq!(end.status, 255, "locked, and the connection is over: {end:?}");
    // The same source, on other connections.
    let before = refusals(&host);
    assert_eq!(before, FREE + 1);
    hammer(&host, "127.0.0.1", ALL - before);
    assert_eq!(refusals(&host), ALL, "each one is in the audit");
    assert_eq!(login(&host, "127.0.0.1", &host.code("ferris")), Outcome::Locked);
    assert_eq!(login(&host, OFFICE, &host.code("ferris")), Outcome::Verified);
}

fn refusals(host: &Host) -> usize {
    let audit = host.cli(&["audit"]).output();
    audit.lines().filter(|line| line.contains("  refused ") || line.contains("  locked ")).count()
}
