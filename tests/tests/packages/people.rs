//! Somebody to log in with: an account, its device, its codes.

use std::process::Command;

use crate::root::{DebianRoot, Ran};

/// The password of `ferris`.
pub(crate) const PASSWORD: &str = "correct horse";

/// Makes an ordinary account.
pub(crate) fn add_ferris(root: &DebianRoot) {
    root.run(&format!("useradd -m -s /bin/sh ferris && echo 'ferris:{PASSWORD}' | chpasswd"))
        .expect_ok("useradd");
}

/// Enrols root with the agent run by hand, as on a host without systemd.
pub(crate) fn enrol_root(root: &DebianRoot) {
    let script = format!(
        "oss2fa-agent serve >/tmp/agent.log 2>&1 &
        for i in $(seq 600); do oss2fa-agent status >/dev/null 2>&1 && break; sleep 0.1; done
        {{ {ENROL_ROOT}; }} && rm -f /tmp/agent.log || {{ cat /tmp/agent.log; exit 1; }}"
    );
    root.run(&script).expect_ok("enrolling root by an agent started by hand");
}

/// Enrols root with HOTP through the running agent, in a shell; leaves `$secret`. Counter 0 is spent.
pub(crate) const ENROL_ROOT: &str = "made=$(oss2fa-agent enroll hotp --user root --json) || exit 1
        secret=$(echo \"$made\" | sed 's/.*[?&]secret=\\([A-Z2-7]*\\).*/\\1/')
        device=$(echo \"$made\" | sed 's/.*\"device\": *\\([0-9]*\\).*/\\1/')
        oss2fa-agent confirm --user root --device $device $(oathtool --hotp -b -c 0 $secret)";

/// Starts the agent by hand once more and finds the device of [`enrol_root`].
#[track_caller]
pub(crate) fn assert_root_is_still_enrolled(root: &DebianRoot) {
    let script = "oss2fa-agent serve >/tmp/agent.log 2>&1 &
        for i in $(seq 600); do oss2fa-agent status >/dev/null 2>&1 && break; sleep 0.1; done
        oss2fa-agent list --user root --json || cat /tmp/agent.log";
    let devices = root.run(script).expect_ok("listing root's devices");
    assert!(devices.contains("hotp") && devices.contains("active"), "{devices}");
}

/// Enrols a user with HOTP through the running agent; gives the secret. Counter 0 is spent.
pub(crate) fn enrol(run: &dyn Fn(&str) -> Ran, user: &str) -> String {
    let made = run(&format!("oss2fa-agent enroll hotp --user {user} --json")).expect_ok("enroll --json");
    let made: serde_json::Value =
        serde_json::from_str(&made).unwrap_or_else(|error| panic!("{error}: {made}"));
    let uri = made.get("provisioning_uri").and_then(|uri| uri.as_str()).unwrap();
    let secret = uri.split(['?', '&']).find_map(|part| part.strip_prefix("secret=")).unwrap().to_owned();
    let device = made.get("device").unwrap();
    run(&format!("oss2fa-agent confirm --user {user} --device {device} {}", code(&secret, 0)))
        .expect_ok("confirm");
    secret
}

/// The HOTP code by oathtool, never by the product.
pub(crate) fn code(secret: &str, counter: u32) -> String {
    let output =
        Command::new("oathtool").args(["--hotp", "-b", "-c", &counter.to_string(), secret]).output().unwrap();
    assert!(output.status.success(), "oathtool: {output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
