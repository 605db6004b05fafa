//! Secrets are shown where they are made, and nowhere else.

use std::fs;
use std::io::Write;
use std::process::Stdio;

use serde_json::Value;

use crate::host::Host;

#[test]
fn no_secret_is_in_any_output_or_file() {
    let (host, first) = Host::begun();
    let mut secrets = vec![first];
    let collect = |made: Value, secrets: &mut Vec<String>| {
        for key in ["token", "secret_key"] {
            secrets.push(made[key].as_str().unwrap().to_owned());
        }
    };
    collect(host.json(&["integration", "create", "vpn"]), &mut secrets);
    collect(host.json(&["integration", "rotate-token", "vpn"]), &mut secrets);
    collect(host.json(&["admin", "create", "root", "--role", "owner"]), &mut secrets);
    host.done(&["key", "rotate-master", "--keep-old"]);
    secrets.extend(fs::read_to_string(host.path("data/master.key")).unwrap().lines().map(str::to_owned));
    assert_eq!(secrets.len(), 9);

    let mut shown = String::new();
    let copy = host.path("copy.db");
    for words in [
        &["check-config"][..],
        &["tenant", "list"],
        &["tenant", "rotate-key", "default"],
        &["integration", "list"],
        &["integration", "policy", "vpn"],
        &["client", "list", "--integration", "vpn"],
        &["admin", "list"],
        &["audit", "list"],
        &["audit", "list", "--server"],
        &["audit", "verify"],
        &["key", "list"],
        &["key", "tidy"],
        &["key", "rotate-master", "--resume", "--keep-old"],
        &["store", "status"],
        &["backup", copy.to_str().unwrap()],
    ] {
        for form in [&[][..], &["--json"]] {
            let ran = host.run(&[words, form].concat());
            shown.push_str(&ran.stdout);
            shown.push_str(&ran.stderr);
        }
    }
    for secret in &secrets {
        assert!(!shown.contains(secret.as_str()), "{secret} is in:\n{shown}");
        for file in ["data/server.db", "copy.db"] {
            let bytes = fs::read(host.path(file)).unwrap();
            assert!(!bytes.windows(secret.len()).any(|window| window == secret.as_bytes()), "{file}");
        }
    }
}

#[test]
fn no_secret_is_in_the_list_of_processes() {
    let (host, token) = Host::begun();
    let key = fs::read_to_string(host.path("data/master.key")).unwrap();
    let mut child = host
        .command(&["tenant", "remove", "default"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // It waits for an answer, with the store open.
    std::thread::sleep(std::time::Duration::from_millis(300));
    let pid = child.id();
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap();
    let line = String::from_utf8_lossy(&line).into_owned();
    assert!(line.contains("remove"), "{line}");
    assert!(!line.contains(&token) && !line.contains(key.trim()));
    child.stdin.take().unwrap().write_all(b"no\n").unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1));
    // No flag takes one, either.
    let help = String::from_utf8(host.command(&["--help"]).output().unwrap().stdout).unwrap();
    assert!(!help.contains("--token") && !help.contains("--password"));
}
