//! The server as `make install-server` puts it there, under a real systemd: ready when systemd is told so,
//! confined, reloaded, stopped in order.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::booted::Booted;
use crate::root::{DebianRoot, Ran, repository, target};

const UNIT: &str = "oss2fa-server";

#[test]
fn under_systemd_the_hardened_server_serves_reloads_and_stops() {
    let root = DebianRoot::fresh();
    install_into(&root);
    root.run("systemd-sysusers && systemd-tmpfiles --create").expect_ok("the user and the folder");
    let host = Booted::new(root);
    host.run(&format!("systemctl start {UNIT}")).expect_ok(&host.journal(UNIT));
    assert_eq!(answer(&host, "/readyz"), "ready\n", "the start has waited until it is ready");

    let shown = host.run(&format!("systemctl show -p ActiveState,NRestarts,User {UNIT}")).expect_ok("show");
    assert!(shown.contains("ActiveState=active") && shown.contains("NRestarts=0"), "{shown}");
    let status = format!(
        "grep -E '^(Uid|CapEff|CapBnd|Seccomp|NoNewPrivs):' /proc/$(systemctl show -P MainPID {UNIT})/status"
    );
    let status = host.run(&status).expect_ok("its process").split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        status.contains("CapEff: 0000000000000000 CapBnd: 0000000000000000 NoNewPrivs: 1 Seccomp: 2"),
        "{status}"
    );
    assert!(!status.contains("Uid: 0"), "{status}");
    // In force or not: what surrounds the test may allow fewer.
    let files = host.run(&format!("systemctl show -P LimitNOFILE {UNIT}")).expect_ok("show");
    assert_eq!(files.trim(), "65536");

    // Beside the server, as its user.
    let listed = host.run(&format!("runuser -u {UNIT} -- oss2fa-server tenant list --json"));
    assert!(listed.expect_ok("tenant list").contains("public_id"));
    let modes =
        host.run("stat -c '%U %a %n' /var/lib/oss2fa-server /var/lib/oss2fa-server/*").expect_ok("stat");
    for line in modes.lines() {
        let mode = line.strip_prefix("oss2fa-server ").unwrap_or_else(|| panic!("not the server's: {line}"));
        assert!(mode.starts_with("700 ") || mode.starts_with("600 ") || mode.contains("tls.crt"), "{line}");
    }

    host.run(&format!("systemctl reload {UNIT}")).expect_ok("a reload");
    wait_for(&host, "keys_loaded");
    assert_eq!(answer(&host, "/readyz"), "ready\n");
    host.run(&format!("systemctl restart {UNIT}")).expect_ok("a restart");
    assert_eq!(answer(&host, "/readyz"), "ready\n");
    host.run(&format!("systemctl stop {UNIT}")).expect_ok("a stop");
    let stopped = host.run(&format!("systemctl show -p Result,ExecMainStatus {UNIT}")).expect_ok("show");
    assert!(stopped.contains("Result=success") && stopped.contains("ExecMainStatus=0"), "{stopped}");
    host.run("test ! -e /var/lib/oss2fa-server/server.db-wal").expect_ok("the store was closed");
    let denied = host.run(&format!("journalctl --no-pager -u {UNIT} | grep -i 'not permitted\\|denied'"));
    assert!(!denied.ok, "the unit forbids what the server needs: {}", denied.text);
}

#[test]
fn what_is_installed_is_found() {
    let root = DebianRoot::fresh();
    install_into(&root);
    for file in [
        "/usr/bin/oss2fa-server",
        "/lib/systemd/system/oss2fa-server.service",
        "/usr/lib/sysusers.d/oss2fa-server.conf",
        "/usr/lib/tmpfiles.d/oss2fa-server.conf",
        "/usr/share/man/man1/oss2fa-server.1",
        "/usr/share/bash-completion/completions/oss2fa-server",
        "/usr/share/zsh/vendor-completions/_oss2fa-server",
        "/usr/share/fish/vendor_completions.d/oss2fa-server.fish",
        "/usr/share/doc/oss2fa-server/examples/server.toml",
        "/usr/share/doc/oss2fa-server/openapi.json",
    ] {
        assert!(!root.read(file).is_empty() || file.starts_with("/usr/bin"), "{file}");
    }
    root.run("oss2fa-server --version").expect_ok("the program");
    // What is shown as an example is what holds without a file.
    let check = "oss2fa-server check-config --json";
    let example = format!("{check} --config /usr/share/doc/oss2fa-server/examples/server.toml");
    let (without, with) =
        (root.run(check).expect_ok("check-config"), root.run(&example).expect_ok("check-config"));
    let of =
        |text: &str| text.lines().filter(|line| !line.contains("\"file\"")).collect::<Vec<_>>().join("\n");
    assert_eq!(of(&without), of(&with));
}

fn install_into(root: &DebianRoot) {
    let output = Command::new("make")
        .args(["--no-print-directory", "-s", "-C"])
        .arg(repository())
        .args(["install-server", "PREFIX=/usr", "UNIT_DIR=/lib/systemd/system"])
        .arg(format!("DESTDIR={}", root.path("/").display()))
        .arg(format!("BUILD_DIR={}", target().join("release").display()))
        .env_remove("MAKEFLAGS")
        .output()
        .unwrap();
    Ran::from(output).expect_ok("make install-server (has `make build` run?)");
}

/// What curl of this machine gets from the server inside.
fn answer(host: &Booted, path: &str) -> String {
    let url = format!("https://127.0.0.1:8300{path}");
    let got = host.in_its_network(&["curl", "-q", "-sS", "--fail-with-body", "-k", "--max-time", "20", &url]);
    got.expect_ok(&host.journal(UNIT))
}

fn wait_for(host: &Booted, words: &str) {
    let until = Instant::now() + Duration::from_secs(20);
    while !host.journal(UNIT).contains(words) {
        assert!(Instant::now() < until, "no {words} in {}", host.journal(UNIT));
        std::thread::sleep(Duration::from_millis(100));
    }
}
