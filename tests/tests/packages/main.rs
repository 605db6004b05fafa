//! The packages, in a system of their own: installed, upgraded, removed, purged, and what they ship at work
//! under a real systemd.

#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test: whatever goes wrong fails it")]

mod booted;
mod confinement;
mod container;
mod guide;
mod install;
mod login;
mod people;
mod podman;
mod removal;
mod root;
mod rpm;
mod server;
mod server_package;

use std::fs;
use std::process::Command;

use root::{Ran, build_package};

/// The package of a host.
const AGENT: &str = "oss2fa-agent";
/// The package of the server.
const SERVER: &str = "oss2fa-server";
/// The version that is built.
const VERSION: &str = "0.1.0-1";
/// The module as libpam knows it.
const MODULE: &str = "pam_oss2fa.so";

#[test]
fn lintian_finds_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let lintian = Command::new("lintian")
        .args(["--allow-root", "--fail-on", "error,warning", "--no-tag-display-limit"])
        .args([AGENT, SERVER].map(|package| build_package(package, VERSION, folder.path(), "gzip")))
        .output()
        .unwrap_or_else(|error| panic!("lintian does not run: {error}"));
    Ran::from(lintian).expect_ok("lintian");
}

#[test]
fn the_same_build_gives_the_same_package() {
    let folder = tempfile::tempdir().unwrap();
    let first = fs::read(build_package(AGENT, VERSION, &folder.path().join("one"), "none")).unwrap();
    let second = fs::read(build_package(AGENT, VERSION, &folder.path().join("two"), "none")).unwrap();
    assert!(first == second, "two builds of one version differ");
}
