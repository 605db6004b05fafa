//! The blocks of docs/server.md, docs/three-servers.md, docs/ungleich-otp.md and docs/yubico.md, each page run from top
//! to bottom as one script, with the built server. What the third has in Python and TOML is run by server_bus.rs, with a
//! broker.
#![expect(clippy::unwrap_used, reason = "a failure is a panic in tests, in their helpers too")]

use std::process::Command;

use oss2fa_tests::server::{free_port, free_ports_of_ten};
use oss2fa_tests::{Built, shell_guide};

#[test]
fn the_guide_does_what_it_says() {
    let told = run("docs/server.md", 7, &[], &[("8300", free_port())]);
    assert!(told.contains("==> OSS2FA server started"), "{told}");
}

#[test]
fn the_guide_of_ungleich_otp_does_what_it_says() {
    let told = run("docs/ungleich-otp.md", 5, &["toml", "python"], &[("8300", free_port())]);
    assert!(told.contains("dynamicweb"), "{told}");
}

#[test]
fn the_guide_of_yubikeys_does_what_it_says() {
    let told = run("docs/yubico.md", 9, &[], &[("8300", free_port())]);
    assert!(told.contains("vvccccccbcgu imported"), "{told}");
}

#[test]
fn the_guide_of_three_servers_does_what_it_says() {
    let nodes = free_ports_of_ten();
    let told = run("docs/three-servers.md", 15, &[], &[("830", nodes), ("5498", free_port())]);
    assert!(told.contains("ready"), "{told}");
}

/// What a page's script says; it has at least so many blocks, and these ports stand for others.
fn run(page: &str, least: usize, elsewhere: &[&str], ports: &[(&str, u16)]) -> String {
    let (blocks, mut script) = shell_guide(page, elsewhere);
    assert!(blocks >= least, "the blocks were not found");
    for (shown, port) in ports {
        script = script.replace(shown, &port.to_string());
    }
    let server = Built::server();
    let path = format!("{}:/usr/sbin:/usr/bin:/bin", server.parent().unwrap().display());
    let output = Command::new("bash").args(["-c", &script]).env("PATH", path).output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{told}\n{}", String::from_utf8_lossy(&output.stderr));
    told
}
