//! A code at or below the last accepted step is refused on every path, whatever happened in between.

use oss2fa_tests::Factor::{Hotp, Totp};
use oss2fa_tests::{Host, Pam, Plan, Token, stack};

fn plan() -> Plan {
    Host::new().user("ferris").pam("shown", &stack::revealing("")).set("locks.free_attempts", 100)
}

fn login(host: &Host, code: &str) -> Pam {
    host.authenticate("shown", "ferris", &[code]).0
}

fn verify(host: &Host, code: &str) -> i32 {
    host.cli(&["verify", "--user", "ferris", code]).run().status
}

fn resync(host: &Host, device: i64, first: &str, second: &str) -> i32 {
    let device = device.to_string();
    host.cli(&["resync", "--user", "ferris", "--device", &device, first, second]).run().status
}

// The code of `last` was accepted: nothing up to it may be accepted again, anywhere.
fn all_is_spent_up_to(host: &Host, token: &Token, last: u64, why: &str) {
    for position in last.saturating_sub(2)..=last {
        let code = token.code_at(position);
        assert_eq!(login(host, &code), Pam::AuthErr, "{why}: login with {position} of {last}");
        assert_eq!(verify(host, &code), 1, "{why}: verify with {position} of {last}");
    }
    let pairs =
        [(last.saturating_sub(1), last), (last, last + 1), (last.saturating_sub(9), last.saturating_sub(8))];
    for (first, second) in pairs {
        let (first, second) = (token.code_at(first), token.code_at(second));
        assert_eq!(resync(host, token.device, &first, &second), 1, "{why}: resync with used codes");
    }
}

#[test]
fn row_41_after_the_confirmation_of_an_enrolment() {
    for factor in [Totp, Hotp] {
        let host = plan().enrolled(factor).start();
        let token = host.token("ferris");
        all_is_spent_up_to(&host, &token, token.position - 1, "confirm");
    }
}

#[test]
fn row_41_after_a_login_by_another_path() {
    for factor in [Totp, Hotp] {
        let host = plan().enrolled(factor).start();
        let mut token = host.token("ferris");
        let code = token.next_code();
        assert_eq!(login(&host, &code), Pam::Success);
        all_is_spent_up_to(&host, &token, token.position - 1, "login");
        let code = token.next_code();
        assert_eq!(verify(&host, &code), 0);
        all_is_spent_up_to(&host, &token, token.position - 1, "verify");
    }
}

#[test]
fn row_41_after_a_resync_which_takes_no_old_codes() {
    let host = plan().enrolled(Hotp).start();
    let mut token = host.token("ferris");
    // The owner pressed the button fifty times.
    let ahead = token.position + 50;
    assert_eq!(login(&host, &token.code_at(ahead)), Pam::AuthErr);
    assert_eq!(resync(&host, token.device, &token.code_at(ahead), &token.code_at(ahead + 1)), 0);
    token.position = ahead + 2;
    all_is_spent_up_to(&host, &token, ahead + 1, "resync");
    assert_eq!(resync(&host, token.device, &token.code_at(ahead), &token.code_at(ahead + 1)), 1, "twice");
    assert_eq!(login(&host, &token.next_code()), Pam::Success);
    // Two codes that do not follow each other, or stand the wrong way round.
    let far = token.position + 20;
    assert_eq!(resync(&host, token.device, &token.code_at(far), &token.code_at(far + 2)), 1);
    assert_eq!(resync(&host, token.device, &token.code_at(far + 1), &token.code_at(far)), 1);
    assert_eq!(resync(&host, token.device, &token.code_at(far), &token.code_at(far)), 1);
}

#[test]
fn a_totp_device_whose_clock_runs_wrong_is_found_again_and_stays_found() {
    let host = plan().enrolled(Totp).start();
    let token = host.token("ferris");
    // A clock ten minutes ahead: beyond the skew.
    let ahead = token.step_now() + 20;
    assert_eq!(login(&host, &token.code_at(ahead)), Pam::AuthErr);
    assert_eq!(resync(&host, token.device, &token.code_at(ahead), &token.code_at(ahead + 1)), 0);
    assert_eq!(login(&host, &token.code_at(ahead + 1)), Pam::AuthErr, "spent by the resync");
    assert_eq!(login(&host, &token.code_at(ahead + 2)), Pam::Success, "the drift is known now");
    all_is_spent_up_to(&host, &token, ahead + 2, "drift");
}

#[test]
fn a_code_confirms_one_device_and_does_not_log_in_then() {
    let host = plan().start();
    let made = host.cli_json(&["enroll", "hotp", "--user", "ferris"]);
    let token = Token::scan(made["provisioning_uri"].as_str().unwrap());
    let device = made["device"].as_i64().unwrap().to_string();
    // A device that waits for its first code does not count.
    assert_eq!(login(&host, &token.code_at(0)), Pam::AuthErr);
    let confirm =
        |code: &str| host.cli(&["confirm", "--user", "ferris", "--device", &device, code]).run().status;
    assert_eq!(confirm(&token.wrong_code()), 1);
    assert_eq!(confirm(&token.code_at(0)), 0);
    assert_eq!(confirm(&token.code_at(0)), 1);
    assert_eq!(confirm(&token.code_at(1)), 1, "it is active already");
    assert_eq!(login(&host, &token.code_at(0)), Pam::AuthErr);
    assert_eq!(login(&host, &token.code_at(1)), Pam::Success);
}

fn users_oath(host: &Host, token: &Token, counter: u64) -> String {
    let decode =
        "import base64, sys; s = sys.argv[1]; print(base64.b32decode(s + '=' * (-len(s) % 8)).hex())";
    let hex = host.program(&["/usr/bin/python3", "-c", decode, &token.secret]).output();
    let kind = if token.kind == "totp" { "HOTP/T30" } else { "HOTP" };
    format!("{kind}\tferris\t-\t{}\t{counter}\n", hex.trim())
}

#[test]
fn row_12_importing_the_same_secret_again_brings_no_code_back() {
    for factor in [Totp, Hotp] {
        let host = plan().enrolled(factor).start();
        let mut token = host.token("ferris");
        let code = token.next_code();
        assert_eq!(login(&host, &code), Pam::Success);
        let last = token.position - 1;
        host.write("/etc/users.oath", &users_oath(&host, &token, 0));
        let again = host.cli(&["import", "users-oath", "/etc/users.oath", "--json"]).run();
        assert!(again.text().contains("already"), "{again}");
        all_is_spent_up_to(&host, &token, last, "import of a secret that is there");
        // Also where the device was removed in between.
        host.cli(&["remove", "--user", "ferris", "--device", &token.device.to_string()]).succeed();
        host.cli(&["import", "users-oath", "/etc/users.oath"]).succeed();
        let devices = host.cli_json(&["list", "--user", "ferris"]);
        token.device = devices[0]["device"].as_i64().unwrap();
        all_is_spent_up_to(&host, &token, last, "import after a removal");
        let next = token.next_code();
        assert_eq!(login(&host, &next), Pam::Success, "what comes after it is good");
    }
}

#[test]
fn a_used_code_is_no_proof_for_a_change() {
    let host = plan().enrolled(Totp).start();
    let used = host.code("ferris");
    assert_eq!(login(&host, &used), Pam::Success);
    let enroll = |code: &str| {
        let words = ["oss2fa-agent", "enroll", "hotp", "--json", "--code", code];
        host.program(&words).as_user("ferris").run()
    };
    assert_eq!(enroll(&used).status, 1);
    let fresh = host.code("ferris");
    assert_eq!(enroll(&fresh).status, 0);
    assert_eq!(login(&host, &fresh), Pam::AuthErr, "nor is a proof good for a login");
    assert_eq!(enroll(&fresh).status, 1);
}

#[test]
fn a_backup_that_is_put_back_keeps_spent_codes_spent() {
    // The one thing that no store can know: what was accepted after the copy was made. A TOTP code is
    // dead within its window; this shows that a code of before the backup stays spent.
    let host = plan().enrolled(Totp).start();
    let used = host.code("ferris");
    assert_eq!(login(&host, &used), Pam::Success);
    host.cli(&["backup", "/var/lib/copy.db"]).succeed();
    host.kill_agent();
    for file in ["agent.db-wal", "agent.db-shm"] {
        let _absent = std::fs::remove_file(host.path(&format!("/var/lib/oss2fa/{file}")));
    }
    let store = "/var/lib/oss2fa/agent.db";
    host.program(&["install", "-o", "oss2fa", "-g", "oss2fa", "-m", "600", "/var/lib/copy.db", store])
        .succeed();
    host.start_agent();
    assert_eq!(login(&host, &used), Pam::AuthErr);
    assert_eq!(login(&host, &host.code("ferris")), Pam::Success);
}
