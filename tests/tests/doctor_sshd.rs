//! The doctor on sshd's own configuration, each word of it held against a login at the real sshd.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failure is a panic in tests, in their helpers too"
)]

use oss2fa_tests::Factor::Hotp;
use oss2fa_tests::{Host, PASSWORD, Sshd};

const CODE: &str = "Verification code: ";

/// Password and code, and no account line of ours.
const WITHOUT_ENFORCE: &str = "auth requisite pam_unix.so nodelay\nauth required pam_oss2fa.so\n\
                               account required pam_permit.so\nsession required pam_permit.so\n";

const WITH_ENFORCE: &str = "auth requisite pam_unix.so nodelay\nauth required pam_oss2fa.so\n\
                            account required pam_oss2fa.so enforce\nsession required pam_permit.so\n";

fn host(stack: &str, config: &str) -> Host {
    let host = Host::new().user("ferris").user("robot").enrolled(Hotp).pam("sshd", stack).start();
    host.enroll("ferris", Hotp);
    host.write("/etc/ssh/sshd_config", config);
    host
}

/// The verdict, the sentence, and all notes.
fn doctor(host: &Host) -> (String, String, String) {
    let ran = host.cli(&["doctor", "sshd", "--json"]).run();
    let found = ran.json()["services"][0].clone();
    let text = |name: &str| found[name].as_str().unwrap().to_owned();
    let notes: Vec<_> =
        found["notes"].as_array().unwrap().iter().map(|note| note.as_str().unwrap()).collect();
    assert_eq!(text("verdict") == "protected", ran.status == 0, "{ran}");
    (text("verdict"), text("sentence"), notes.join("\n"))
}

fn by_key(sshd: &Sshd<'_>, user: &str) -> bool {
    sshd.authorize_key(user);
    let end = sshd.ssh(user, &["PreferredAuthentications=publickey"], &["id", "-un"]).terminal().finish();
    end.status == 0 && end.rest.contains(user)
}

#[test]
fn without_pam_a_password_alone_is_enough() {
    let host = host(WITH_ENFORCE, "PasswordAuthentication yes\nPubkeyAuthentication no\n\n  usepam no\n");
    let (verdict, sentence, _) = doctor(&host);
    assert_eq!(verdict, "open");
    assert_eq!(
        sentence,
        "with `UsePAM no` at /etc/ssh/sshd_config:4, sshd asks PAM for nothing, and a password alone is enough"
    );
    let sshd = host.sshd_as_configured().start();
    let end = sshd.login("ferris").answer("password: ", PASSWORD).finish();
    assert_eq!((end.status, end.rest.contains("ferris")), (0, true), "{end:?}");
}

#[test]
fn any_method_lets_a_key_by_where_the_account_phase_is_forgotten() {
    let config = "UsePAM yes\nKbdInteractiveAuthentication yes\nPasswordAuthentication no\n";
    let host = host(WITHOUT_ENFORCE, config);
    let (verdict, sentence, _) = doctor(&host);
    assert_eq!(verdict, "open");
    assert_eq!(
        sentence,
        "a public key alone is enough, by `AuthenticationMethods any`, as it is by default: no account line says \
         `pam_oss2fa.so enforce` in /etc/pam.d/sshd"
    );
    let sshd = host.sshd_as_configured().start();
    assert!(by_key(&sshd, "ferris"));
    drop(sshd);
    // The line that it asks for closes it.
    host.write("/etc/pam.d/sshd", WITH_ENFORCE);
    assert_eq!(doctor(&host).0, "protected");
    let sshd = host.sshd_as_configured().start();
    assert!(!by_key(&sshd, "robot"));
    let login =
        sshd.ssh("ferris", &["PreferredAuthentications=keyboard-interactive"], &["id", "-un"]).terminal();
    let end = login.answer("Password: ", PASSWORD).answer(CODE, &host.code("ferris")).finish();
    assert_eq!(end.status, 0, "{end:?}");
}

#[test]
fn a_match_block_opens_a_door_for_some() {
    let config = "Include /etc/ssh/sshd_config.d/*.conf\nUsePAM yes\nKbdInteractiveAuthentication yes\n\
                  AuthenticationMethods publickey,keyboard-interactive\n";
    let host = host(WITHOUT_ENFORCE, config);
    let (verdict, _, notes) = doctor(&host);
    assert_eq!(verdict, "protected");
    assert!(notes.contains("nothing but sshd's AuthenticationMethods"), "{notes}");
    host.write(
        "/etc/ssh/sshd_config.d/robots.conf",
        "# machines\nMatch User robot\n\tAuthenticationMethods \"publickey\"\n",
    );
    let (verdict, sentence, _) = doctor(&host);
    assert_eq!(verdict, "open");
    assert_eq!(
        sentence,
        "a public key alone is enough where `Match User robot` at /etc/ssh/sshd_config.d/robots.conf:2 holds, by \
         `AuthenticationMethods publickey` at /etc/ssh/sshd_config.d/robots.conf:3: no account line says \
         `pam_oss2fa.so enforce` in /etc/pam.d/sshd"
    );
    let sshd = host.sshd_as_configured().start();
    assert!(by_key(&sshd, "robot"));
    assert!(!by_key(&sshd, "ferris"));
}

#[test]
fn two_blocks_together_open_what_neither_does_alone() {
    let config = "UsePAM yes\nPubkeyAuthentication no\nKbdInteractiveAuthentication yes\n\
                  AuthenticationMethods keyboard-interactive\nMatch User robot\n  AuthenticationMethods publickey\n\
                  Match Address 127.0.0.0/8\n  PubkeyAuthentication yes\n";
    let host = host(WITHOUT_ENFORCE, config);
    let (verdict, sentence, _) = doctor(&host);
    assert_eq!(verdict, "open", "{sentence}");
    let sshd = host.sshd_as_configured().start();
    assert!(by_key(&sshd, "robot"));
    assert!(!by_key(&sshd, "ferris"));
}

#[test]
fn the_first_value_counts_wherever_it_stands() {
    let config = "Include /etc/ssh/sshd_config.d/*.conf\nUsePAM yes\nKbdInteractiveAuthentication yes\n\
                  AuthenticationMethods keyboard-interactive\n";
    let host = host(WITHOUT_ENFORCE, config);
    assert_eq!(doctor(&host).0, "protected");
    host.write(
        "/etc/ssh/sshd_config.d/50-cloud.conf",
        "AuthenticationMethods=publickey keyboard-interactive\n",
    );
    let (verdict, sentence, _) = doctor(&host);
    assert_eq!(verdict, "open");
    assert!(sentence.contains("at /etc/ssh/sshd_config.d/50-cloud.conf:1"), "{sentence}");
    let sshd = host.sshd_as_configured().start();
    assert!(by_key(&sshd, "ferris"));
}

#[test]
fn an_sshd_that_cannot_ask_lets_nobody_in_and_is_told_of() {
    let config =
        "UsePAM yes\nKbdInteractiveAuthentication no\nPasswordAuthentication yes\nPermitEmptyPasswords yes\n";
    let host = host(WITH_ENFORCE, config);
    let (verdict, sentence, notes) = doctor(&host);
    assert_eq!(verdict, "protected", "{sentence}");
    assert!(notes.contains("with `KbdInteractiveAuthentication no` at /etc/ssh/sshd_config:2"), "{notes}");
    assert!(notes.contains("`PermitEmptyPasswords yes` at /etc/ssh/sshd_config:4"), "{notes}");
    let sshd = host.sshd_as_configured().start();
    assert!(!by_key(&sshd, "ferris"));
    let options = ["PreferredAuthentications=password", "NumberOfPasswordPrompts=1"];
    let end = sshd.ssh("ferris", &options, &["id", "-un"]).terminal().answer("password: ", PASSWORD).finish();
    assert_eq!(end.status, 255, "{end:?}");
}

#[test]
fn the_empty_password_that_sshd_tries_by_itself_is_a_way_in() {
    let stack = "auth sufficient pam_permit.so\nauth required pam_oss2fa.so\naccount required pam_permit.so\n\
                 session required pam_permit.so\n";
    let host = host(stack, "");
    let enters = |empty: &str, passwords: &str| {
        let config = format!(
            "UsePAM yes\nAuthenticationMethods none\nPermitEmptyPasswords {empty}\nPasswordAuthentication {passwords}\n"
        );
        host.write("/etc/ssh/sshd_config", &config);
        let (verdict, sentence, _) = doctor(&host);
        let sshd = host.sshd_as_configured().start();
        let end = sshd.ssh("ferris", &["BatchMode=yes"], &["id", "-un"]).terminal().finish();
        assert_eq!(verdict == "open", end.status == 0, "{config}{sentence}, {end:?}");
        end.status == 0
    };
    assert!(enters("yes", "yes"));
    assert!(!enters("no", "yes") && !enters("yes", "no"));
    // Our module asks for a code then, and gets an empty one.
    host.write("/etc/pam.d/sshd", &stack.replace("sufficient", "required"));
    assert!(!enters("yes", "yes"));
}

#[test]
fn a_configuration_that_sshd_does_not_take_is_no_protection() {
    let host = host(WITH_ENFORCE, "UsePAM yes\nNoSuchKeyword yes\n");
    let (verdict, sentence, _) = doctor(&host);
    assert_eq!(verdict, "unclear");
    assert!(sentence.contains("NoSuchKeyword"), "{sentence}");
}

#[test]
fn what_the_agent_lets_pass_is_told_beside_it() {
    let host = Host::new()
        .user("ferris")
        .pam("sshd", WITH_ENFORCE)
        .pam("door", "auth required pam_oss2fa.so socket=/run/other.sock\n")
        .set("policy.unenrolled", "skip")
        .set("policy.exempt_groups", vec!["robots"])
        .set("policy.skip_networks", vec!["192.0.2.0/24"])
        .start();
    let (verdict, _, notes) = doctor(&host);
    assert_eq!(verdict, "protected");
    for told in [
        "whoever has never enrolled is not asked (`unenrolled = \"skip\"` in /etc/oss2fa/agent.toml)",
        "members of robots are not asked",
        "whoever comes from 192.0.2.0/24 is not asked",
    ] {
        assert!(notes.contains(told), "{told}: {notes}");
    }
    let door = host.cli(&["doctor", "door"]).run();
    assert!(door.stdout.contains("/etc/pam.d/door:1 asks at /run/other.sock, and the agent"), "{door}");
}

#[test]
fn nobody_named_means_what_names_the_module_and_the_usual_ways_in() {
    let host = Host::new().user("ferris").pam("door", "auth required pam_oss2fa.so\n").start();
    let named = |words: &[&str]| -> Vec<String> {
        let report = host.cli(&[&["doctor", "--json"], words].concat()).run().json();
        let services = report["services"].as_array().unwrap().clone();
        services.iter().map(|found| found["service"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(named(&[]), ["door", "sshd", "su", "su-l", "sudo", "sudo-i"]);
    assert_eq!(named(&["DOOR"]), ["door"]);
    let ran = host.cli(&["doctor", "door"]).run();
    assert_eq!((ran.status, ran.stderr.as_str()), (0, ""), "{ran}");
    let ran = host.cli(&["doctor"]).run();
    assert_eq!(ran.status, 1);
    assert_eq!(
        ran.stderr,
        "error: without a second factor, somebody can get in by: sshd, su, su-l, sudo, sudo-i\n"
    );
    assert!(
        ran.stdout.contains("sudo: OPEN: no auth line names pam_oss2fa.so in /etc/pam.d/sudo\n  To do: put "),
        "{ran}"
    );
    let ran = host.cli(&["doctor", "../door"]).run();
    assert_eq!(ran.status, 2, "{ran}");
    // Whoever is not root is told the same, save what sshd would say.
    let ran = host.program(&["oss2fa-agent", "doctor", "sshd"]).as_user("ferris").run();
    assert!(ran.status == 1 && ran.stdout.contains("sshd: OPEN"), "{ran}");
    // What the examples say is right.
    for (example, service) in
        [("sshd", "sshd"), ("sshd-publickey", "sshd"), ("sudo-i", "sudo-i"), ("sudo", "sudo"), ("su", "su")]
    {
        let text =
            std::fs::read_to_string(oss2fa_tests::workspace().join("config/pam.d").join(example)).unwrap();
        host.write(&format!("/etc/pam.d/{service}"), &text);
        // By its name alone sudo-i is as open as the sudo that it includes.
        let ran = host.cli(&["doctor", service]).run();
        assert_eq!(ran.status, i32::from(example == "sudo-i"), "{example}: {ran}");
    }
}
