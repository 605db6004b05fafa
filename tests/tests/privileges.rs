//! What the daemon is allowed to do, and what it refuses to run with.
#![expect(clippy::unwrap_used, reason = "a failure is a panic in tests, in their helpers too")]

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{SIGABRT, SIGHUP, SIGTERM};
use oss2fa_core::secret::SecretText;
use oss2fa_core::wire::{AgentMessage, ModuleMessage, Outcome};
use oss2fa_tests::Factor::{RecoveryCodes, Totp};
use oss2fa_tests::{Agent, Dialogue, Host, Pam, Plan, stack, start};

const STORE: &str = "/var/lib/oss2fa";

fn plan() -> Plan {
    Host::new().user("ferris").enrolled(Totp).pam("shown", &stack::revealing(""))
}

#[test]
fn row_17_the_daemon_runs_as_its_own_user_with_nothing_of_root() {
    let host = plan().start();
    let uid = host.program(&["id", "-u", "oss2fa"]).output().trim().to_owned();
    host.with_agent(|agent| {
        let four = |id: &str| [id; 4].join(" ");
        assert_eq!(agent.kernel("Uid"), four(&uid));
        assert_ne!(agent.kernel("Gid"), four("0"));
        assert_eq!(agent.kernel("Groups"), "", "no supplementary group");
        for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
            assert_eq!(agent.kernel(set), "0000000000000000", "{set}");
        }
        assert_eq!(agent.kernel("NoNewPrivs"), "1");
    });
}

#[test]
fn row_33_every_file_is_closed_to_others_under_any_umask() {
    let host = plan().enrolled(RecoveryCodes).umask("000").start();
    assert_eq!(host.authenticate("shown", "ferris", &[&host.code("ferris")]).0, Pam::Success);
    let backup = host.cli(&["backup", "/var/lib/copy.db"]).umask("000");
    backup.succeed();
    let mut seen = 0;
    for entry in fs::read_dir(host.path(STORE)).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().mode() & 0o777;
        assert_eq!(mode & 0o077, 0, "{:?} has mode {mode:o}", entry.file_name());
        seen += 1;
    }
    assert!(seen >= 3, "database, its log, and the key");
    let mode = |path: &str| fs::metadata(host.path(path)).unwrap().mode() & 0o777;
    assert_eq!(mode("/var/lib/oss2fa/master.key"), 0o600);
    assert_eq!(mode("/var/lib/copy.db"), 0o600);
    assert_eq!(mode("/run/oss2fa/agent.sock"), 0o666, "whoever connects is judged by their uid");
}

#[test]
fn row_13_no_user_can_read_the_store_the_key_or_the_daemons_memory() {
    let host = plan().start();
    let pid = host.with_agent(|agent| agent.pid()).to_string();
    for path in [format!("{STORE}/agent.db"), format!("{STORE}/master.key"), format!("/proc/{pid}/environ")] {
        for user in ["ferris", "nobody"] {
            assert_ne!(host.program(&["cat", &path]).as_user(user).run().status, 0, "{user} reads {path}");
        }
    }
    // Nor can another process of the daemon's own user.
    let mem = format!("/proc/{pid}/mem");
    let read = format!("head -c 1 {mem} 2>&1; cat /proc/{pid}/environ");
    let ran = host.program(&["sh", "-c", &read]).as_user("oss2fa").run();
    assert_ne!(ran.status, 0, "{ran}");
    for words in [&["export", "--user", "ferris"][..], &["audit"], &["backup", "/tmp/never"]] {
        let mut all = vec!["oss2fa-agent"];
        all.extend(words);
        assert_ne!(host.program(&all).as_user("ferris").run().status, 0, "{words:?}");
    }
}

#[test]
fn a_crash_leaves_no_core_dump() {
    let host = plan().start();
    let limits =
        host.with_agent(|agent| fs::read_to_string(format!("/proc/{}/limits", agent.pid())).unwrap());
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap().to_owned();
    assert!(core.split_whitespace().filter(|word| *word == "0").count() == 2, "{core}");
    host.with_agent(|agent| {
        agent.signal(SIGABRT);
        assert_eq!(agent.ended_within(Duration::from_secs(60)), Some(128 + 6));
    });
    assert!(!host.path("/core").exists() && !host.path(&format!("{STORE}/core")).exists());
}

// The daemon must not run: its exit status, and its words.
fn does_not_start(host: &Host, status: i32, words: &str) {
    let mut agent = Agent::launch(host, &["oss2fa-agent", "serve"]);
    assert_eq!(agent.ended_within(Duration::from_secs(60)), Some(status), "{}", host.log());
    assert!(host.log().contains(words), "no {words:?} in:\n{}", host.log());
    assert_eq!(host.authenticate("shown", "ferris", &["123456"]).0, Pam::AuthinfoUnavail);
}

#[test]
fn a_key_or_store_that_others_could_read_or_own_is_fatal() {
    for (file, uid, mode, words) in [
        ("master.key", None, 0o640, "chmod 0600"),
        ("master.key", None, 0o604, "chmod 0600"),
        ("master.key", Some(65_534), 0o600, "belongs to uid 65534"),
        ("agent.db", None, 0o644, "chmod 0600"),
        ("agent.db", Some(65_534), 0o600, "agent.db"),
    ] {
        let host = plan().start();
        host.kill_agent();
        let path = host.path(&format!("{STORE}/{file}"));
        chown(&path, uid, None).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        does_not_start(&host, 3, words);
    }
}

#[test]
fn a_key_that_is_gone_or_wrong_is_fatal_and_no_new_one_is_made() {
    let host = plan().start();
    host.kill_agent();
    let key = host.path(&format!("{STORE}/master.key"));
    let right = fs::read(&key).unwrap();
    fs::remove_file(&key).unwrap();
    does_not_start(&host, 3, "the master key is missing");
    assert!(!key.exists(), "it must not be made anew");
    host.program(&[
        "sh",
        "-c",
        "umask 077; head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \\n' >/var/lib/oss2fa/master.key",
    ])
    .succeed();
    does_not_start(&host, 3, "master.key");
    fs::write(&key, "short").unwrap();
    does_not_start(&host, 3, "not 32 bytes");
    fs::write(&key, right).unwrap();
    host.start_agent();
    assert_eq!(host.authenticate("shown", "ferris", &[&host.code("ferris")]).0, Pam::Success);
}

#[test]
fn a_configuration_that_others_could_write_or_that_is_wrong_is_fatal() {
    let host = plan().start();
    host.kill_agent();
    let config = host.path("/etc/oss2fa/agent.toml");
    let right = fs::read_to_string(&config).unwrap();
    fs::set_permissions(&config, Permissions::from_mode(0o666)).unwrap();
    does_not_start(&host, 2, "agent.toml");
    fs::set_permissions(&config, Permissions::from_mode(0o644)).unwrap();
    chown(&config, Some(65_534), None).unwrap();
    does_not_start(&host, 2, "agent.toml");
    chown(&config, Some(0), None).unwrap();
    for (wrong, words) in [
        ("[policy]\nunenroled = \"deny\"\n", "unenroled"),
        ("[policy]\nunenrolled = \"maybe\"\n", "maybe"),
        ("[policy]\ntotp_skew = 9\n", "totp_skew"),
        ("[policy]\nskip_networks = [\"localhost\"]\n", "localhost"),
        ("[agent]\nsocket = \"relative\"\n", "socket"),
        ("[locks]\nfree_attempts = 0\n", "free_attempts"),
        ("this is not TOML", "agent.toml"),
        ("", "it is empty"),
        ("\n \t\n", "it is empty"),
    ] {
        fs::write(&config, wrong).unwrap();
        does_not_start(&host, 2, words);
        assert_eq!(host.cli(&["check-config"]).run().status, 2, "{wrong}");
    }
    fs::write(&config, right).unwrap();
    host.start_agent();
}

#[test]
fn a_store_of_a_newer_release_is_refused() {
    let host = plan().start();
    host.kill_agent();
    let script = "import sqlite3; c = sqlite3.connect('/var/lib/oss2fa/agent.db')\n\
        t = [r[0] for r in c.execute(\"select name from sqlite_master where name like '%migration%'\")][0]\n\
        cols = [r[1] for r in c.execute(f'pragma table_info({t})')]\n\
        row = list(c.execute(f'select * from {t} order by 1 desc').fetchone())\n\
        row[0] = row[0] + 1 if isinstance(row[0], int) else '9999_newer'\n\
        c.execute(f\"insert into {t} values ({','.join('?' * len(cols))})\", row); c.commit()\n";
    host.program(&["/usr/bin/python3", "-c", script]).succeed();
    host.program(&["sh", "-c", "chown oss2fa: /var/lib/oss2fa/*"]).succeed();
    does_not_start(&host, 3, "newer");
}

#[test]
fn sigterm_finishes_the_login_under_way() {
    let host = plan().start();
    let mut login = Dialogue::open(&host.socket()).unwrap();
    login.send(&start("ferris", "shown", None)).unwrap();
    assert!(matches!(login.receive::<AgentMessage>().unwrap(), AgentMessage::Ask { .. }));
    host.with_agent(|agent| agent.signal(SIGTERM));
    let begun = std::time::Instant::now();
    while Dialogue::open(&host.socket()).is_ok() {
        assert!(begun.elapsed() < Duration::from_secs(20), "who comes now hears that nobody is there");
        std::thread::sleep(Duration::from_millis(10));
    }
    let code = SecretText::new(host.code("ferris"));
    login.send(&ModuleMessage::Answer { text: code }).unwrap();
    let AgentMessage::Done { outcome } = login.receive().unwrap() else { panic!("no outcome") };
    assert_eq!(outcome, Outcome::Verified);
    assert_eq!(host.with_agent(|agent| agent.ended_within(Duration::from_secs(60))), Some(0));
    host.syslog().wait_for("event=stopped");
}

#[test]
fn a_login_that_somebody_left_does_not_hold_up_a_stop() {
    let host = plan().set("agent.login_timeout", 600).start();
    let mut left = Dialogue::open(&host.socket()).unwrap();
    left.send(&start("ferris", "shown", None)).unwrap();
    assert!(matches!(left.receive::<AgentMessage>().unwrap(), AgentMessage::Ask { .. }));
    host.with_agent(|agent| agent.signal(SIGTERM));
    assert_eq!(host.with_agent(|agent| agent.ended_within(Duration::from_secs(60))), Some(0));
    assert!(left.receive::<AgentMessage>().is_err(), "nothing is decided");
    host.syslog().wait_for("event=stopped");
}

#[test]
fn sighup_takes_a_good_configuration_into_force_and_leaves_a_broken_one() {
    let host = plan().user("gopher").start();
    let config = host.read("/etc/oss2fa/agent.toml");
    let gopher = || host.authenticate("shown", "gopher", &[]).0;
    assert_eq!(gopher(), Pam::AuthErr);
    host.write("/etc/oss2fa/agent.toml", &config.replace("[policy]", "[policy]\nunenrolled = \"skip\""));
    host.with_agent(|agent| agent.signal(SIGHUP));
    host.syslog().wait_for("event=reloaded");
    assert_eq!(gopher(), Pam::Ignore);
    host.write("/etc/oss2fa/good.toml", &config);
    host.write("/etc/oss2fa/agent.toml", &config.replace("[policy]", "[policy]\nunenrolled = \"open\""));
    host.with_agent(|agent| agent.signal(SIGHUP));
    let begun = std::time::Instant::now();
    while host.cli_json(&["status", "--config", "/etc/oss2fa/good.toml"])["reload_error"].is_null() {
        assert!(begun.elapsed() < Duration::from_secs(60), "{}", host.log());
    }
    // A file that a full disk has cut short is no wish for defaults.
    host.write("/etc/oss2fa/agent.toml", "");
    host.with_agent(|agent| agent.signal(SIGHUP));
    let reload_error =
        || host.cli_json(&["status", "--config", "/etc/oss2fa/good.toml"])["reload_error"].to_string();
    let begun = std::time::Instant::now();
    while !reload_error().contains("it is empty") {
        assert!(begun.elapsed() < Duration::from_secs(60), "{}", host.log());
    }
    assert_eq!(gopher(), Pam::Ignore, "what was in force stays in force");
    assert_eq!(host.authenticate("shown", "ferris", &[&host.code("ferris")]).0, Pam::Success);
}

#[test]
fn systemd_may_hold_the_socket() {
    let host = plan().without_agent();
    let words = ["systemd-socket-activate", "--listen=/run/oss2fa/agent.sock", "oss2fa-agent", "serve"];
    let mut activator = host.program(&words).command().stderr(Stdio::null()).spawn().unwrap();
    while !host.socket().exists() {
        std::thread::sleep(Duration::from_millis(5));
    }
    fs::set_permissions(host.socket(), Permissions::from_mode(0o666)).unwrap();
    // The first request starts it.
    let (pam, ran) = host.authenticate("shown", "ferris", &["1"]);
    assert_eq!(pam, Pam::AuthErr, "{ran}");
    let _token = host.enroll_with("ferris", &["totp"]);
    assert_eq!(host.authenticate("shown", "ferris", &[&host.code("ferris")]).0, Pam::Success);
    activator.kill().unwrap();
    activator.wait().unwrap();
}

#[test]
fn a_second_daemon_does_not_take_the_firsts_place() {
    let host = plan().start();
    let mut second = Agent::launch(&host, &["oss2fa-agent", "serve"]);
    assert_eq!(second.ended_within(Duration::from_secs(60)), Some(3));
    assert!(host.log().contains("another agent is running"), "{}", host.log());
    assert_eq!(host.authenticate("shown", "ferris", &[&host.code("ferris")]).0, Pam::Success);
}

#[test]
fn many_clients_at_once_leave_no_descriptor_behind() {
    let host = plan().start();
    let idle = open_files(&host);
    for _ in 0..2 {
        crowd(&host);
        settles(&host, idle.others);
    }
}

/// What the daemon has open: connections to its store, and what belongs to none.
struct OpenFiles {
    connections: usize,
    others: usize,
}

fn open_files(host: &Host) -> OpenFiles {
    let folder = host.with_agent(|agent| format!("/proc/{}/fd", agent.pid()));
    let files = fs::read_dir(folder).unwrap().filter_map(|file| fs::read_link(file.unwrap().path()).ok());
    let files: Vec<_> = files.map(|file| file.to_string_lossy().into_owned()).collect();
    let count = |counted: &dyn Fn(&str) -> bool| files.iter().filter(|file| counted(file)).count();
    let connections = count(&|file| file.ends_with("/agent.db"));
    assert!(connections > 0, "the store is open");
    OpenFiles { connections, others: count(&|file| !file.contains("/agent.db")) }
}

fn crowd(host: &Host) {
    let mut open = Vec::new();
    for _ in 0..300 {
        let mut one = Dialogue::open(&host.socket()).unwrap();
        one.send(&start("ferris", "shown", None)).unwrap();
        open.push(one);
    }
    for one in &mut open {
        let _asked: AgentMessage = one.receive().unwrap();
    }
    assert!(open_files(host).others > 300);
}

/// Nothing of a crowd stays open; of the store one connection that writes and four at the most that read.
fn settles(host: &Host, others: usize) {
    let begun = std::time::Instant::now();
    loop {
        let now = open_files(host);
        if now.others <= others && now.connections <= 1 + 4 {
            return;
        }
        let OpenFiles { connections, others } = now;
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "{connections} to the store, {others} others are open"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}
