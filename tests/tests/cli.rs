//! The command line as administrators and users meet it, around a daemon that serves logins.

use std::fs;
use std::time::Duration;

use oss2fa_tests::Factor::{Hotp, RecoveryCodes, Totp};
use oss2fa_tests::{Host, Pam, Plan, Program, Token, stack};

fn plan() -> Plan {
    Host::new().user("ferris").pam("shown", &stack::revealing(""))
}

fn login(host: &Host, user: &str, code: &str) -> Pam {
    host.authenticate("shown", user, &[code]).0
}

fn as_user(host: &Host, user: &str, words: &[&str]) -> Program {
    let mut all = vec!["oss2fa-agent"];
    all.extend(words);
    host.program(&all).as_user(user)
}

// What a camera sees: the light modules are what is drawn.
fn scan_qr(host: &Host, shown: &str) -> String {
    let drawn = |line: &&str| line.chars().count() > 20 && line.chars().all(|c| " █▀▄".contains(c));
    let lines: Vec<Vec<char>> = shown.lines().filter(drawn).map(|line| line.chars().collect()).collect();
    let width = lines.iter().map(Vec::len).max().unwrap_or_default();
    assert!(width > 0, "no QR code is shown: {shown}");
    let mut picture = String::new();
    for line in &lines {
        for lit in ["█▀", "█▄"] {
            let row: String = (0..width)
                .map(|x| if line.get(x).is_some_and(|c| lit.contains(*c)) { "255 " } else { "0 " }.repeat(5))
                .collect();
            picture.push_str(&format!("{row}\n").repeat(5));
        }
    }
    let header = format!("P2\n{} {}\n255\n", width * 5, lines.len() * 10);
    host.write("/run/qr.pgm", &format!("{header}{picture}"));
    host.program(&["zbarimg", "--quiet", "--raw", "/run/qr.pgm"]).output().trim().to_owned()
}

#[test]
fn a_user_enrols_at_a_terminal_by_scanning_the_qr_code() {
    let host = plan().start();
    let mut terminal =
        as_user(&host, "ferris", &["enroll", "totp", "--name", "phone"]).env("TERM", "dumb").terminal();
    let shown = terminal.expect("First code from it: ");
    let uri = scan_qr(&host, &shown);
    assert!(shown.contains(&uri), "the QR code holds what is printed below it");
    let mut phone = Token::scan(&uri);
    terminal.send(&phone.wrong_code());
    let _again = terminal.expect("First code from it: ");
    // Until it is proven it does not count.
    assert_eq!(login(&host, "ferris", &phone.next_code()), Pam::AuthErr);
    terminal.send(&phone.next_code());
    let end = terminal.finish();
    assert_eq!(end.status, 0, "{end:?}");
    assert_eq!(login(&host, "ferris", &phone.next_code()), Pam::Success);
    let list = host.cli_json(&["list", "--user", "ferris"]);
    assert_eq!((&list[0]["name"], &list[0]["status"]), (&"phone".into(), &"active".into()));
}

#[test]
fn json_has_the_fields_that_scripts_rely_on() {
    let host = plan().start();
    let made = host.cli_json(&["enroll", "totp", "--user", "ferris"]);
    let keys: Vec<&String> = made.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["device", "kind", "provisioning_uri", "status"]);
    assert_eq!((&made["kind"], &made["status"]), (&"totp".into(), &"pending".into()));
    let mut token = Token::scan(made["provisioning_uri"].as_str().unwrap());
    let device = made["device"].as_i64().unwrap().to_string();
    let words = ["confirm", "--user", "ferris", "--device", &device, "--name", "work", &token.next_code()];
    let confirmed = host.cli_json(&words);
    assert_eq!((&confirmed["status"], &confirmed["name"]), (&"active".into(), &"work".into()));
    let refused = host.cli(&["verify", "--user", "ferris", "--json", &token.wrong_code()]).run();
    let error: serde_json::Value = serde_json::from_str(&refused.stderr).unwrap();
    assert_eq!((refused.status, &error["error"]), (1, &"code_refused".into()));
}

#[test]
fn a_code_may_come_by_standard_input() {
    let host = plan().enrolled(Totp).start();
    let verify = host.cli(&["verify", "--user", "ferris", "-"]).input(&format!("{}\n", host.code("ferris")));
    verify.succeed();
}

#[test]
fn devices_are_listed_renamed_and_removed() {
    let host = plan().enrolled(Totp).enrolled(Hotp).start();
    let device = host.token("ferris").device.to_string();
    host.cli(&["rename", "--user", "ferris", "--device", &device, "key ring"]).succeed();
    let list = host.cli(&["list"]).output();
    assert!(list.contains("key ring") && list.contains("ferris"), "{list}");
    host.cli(&["remove", "--user", "ferris", "--device", &device]).succeed();
    assert_eq!(host.cli_json(&["list", "--user", "ferris"]).as_array().unwrap().len(), 1);
    assert_eq!(login(&host, "ferris", &host.code("ferris")), Pam::AuthErr, "a removed device");
    assert_eq!(host.cli(&["remove", "--user", "ferris", "--device", "99"]).run().status, 1);
}

#[test]
fn recovery_codes_work_once_and_a_new_set_ends_the_old() {
    let host = plan().enrolled(Totp).enrolled(RecoveryCodes).start();
    let old = host.recovery_code("ferris");
    assert_eq!(login(&host, "ferris", &host.recovery_code("ferris")), Pam::Success);
    // As people type them.
    let typed = host.recovery_code("ferris").replace('-', " ").to_lowercase();
    assert_eq!(login(&host, "ferris", &typed), Pam::Success, "{typed}");
    let list = host.cli_json(&["list", "--user", "ferris"]);
    let left = list.as_array().unwrap().iter().find(|view| view["kind"] == "recovery_code").unwrap();
    assert_eq!(left["codes_left"], 8);
    let new = host.cli_json(&["recovery-codes", "--user", "ferris"]);
    assert_eq!(new["codes"].as_array().unwrap().len(), 10);
    assert_eq!(login(&host, "ferris", &old), Pam::AuthErr);
    assert_eq!(login(&host, "ferris", new["codes"][9].as_str().unwrap()), Pam::Success);
}

#[test]
fn users_change_their_own_devices_with_a_fresh_code() {
    let host = plan().enrolled(Totp).start();
    let ferris = |words: &[&str]| as_user(&host, "ferris", words).run();
    let refused = ferris(&["enroll", "hotp", "--json"]);
    assert!(refused.stderr.contains("proof_needed"), "{refused}");
    let refused = ferris(&["enroll", "hotp", "--json", "--code", &host.wrong_code("ferris")]);
    assert!(refused.stderr.contains("code_refused"), "{refused}");
    let made = ferris(&["enroll", "hotp", "--json", "--code", &host.code("ferris")]);
    assert_eq!(made.status, 0, "{made}");
    let made = made.json();
    let hotp = Token::scan(made["provisioning_uri"].as_str().unwrap());
    let device = made["device"].as_i64().unwrap().to_string();
    assert_eq!(ferris(&["confirm", "--device", &device, &hotp.code_at(0)]).status, 0);
    let refused = ferris(&["remove", "--device", &device, "--json"]);
    assert!(refused.stderr.contains("proof_needed"), "{refused}");
    assert_eq!(ferris(&["remove", "--device", &device, "--code", &hotp.code_at(1)]).status, 0);
    let last = host.token("ferris").device.to_string();
    let refused = ferris(&["remove", "--device", &last, "--json", "--code", &host.code("ferris")]);
    assert!(refused.stderr.contains("last_factor"), "{refused}");
    assert_eq!(login(&host, "ferris", &host.code("ferris")), Pam::Success);
}

#[test]
fn users_do_only_what_self_service_allows() {
    let host = plan().set("policy.self_service", vec!["list"]).start();
    assert_eq!(as_user(&host, "ferris", &["list"]).run().status, 0);
    let refused = as_user(&host, "ferris", &["enroll", "totp", "--json"]).run();
    assert!(refused.stderr.contains("not_allowed"), "{refused}");
    host.enroll("ferris", Totp);
    let device = host.token("ferris").device.to_string();
    for words in [
        &["remove", "--device", &device, "--code", &host.code("ferris"), "--json"][..],
        &["rename", "--device", &device, "mine", "--json"],
        &["recovery-codes", "--code", &host.code("ferris"), "--json"],
    ] {
        let refused = as_user(&host, "ferris", words).run();
        assert!(refused.stderr.contains("not_allowed"), "{words:?}: {refused}");
    }
}

#[test]
fn a_file_of_the_real_google_authenticator_is_taken_over() {
    let host = plan().pam("old", "auth required pam_google_authenticator.so\n").start();
    let make = "google-authenticator -t -d -f -C -q -u -w 3 -e 5";
    host.program(&["sh", "-c", make]).as_user("ferris").env("HOME", "/home/ferris").succeed();
    let file = "/home/ferris/.google_authenticator";
    let text = host.read(file);
    let mut token = Token::scan(&format!("otpauth://totp/x?secret={}", text.lines().next().unwrap()));
    token.position = token.step_now();
    let used = token.next_code();
    assert_eq!(host.authenticate("old", "ferris", &[&used]).0, Pam::Success, "the old module takes it");
    let scratch: Vec<&str> = text.lines().filter(|line| line.len() == 8).collect();
    assert_eq!(host.authenticate("old", "ferris", &[scratch[0]]).0, Pam::Success);

    let report = host.cli(&["import", "google-authenticator", file, "--user", "ferris", "--json"]).run();
    assert_eq!(report.status, 0, "{report}");
    assert_eq!(login(&host, "ferris", &used), Pam::AuthErr, "what the old module has accepted is spent here");
    assert_eq!(login(&host, "ferris", scratch[0]), Pam::AuthErr);
    assert_eq!(login(&host, "ferris", &token.next_code()), Pam::Success);
    assert_eq!(login(&host, "ferris", scratch[1]), Pam::Success);
    assert_eq!(login(&host, "ferris", scratch[1]), Pam::AuthErr);
    let again = host.cli(&["import", "google-authenticator", file, "--user", "ferris"]).run();
    assert!(again.stdout.contains("already there"), "{again}");
    assert_eq!(login(&host, "ferris", scratch[1]), Pam::AuthErr, "and stays so");
}

#[test]
fn a_file_that_the_real_pam_oath_has_used_is_taken_over() {
    let host = plan()
        .user("gopher")
        .pam("old", "auth required pam_oath.so usersfile=/etc/users.oath window=5 digits=6\n")
        .start();
    let hex = "3132333435363738393031323334353637383930";
    host.write(
        "/etc/users.oath",
        &format!("HOTP\tferris\t-\t{hex}\nHOTP/T30\tgopher\t-\t{hex}\nHOTP\tghost\t-\t{hex}\n"),
    );
    host.program(&["chmod", "600", "/etc/users.oath"]).succeed();
    let uri = "otpauth://hotp/x?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&counter=0";
    let mut hotp = Token::scan(uri);
    let mut totp = Token::scan(&uri.replace("hotp", "totp").replace("&counter=0", ""));
    totp.position = totp.step_now();
    let (used_hotp, used_totp) = (hotp.next_code(), totp.next_code());
    assert_eq!(host.authenticate("old", "ferris", &[&used_hotp]).0, Pam::Success, "the old module takes it");
    assert_eq!(host.authenticate("old", "gopher", &[&used_totp]).0, Pam::Success);

    let report = host.cli(&["import", "users-oath", "/etc/users.oath"]).run();
    assert_eq!(report.status, 1, "one entry could not be taken over: {report}");
    assert_eq!(report.stdout.matches("imported as device").count(), 2, "{report}");
    assert!(report.stdout.contains("ghost"), "{report}");
    assert_eq!(login(&host, "ferris", &used_hotp), Pam::AuthErr);
    assert_eq!(login(&host, "gopher", &used_totp), Pam::AuthErr);
    assert_eq!(login(&host, "ferris", &hotp.next_code()), Pam::Success);
    assert_eq!(login(&host, "gopher", &totp.next_code()), Pam::Success);
}

#[test]
fn an_export_makes_the_same_codes_elsewhere() {
    let host = plan().start();
    let token = host.enroll_with("ferris", &["hotp", "--digits", "8"]);
    let all = host.cli_json(&["export", "--user", "ferris"]);
    let copy = Token::scan(all[0]["provisioning_uri"].as_str().unwrap());
    assert_eq!(copy.position, token.position, "it goes on where this device stands");
    assert_eq!(copy.code_at(7), token.code_at(7));
    host.syslog().wait_for("event=exported user=\"ferris\"");
}

#[test]
fn the_audit_shows_tampering() {
    let host = plan().enrolled(Totp).start();
    assert_eq!(login(&host, "ferris", &host.code("ferris")), Pam::Success);
    assert_eq!(login(&host, "ferris", &host.wrong_code("ferris")), Pam::AuthErr);
    host.cli(&["audit", "--verify"]).succeed();
    for change in [
        "update audit set user = 'gopher' where event = 'accepted'",
        "delete from audit where seq = 2",
        "update audit set at = at - 3600 where seq = 3",
        "insert into audit select 99, at, event, user, service, source, detail, chain from audit where seq = 2",
    ] {
        host.kill_agent();
        host.program(&["cp", "-a", "/var/lib/oss2fa", "/var/lib/kept"]).succeed();
        let script = format!(
            "import sqlite3; c = sqlite3.connect('/var/lib/oss2fa/agent.db'); c.execute(\"{change}\"); c.commit()"
        );
        host.program(&["/usr/bin/python3", "-c", &script]).succeed();
        let verdict = host.cli(&["audit", "--verify"]).run();
        assert_eq!(verdict.status, 1, "{change}: {verdict}");
        host.program(&["sh", "-c", "rm -r /var/lib/oss2fa && mv /var/lib/kept /var/lib/oss2fa"]).succeed();
    }
    host.cli(&["audit", "--verify"]).succeed();
}

#[test]
fn the_audit_is_followed_as_it_grows() {
    let host = plan().enrolled(Totp).start();
    let mut follower = host.cli(&["audit", "--follow"]).terminal();
    let _past = follower.expect("confirmed");
    assert_eq!(login(&host, "ferris", &host.wrong_code("ferris")), Pam::AuthErr);
    let _now = follower.expect("refused");
}

#[test]
fn status_and_check_config_tell_what_is_in_force() {
    let host = plan().enrolled(Totp).set("policy.unenrolled", "skip").start();
    let status = host.cli_json(&["status"]);
    assert_eq!((&status["users"], &status["devices"]), (&1.into(), &1.into()));
    assert_eq!(status["unenrolled"], "skip");
    let check = host.cli(&["check-config"]).output();
    assert!(check.contains("agent.toml: ok") && check.contains("skip"), "{check}");
    host.kill_agent();
    let down = host.cli(&["status"]).run();
    assert_eq!(down.status, 3);
    assert!(down.stderr.contains("agent.sock"), "{down}");
}

#[test]
fn a_backup_of_a_busy_store_is_whole_and_restores() {
    let host = plan().enrolled(Hotp).start();
    let token = host.token("ferris");
    let (first, later) = (token.code_at(token.position), token.code_at(token.position + 1));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..20 {
                let _pam = login(&host, "ferris", &host.wrong_code("ferris"));
            }
        });
        host.cli(&["backup", "/var/lib/copy.db"]).succeed();
    });
    host.cli(&["unlock", "--user", "ferris"]).succeed();
    assert_eq!(host.cli(&["backup", "/var/lib/copy.db"]).run().status, 1, "nothing is overwritten");
    assert_eq!(login(&host, "ferris", &first), Pam::Success);
    host.kill_agent();
    host.program(&["sh", "-c", "rm /var/lib/oss2fa/agent.db*; install -o oss2fa -g oss2fa -m 600 /var/lib/copy.db /var/lib/oss2fa/agent.db"]).succeed();
    host.start_agent();
    host.cli(&["unlock", "--user", "ferris"]).succeed();
    assert_eq!(login(&host, "ferris", &later), Pam::Success);
    host.cli(&["audit", "--verify"]).succeed();
}

#[test]
fn completions_and_man_pages_are_made() {
    let host = plan().without_agent();
    for shell in ["bash", "zsh", "fish"] {
        assert!(host.cli(&["completions", shell]).output().contains("oss2fa-agent"), "{shell}");
    }
    fs::create_dir(host.path("/run/man")).unwrap();
    host.cli(&["man", "/run/man"]).succeed();
    let pages = fs::read_dir(host.path("/run/man")).unwrap().count();
    assert!(pages > 10, "{pages} pages");
    let page =
        host.program(&["sh", "-c", "man --warnings -l /run/man/oss2fa-agent-enroll.1 2>&1 | col -b"]).run();
    assert!(page.stdout.contains("authenticator app"), "{page}");
}

#[test]
fn bash_completes_below_the_first_word() {
    let host = plan().without_agent();
    for (typed, completed) in
        [("enroll --al", "--algorithm"), ("import us", "users-oath"), ("recovery-codes --u", "--user")]
    {
        let script = format!(
            "source <(oss2fa-agent completions bash)
             COMP_WORDS=(oss2fa-agent {typed}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
             $(complete -p oss2fa-agent | sed 's/.*-F \\([^ ]*\\).*/\\1/') oss2fa-agent \"${{COMP_WORDS[-1]}}\" \"${{COMP_WORDS[-2]}}\"
             echo \"${{COMPREPLY[@]}}\""
        );
        assert_eq!(host.program(&["bash", "-c", &script]).output().trim(), completed, "{typed}");
    }
}

#[test]
fn who_has_left_the_host_is_listed_and_forgotten() {
    let host = Host::new().user("ferris").enrolled(Totp).pam("shown", &stack::revealing("")).start();
    host.program(&["userdel", "ferris"]).succeed();
    let left = host.cli_json(&["list", "--user", "ferris"]);
    assert_eq!(left.as_array().unwrap().len(), 1, "{left}");
    assert_eq!(host.cli(&["verify", "--user", "ferris", "123456"]).run().status, 1);
    assert_eq!(host.cli(&["enroll", "totp", "--user", "ferris", "--json"]).run().status, 1);
    host.cli(&["remove", "--user", "ferris", "--all", "--forget"]).succeed();
    assert_eq!(host.cli_json(&["list", "--user", "ferris"]).as_array().unwrap().len(), 0);
    // Somebody else of that name begins with nothing.
    host.program(&["useradd", "ferris"]).succeed();
    assert_eq!(login(&host, "ferris", &host.code("ferris")), Pam::AuthErr);
}

#[test]
fn a_store_has_one_agent() {
    let host = plan().start();
    let config =
        host.read("/etc/oss2fa/agent.toml").replace("[agent]", "[agent]\nsocket = \"/run/other.sock\"");
    host.write("/etc/oss2fa/other.toml", &config);
    let second = host.cli(&["serve", "--config", "/etc/oss2fa/other.toml"]).run();
    assert_ne!(second.status, 0);
    assert!(second.to_string().contains("another agent uses this store"), "{second}");
}

#[test]
fn a_terminal_that_hangs_up_leaves_nothing_half_done() {
    let host = plan().start();
    let mut terminal = host.cli(&["enroll", "totp", "--user", "ferris"]).terminal();
    let _shown = terminal.expect("First code from it: ");
    terminal.type_keys("\u{3}");
    drop(terminal);
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(host.cli_json(&["list", "--user", "ferris"])[0]["status"], "pending");
    assert_eq!(login(&host, "ferris", "123456"), Pam::AuthErr);
}
