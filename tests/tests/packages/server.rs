//! The server of the package under a real systemd: ready when systemd is told so, confined, reloaded, stopped in
//! order; upgraded while it runs.

use std::time::{Duration, Instant};

use crate::booted::Booted;
use crate::root::DebianRoot;
use crate::{SERVER, VERSION};

const UNIT: &str = "oss2fa-server";
const CONFIG: &str = "/etc/oss2fa/server.toml";

#[test]
fn under_systemd_the_hardened_server_serves_reloads_and_stops() {
    let host = Booted::new(DebianRoot::with_package(SERVER, VERSION));
    host.run(&format!("systemctl is-active {UNIT}")).expect_failure("nobody has started it");
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
fn an_upgrade_restarts_the_running_server_on_the_same_data() {
    let host = Booted::new(DebianRoot::with_package(SERVER, "0.0.9-1"));
    // On a default Debian nothing else than the package's own conffile says where the server is.
    let changed = host.root.read(CONFIG).replace("token_burst = 400", "token_burst = 300");
    host.root.write(CONFIG, &changed);
    host.run(&format!("systemctl enable --now {UNIT}")).expect_ok(&host.journal(UNIT));
    let journal = host.wait_for_journal(&format!("-u {UNIT}"), "Integration: ");
    let token = journal.lines().find_map(|line| line.trim().strip_prefix("Integration: "));
    let token = token.unwrap_or_else(|| panic!("no token in {journal}")).to_owned();
    let header = format!("X-Integration-Token: {token}");
    let enrollments = "https://127.0.0.1:8300/integrations/enrollments";
    let ask = |path: &str, more: &[&str]| {
        let url = format!("{enrollments}{path}");
        let words = ["curl", "-q", "-sS", "--fail-with-body", "-k", "--max-time", "60", "-H", &header, &url];
        host.in_its_network(&[&words, more].concat()).expect_ok(&host.journal(UNIT))
    };
    let made = ask("", &["--json", r#"{"username": "john.doe"}"#]);
    assert!(made.contains("john.doe"), "{made}");
    let main = format!("systemctl show -P MainPID {UNIT}");
    let before = host.run(&main).expect_ok("its process");
    let key = host.run("sha256sum /var/lib/oss2fa-server/master.key").expect_ok("the master key");

    host.run(&host.root.how_to_install(SERVER, VERSION)).expect_ok("the upgrade");

    assert_ne!(host.run(&main).expect_ok("its process"), before, "the old server still runs");
    assert!(ask("/1", &[]).contains("john.doe"), "the upgrade has lost what was begun");
    assert_eq!(host.run("sha256sum /var/lib/oss2fa-server/master.key").expect_ok("the master key"), key);
    assert_eq!(host.root.read(CONFIG), changed, "an upgrade keeps what somebody has set");
    host.run(&format!("systemctl is-enabled {UNIT}")).expect_ok("an upgrade leaves it enabled");

    host.run(&format!("dpkg --remove {SERVER}")).expect_ok("the removal");
    let running = host.run("pgrep -x oss2fa-server");
    assert!(!running.ok, "a removed server runs on: {}", running.text);
    host.run("test -s /var/lib/oss2fa-server/server.db").expect_ok("a removal keeps the data");
    host.run(&format!("dpkg --purge {SERVER}")).expect_ok("the purge");
    let left = host.run(
        "find /var/lib/oss2fa-server /etc/oss2fa /etc/systemd/system -name '*oss2fa*' 2>/dev/null; true",
    );
    assert_eq!(left.text, "", "a purge left something");
}

/// What curl of this machine gets from the server inside.
fn answer(host: &Booted, path: &str) -> String {
    let url = format!("https://127.0.0.1:8300{path}");
    let got = host.in_its_network(&["curl", "-q", "-sS", "--fail-with-body", "-k", "--max-time", "60", &url]);
    got.expect_ok(&host.journal(UNIT))
}

fn wait_for(host: &Booted, words: &str) {
    let until = Instant::now() + Duration::from_secs(60);
    while !host.journal(UNIT).contains(words) {
        assert!(Instant::now() < until, "no {words} in {}", host.journal(UNIT));
        std::thread::sleep(Duration::from_millis(100));
    }
}
