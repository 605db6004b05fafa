//! Installs, removals and purges of the server's package.

use std::fs;

use crate::root::{DebianRoot, owned_by};
use crate::{AGENT, SERVER, VERSION};

const CONFIG: &str = "/etc/oss2fa/server.toml";
const DATA: &str = "/var/lib/oss2fa-server";

/// Starts the server by hand, as on a host without systemd, until it serves.
pub(crate) const START_ONCE: &str =
    "runuser -u oss2fa-server -- oss2fa-server serve --listen 127.0.0.1:0 >/tmp/banner 2>&1 &
    for i in $(seq 600); do grep -q 'server started' /tmp/banner && break; sleep 0.1; done
    pkill -x oss2fa-server; wait; rm /tmp/banner";

#[test]
fn a_fresh_install_puts_every_file_in_place_and_starts_nothing() {
    let root = DebianRoot::with_package(SERVER, VERSION);
    let files = root.run("dpkg -L oss2fa-server").expect_ok("dpkg -L");
    for wanted in [
        "/usr/bin/oss2fa-server",
        "/lib/systemd/system/oss2fa-server.service",
        "/usr/lib/sysusers.d/oss2fa-server.conf",
        "/usr/lib/tmpfiles.d/oss2fa-server.conf",
        CONFIG,
        "/usr/share/man/man1/oss2fa-server.1.gz",
        "/usr/share/bash-completion/completions/oss2fa-server",
        "/usr/share/zsh/vendor-completions/_oss2fa-server",
        "/usr/share/fish/vendor_completions.d/oss2fa-server.fish",
        "/usr/share/doc/oss2fa-server/openapi.json",
        "/usr/share/doc/oss2fa-server/copyright",
        "/usr/share/doc/oss2fa-server/changelog.Debian.gz",
    ] {
        assert!(files.lines().any(|line| line == wanted), "{wanted} is not in the package:\n{files}");
    }
    root.run("cd / && md5sum --quiet -c /var/lib/dpkg/info/oss2fa-server.md5sums").expect_ok("the md5sums");

    let account = root.run("getent passwd oss2fa-server").expect_ok("the server's user");
    assert!(
        account.trim_end().ends_with("OSS2FA server:/var/lib/oss2fa-server:/usr/sbin/nologin"),
        "{account}"
    );
    assert_eq!(root.owner_and_mode(DATA), owned_by(&root, "oss2fa-server", "700"));
    assert_eq!(fs::read_dir(root.path(DATA)).unwrap().count(), 0, "nothing is made before the first start");
    root.run("systemctl is-enabled oss2fa-server").expect_failure("nobody has enabled it");

    // Passwords may come to stand in it: root writes, the server reads, nobody else does either.
    let group = root.run("id -g oss2fa-server").expect_ok("id");
    assert_eq!(root.owner_and_mode(CONFIG), format!("0:{} 640", group.trim()));
    // What is shipped is what holds without a file.
    let check = "runuser -u oss2fa-server -- oss2fa-server check-config --json";
    let shipped = root.run(check).expect_ok("check-config on the shipped configuration");
    let without =
        root.run(&format!("mv {CONFIG} /root/ && {check}")).expect_ok("check-config without a file");
    let of =
        |text: &str| text.lines().filter(|line| !line.contains("\"file\"")).collect::<Vec<_>>().join("\n");
    assert_eq!(of(&shipped), of(&without));
}

#[test]
fn without_systemd_the_servers_user_is_made_by_adduser() {
    let root = DebianRoot::fresh();
    root.run("rm /bin/systemd-sysusers /bin/systemd-tmpfiles /bin/systemctl").expect_ok("rm");
    root.install(SERVER, VERSION).expect_ok("an install without systemd");
    let account = root.run("getent passwd oss2fa-server").expect_ok("the server's user");
    assert!(account.contains(":/var/lib/oss2fa-server:/usr/sbin/nologin"), "{account}");
    assert_eq!(root.owner_and_mode(DATA), owned_by(&root, "oss2fa-server", "700"));
}

#[test]
fn an_account_that_somebody_logs_in_with_does_not_become_the_servers() {
    let root = DebianRoot::fresh();
    root.run("useradd -m oss2fa-server").expect_ok("useradd");
    let refusal = root.install(SERVER, VERSION).expect_failure("an install beside a user of that name");
    assert!(refusal.contains("not a\nsystem user"), "{refusal}");
    assert!(!root.path(DATA).exists());
}

#[test]
fn each_package_is_purged_without_harm_to_the_other() {
    let root = DebianRoot::fresh();
    let everything = "find / -xdev ! -path '/proc/*' ! -path '/root/*' ! -path '/var/log/*' ! -path '/var/lib/dpkg/*' \
                      ! -path '/var/cache/*' ! -name '*-' | LC_ALL=C sort";
    let before = root.run(everything).expect_ok("find");
    root.install(AGENT, VERSION).expect_ok("the agent");
    root.install(SERVER, VERSION).expect_ok("the server");
    root.run(&format!("{START_ONCE}; runuser -u oss2fa-server -- oss2fa-server tenant create acme"))
        .expect_ok("a tenant");
    root.write("/etc/oss2fa/token", "of the administrator's\n");

    root.run("dpkg --purge oss2fa-agent").expect_ok("the purge of the agent");
    assert!(root.path(CONFIG).exists() && root.path("/etc/oss2fa/token").exists());
    assert!(!root.path("/etc/oss2fa/agent.toml").exists());
    let tenants = "runuser -u oss2fa-server -- oss2fa-server tenant list";
    assert!(root.run(tenants).expect_ok("tenant list").contains("acme"));

    root.install(AGENT, VERSION).expect_ok("the agent again");
    root.run("dpkg --remove oss2fa-server").expect_ok("the removal of the server");
    assert!(
        root.path(DATA).join("server.db").exists() && root.path(CONFIG).exists(),
        "a removal keeps the data"
    );
    root.install(SERVER, VERSION).expect_ok("the server again");
    assert!(root.run(tenants).expect_ok("tenant list").contains("acme"));

    root.run("systemctl enable oss2fa-server && dpkg --purge oss2fa-server")
        .expect_ok("the purge of the server");
    assert!(!root.path(CONFIG).exists() && root.path("/etc/oss2fa/agent.toml").exists());
    root.run("oss2fa-agent check-config").expect_ok("the agent beside it");
    for table in ["passwd", "group"] {
        root.run(&format!("getent {table} oss2fa-server")).expect_failure("the server's user after a purge");
        root.run(&format!("getent {table} oss2fa")).expect_ok("the agent's user");
    }
    root.run("dpkg --purge oss2fa-agent").expect_ok("the purge of the agent");
    let after = root.run(everything).expect_ok("find");
    let left: Vec<_> = after.lines().filter(|line| !before.lines().any(|old| old == *line)).collect();
    assert!(left.iter().all(|path| crate::removal::OTHERS_FILES.contains(path)), "the purges left {left:?}");
}
