//! Removals, purges, and what they keep.

use crate::people::{assert_root_is_still_enrolled, enrol_root};
use crate::root::{DebianRoot, owned_by};
use crate::{AGENT, MODULE, VERSION};

#[test]
fn a_removal_is_refused_while_a_stack_names_the_module() {
    let root = DebianRoot::with_package(AGENT, VERSION);
    root.run("pam-auth-update --enable oss2fa").expect_ok("pam-auth-update --enable");
    root.write(
        "/etc/pam.d/sudo",
        "# auth required pam_oss2fa.so\n@include common-auth\nauth required pam_oss2fa.so\n",
    );

    let refusal =
        root.run("dpkg --remove oss2fa-agent").expect_failure("a removal with the module in sudo's stack");
    assert!(refusal.contains("/etc/pam.d/sudo:3:auth required pam_oss2fa.so"), "{refusal}");
    assert!(!refusal.contains("sudo:1:"), "a comment does not hold the package: {refusal}");
    assert!(root.read("/etc/pam.d/common-auth").contains(MODULE), "a refused removal must change no stack");
    let state = root.run("dpkg-query -W -f '${db:Status-Status}' oss2fa-agent").expect_ok("dpkg-query");
    assert_eq!(state, "installed");

    // Without the line in sudo the profile's own goes by itself.
    root.write("/etc/pam.d/sudo", "# auth required pam_oss2fa.so\n@include common-auth\n");
    root.run("dpkg --remove oss2fa-agent").expect_ok("the removal");
    assert!(!root.read("/etc/pam.d/common-auth").contains(MODULE), "{}", root.read("/etc/pam.d/common-auth"));
    root.run("pamtester sudo root acct_mgmt").expect_ok("a stack after the removal");
}

#[test]
fn a_removal_is_refused_while_a_hand_edited_common_auth_names_the_module() {
    let root = DebianRoot::with_package(AGENT, VERSION);
    let edited = format!("auth required {MODULE}\nauth required pam_unix.so\n");
    root.write("/etc/pam.d/common-auth", &edited);

    let refusal =
        root.run("dpkg --remove oss2fa-agent").expect_failure("a removal with a hand-edited common-auth");
    assert!(refusal.contains("/etc/pam.d/common-auth:1:"), "{refusal}");
    assert_eq!(root.read("/etc/pam.d/common-auth"), edited);
}

#[test]
fn a_removal_keeps_the_devices_for_a_later_install() {
    let root = DebianRoot::with_package(AGENT, VERSION);
    enrol_root(&root);
    root.run("dpkg --remove oss2fa-agent").expect_ok("the removal");
    assert!(!root.path("/usr/bin/oss2fa-agent").exists());
    assert!(root.path("/etc/oss2fa/agent.toml").exists(), "a removal keeps the configuration");
    assert_eq!(root.owner_and_mode("/var/lib/oss2fa"), owned_by(&root, "oss2fa", "700"));

    root.install(AGENT, VERSION).expect_ok("the install after the removal");
    assert_root_is_still_enrolled(&root);
}

#[test]
fn a_purge_leaves_nothing_behind_and_the_package_installs_again() {
    let root = DebianRoot::fresh();
    let everything = "find / -xdev ! -path '/proc/*' ! -path '/root/*' ! -path '/var/log/*' ! -path '/var/lib/dpkg/*' \
                      ! -path '/var/cache/*' ! -name '*-' | LC_ALL=C sort";
    let before = root.run(everything).expect_ok("find");
    root.install(AGENT, VERSION).expect_ok("the install");
    enrol_root(&root);
    root.run("pam-auth-update --enable oss2fa").expect_ok("pam-auth-update --enable");

    root.run("dpkg --purge oss2fa-agent").expect_ok("the purge");

    let after = root.run(everything).expect_ok("find");
    let left: Vec<_> = after.lines().filter(|line| !before.lines().any(|old| old == *line)).collect();
    assert!(left.iter().all(|path| OTHERS_FILES.contains(path)), "a purge left {left:?}");
    assert!(!root.read("/etc/pam.d/common-auth").contains(MODULE));
    for table in ["passwd", "group"] {
        root.run(&format!("getent {table} oss2fa")).expect_failure("the agent's user after a purge");
    }

    root.install(AGENT, VERSION).expect_ok("the install after the purge");
    let state = root.run("dpkg-query -W -f '${db:Status-Status}' oss2fa-agent").expect_ok("dpkg-query");
    assert_eq!(state, "installed");
}

/// Made while the package was there by the programs of other packages, and theirs to keep.
pub(crate) const OTHERS_FILES: &[&str] = &[
    "/var/lib/pam/seen",
    "/etc/systemd/system/sockets.target.wants",
    "/var/lib/systemd/deb-systemd-helper-enabled",
];
