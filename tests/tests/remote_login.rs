//! Logins of a host that asks a server: the real module, the real agent, the real server over TLS.

use oss2fa_tests::server::Server;
use oss2fa_tests::{Host, Pam, stack};

const SERVICE: &str = "shown";

#[test]
fn a_code_of_a_device_at_the_server_lets_in_once() {
    let server = Server::new().start();
    let ferris = server.integration().enroll("ferris", "TOTP");
    let host = Host::new().user("ferris").pam(SERVICE, &stack::revealing("")).asks(&server).start();
    let mut token = ferris.token.clone();
    let code = token.next_code();
    let (pam, ran) = host.authenticate(SERVICE, "ferris", &[&code]);
    assert_eq!(pam, Pam::Success, "{ran}");
    assert!(ran.stdout.contains("Verification code: "), "{ran}");
    let (pam, ran) = host.authenticate(SERVICE, "ferris", &[&code]);
    assert_eq!(pam, Pam::AuthErr, "used: {ran}");
    let (pam, ran) = host.authenticate(SERVICE, "ferris", &[&token.wrong_code()]);
    assert_eq!(pam, Pam::AuthErr, "wrong: {ran}");
}
