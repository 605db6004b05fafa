//! What the server leaves on the disk is closed to others, whatever umask it was started with.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The program with these words, under a umask that takes nothing away.
fn open_to_all(words: &[&str]) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", "umask 0 && exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_oss2fa-server")]).args(words);
    command.env_clear().env("PATH", "/usr/bin:/bin");
    command
}

fn below(folder: &Path) -> Vec<PathBuf> {
    let mut found = vec![folder.to_owned()];
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(below(&path));
        } else {
            found.push(path);
        }
    }
    found
}

/// The names of the files, each closed to everybody but their owner.
fn closed(folder: &Path, when: &str) -> Vec<String> {
    let mut names = Vec::new();
    for path in below(folder) {
        let name = path.strip_prefix(folder).unwrap().display().to_string();
        let mode = path.metadata().unwrap().permissions().mode() & 0o7777;
        // A certificate is shown to whoever connects.
        let others = if name == "tls.crt" { 0o033 } else { 0o077 };
        assert_eq!(mode & others, 0, "{name} has mode {mode:o} {when}");
        names.push(name);
    }
    names
}

#[test]
fn row_33_every_file_of_the_server_is_closed_to_others_under_any_umask() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let words = ["--data-dir", data.to_str().unwrap()];
    let mut server = open_to_all(&["serve", "--listen", "127.0.0.1:0"])
        .args(words)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(server.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("server started")), "no banner");
    let running = closed(&data, "while it runs");
    for name in ["server.db", "server.db-wal", "master.key", "tls.key", "tls.crt"] {
        assert!(running.contains(&name.to_owned()), "{name} is missing from {running:?}");
    }
    let copy = folder.path().join("data/copy.db");
    for command in [
        &["backup", copy.to_str().unwrap()][..],
        &["key", "rotate-master", "--keep-old"],
        &["integration", "create", "vpn"],
    ] {
        let done = open_to_all(command).args(words).output().unwrap();
        assert!(done.status.success(), "{command:?}: {}", String::from_utf8_lossy(&done.stderr));
    }
    let after = closed(&data, "after commands beside it");
    assert!(after.contains(&"copy.db".to_owned()), "{after:?}");
    server.kill().unwrap();
    server.wait().unwrap();
    closed(&data, "after its end");
}
