//! The blocks of docs/server.md, docs/ungleich-otp.md and docs/yubico.md, each page run from top to bottom as one script, with the
//! built server.
#![expect(clippy::unwrap_used, reason = "a failure is a panic in tests, in their helpers too")]

use std::fs;
use std::net::TcpListener;
use std::process::Command;

use oss2fa_tests::{Built, workspace};

#[test]
fn the_guide_does_what_it_says() {
    let told = run("docs/server.md", 7);
    assert!(told.contains("==> OSS2FA server started"), "{told}");
}

#[test]
fn the_guide_of_ungleich_otp_does_what_it_says() {
    let told = run("docs/ungleich-otp.md", 5);
    assert!(told.contains("dynamicweb"), "{told}");
}

#[test]
fn the_guide_of_yubikeys_does_what_it_says() {
    let told = run("docs/yubico.md", 5);
    assert!(told.contains("vvccccccbcgu imported"), "{told}");
}

/// What a page's script says; it has at least so many blocks.
fn run(page: &str, least: usize) -> String {
    let guide = fs::read_to_string(workspace().join(page)).unwrap();
    let blocks: Vec<&str> =
        guide.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert!(blocks.len() >= least, "the blocks were not found");
    assert_eq!(guide.matches("```").count(), 2 * blocks.len(), "every block of the guide is run");
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let script = format!("set -euo pipefail\nset -x\n{}", blocks.concat()).replace("8300", &free.to_string());
    let server = Built::server();
    let path = format!("{}:/usr/bin:/bin", server.parent().unwrap().display());
    let output = Command::new("bash").args(["-c", &script]).env("PATH", path).output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{told}\n{}", String::from_utf8_lossy(&output.stderr));
    told
}
