//! The systemd units and the files that an operator copies: what they promise, checked by the programs
//! that read them.

#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test: whatever goes wrong fails it")]

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

#[test]
fn the_service_is_exposed_to_less_than_two_of_ten() {
    let unit = repository().join("packaging/systemd/oss2fa-agent.service");
    let report =
        said(Command::new("systemd-analyze").args(["security", "--offline=true", "--no-pager"]).arg(unit));
    let figure = report
        .lines()
        .find_map(|line| line.split_once("Overall exposure level for oss2fa-agent.service:"))
        .and_then(|(_, rest)| rest.split_whitespace().next())
        .and_then(|figure| figure.parse::<f64>().ok())
        .unwrap_or_else(|| panic!("systemd-analyze gave no figure:\n{report}"));
    assert!(figure < 2.0, "exposure {figure}:\n{report}");
}

#[test]
fn a_service_that_asks_a_server_is_exposed_to_less_than_two_of_ten() {
    let systemd = repository().join("packaging/systemd");
    let read = |name: &str| fs::read_to_string(systemd.join(name)).unwrap();
    let (unit, drop_in) = (read("oss2fa-agent.service"), read("oss2fa-agent-server.conf"));
    let (before, after) = unit.split_once("[Install]").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let both = folder.path().join("oss2fa-agent.service");
    fs::write(&both, format!("{before}\n{drop_in}\n[Install]{after}")).unwrap();
    let report =
        said(Command::new("systemd-analyze").args(["security", "--offline=true", "--no-pager"]).arg(&both));
    let figure = report
        .lines()
        .find_map(|line| line.split_once("Overall exposure level for oss2fa-agent.service:"))
        .and_then(|(_, rest)| rest.split_whitespace().next())
        .and_then(|figure| figure.parse::<f64>().ok())
        .unwrap_or_else(|| panic!("systemd-analyze gave no figure:\n{report}"));
    assert!(figure < 2.0, "exposure {figure}:\n{report}");
}

#[test]
fn the_service_keeps_the_uids_of_its_peers_real() {
    // systemd-analyze would give a better figure for it, and the agent would take everybody for nobody.
    let unit = fs::read_to_string(repository().join("packaging/systemd/oss2fa-agent.service")).unwrap();
    assert!(!unit.lines().any(|line| line.starts_with("PrivateUsers=")));
    assert!(!unit.lines().any(|line| line.starts_with("DynamicUser=")));
}

#[test]
fn systemd_finds_no_fault_with_the_units() {
    let root = root_with_units();
    let unit = root.path().join("lib/systemd/system/oss2fa-agent.service");
    let socket = root.path().join("lib/systemd/system/oss2fa-agent.socket");
    let report = said(
        Command::new("systemd-analyze")
            .args(["verify", "--man=no", "--recursive-errors=no"])
            .arg(unit)
            .arg(socket),
    );
    assert!(report.trim().is_empty(), "{report}");
}

#[test]
fn the_user_and_the_folders_are_made_as_systemd_reads_them() {
    let root = root_with_units();
    fs::write(root.path().join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n").unwrap();
    fs::write(root.path().join("etc/group"), "root:x:0:\n").unwrap();
    let inside = format!("--root={}", root.path().display());

    said(
        Command::new("systemd-sysusers")
            .arg(&inside)
            .arg(repository().join("packaging/systemd/oss2fa-agent.sysusers")),
    );
    let accounts = fs::read_to_string(root.path().join("etc/passwd")).unwrap();
    let account =
        accounts.lines().find(|line| line.starts_with("oss2fa:")).unwrap_or_else(|| panic!("{accounts}"));
    let fields: Vec<_> = account.split(':').collect();
    let [_, _, uid, gid, gecos, home, shell] = fields.as_slice() else { panic!("{account}") };
    assert_eq!((*gecos, *home, *shell), ("OSS2FA agent", "/var/lib/oss2fa", "/usr/sbin/nologin"));
    assert!(uid.parse::<u32>().unwrap() < 1000, "not a system user: {account}");

    said(
        Command::new("systemd-tmpfiles")
            .args(["--create", &inside])
            .arg(repository().join("packaging/systemd/oss2fa-agent.tmpfiles")),
    );
    let owner_and_mode = |folder: &str| {
        let meta = fs::metadata(root.path().join(folder)).unwrap_or_else(|error| panic!("{folder}: {error}"));
        (meta.uid().to_string(), meta.gid().to_string(), meta.mode() & 0o7777)
    };
    assert_eq!(owner_and_mode("run/oss2fa"), ("0".into(), "0".into(), 0o755));
    assert_eq!(owner_and_mode("var/lib/oss2fa"), ((*uid).into(), (*gid).into(), 0o700));
}

#[test]
fn sshd_reads_the_drop_in_as_it_is_meant() {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key");
    said(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key));
    fs::create_dir_all("/run/sshd").unwrap();
    let drop_in = repository().join("config/sshd_config.d/oss2fa.conf");
    let settings = |configuration: &str| {
        let file = folder.path().join("sshd_config");
        fs::write(&file, configuration).unwrap();
        said(Command::new("/usr/sbin/sshd").args(["-T", "-f"]).arg(file).arg("-h").arg(&key))
    };

    // Below the include, as in Debian's sshd_config, stands what would undo it; the first value wins.
    let contrary = "PasswordAuthentication yes\nKbdInteractiveAuthentication no\nAuthenticationMethods password\nUsePAM no\n";
    let in_force = settings(&format!("Include {}\n{contrary}", drop_in.display()));
    for line in [
        "usepam yes",
        "kbdinteractiveauthentication yes",
        "passwordauthentication no",
        "authenticationmethods keyboard-interactive",
    ] {
        assert!(in_force.lines().any(|found| found == line), "'{line}' is not in force:\n{in_force}");
    }

    let other = fs::read_to_string(&drop_in).unwrap();
    let other = other
        .replace("\nAuthenticationMethods", "\n#")
        .replace("\n#AuthenticationMethods", "\nAuthenticationMethods");
    let in_force = settings(&other);
    assert!(in_force.contains("authenticationmethods publickey,keyboard-interactive\n"), "{in_force}");
}

#[test]
fn no_shipped_stack_can_be_passed_without_the_module() {
    for (name, lines) in shipped_stacks() {
        if name == "sudo-i" {
            let auth: Vec<_> = lines.iter().filter(|line| line.phase == "auth").collect();
            let as_sudo =
                auth.iter().all(|line| (line.control.as_str(), line.module.as_str()) == ("include", "sudo"));
            assert!(as_sudo && auth.len() == 1, "{name} asks for what sudo asks for: {auth:?}");
            continue;
        }
        let ours: Vec<_> = lines.iter().filter(|line| line.module.ends_with("pam_oss2fa.so")).collect();
        let auth = ours.iter().filter(|line| line.phase == "auth").count();
        assert_eq!(auth, 1, "{name}: the module stands once in the auth phase");
        for line in &ours {
            assert_eq!(line.control, "required", "{name}: a failure of the module must never be passed over");
        }
        let own =
            lines.iter().position(|line| line.phase == "auth" && line.module == "pam_oss2fa.so").unwrap();
        for above in lines.iter().take(own).filter(|line| line.phase == "auth") {
            let jumps = above.control.contains("sufficient") || above.control.starts_with('[');
            let root_in_su = name == "su" && above.module == "pam_rootok.so";
            assert!(!jumps || root_in_su, "{name}: {above:?} can end the auth phase before the module");
        }
        for line in lines.iter().filter(|line| line.phase == "auth") {
            assert!(!line.control.contains("default=ignore"), "{name}: {line:?}");
        }
        let enforced = ours.iter().any(|line| line.phase == "account" && line.arguments == ["enforce"]);
        assert_eq!(
            enforced,
            name.starts_with("sshd"),
            "{name}: `enforce` belongs into sshd's stacks and no other"
        );
    }
}

/// One line of a stack.
#[derive(Debug)]
struct Line {
    phase: String,
    control: String,
    module: String,
    arguments: Vec<String>,
}

fn shipped_stacks() -> Vec<(String, Vec<Line>)> {
    let mut stacks: Vec<_> = fs::read_dir(repository().join("config/pam.d"))
        .unwrap()
        .map(|file| file.unwrap().path())
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), lines_of(&path)))
        .collect();
    stacks.sort_by(|one, other| one.0.cmp(&other.0));
    let names: Vec<_> = stacks.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["sshd", "sshd-publickey", "su", "sudo", "sudo-i"]);
    stacks
}

fn lines_of(stack: &Path) -> Vec<Line> {
    let text = fs::read_to_string(stack).unwrap();
    let rules = text.lines().filter(|line| !line.starts_with(['#', '@']) && !line.trim().is_empty());
    rules
        .map(|rule| {
            let (phase, rest) = rule.split_once(char::is_whitespace).unwrap();
            let rest = rest.trim_start();
            let end = if rest.starts_with('[') {
                rest.find(']').map(|end| end + 1)
            } else {
                rest.find(char::is_whitespace)
            };
            let (control, rest) = rest.split_at(end.unwrap());
            let mut words = rest.split_whitespace().map(str::to_owned);
            let module = words.next().unwrap();
            Line { phase: phase.to_owned(), control: control.to_owned(), module, arguments: words.collect() }
        })
        .collect()
}

/// A root in which the units find what they name.
fn root_with_units() -> TempDir {
    let root = tempfile::tempdir().unwrap();
    for folder in ["lib/systemd/system", "etc"] {
        fs::create_dir_all(root.path().join(folder)).unwrap();
    }
    let program = root.path().join("oss2fa-agent");
    fs::write(&program, "#!/bin/sh\n").unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    for unit in ["oss2fa-agent.service", "oss2fa-agent.socket"] {
        let text = fs::read_to_string(repository().join("packaging/systemd").join(unit)).unwrap();
        // The agent need not be installed on the machine that tests it.
        let text =
            text.replace("ExecStart=/usr/bin/oss2fa-agent", &format!("ExecStart={}", program.display()));
        fs::write(root.path().join("lib/systemd/system").join(unit), text).unwrap();
    }
    root
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

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}
