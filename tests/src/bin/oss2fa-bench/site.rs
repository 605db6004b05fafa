//! A host to measure on: a private world with an agent of its own.

use std::fs;
use std::process::Command;

use oss2fa_tests::{Host, workspace};

use crate::codes::SECRET_BASE32;

/// Users in the large store.
pub(crate) const MANY: u32 = 100_000;

/// A host with these accounts, whose agent holds `filled` users more.
pub(crate) fn host(accounts: &[String], filled: u32) -> Host {
    let mut plan = Host::new().set("agent.log_level", "warn");
    for account in accounts {
        plan = plan.user(account);
    }
    let host = plan.without_agent();
    if filled > 0 {
        fill(&host, filled);
    }
    host.start_agent();
    let uris: Vec<String> = accounts
        .iter()
        .map(|user| format!("otpauth://hotp/{user}?secret={SECRET_BASE32}&counter=0"))
        .collect();
    host.write("/root/devices", &uris.join("\n"));
    host.cli(&["import", "otpauth", "/root/devices"]).succeed();
    host
}

fn fill(host: &Host, count: u32) {
    let built = Command::new(env!("CARGO"))
        .args([
            "build",
            "--release",
            "--quiet",
            "--locked",
            "-p",
            "oss2fa-agent",
            "--example",
            "fill_agent_store",
        ])
        .current_dir(workspace())
        .status();
    assert!(built.expect("cargo").success(), "fill_agent_store was not built");
    let program = workspace().join("target/release/examples/fill_agent_store");
    let inside = "/root/fill_agent_store";
    fs::copy(program, host.path(inside)).unwrap();
    host.program(&[inside, "/etc/oss2fa/agent.toml", &count.to_string()]).succeed();
}
