//! The program as it is installed, with a daemon of its own and codes made by oathtool.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::unistd::{User, getuid};
use serde_json::Value;
use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_oss2fa-agent");

struct Daemon {
    folder: TempDir,
    process: Child,
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Daemon {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        // Started by root it becomes another user, who must get in.
        std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).unwrap();
        let own = User::from_uid(getuid()).unwrap().unwrap().name;
        let user = if own == "root" { "nobody" } else { &own };
        let path = folder.path().display();
        let config = folder.path().join("agent.toml");
        std::fs::write(
            &config,
            format!(
                "[agent]\nsocket = \"{path}/agent.sock\"\nuser = \"{user}\"\n[store]\npath = \"{path}/var/agent.db\"\n\
                 master_key = \"{path}/var/master.key\"\n[audit]\nsyslog = false\n"
            ),
        )
        .unwrap();
        std::fs::set_permissions(&config, PermissionsExt::from_mode(0o644)).unwrap();
        let process = Command::new(PROGRAM)
            .arg("--config")
            .arg(&config)
            .arg("serve")
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let daemon = Self { folder, process };
        let begun = Instant::now();
        while daemon.run(&["list"]).status.code() != Some(0) {
            assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", daemon.run(&["list"]));
            std::thread::sleep(Duration::from_millis(20));
        }
        daemon
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command.arg("--config").arg(self.path("agent.toml")).args(words).stdin(Stdio::null());
        command
    }

    fn run(&self, words: &[&str]) -> Output {
        self.command(words).output().unwrap()
    }

    fn json(&self, words: &[&str]) -> Value {
        let output = self.run(words);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

fn secret_of(uri: &str) -> &str {
    uri.split_once("secret=").unwrap().1.split('&').next().unwrap()
}

fn hotp(secret: &str, counter: u64) -> String {
    let output = Command::new("oathtool")
        .args(["--hotp", "--base32", &format!("--counter={counter}"), secret])
        .output()
        .expect("oathtool (Debian package oathtool)");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn from_enrolment_to_backup() {
    let daemon = Daemon::start();
    let made = daemon.json(&["enroll", "hotp", "--name", "token", "--json"]);
    assert_eq!(made["status"], "pending");
    let (device, uri) = (made["device"].to_string(), made["provisioning_uri"].as_str().unwrap());
    let secret = secret_of(uri);

    let early = daemon.run(&["verify", &hotp(secret, 0)]);
    assert_eq!(early.status.code(), Some(1), "a pending device does not count: {early:?}");
    let confirmed = daemon.json(&["confirm", "--device", &device, &hotp(secret, 0), "--json"]);
    assert_eq!((&confirmed["status"], &confirmed["name"]), (&"active".into(), &"token".into()));
    assert_eq!(daemon.run(&["verify", &hotp(secret, 1)]).status.code(), Some(0));
    let replayed = daemon.run(&["verify", &hotp(secret, 1), "--json"]);
    assert_eq!(replayed.status.code(), Some(1));
    let error: Value = serde_json::from_slice(&replayed.stderr).unwrap();
    assert_eq!(error["error"], "code_refused");
    let resynced =
        daemon.json(&["resync", "--device", &device, &hotp(secret, 40), &hotp(secret, 41), "--json"]);
    assert_eq!(resynced["device"].to_string(), device);

    let lines = daemon.run(&["audit", "--json"]).stdout;
    let events: Vec<Value> = lines
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect();
    let words: Vec<&str> = events.iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!(words, ["started", "enrolled", "refused", "confirmed", "accepted", "refused", "resynced"]);
    let whole = daemon.run(&["audit", "--verify"]);
    assert_eq!(whole.status.code(), Some(0));
    assert!(String::from_utf8(whole.stdout).unwrap().starts_with("The audit is whole: 7 events"));

    let copy = daemon.path("copy.db");
    let backup = daemon.run(&["backup", copy.to_str().unwrap()]);
    assert_eq!(backup.status.code(), Some(0), "{backup:?}");
    assert_eq!(copy.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let held = std::fs::read(&copy).unwrap();
    assert!(held.starts_with(b"SQLite format 3\0"));
    assert!(!held.windows(secret.len()).any(|window| window == secret.as_bytes()), "the secret is sealed");
}

#[test]
fn the_audit_is_followed() {
    let daemon = Daemon::start();
    let mut follower =
        daemon.command(&["audit", "--follow", "--json"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(follower.stdout.take().unwrap()).lines();
    let mut next = || serde_json::from_str::<Value>(&lines.next().unwrap().unwrap()).unwrap();
    assert_eq!(next()["event"], "started");
    daemon.json(&["enroll", "totp", "--json"]);
    let event = next();
    assert_eq!((&event["event"], &event["seq"]), (&"enrolled".into(), &2.into()));
    follower.kill().unwrap();
    follower.wait().unwrap();
}
