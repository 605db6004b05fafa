//! What confines the agent besides its unit: the AppArmor profile and the SELinux module. This machine need run
//! neither; their own compilers read them, and the profile is held against what the agent really opens.

use std::fs;
use std::process::Command;

use crate::people::ENROL_ROOT;
use crate::root::{DebianRoot, Ran, repository};
use crate::{AGENT, MODULE, VERSION};

#[test]
fn apparmor_reads_the_profile_and_the_unit_names_it() {
    let profile = repository().join("packaging/apparmor/oss2fa-agent");
    let read = |words: &[&str]| {
        let parser = Command::new("apparmor_parser").args(words).arg(&profile).output();
        Ran::from(parser.unwrap_or_else(|error| panic!("apparmor_parser does not run: {error}")))
    };
    let said = read(&["--skip-kernel-load", "--skip-cache"]).expect_ok("apparmor_parser");
    // A machine whose kernel has no AppArmor has no place to cache profiles in.
    let warnings = said.lines().filter(|line| !line.starts_with("Cache read/write disabled"));
    assert_eq!(warnings.count(), 0, "{said}");
    let names = read(&["--names"]).expect_ok("apparmor_parser --names");
    assert_eq!(names.lines().next(), Some("oss2fa-agent"), "{names}");
    let unit = fs::read_to_string(repository().join("packaging/systemd/oss2fa-agent.service")).unwrap();
    assert!(unit.lines().any(|line| line == "AppArmorProfile=-oss2fa-agent"), "{unit}");
}

#[test]
fn the_profile_allows_every_file_that_the_agent_uses() {
    let root = DebianRoot::with_package(AGENT, VERSION);
    root.write("/etc/pam.d/only-code", &format!("auth required {MODULE}\n"));
    let trace = root.path("/root/trace");
    let ran = Command::new("unshare")
        .args(["--mount", "--pid", "--fork", "--kill-child", "sh", "-eu", "-c", TRACED, "sh"])
        .arg(root.path("/"))
        .arg(&trace)
        .arg(format!("{ENROL_ROOT}\n{LOGIN}"))
        .env_clear()
        .envs([("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"), ("LC_ALL", "C.UTF-8")])
        .output()
        .unwrap();
    Ran::from(ran).expect_ok("what was traced");

    let said = Command::new("/usr/bin/python3")
        .arg(repository().join("tests/tests/packages/allowed.py"))
        .arg(repository().join("packaging/apparmor/oss2fa-agent"))
        .arg(&trace)
        .arg("/usr/bin/oss2fa-agent")
        .output();
    let said = Ran::from(said.unwrap()).expect_ok("a profile that allows all that was traced");
    let text = fs::read_to_string(&trace).unwrap();
    for used in ["/etc/oss2fa/agent.toml", "/var/lib/oss2fa/agent.db-wal", "/etc/passwd"] {
        assert!(text.contains(used), "the trace has not seen the agent use {used}: {said}");
    }
}

/// Starts the agent as systemd does, as its user and with the socket in place, and traces it. `$1` the root,
/// `$2` the trace, `$3` what is done with the agent.
const TRACED: &str = r#"
    mount -t proc proc "$1/proc"
    mount -t tmpfs tmpfs "$1/run"
    mkdir "$1/run/oss2fa"
    strace -f -qq -o "$2" -e trace=%file,%network chroot "$1" systemd-socket-activate -l /run/oss2fa/agent.sock \
        setpriv --reuid=oss2fa --regid=oss2fa --clear-groups --bounding-set=-all --no-new-privs \
        /usr/bin/oss2fa-agent serve &
    for i in $(seq 600); do [ ! -S "$1/run/oss2fa/agent.sock" ] || break; sleep 0.1; done
    chroot "$1" sh -eu -c "$3"
"#;

/// A login, a refused one, a reload.
const LOGIN: &str = r#"
    oathtool --hotp -b -c 1 "$secret" | pamtester only-code root authenticate
    ! echo 000000 | pamtester only-code root authenticate
    pkill -HUP -x oss2fa-agent
    sleep 0.3
    oss2fa-agent list
    oss2fa-agent audit --verify
    oss2fa-agent backup /root/backup
"#;

#[test]
fn selinux_compiles_the_module() {
    let folder = tempfile::tempdir().unwrap();
    let sources = repository().join("packaging/selinux");
    for kind in ["te", "if", "fc"] {
        let name = format!("oss2fa_agent.{kind}");
        fs::copy(sources.join(&name), folder.path().join(&name)).unwrap();
    }
    let made = Command::new("make")
        .args(["-f", "/usr/share/selinux/devel/Makefile", "oss2fa_agent.pp"])
        .current_dir(folder.path())
        .env_remove("MAKEFLAGS")
        .output()
        .unwrap();
    let said = Ran::from(made).expect_ok("the Makefile of selinux-policy-dev");
    assert!(!said.to_lowercase().contains("warning"), "{said}");

    let unpacked = Command::new("semodule_unpackage")
        .args(["oss2fa_agent.pp", "module", "contexts"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    Ran::from(unpacked).expect_ok("semodule_unpackage");
    let contexts = fs::read_to_string(folder.path().join("contexts")).unwrap();
    for (path, kind) in [
        ("/usr/bin/oss2fa-agent", "oss2fa_agent_exec_t"),
        ("/etc/oss2fa", "oss2fa_agent_conf_t"),
        ("/var/lib/oss2fa", "oss2fa_agent_var_lib_t"),
        ("/run/oss2fa", "oss2fa_agent_runtime_t"),
    ] {
        let line = contexts.lines().find(|line| line.starts_with(path));
        assert!(line.is_some_and(|line| line.contains(kind)), "{path} is not {kind}:\n{contexts}");
    }
}
