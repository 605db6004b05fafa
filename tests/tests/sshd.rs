//! Real sshd with the module in its stack.
#![expect(clippy::unwrap_used, reason = "a failure is a panic in tests, in their helpers too")]

use oss2fa_tests::Factor::{Hotp, Totp};
use oss2fa_tests::{Host, PASSWORD, stack};

const CODE: &str = "Verification code: ";

#[test]
fn keyboard_interactive_alone_right_wrong_and_replayed() {
    let host = Host::new().user("ferris").enrolled(Totp).pam("sshd", stack::SECOND_FACTOR).start();
    let sshd = host.sshd("keyboard-interactive").start();
    let code = host.code("ferris");
    let end = sshd.login("ferris").answer(CODE, &code).finish();
    assert_eq!((end.status, end.rest.contains("ferris")), (0, true), "{end:?}");
    let end = sshd.login("ferris").answer(CODE, &code).finish();
    assert_eq!(end.status, 255, "replayed: {end:?}");
    let end = sshd.login("ferris").answer(CODE, &host.wrong_code("ferris")).finish();
    assert_eq!(end.status, 255, "wrong: {end:?}");
}

#[test]
fn three_prompts_on_one_connection_the_last_one_right() {
    let host = Host::new().user("ferris").enrolled(Totp).pam("sshd", stack::SECOND_FACTOR).start();
    let sshd = host.sshd("keyboard-interactive").start();
    let wrong = host.wrong_code("ferris");
    let login = sshd.ssh("ferris", &[], &["id", "-un"]).terminal();
    let mut login = login.answer(CODE, &wrong);
    let words = login.expect(CODE);
    assert!(words.contains("not accepted"), "the reason is shown before the next prompt: {words}");
    login.send(&wrong);
    let end = login.answer(CODE, &host.code("ferris")).finish();
    assert_eq!(end.status, 0, "{end:?}");
}

#[test]
fn password_then_code() {
    let host = Host::new().user("ferris").enrolled(Totp).pam("sshd", stack::PASSWORD_THEN_CODE).start();
    let sshd = host.sshd("keyboard-interactive").start();
    let end = sshd.login("ferris").answer("Password: ", PASSWORD).answer(CODE, &host.code("ferris")).finish();
    assert_eq!((end.status, end.rest.contains("ferris")), (0, true), "{end:?}");
    let end = sshd.login("ferris").answer("Password: ", "wrong").finish();
    assert_eq!(end.status, 255, "{end:?}");
    assert!(!end.transcript.contains(CODE), "no code is asked for after a wrong password: {end:?}");
}

#[test]
fn publickey_then_keyboard_interactive() {
    let host = Host::new().user("ferris").enrolled(Hotp).pam("sshd", stack::ENFORCED).start();
    let sshd = host.sshd("publickey,keyboard-interactive").start();
    sshd.authorize_key("ferris");
    let end = sshd.login("ferris").answer(CODE, &host.code("ferris")).finish();
    assert_eq!((end.status, end.rest.contains("ferris")), (0, true), "{end:?}");
    let end = sshd.login("ferris").answer(CODE, &host.wrong_code("ferris")).finish();
    assert_eq!(end.status, 255, "{end:?}");
}

#[test]
fn publickey_alone_is_refused_by_enforce_and_told_why() {
    let host = Host::new()
        .user("ferris")
        .enrolled(Totp)
        .user("robot")
        .in_group("robots")
        .pam("sshd", stack::ENFORCED)
        .set("policy.exempt_groups", vec!["robots"])
        .start();
    let sshd = host.sshd("publickey").start();
    sshd.authorize_key("ferris");
    sshd.authorize_key("robot");
    let end = sshd.login("ferris").finish();
    assert_eq!(end.status, 255, "{end:?}");
    assert!(end.transcript.contains("showed no second factor"), "{end:?}");
    host.syslog().wait_for("event=account_refused user=\"ferris\"");
    let end = sshd.login("robot").finish();
    assert_eq!((end.status, end.rest.contains("robot")), (0, true), "who needs none gets in: {end:?}");
}

#[test]
fn publickey_alone_walks_past_a_stack_without_enforce() {
    // Why `enforce` exists: this is what most sites have.
    let host = Host::new().user("ferris").enrolled(Totp).pam("sshd", stack::SECOND_FACTOR).start();
    let sshd = host.sshd("publickey").start();
    sshd.authorize_key("ferris");
    assert_eq!(sshd.login("ferris").finish().status, 0);
}

#[test]
fn enforce_lets_a_keyboard_interactive_login_pass() {
    let host = Host::new().user("ferris").enrolled(Totp).pam("sshd", stack::ENFORCED).start();
    let sshd = host.sshd("keyboard-interactive").start();
    let end = sshd.login("ferris").answer(CODE, &host.code("ferris")).finish();
    assert_eq!((end.status, end.rest.contains("ferris")), (0, true), "{end:?}");
}

#[test]
fn who_is_not_enrolled_is_told_how_to_enrol() {
    let host = Host::new().user("ferris").pam("sshd", stack::SECOND_FACTOR).start();
    let sshd = host.sshd("keyboard-interactive").start();
    let end = sshd.ssh("ferris", &[], &["id"]).terminal().finish();
    assert_eq!(end.status, 255, "{end:?}");
    assert!(end.transcript.contains("oss2fa-agent enroll totp --user ferris"), "{end:?}");
}

#[test]
fn a_session_inherits_no_descriptor_and_no_variable_of_ours() {
    let host = Host::new().user("ferris").enrolled(Totp).pam("sshd", stack::ENFORCED).start();
    let sshd = host.sshd("keyboard-interactive").start();
    let code = host.code("ferris");
    let look = "ls -l /proc/self/fd; env; cat /proc/self/environ | tr '\\0' '\\n'; echo looked";
    let login = sshd.ssh("ferris", &[], &[look]).terminal();
    let end = login.answer(CODE, &code).finish();
    assert!(end.rest.contains("looked"), "{end:?}");
    assert_eq!(session_descriptors(&end.rest), [0, 1, 2, 3], "{end:?}");
    assert!(!end.rest.contains(&code) && !end.rest.to_lowercase().contains("oss2fa"), "{end:?}");
}

// Numbers that `ls -l /proc/self/fd` shows; 3 is the folder that it reads itself.
fn session_descriptors(listing: &str) -> Vec<u32> {
    let links = listing.lines().filter(|line| line.contains(" -> "));
    let mut numbers: Vec<u32> = links
        .map(|line| line.split(" -> ").next().unwrap().split_whitespace().last().unwrap().parse().unwrap())
        .collect();
    numbers.sort_unstable();
    numbers
}

#[test]
fn hanging_up_at_the_prompt_ends_the_login_at_the_agent() {
    let host = Host::new().user("ferris").enrolled(Totp).pam("sshd", stack::SECOND_FACTOR).start();
    let sshd = host.sshd("keyboard-interactive").start();
    let mut login = sshd.login("ferris");
    let _before = login.expect(CODE);
    drop(login);
    // A later login is not in the way of it, nor it of a later login.
    let end = sshd.login("ferris").answer(CODE, &host.code("ferris")).finish();
    assert_eq!(end.status, 0, "{end:?}");
}
