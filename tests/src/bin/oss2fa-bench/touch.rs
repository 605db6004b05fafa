//! A login with a security key: what the agent itself takes, from the key's answer to the verdict at the module's end
//! of the socket. The key is one of software, in the daemon's own process. And what waiting for a key costs, in a guest.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use oss2fa_tests::waiting::{self, Waiting};
use oss2fa_tests::workspace;

use crate::report::{Bound, Report};
use crate::throughput::median;

// One user may make 300 connections in a minute.
const LOGINS: usize = 200;

/// In milliseconds.
const PROMISED: f64 = 5.0;

pub(crate) fn measure(report: &mut Report) {
    eprintln!("A login with a security key ...");
    let built = Command::new("cargo")
        .args(["build", "--release", "--quiet", "--locked", "-p", "oss2fa-agent", "--example", "touch"])
        .current_dir(workspace())
        .status();
    assert!(built.expect("cargo").success(), "the example touch was not built");
    let folder = tempfile::tempdir().unwrap();
    // The daemon in it becomes somebody else.
    std::fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    let ran = Command::new(workspace().join("target/release/examples/touch"))
        .arg(folder.path())
        .arg(LOGINS.to_string())
        .output()
        .unwrap();
    assert!(ran.status.success(), "touch: {}", String::from_utf8_lossy(&ran.stderr));
    let mut milliseconds: Vec<f64> = String::from_utf8_lossy(&ran.stdout)
        .lines()
        .map(|line| line.parse::<f64>().expect("microseconds") / 1000.0)
        .collect();
    assert_eq!(milliseconds.len(), LOGINS);
    let middle = median(&mut milliseconds);
    report.add("a touch, from the key's answer to the verdict", middle, "ms", Bound::AtMost(PROMISED));

    eprintln!("Waiting for a key, in a guest ...");
    let prepared = Command::new(workspace().join("tests/guest/prepare.sh")).status();
    assert!(prepared.expect("tests/guest/prepare.sh").success(), "the guest could not be made");
    let ran = Waiting::alone().run();
    ran.all_succeeded();
    let Waiting { for_touch, for_key } = Waiting::of(&ran);
    let promised = Bound::AtMost(waiting::PROMISED);
    report.add("waiting for a touch, of a core in the guest", for_touch, "%", promised);
    report.add("waiting for a key to be plugged in, of a core in the guest", for_key, "%", promised);
}
