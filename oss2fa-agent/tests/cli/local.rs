//! Commands that do not ask the daemon: check-config, and those that read the store.

use std::io;
use std::os::unix::fs::PermissionsExt;

use oss2fa_agent::cli::Exit;
use serde_json::Value;

use crate::scripted::Host;

const POLICY: &str = "[policy]\nunenrolled = \"skip\"\nrequired_groups = [\"root\"]\nexempt_groups = [\"daemon\"]\n\
                      skip_networks = [\"192.0.2.7/24\", \"2001:db8::/32\"]\nself_service = [\"list\"]\n";

#[test]
fn a_configuration_is_told_in_words() {
    let mut host = Host::new();
    // The agent's user depends on who runs the test.
    let words = |more: &str, host: &mut Host| {
        host.configure(more);
        let ran = host.run(&["check-config"]);
        assert_eq!((ran.exit, ran.stderr.as_str()), (Exit::Done, ""), "{ran}");
        let (rules, _) = ran.stdout.split_once("The agent runs as").unwrap();
        rules.to_owned()
    };
    let plain = words("", &mut host);
    let rich = words(POLICY, &mut host);
    let services = words(&format!("{POLICY}[policy.service.sshd]\nfactors = [\"totp\"]\n"), &mut host);
    insta::assert_snapshot!(format!("{plain}\n----\n{rich}\n----\n{services}"));
}

#[test]
fn what_is_most_likely_a_mistake_is_warned_of() {
    let mut host = Host::new();
    host.configure("[policy]\nrequired_groups = [\"no-such-group\"]\n[policy.service.su]\nfactors = [\"recovery_code\"]\n");
    let ran = host.run(&["check-config"]);
    assert_eq!(ran.exit, Exit::Done);
    insta::assert_snapshot!(ran.stderr);
    let report: Value = serde_json::from_str(&host.run(&["check-config", "--json"]).stdout).unwrap();
    assert_eq!(report["status"], "ok");
    assert_eq!(report["warnings"].as_array().unwrap().len(), 2);
}

#[test]
fn a_configuration_that_others_may_write_is_refused() {
    let mut host = Host::new();
    let path = host.configure("");
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o666)).unwrap();
    let ran = host.run(&["check-config"]);
    assert_eq!(ran.exit, Exit::Usage);
    assert!(ran.stderr.contains("has mode 0666"), "{ran}");
}

#[test]
fn without_a_store_there_is_no_audit_and_no_backup() {
    let mut host = Host::new();
    for words in [&["audit"][..], &["audit", "--verify"], &["backup", "/nonexistent/copy"]] {
        let ran = host.run(words);
        assert_eq!(ran.exit, Exit::Unavailable, "{ran}");
        assert!(ran.stderr.contains("[DIR]"), "it names the file: {ran}");
    }
}

#[test]
fn a_backup_does_not_take_the_place_of_a_file() {
    let mut host = Host::new();
    let file = host.write("copy", "precious");
    let ran = host.run(&["backup", file.to_str().unwrap()]);
    assert_eq!(ran.exit, Exit::Refused);
    assert!(ran.stderr.contains("[DIR]/copy is there already"), "{ran}");
    assert_eq!(std::fs::read_to_string(file).unwrap(), "precious");
}

#[test]
fn a_reader_that_has_gone_ends_a_command_in_silence() {
    struct Gone;
    impl io::Write for Gone {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let host = Host::new();
    let mut stderr = Vec::new();
    let exit = host.run_into(&["check-config"], &mut Gone, &mut stderr);
    assert_eq!((exit, stderr.as_slice()), (Exit::Refused, &b""[..]));
}

#[test]
fn where_a_touch_is_too_little_is_said() {
    let mut host = Host::new();
    host.configure("[policy.service.su]\nuser_verification = \"required\"\n");
    let ran = host.run(&["check-config"]);
    assert_eq!(
        ran.stdout.matches("A security key asks for its PIN").count(),
        2,
        "su, and what has no rule: {ran}"
    );
}
