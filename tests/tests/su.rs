//! Real su with the module in its stacks: `su`, and `su -` whose service is `su-l`.

use oss2fa_tests::Factor::Totp;
use oss2fa_tests::{Host, PASSWORD, stack};

const CODE: &str = "Verification code: ";

fn host() -> Host {
    Host::new()
        .user("ferris")
        .enrolled(Totp)
        .user("gopher")
        .pam("su", stack::PASSWORD_THEN_CODE)
        .pam("su-l", stack::PASSWORD_THEN_CODE)
        .start()
}

#[test]
fn su_asks_for_the_factor_of_the_user_to_become() {
    let host = host();
    let su = host.program(&["/usr/bin/su", "ferris", "-c", "id -un"]).as_user("gopher");
    let code = host.code("ferris");
    let end = su.terminal().answer("assword: ", PASSWORD).answer(CODE, &code).finish();
    assert_eq!((end.status, end.rest.contains("ferris")), (0, true), "{end:?}");
    let end = su.terminal().answer("assword: ", PASSWORD).answer(CODE, &code).finish();
    assert_eq!((end.status, end.rest.contains("ferris")), (1, false), "replayed: {end:?}");
    let end = su.terminal().answer("assword: ", PASSWORD).answer(CODE, &host.wrong_code("ferris")).finish();
    assert_eq!((end.status, end.rest.contains("ferris")), (1, false), "wrong: {end:?}");
    host.syslog().wait_for("user=\"ferris\" service=\"su\"");
}

#[test]
fn a_login_shell_by_su_dash_is_the_service_su_l() {
    let host = host();
    let su = host.program(&["/usr/bin/su", "-", "ferris", "-c", "id -un; pwd"]).as_user("gopher");
    let end = su.terminal().answer("assword: ", PASSWORD).answer(CODE, &host.code("ferris")).finish();
    assert_eq!(end.status, 0, "{end:?}");
    assert!(end.rest.contains("ferris") && end.rest.contains("/home/ferris"), "{end:?}");
    host.syslog().wait_for("service=\"su-l\"");
}

#[test]
fn what_su_starts_inherits_no_descriptor() {
    let host = host();
    let su =
        host.program(&["/usr/bin/su", "ferris", "-c", "ls -l /proc/self/fd; echo looked"]).as_user("gopher");
    let end = su.terminal().answer("assword: ", PASSWORD).answer(CODE, &host.code("ferris")).finish();
    assert!(end.rest.contains("looked"), "{end:?}");
    assert_eq!(end.rest.lines().filter(|line| line.contains(" -> ")).count(), 4, "{end:?}");
}
