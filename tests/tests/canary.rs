//! A canary secret and canary codes: they reach no log, no environment and no dump.
#![expect(clippy::unwrap_used, reason = "a failure is a panic in tests, in their helpers too")]

use std::fs;
use std::path::Path;
use std::process::Command;

use oss2fa_tests::Factor::{RecoveryCodes, Totp};
use oss2fa_tests::{Host, PASSWORD, Pam, Token, stack};

/// All that must not be seen, as text and, of secrets, as the bytes that they stand for.
struct Canaries(Vec<Vec<u8>>);

impl Canaries {
    fn add(&mut self, text: &str) {
        self.0.push(text.as_bytes().to_vec());
        self.0.push(text.to_lowercase().into_bytes());
        self.0.push(text.replace('-', "").into_bytes());
    }

    fn add_secret(&mut self, host: &Host, base32: &str) {
        self.add(base32);
        let script =
            "import base64, sys; s = sys.argv[1]; print(base64.b32decode(s + '=' * (-len(s) % 8)).hex())";
        let hex = host.program(&["/usr/bin/python3", "-c", script, base32]).output().trim().to_owned();
        let bytes = (0..hex.len() / 2).map(|at| u8::from_str_radix(&hex[at * 2..at * 2 + 2], 16).unwrap());
        self.0.push(bytes.collect());
        self.add(&hex);
    }

    fn are_not_in(&self, bytes: &[u8], what: &str) {
        for canary in &self.0 {
            let found = bytes.windows(canary.len()).any(|window| window == canary.as_slice());
            assert!(!found, "{what} holds {:?}", String::from_utf8_lossy(canary));
        }
    }

    // For what is too long for a search without an optimiser.
    fn are_not_in_dump(&self, dump: &Path) {
        let script = "import sys\n\
            dump = open(sys.argv[1], 'rb').read()\n\
            print(*[c for c in sys.argv[2:] if bytes.fromhex(c) in dump])";
        let hex = |canary: &Vec<u8>| canary.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let mut search = Command::new("/usr/bin/python3");
        search.args(["-c", script]).arg(dump).args(self.0.iter().map(hex));
        let search = search.output().unwrap();
        assert!(search.status.success(), "{search:?}");
        assert_eq!(String::from_utf8_lossy(&search.stdout).trim(), "", "canaries in {}", dump.display());
    }

    fn are_in_no_file_of(&self, folder: &Path) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.is_symlink() {
                self.are_in_no_file_of(&path);
            } else if path.is_file() {
                self.are_not_in(&fs::read(&path).unwrap(), &path.display().to_string());
            }
        }
    }
}

#[test]
fn row_20_24_and_34_no_secret_and_no_code_is_written_anywhere() {
    let debug = "auth required pam_oss2fa.so debug\naccount required pam_oss2fa.so enforce debug\n\
                 session required pam_permit.so\n";
    let host = Host::new()
        .user("ferris")
        .enrolled(RecoveryCodes)
        .user("gopher")
        .pam("sshd", debug)
        .pam("sudo", debug)
        .pam("shown", &stack::revealing_each("debug", "debug enforce"))
        .set("agent.log_level", "trace")
        .set("locks.free_attempts", 50)
        .start();
    host.write("/etc/sudoers.d/test", "ferris ALL=(ALL) ALL\n");
    let mut canaries = Canaries(Vec::new());
    // Eight digits: six may stand in a log by accident.
    for (user, kind) in [("ferris", "totp"), ("gopher", "hotp")] {
        let token = host.enroll_with(user, &[kind, "--digits", "8"]);
        canaries.add_secret(&host, &token.secret);
    }
    let log_in = |user: &str, code: &str, expected: Pam, canaries: &mut Canaries| {
        canaries.add(code);
        let run =
            host.pamtester("shown", user, &["rhost=192.0.2.1"], &["authenticate", "acct_mgmt"], &[code]);
        let (pam, ran) = run.run();
        assert_eq!(pam, expected, "{ran}");
    };
    // Every way a code can go: right, used, wrong, malformed, too long, of another kind.
    let code = host.code("ferris");
    log_in("ferris", &code, Pam::Success, &mut canaries);
    log_in("ferris", &code, Pam::AuthErr, &mut canaries);
    log_in("gopher", &host.code("gopher"), Pam::Success, &mut canaries);
    log_in("ferris", &host.recovery_code("ferris"), Pam::Success, &mut canaries);
    log_in("ferris", "canary-4711-canary", Pam::AuthErr, &mut canaries);
    log_in("ferris", &"canary98765432".repeat(30), Pam::AuthErr, &mut canaries);
    log_in("nobody-here", "canary31415926", Pam::UserUnknown, &mut canaries);

    let sshd = host.sshd("keyboard-interactive").line("LogLevel DEBUG3").start();
    let code = host.code("ferris");
    canaries.add(&code);
    let end = sshd.login("ferris").answer("code: ", &code).finish();
    assert_eq!(end.status, 0, "{end:?}");
    let code = host.code("ferris");
    canaries.add(&code);
    let sudo = host.program(&["/usr/bin/sudo", "-k", "id"]).as_user("ferris").terminal();
    assert_eq!(sudo.answer("code: ", &code).finish().status, 0);

    // Every command that takes a code or makes a secret.
    let made = host.cli_json(&["enroll", "hotp", "--digits", "8", "--user", "ferris"]);
    let token = Token::scan(made["provisioning_uri"].as_str().unwrap());
    canaries.add_secret(&host, &token.secret);
    let device = made["device"].as_i64().unwrap().to_string();
    let cli = |words: &[&str], expected: i32, canaries: &mut Canaries| {
        for word in words.iter().filter(|word| word.len() == 8 && word.chars().all(|c| c.is_ascii_digit())) {
            canaries.add(word);
        }
        let ran = host.cli(words).run();
        assert_eq!(ran.status, expected, "{words:?}: {ran}");
    };
    cli(&["confirm", "--user", "ferris", "--device", &device, &token.wrong_code()], 1, &mut canaries);
    cli(&["confirm", "--user", "ferris", "--device", &device, &token.code_at(0)], 0, &mut canaries);
    cli(&["verify", "--user", "ferris", &token.code_at(1)], 0, &mut canaries);
    let (one, two) = (token.code_at(30), token.code_at(31));
    cli(&["resync", "--user", "ferris", "--device", &device, &one, &two], 0, &mut canaries);
    let imported = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP";
    canaries.add_secret(&host, imported);
    host.write("/run/import", &format!("{imported}\n\" TOTP_AUTH\n98761234\n"));
    canaries.add("98761234");
    cli(&["import", "google-authenticator", "/run/import", "--user", "ferris"], 0, &mut canaries);
    host.write("/run/import", "not a secret canary2718\n");
    canaries.add("canary2718");
    cli(&["import", "google-authenticator", "/run/import", "--user", "ferris"], 1, &mut canaries);
    cli(&["export", "--user", "ferris"], 0, &mut canaries);
    let codes = host.cli_json(&["recovery-codes", "--user", "ferris"]);
    for code in codes["codes"].as_array().unwrap() {
        canaries.add(code.as_str().unwrap());
    }
    std::fs::remove_file(host.path("/run/import")).unwrap();

    assert!(host.log().contains("oss2fa"), "the log is there");
    canaries.are_not_in(host.log().as_bytes(), "the agent's log");
    host.syslog().wait_for("pam_oss2fa(shown:auth)");
    canaries.are_not_in(host.syslog().text().as_bytes(), "the system log");
    canaries.are_not_in(sshd.log().as_bytes(), "sshd's log");
    canaries.are_not_in(host.cli(&["audit", "--json"]).output().as_bytes(), "the audit");
    canaries.are_in_no_file_of(&host.path("/var/lib/oss2fa"));
    canaries.are_in_no_file_of(&host.path("/var/log"));
    canaries.are_in_no_file_of(&host.path("/home"));
    let pid = host.with_agent(|agent| agent.pid());
    for file in ["environ", "cmdline"] {
        canaries.are_not_in(&fs::read(format!("/proc/{pid}/{file}")).unwrap(), file);
    }
    let mut password = Canaries(Vec::new());
    password.add(PASSWORD);
    password.are_not_in(host.log().as_bytes(), "the agent's log");
}

#[test]
fn row_17_a_program_that_was_given_a_code_has_it_nowhere_in_its_environment_and_memory() {
    let host = Host::new().user("ferris").enrolled(Totp).pam("shown", &stack::revealing("")).start();
    // A code that stands out in memory; the daemon refuses it as it refuses any wrong one.
    let code = "canary-code-271828182845";
    let mut terminal =
        host.pamtester("shown", "ferris", &[], &["authenticate", "authenticate"], &[]).program().terminal();
    let _before = terminal.expect("code: ");
    let pid = terminal.pid();
    let agent = host.with_agent(|agent| agent.pid());
    let right = host.code("ferris");
    terminal.send(&right);
    // It asks for the second time, and has had a code since.
    let _again = terminal.expect("code: ");
    let environ = fs::read(format!("/proc/{pid}/environ")).unwrap();
    assert!(!environ.is_empty() && !environ.windows(right.len()).any(|part| part == right.as_bytes()));
    terminal.send(code);
    let end = terminal.finish();
    assert_eq!(Pam::of(&end.rest), Pam::AuthErr);
    // What the daemon has been told is wiped when it has been judged.
    let core = host.path("/run/core").display().to_string();
    let dump = Command::new("gcore").args(["-o", &core, &agent.to_string()]).output().unwrap();
    let dumped = format!("{core}.{agent}");
    assert!(Path::new(&dumped).exists(), "{}", String::from_utf8_lossy(&dump.stderr));
    let mut canaries = Canaries(Vec::new());
    canaries.add(code);
    canaries.add_secret(&host, &host.token("ferris").secret);
    canaries.are_not_in_dump(Path::new(&dumped));
}
