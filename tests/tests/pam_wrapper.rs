//! libpam as a user that is not root (pam_wrapper): the agent lets a uid ask for itself alone.

use oss2fa_tests::Factor::Totp;
use oss2fa_tests::{Host, Pam, Ran, stack};

fn host() -> Host {
    let host = Host::new().user("ferris").enrolled(Totp).user("gopher").enrolled(Totp).start();
    host.write("/run/services/shown", &stack::revealing(""));
    host
}

fn authenticate(host: &Host, caller: &str, user: &str, code: &str) -> (Pam, Ran) {
    let run = host.pamtester("shown", user, &[], &["authenticate"], &[code]).map(|program| {
        program
            .as_user(caller)
            .env("LD_PRELOAD", "libpam_wrapper.so")
            .env("PAM_WRAPPER", "1")
            .env("PAM_WRAPPER_SERVICE_DIR", "/run/services")
    });
    run.run()
}

#[test]
fn a_user_logs_in_as_itself() {
    let host = host();
    let code = host.code("ferris");
    let (pam, ran) = authenticate(&host, "ferris", "ferris", &code);
    assert_eq!(pam, Pam::Success, "{ran}");
    let (pam, ran) = authenticate(&host, "ferris", "ferris", &code);
    assert_eq!(pam, Pam::AuthErr, "{ran}");
}

#[test]
fn a_user_cannot_try_the_codes_of_another() {
    let host = host();
    let code = host.code("gopher");
    let (pam, ran) = authenticate(&host, "ferris", "gopher", &code);
    assert_eq!(pam, Pam::AuthinfoUnavail, "{ran}");
    host.syslog().wait_for("event=not_allowed");
    let (pam, ran) = authenticate(&host, "gopher", "gopher", &code);
    assert_eq!(pam, Pam::Success, "the code was not spent by it: {ran}");
    let (unknown, _) = authenticate(&host, "ferris", "nobody-here", "123456");
    assert_eq!(unknown, Pam::AuthinfoUnavail, "nor learn which names exist");
}

#[test]
fn the_items_of_a_user_that_is_not_root_count_for_nothing() {
    let host = host();
    host.kill_agent();
    let config = host.read("/etc/oss2fa/agent.toml");
    host.write("/etc/oss2fa/agent.toml", &format!("{config}\nskip_networks = [\"192.0.2.0/24\"]\n"));
    host.start_agent();
    let run = host.pamtester("shown", "ferris", &["rhost=192.0.2.1"], &["authenticate"], &["000000"]);
    let run = run.map(|program| {
        program
            .as_user("ferris")
            .env("LD_PRELOAD", "libpam_wrapper.so")
            .env("PAM_WRAPPER", "1")
            .env("PAM_WRAPPER_SERVICE_DIR", "/run/services")
    });
    let (pam, ran) = run.run();
    assert_eq!(pam, Pam::AuthErr, "{ran}");
}
