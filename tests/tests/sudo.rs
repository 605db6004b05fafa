//! Real sudo with the module in its stack.
use oss2fa_tests::Factor::Totp;
use oss2fa_tests::{End, Host, PASSWORD, Pam, Terminal, stack};

const CODE: &str = "Verification code: ";

fn host() -> Host {
    let host = Host::new()
        .user("ferris")
        .enrolled(Totp)
        .pam("sudo", stack::PASSWORD_THEN_CODE)
        .pam("sudo-i", stack::PASSWORD_THEN_CODE)
        .start();
    host.write("/etc/sudoers.d/test", "ferris ALL=(ALL) ALL\nDefaults timestamp_timeout=0, passwd_tries=1\n");
    host
}

fn sudo(host: &Host, words: &[&str]) -> Terminal {
    let mut all = vec!["/usr/bin/sudo", "-k"];
    all.extend(words);
    host.program(&all).as_user("ferris").terminal()
}

fn log_in(host: &Host, words: &[&str], code: &str) -> End {
    sudo(host, words).answer("assword", PASSWORD).answer(CODE, code).finish()
}

#[test]
fn the_right_code_makes_root_and_a_wrong_or_used_one_does_not() {
    let host = host();
    let code = host.code("ferris");
    let end = log_in(&host, &["id", "-un"], &code);
    assert_eq!((end.status, end.rest.contains("root")), (0, true), "{end:?}");
    for code in [code, host.wrong_code("ferris")] {
        let end = log_in(&host, &["id", "-un"], &code);
        assert_eq!(end.status, 1, "{end:?}");
        assert!(!end.rest.contains("root"), "{end:?}");
    }
}

#[test]
fn a_login_shell_by_sudo_i() {
    let host = host();
    let end = log_in(&host, &["-i", "id", "-un"], &host.code("ferris"));
    assert_eq!((end.status, end.rest.contains("root")), (0, true), "{end:?}");
}

#[test]
fn a_pipe_in_place_of_a_terminal() {
    let host = host();
    let lines = format!("{PASSWORD}\n{}\n", host.code("ferris"));
    let sudo = host.program(&["/usr/bin/sudo", "-S", "-k", "id", "-un"]).as_user("ferris");
    assert_eq!(sudo.input(&lines).output().trim(), "root");
}

#[test]
fn who_is_not_enrolled_is_told_how_to_enrol_in_the_prompt() {
    // sudo of Debian 12 keeps every message of a module to itself (PAM_SILENT), and shows prompts.
    let host = host();
    host.cli(&["remove", "--user", "ferris", "--all", "--forget"]).succeed();
    let mut sudo = sudo(&host, &["id", "-un"]).answer("assword", PASSWORD);
    let told = sudo.expect("Press Enter: ");
    assert!(told.contains("oss2fa-agent enroll totp --user ferris"), "{told}");
    sudo.send("");
    let end = sudo.finish();
    assert_eq!((end.status, end.rest.contains("root")), (1, false), "{end:?}");
    host.syslog().wait_for("event=not_enrolled user=\"ferris\"");
}

#[test]
fn what_sudo_starts_inherits_no_descriptor() {
    let host = host();
    let look = "ls -l /proc/self/fd; echo looked";
    let end = log_in(&host, &["sh", "-c", look], &host.code("ferris"));
    assert!(end.rest.contains("looked"), "{end:?}");
    let links = end.rest.lines().filter(|line| line.contains(" -> ")).count();
    assert_eq!(links, 4, "0, 1, 2 and the folder that ls reads: {end:?}");
    assert!(!end.rest.contains("socket"), "{end:?}");
}

#[test]
fn row_05_and_23_a_hostile_environment_changes_nothing() {
    let host = host();
    let evil = "/home/ferris/evil";
    host.write("/home/ferris/evil/agent.toml", "[policy]\nunenrolled = \"skip\"\n");
    let wrong = host.wrong_code("ferris");
    let sudo = ["/usr/bin/sudo", "-k", "id", "-un"];
    let mut program = host.program(&sudo).as_user("ferris");
    for (name, value) in hostile(evil) {
        program = program.env(name, &value);
    }
    let end = program.terminal().answer("assword", PASSWORD).answer(CODE, &wrong).finish();
    assert_eq!(end.status, 1, "{end:?}");
    let end = program.terminal().answer("assword", PASSWORD).answer(CODE, &host.code("ferris")).finish();
    assert_eq!(end.status, 0, "{end:?}");
    assert!(!host.path("/home/ferris/evil/log").exists(), "nothing was written where a variable said");
}

#[test]
fn row_05_the_module_reads_no_variable_even_in_a_program_that_is_not_setuid() {
    let host = Host::new().user("ferris").enrolled(Totp).pam("shown", &stack::revealing("")).start();
    let wrong = host.wrong_code("ferris");
    let run = host.pamtester("shown", "ferris", &[], &["authenticate"], &[&wrong]).map(|mut program| {
        for (name, value) in hostile("/home/ferris") {
            program = program.env(name, &value);
        }
        program
    });
    let (pam, ran) = run.run();
    assert_eq!(pam, Pam::AuthErr, "{ran}");
    assert!(!ran.text().contains("DEBUG") && !ran.text().contains("panicked"), "{ran}");
}

fn hostile(folder: &str) -> Vec<(&'static str, String)> {
    let mut all: Vec<(&str, String)> = [
        "XDG_CONFIG_HOME",
        "XDG_RUNTIME_DIR",
        "HOME",
        "TMPDIR",
        "OSS2FA_CONFIG",
        "OSS2FA_SOCKET",
        "CREDENTIALS_DIRECTORY",
        "SQLITE_TMPDIR",
    ]
    .into_iter()
    .map(|name| (name, folder.to_owned()))
    .collect();
    for name in ["http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY"] {
        all.push((name, "http://127.0.0.1:9".to_owned()));
    }
    for (name, value) in [
        ("RUST_LOG", "trace"),
        ("RUST_BACKTRACE", "full"),
        ("NOTIFY_SOCKET", "/tmp/nowhere"),
        ("LISTEN_FDS", "1"),
        ("LISTEN_PID", "1"),
        ("TZ", "../../etc/shadow"),
        ("LANG", "x/../../evil"),
        ("IFS", "0123456789"),
        ("USER", "root"),
        ("LOGNAME", "root"),
        ("SUDO_USER", "root"),
        ("PAM_USER", "root"),
    ] {
        all.push((name, value.to_owned()));
    }
    all
}

#[test]
fn the_daemon_going_away_at_the_prompt_is_a_refusal() {
    let host = host();
    let mut sudo = sudo(&host, &["id", "-un"]).answer("assword", PASSWORD);
    let _before = sudo.expect(CODE);
    host.kill_agent();
    sudo.send(&host.code("ferris"));
    let end = sudo.finish();
    assert_eq!(end.status, 1, "{end:?}");
    assert!(!end.rest.contains("root"), "{end:?}");
    assert!(host.agent.lock().unwrap().is_none());
}
