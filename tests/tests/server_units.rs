//! The server's systemd unit and what belongs to it, checked by the programs that read them.

#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test: whatever goes wrong fails it")]

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

#[test]
fn the_server_is_exposed_to_less_than_two_of_ten() {
    let report = said(
        Command::new("systemd-analyze")
            .args(["security", "--offline=true", "--no-pager"])
            .arg(packaging("oss2fa-server.service")),
    );
    let figure = report
        .lines()
        .find_map(|line| line.split_once("Overall exposure level for oss2fa-server.service:"))
        .and_then(|(_, rest)| rest.split_whitespace().next())
        .and_then(|figure| figure.parse::<f64>().ok())
        .unwrap_or_else(|| panic!("systemd-analyze gave no figure:\n{report}"));
    assert!(figure < 2.0, "exposure {figure}:\n{report}");
}

#[test]
fn systemd_finds_no_fault_with_the_unit() {
    let root = tempfile::tempdir().unwrap();
    let program = root.path().join("oss2fa-server");
    fs::write(&program, "#!/bin/sh\n").unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let text = fs::read_to_string(packaging("oss2fa-server.service")).unwrap();
    // The server need not be installed on the machine that tests it.
    let text = text.replace("ExecStart=/usr/bin/oss2fa-server", &format!("ExecStart={}", program.display()));
    let unit = root.path().join("oss2fa-server.service");
    fs::write(&unit, text).unwrap();
    let report =
        said(Command::new("systemd-analyze").args(["verify", "--man=no", "--recursive-errors=no"]).arg(unit));
    assert!(report.trim().is_empty(), "{report}");
}

#[test]
fn the_user_and_the_folder_are_made_as_systemd_reads_them() {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir(root.path().join("etc")).unwrap();
    fs::write(root.path().join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n").unwrap();
    fs::write(root.path().join("etc/group"), "root:x:0:\n").unwrap();
    let inside = format!("--root={}", root.path().display());
    said(Command::new("systemd-sysusers").arg(&inside).arg(packaging("oss2fa-server.sysusers")));
    let accounts = fs::read_to_string(root.path().join("etc/passwd")).unwrap();
    let account = accounts.lines().find(|line| line.starts_with("oss2fa-server:"));
    let fields: Vec<_> = account.unwrap_or_else(|| panic!("{accounts}")).split(':').collect();
    let [_, _, uid, gid, gecos, home, shell] = fields.as_slice() else { panic!("{accounts}") };
    assert_eq!((*gecos, *home, *shell), ("OSS2FA server", "/var/lib/oss2fa-server", "/usr/sbin/nologin"));
    assert!(uid.parse::<u32>().unwrap() < 1000, "not a system user: {accounts}");

    said(
        Command::new("systemd-tmpfiles").args(["--create", &inside]).arg(packaging("oss2fa-server.tmpfiles")),
    );
    let meta = fs::metadata(root.path().join("var/lib/oss2fa-server")).unwrap();
    let found = (meta.uid().to_string(), meta.gid().to_string(), meta.mode() & 0o7777);
    assert_eq!(found, ((*uid).into(), (*gid).into(), 0o700));
}

/// Runs a program that must succeed; gives what it said on both streams.
#[track_caller]
fn said(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?} does not run: {error}"));
    let text =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?} failed:\n{text}");
    text
}

fn packaging(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("packaging/systemd").join(name)
}
