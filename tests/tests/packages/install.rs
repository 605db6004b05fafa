//! Installs and upgrades.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::people::{PASSWORD, add_ferris, assert_root_is_still_enrolled, enrol_root};
use crate::root::{DebianRoot, owned_by, repository};
use crate::{AGENT, MODULE, VERSION};

/// A version below [`VERSION`].
const OLDER: &str = "0.0.9-1";

#[test]
fn a_fresh_install_puts_every_file_in_place_and_changes_no_login() {
    let root = DebianRoot::fresh();
    let stacks_before = root.run("cd /etc/pam.d && md5sum *").expect_ok("md5sum");
    root.install(AGENT, VERSION).expect_ok("the first install");

    let files = root.run("dpkg -L oss2fa-agent").expect_ok("dpkg -L");
    for wanted in [
        "/usr/bin/oss2fa-agent",
        "/lib/systemd/system/oss2fa-agent.service",
        "/lib/systemd/system/oss2fa-agent.socket",
        "/usr/lib/sysusers.d/oss2fa-agent.conf",
        "/usr/lib/tmpfiles.d/oss2fa-agent.conf",
        "/usr/lib/udev/rules.d/70-oss2fa-agent.rules",
        "/usr/share/pam-configs/oss2fa",
        "/etc/apparmor.d/oss2fa-agent",
        "/usr/share/oss2fa-agent/selinux/oss2fa_agent.te",
        "/usr/share/oss2fa-agent/selinux/oss2fa_agent.fc",
        "/usr/share/oss2fa-agent/selinux/oss2fa_agent.if",
        "/etc/oss2fa/agent.toml",
        "/usr/share/man/man1/oss2fa-agent.1.gz",
        "/usr/share/bash-completion/completions/oss2fa-agent",
        "/usr/share/zsh/vendor-completions/_oss2fa-agent",
        "/usr/share/fish/vendor_completions.d/oss2fa-agent.fish",
        "/usr/share/doc/oss2fa-agent/copyright",
        "/usr/share/doc/oss2fa-agent/changelog.Debian.gz",
        "/usr/share/doc/oss2fa-agent/examples/pam.d/sshd",
        "/usr/share/doc/oss2fa-agent/examples/sshd_config.d/oss2fa.conf",
    ] {
        assert!(files.lines().any(|line| line == wanted), "{wanted} is not in the package:\n{files}");
    }
    assert!(
        files.lines().any(|line| line.ends_with(&format!("/security/{MODULE}"))),
        "no module in:\n{files}"
    );
    for file in files.lines() {
        let meta = fs::metadata(root.path(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert_eq!(meta.permissions().mode() & 0o022, 0, "{file} may be written by more than root");
        assert!(root.owner_and_mode(file).starts_with("0:0 "), "{file} is not root's");
    }
    root.run("cd / && md5sum --quiet -c /var/lib/dpkg/info/oss2fa-agent.md5sums").expect_ok("the md5sums");
    assert_eq!(root.owner_and_mode("/etc/oss2fa/agent.toml"), "0:0 644");

    let account = root.run("getent passwd oss2fa").expect_ok("the agent's user");
    assert!(account.trim_end().ends_with("OSS2FA agent:/var/lib/oss2fa:/usr/sbin/nologin"), "{account}");
    assert_eq!(root.owner_and_mode("/var/lib/oss2fa"), owned_by(&root, "oss2fa", "700"));
    assert_eq!(root.owner_and_mode("/run/oss2fa"), "0:0 755");

    let stacks_after = root.run("cd /etc/pam.d && md5sum *").expect_ok("md5sum");
    assert_eq!(stacks_after, stacks_before, "installing must not touch a login");
    root.run("oss2fa-agent check-config").expect_ok("check-config on the shipped configuration");
}

#[test]
fn libpam_finds_and_loads_the_module_and_is_refused_without_the_agent() {
    let root = DebianRoot::with_package(AGENT, VERSION);
    let module = root.run(&format!("find / -xdev -name {MODULE}")).expect_ok("find");
    let linked = root.run(&format!("ldd -r {}", module.trim())).expect_ok("ldd");
    // libpam itself gives libpam's symbols; everything else must resolve.
    assert!(!linked.contains("not found"), "{linked}");

    root.write("/etc/pam.d/only-code", &format!("auth required {MODULE}\n"));
    let login = root
        .run("pamtester only-code root authenticate </dev/null")
        .expect_failure("a login without the agent");
    assert!(login.contains("cannot retrieve authentication info"), "not PAM_AUTHINFO_UNAVAIL: {login}");
}

#[test]
fn an_upgrade_keeps_the_devices_and_a_changed_configuration() {
    let root = DebianRoot::with_package(AGENT, OLDER);
    let changed = root.read("/etc/oss2fa/agent.toml").replace("totp_skew = 1", "totp_skew = 2");
    root.write("/etc/oss2fa/agent.toml", &changed);
    enrol_root(&root);
    let user = root.run("id oss2fa").expect_ok("id");

    root.install(AGENT, VERSION).expect_ok("the upgrade");

    let version =
        root.run("dpkg-query -W -f '${Version} ${db:Status-Status}' oss2fa-agent").expect_ok("dpkg-query");
    assert_eq!(version, format!("{VERSION} installed"));
    assert_eq!(root.read("/etc/oss2fa/agent.toml"), changed);
    assert_eq!(root.run("id oss2fa").expect_ok("id"), user);
    assert_root_is_still_enrolled(&root);
}

#[test]
fn without_systemd_the_user_is_made_by_adduser() {
    let root = DebianRoot::fresh();
    root.run("rm /bin/systemd-sysusers /bin/systemd-tmpfiles /bin/systemctl").expect_ok("rm");
    root.install(AGENT, VERSION).expect_ok("an install without systemd");
    let account = root.run("getent passwd oss2fa").expect_ok("the agent's user");
    assert!(account.contains(":/var/lib/oss2fa:/usr/sbin/nologin"), "{account}");
    assert_eq!(root.owner_and_mode("/var/lib/oss2fa"), owned_by(&root, "oss2fa", "700"));
    enrol_root(&root);
}

#[test]
fn an_account_that_somebody_logs_in_with_does_not_become_the_agents() {
    let root = DebianRoot::fresh();
    root.run("useradd -m oss2fa").expect_ok("useradd");
    let refusal = root.install(AGENT, VERSION).expect_failure("an install beside a user of that name");
    assert!(refusal.contains("not a system"), "{refusal}");
    assert!(!root.path("/var/lib/oss2fa").exists());

    root.run("userdel -r oss2fa; dpkg --configure oss2fa-agent")
        .expect_ok("the install once the user is gone");
}

#[test]
fn the_profile_is_off_at_first_and_stands_after_the_password() {
    let root = DebianRoot::with_package(AGENT, VERSION);
    assert!(!root.read("/etc/pam.d/common-auth").contains(MODULE));

    root.run("pam-auth-update --enable oss2fa").expect_ok("pam-auth-update --enable");

    let auth = root.read("/etc/pam.d/common-auth");
    let lines: Vec<_> =
        auth.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty()).collect();
    let place = |module: &str| {
        lines
            .iter()
            .position(|line| line.contains(module))
            .unwrap_or_else(|| panic!("{module} is missing:\n{auth}"))
    };
    assert!(place("pam_unix.so") < place("pam_deny.so") && place("pam_deny.so") < place(MODULE), "{auth}");
    let words: Vec<_> = lines.get(place(MODULE)).unwrap().split_whitespace().collect();
    assert_eq!(words, ["auth", "required", MODULE]);
    assert!(!auth.contains("sufficient"), "{auth}");
    // A jump over the denial lands on pam_permit, not past the module.
    assert!(lines.first().unwrap().contains("[success=1 "), "{auth}");
    for stack in ["account", "session", "session-noninteractive", "password"] {
        let text = root.read(&format!("/etc/pam.d/common-{stack}"));
        assert!(!text.contains(MODULE), "cron and systemd --user would be refused:\n{text}");
    }

    // As real libpam takes it: with the right password the missing agent still refuses.
    add_ferris(&root);
    root.write("/etc/pam.d/door", "@include common-auth\n@include common-account\n");
    root.run(&format!("printf '{PASSWORD}\\n' | pamtester door ferris authenticate"))
        .expect_failure("no agent");
    // What never authenticates goes on working.
    root.run("pamtester door ferris acct_mgmt").expect_ok("the account phase, as cron runs it");
    root.run("pam-auth-update --disable oss2fa").expect_ok("pam-auth-update --disable");
    root.run(&format!("printf '{PASSWORD}\\n' | pamtester door ferris authenticate"))
        .expect_ok("the profile is off");
}

#[test]
fn the_example_files_of_the_package_are_those_of_the_repository() {
    let root = DebianRoot::with_package(AGENT, VERSION);
    for folder in ["pam.d", "sshd_config.d"] {
        for file in fs::read_dir(repository().join("config").join(folder)).unwrap() {
            let path = file.unwrap().path();
            let name = path.file_name().map(Path::new).unwrap().display().to_string();
            let installed = root.read(&format!("/usr/share/doc/oss2fa-agent/examples/{folder}/{name}"));
            assert_eq!(installed, fs::read_to_string(&path).unwrap(), "{folder}/{name}");
        }
    }
}
