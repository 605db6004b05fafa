//! `pam install`, `pam remove` and `pam try`, and the real programs around what they write.
use oss2fa_tests::Factor::{Hotp, RecoveryCodes, Totp};
use oss2fa_tests::{Host, PASSWORD, Pam, Ran};

const CODE: &str = "Verification code: ";

/// A host of which somebody who may become root has a token and recovery codes.
fn host() -> Host {
    Host::new().user("ferris").in_group("sudo").enrolled(Hotp).enrolled(RecoveryCodes).start()
}

fn install(host: &Host, service: &str, mode: &str) -> Ran {
    host.cli(&["pam", "install", service, "--mode", mode, "--yes"]).run()
}

fn installed(host: &Host, service: &str, mode: &str) -> String {
    let ran = install(host, service, mode);
    assert_eq!(ran.status, 0, "{ran}");
    assert!(ran.stdout.contains(&format!("\n{service}: protected: ")), "it ends with the doctor: {ran}");
    ran.stdout
}

fn removed(host: &Host, service: &str) {
    let ran = host.cli(&["pam", "remove", service, "--yes"]).run();
    assert_eq!(ran.status, 0, "{ran}");
}

/// Every file below these folders: owner, mode, links and content.
fn files(host: &Host) -> String {
    let all = "find /etc/pam.d /etc/ssh /etc/oss2fa -not -path '/etc/ssh/test*' -not -path /etc/oss2fa/before \
               -not -path /etc/ssh -not -path /etc/oss2fa \
               -printf '%p %u %g %m %l ' \\( -type f -exec sha256sum {} \\; -o -printf '\\n' \\) | sort";
    host.program(&["/bin/sh", "-c", all]).output()
}

#[test]
fn password_and_code_for_sshd_and_back() {
    let host = host();
    let before = files(&host);
    let shown = installed(&host, "sshd", "password+code");
    assert!(shown.contains("+auth       required     pam_oss2fa.so\n"), "{shown}");
    assert!(shown.contains("+++ /etc/ssh/sshd_config.d/00-oss2fa.conf\n"), "{shown}");
    let sshd = host.sshd_as_configured().start();
    let end = sshd.login("ferris").answer("Password: ", PASSWORD).answer(CODE, &host.code("ferris")).finish();
    assert_eq!((end.status, end.rest.contains("ferris")), (0, true), "{end:?}");
    let wrong = sshd.login("ferris").answer("Password: ", PASSWORD).answer(CODE, &host.wrong_code("ferris"));
    assert_eq!(wrong.finish().status, 255);
    sshd.authorize_key("ferris");
    // The key is not even looked at.
    let end = sshd.ssh("ferris", &["PreferredAuthentications=publickey"], &["id", "-un"]).terminal().finish();
    assert_eq!(end.status, 255, "{end:?}");
    drop(sshd);
    removed(&host, "sshd");
    assert_eq!(files(&host), before);
    let sshd = host.sshd_as_configured().start();
    let end = sshd.login("ferris").finish();
    assert_eq!((end.status, end.rest.contains("ferris")), (0, true), "a key is enough again: {end:?}");
}

#[test]
fn publickey_and_code_for_sshd_and_back() {
    let host = host();
    let before = files(&host);
    let _shown = installed(&host, "sshd", "publickey+code");
    let sshd = host.sshd_as_configured().start();
    // Without a key there is no prompt at all.
    let end = sshd.login("ferris").finish();
    assert_eq!((end.status, end.transcript.contains(CODE)), (255, false), "{end:?}");
    sshd.authorize_key("ferris");
    let end = sshd.login("ferris").answer(CODE, &host.code("ferris")).finish();
    assert_eq!((end.status, end.rest.contains("ferris")), (0, true), "{end:?}");
    assert!(!end.transcript.contains("Password"), "{end:?}");
    let end = sshd.login("ferris").answer(CODE, &host.wrong_code("ferris")).finish();
    assert_eq!(end.status, 255, "{end:?}");
    drop(sshd);
    // An sshd that has lost its methods: neither the code alone nor the key alone is enough.
    std::fs::remove_file(host.path("/etc/ssh/sshd_config.d/00-oss2fa.conf")).unwrap();
    let sshd = host.sshd("keyboard-interactive").start();
    let end = sshd.login("ferris").finish();
    assert_eq!((end.status, end.transcript.contains(CODE)), (255, false), "{end:?}");
    drop(sshd);
    let sshd = host.sshd("publickey").start();
    assert_eq!(sshd.login("ferris").finish().status, 255);
    drop(sshd);
    // Somebody has added a line since: that is not thrown away without a word.
    let changed = format!("{}session optional pam_echo.so\n", host.read("/etc/pam.d/sshd"));
    host.write("/etc/pam.d/sshd", &changed);
    let ran = host.cli(&["pam", "remove", "sshd", "--yes"]).run();
    assert_eq!((ran.status, host.read("/etc/pam.d/sshd")), (1, changed), "{ran}");
    assert!(ran.stderr.contains("/etc/pam.d/sshd was changed since"), "{ran}");
    let end = host.cli(&["pam", "remove", "sshd"]).terminal().answer("Put this back? [y/N] ", "y").finish();
    assert_eq!(end.status, 0, "{end:?}");
    assert_eq!(files(&host), before);
}

#[test]
fn a_code_alone_for_sshd_and_back() {
    let host = host();
    let before = files(&host);
    let shown = installed(&host, "sshd", "code");
    assert!(shown.contains("+#oss2fa: @include common-auth\n"), "{shown}");
    let sshd = host.sshd_as_configured().start();
    let end = sshd.login("ferris").answer(CODE, &host.code("ferris")).finish();
    assert_eq!((end.status, end.rest.contains("ferris")), (0, true), "{end:?}");
    let end = sshd.login("ferris").answer(CODE, PASSWORD).finish();
    assert_eq!(end.status, 255, "{end:?}");
    drop(sshd);
    removed(&host, "sshd");
    assert_eq!(files(&host), before);
}

#[test]
fn sudo_and_su_ask_for_a_code_and_forget_it_again() {
    let host = host();
    let before = files(&host);
    for service in ["sudo", "su"] {
        let _shown = installed(&host, service, "password+code");
        // su lets root by: it is asked of who is not.
        let login = |lines: &[&str]| {
            host.pamtester(service, "ferris", &[], &["authenticate", "acct_mgmt"], lines)
                .map(|program| program.as_user("ferris"))
                .run()
                .0
        };
        assert_eq!(login(&[PASSWORD, &host.code("ferris")]), Pam::Success, "{service}");
        assert_eq!(login(&[PASSWORD, "000000"]), Pam::AuthErr, "{service}");
        removed(&host, service);
        assert_eq!(login(&[PASSWORD]), Pam::Success, "{service}");
    }
    assert_eq!(files(&host), before);
    // With sudo itself, the code alone.
    let _shown = installed(&host, "sudo", "code");
    for words in [&["sudo", "-k", "id", "-un"][..], &["sudo", "-k", "-i", "id", "-un"]] {
        let sudo = host.program(words).as_user("ferris").terminal();
        let end = sudo.answer(CODE, &host.code("ferris")).finish();
        assert_eq!((end.status, end.rest.contains("root")), (0, true), "{words:?}: {end:?}");
    }
}

#[test]
fn the_difference_is_one_that_patch_understands() {
    let host = host();
    for (service, mode) in [("sshd", "publickey+code"), ("sudo", "password+code"), ("login", "code")] {
        let path = format!("/etc/pam.d/{service}");
        let original = host.read(&path);
        let ran = host.cli(&["pam", "install", service, "--mode", mode]).run();
        assert_eq!((ran.status, host.read(&path)), (1, original.clone()), "nobody has agreed: {ran}");
        assert!(ran.stderr.contains("--yes"), "{ran}");
        host.write("/run/new", &original);
        let difference: String = ran.stdout.split("--- ").nth(1).map(|one| format!("--- {one}")).unwrap();
        host.write("/run/difference", &difference);
        host.program(&["patch", "--quiet", "/run/new", "/run/difference"]).succeed();
        let _shown = installed(&host, service, mode);
        assert_eq!(host.read("/run/new"), host.read(&path), "{service}");
        removed(&host, service);
        assert_eq!(host.read(&path), original);
    }
}

#[test]
fn nothing_is_written_before_somebody_agrees_at_the_terminal() {
    let host = host();
    let before = files(&host);
    let words = ["pam", "install", "sudo", "--mode", "password+code"];
    let end = host.cli(&words).terminal().answer("Write this? [y/N] ", "n").finish();
    assert_eq!((end.status, files(&host)), (1, before.clone()), "{end:?}");
    let end = host.cli(&words).terminal().answer("Write this? [y/N] ", "y").finish();
    assert_eq!(end.status, 0, "{end:?}");
    assert!(host.read("/etc/pam.d/sudo").contains("auth       required     pam_oss2fa.so\n"));
    let again = install(&host, "sudo", "code");
    assert!(again.status == 1 && again.stderr.contains("already"), "{again}");
    let end = host.cli(&["pam", "remove", "sudo"]).terminal().answer("Put this back? [y/N] ", "").finish();
    assert_eq!(end.status, 1, "{end:?}");
    removed(&host, "sudo");
    assert_eq!(files(&host), before);
}

#[test]
fn without_a_way_back_nothing_is_written() {
    let host = Host::new()
        .user("ferris")
        .enrolled(Totp)
        .enrolled(RecoveryCodes)
        .user("admin1")
        .in_group("sudo")
        .enrolled(Totp)
        .start();
    let before = files(&host);
    let refused = |why: &str| {
        let ran = install(&host, "sudo", "password+code");
        assert_eq!((ran.status, files(&host)), (1, before.clone()), "{why}: {ran}");
        assert!(ran.stderr.contains("recovery-codes"), "{ran}");
    };
    refused("ferris has a way back, and cannot become root; admin1 has one device");
    // A device that was never proven is none.
    host.cli(&["enroll", "totp", "--user", "admin1", "--json"]).succeed();
    refused("a device that waits for its first code");
    host.enroll("root", Totp);
    refused("root with one device");
    let _token = host.enroll_with("admin1", &["hotp"]);
    let _shown = installed(&host, "sudo", "password+code");
    removed(&host, "sudo");
    host.kill_agent();
    let ran = install(&host, "sudo", "password+code");
    assert_eq!(ran.status, 3, "without the agent nobody knows: {ran}");
    assert_eq!(files(&host), before);
    let ran = host.cli(&["pam", "install", "sudo", "--mode", "code", "--yes", "--danger-no-way-back"]).run();
    assert_eq!(ran.status, 0, "{ran}");
}

#[test]
fn what_this_command_cannot_add_to_is_left_alone() {
    let host = host();
    for (stack, why) in [
        ("auth sufficient pam_unix.so\nauth required pam_deny.so\n", "would still let people by"),
        ("account required pam_permit.so\n", "no auth lines of its own"),
        ("auth required pam_oss2fa.so\n", "already"),
        ("@include nowhere\nauth required pam_unix.so\n", "includes nowhere"),
        ("auth requisite pam_unix.so\nauth required pam_deny.so\n", "nobody would get in"),
        ("auth required pam_unix.so \\", "cannot be read"),
    ] {
        let stack =
            format!("{}{stack}", if stack.ends_with('\\') { "account required pam_permit.so\n" } else { "" });
        host.write("/etc/pam.d/door", &stack);
        let ran = install(&host, "door", "password+code");
        assert_eq!((ran.status, host.read("/etc/pam.d/door")), (1, stack.clone()), "{ran}");
        assert!(ran.stderr.contains(why), "{why}: {ran}");
    }
    let ran = install(&host, "nowhere", "code");
    assert!(ran.status == 1 && ran.stderr.contains("there is no /etc/pam.d/nowhere"), "{ran}");
    let ran = install(&host, "sudo", "publickey+code");
    assert!(ran.status == 1 && ran.stderr.contains("sudo knows no keys"), "{ran}");
    let ran = host.cli(&["pam", "remove", "sudo", "--yes"]).run();
    assert!(ran.status == 1 && ran.stderr.contains("nothing is kept"), "{ran}");
    // sshd reads its own file first, which then wins.
    host.write(
        "/etc/ssh/sshd_config",
        "AuthenticationMethods publickey\nInclude /etc/ssh/sshd_config.d/*.conf\n",
    );
    let ran = install(&host, "sshd", "password+code");
    assert!(
        ran.status == 1 && ran.stderr.contains("`authenticationmethods publickey` at /etc/ssh/sshd_config:1"),
        "{ran}"
    );
    assert!(!host.path("/etc/ssh/sshd_config.d/00-oss2fa.conf").exists());
    // A link would be written through.
    host.program(&["ln", "-sf", "/etc/pam.d/sudo", "/etc/pam.d/linked"]).succeed();
    let ran = install(&host, "linked", "password+code");
    assert!(ran.status == 1 && ran.stderr.contains("is a link"), "{ran}");
    let ran =
        host.program(&["oss2fa-agent", "pam", "install", "sudo", "--mode", "code"]).as_user("ferris").run();
    assert!(ran.status == 1 && ran.stderr.contains("only root"), "{ran}");
}

#[test]
fn a_system_in_a_folder() {
    let host = host();
    let before = files(&host);
    host.program(&["/bin/sh", "-c", "mkdir -p /run/image/usr && cp -a /etc /run/image/etc"]).succeed();
    let words = ["pam", "install", "sshd", "--mode", "publickey+code", "--yes", "--root", "/run/image"];
    let ran = host.cli(&words).run();
    assert!(ran.status == 1 && ran.stderr.contains("--danger-no-way-back"), "{ran}");
    let ran = host.cli(&[&words[..], &["--danger-no-way-back"]].concat()).run();
    assert_eq!(ran.status, 0, "{ran}");
    assert!(ran.stdout.contains("sshd: protected: "), "{ran}");
    assert!(host.read("/run/image/etc/pam.d/sshd").contains("pam_oss2fa.so enforce"));
    assert_eq!(files(&host), before, "the host's own files are no part of it");
    let report = host.cli(&["doctor", "--root", "/run/image", "--json"]).run().json();
    let verdicts: Vec<_> = report["services"]
        .as_array()
        .unwrap()
        .iter()
        .map(|found| (found["service"].as_str().unwrap(), found["verdict"].as_str().unwrap()))
        .collect();
    assert_eq!(
        verdicts,
        [("sshd", "protected"), ("su", "open"), ("su-l", "open"), ("sudo", "open"), ("sudo-i", "open")]
    );
    assert!(report["services"][1]["sentence"].as_str().unwrap().contains("/run/image/etc/pam.d/su"));
    // A link of that system means that system.
    host.program(&["ln", "-sf", "/etc/pam.d/sshd", "/run/image/etc/pam.d/also"]).succeed();
    let also = host.cli(&["doctor", "--root", "/run/image", "also"]).run();
    assert_eq!(also.status, 0, "{also}");
    host.cli(&["pam", "remove", "sshd", "--yes", "--root", "/run/image"]).succeed();
    let changed =
        "diff -r --no-dereference /etc/pam.d /run/image/etc/pam.d; diff -r /etc/ssh /run/image/etc/ssh; true";
    let changed = host.program(&["/bin/sh", "-c", changed]).output();
    assert_eq!(changed.trim(), "Only in /run/image/etc/pam.d: also");
}

#[test]
fn an_installation_that_is_cut_short_leaves_whole_files_and_a_way_back() {
    let host = host();
    let before = files(&host);
    let paths = ["/etc/pam.d/sshd", "/etc/ssh/sshd_config.d/00-oss2fa.conf"];
    let texts = || paths.map(|path| host.path(path).exists().then(|| host.read(path)));
    let old = texts();
    let _shown = installed(&host, "sshd", "password+code");
    let new = texts();
    removed(&host, "sshd");
    let mut cut_short = 0;
    // Each rename is a step that others can see; the power fails just before it.
    for step in 1.. {
        let cut = format!("inject=rename:signal=KILL:when={step}");
        let strace = ["strace", "-f", "-o", "/dev/null", "-e", "trace=rename", "-e", &cut];
        let install = ["oss2fa-agent", "pam", "install", "sshd", "--mode", "password+code", "--yes"];
        let ran = host.program(&[&strace[..], &install].concat()).run();
        if ran.status == 0 {
            break;
        }
        assert_eq!(ran.status, 128 + 9, "{ran}");
        for ((now, old), new) in texts().iter().zip(&old).zip(&new) {
            assert!(now == old || now == new, "half of a file: {now:?}");
        }
        let ran = host.cli(&["pam", "remove", "sshd", "--yes"]).run();
        assert!(ran.status == 0 || ran.stderr.contains("nothing is kept"), "{ran}");
        assert_eq!(texts(), old, "after {step} steps");
        cut_short += 1;
    }
    assert!(cut_short >= 5, "{cut_short}");
    assert_eq!(texts(), new);
    // So is one that is cut short on the way back.
    for step in 1..3 {
        let cut = format!("inject=rename,unlink:signal=KILL:when={step}");
        let strace = ["strace", "-f", "-o", "/dev/null", "-e", "trace=rename,unlink", "-e", &cut];
        let remove = ["oss2fa-agent", "pam", "remove", "sshd", "--yes"];
        let ran = host.program(&[&strace[..], &remove].concat()).run();
        assert_eq!(ran.status, 128 + 9, "{ran}");
    }
    removed(&host, "sshd");
    assert_eq!(files(&host), before);
}

/// As Fedora has them: a substack for the password, and account lines that end early for local users.
const FEDORA: [(&str, &str); 3] = [
    (
        "sshd",
        "auth substack password-auth\nauth include postlogin\naccount required pam_nologin.so\n\
         account include password-auth\nsession include password-auth\n",
    ),
    (
        "password-auth",
        "auth required pam_env.so\nauth [default=1 ignore=ignore success=ok] pam_localuser.so\n\
         auth sufficient pam_unix.so nullok\nauth required pam_deny.so\naccount required pam_unix.so\n\
         account sufficient pam_localuser.so\naccount required pam_permit.so\nsession required pam_unix.so\n",
    ),
    ("postlogin", "auth optional pam_faildelay.so delay=0\n"),
];

#[test]
fn stacks_as_fedora_has_them() {
    let host = host();
    for (service, stack) in FEDORA {
        host.write(&format!("/etc/pam.d/{service}"), stack);
    }
    host.program(&["rm", "/etc/pam.d/sudo-i"]).succeed();
    host.write("/etc/pam.d/sudo", "auth include password-auth\naccount include password-auth\n");
    let before = files(&host);
    let ran = install(&host, "sudo", "password+code");
    assert!(ran.status == 1 && ran.stderr.contains("/etc/pam.d/password-auth:3 says `sufficient`"), "{ran}");
    let shown = installed(&host, "sshd", "password+code");
    assert!(shown.contains("refuses one that has shown none"), "the key alone is refused, too: {shown}");
    let both = ["authenticate", "acct_mgmt"];
    let login = |operations: &[&str], typed: &[&str]| {
        host.pamtester("sshd", "ferris", &[], operations, typed).run().0
    };
    assert_eq!(login(&both, &[PASSWORD, &host.code("ferris")]), Pam::Success);
    assert_eq!(login(&both, &[PASSWORD, "000000"]), Pam::AuthErr);
    assert_eq!(login(&["acct_mgmt"], &[]), Pam::PermDenied);
    removed(&host, "sshd");
    assert_eq!(files(&host), before);
}

#[test]
fn a_try_is_a_whole_login_and_touches_nothing() {
    let host = host();
    let before = files(&host);
    let attempt =
        |words: &[&str], typed: &str| host.cli(&[&["pam", "try"], words].concat()).input(typed).run();
    let typed = |code: &str| format!("{PASSWORD}\n{code}\n");
    // The stack in force has no second factor yet.
    let ran = attempt(&["sshd", "ferris"], &typed(""));
    assert_eq!((ran.status, ran.stdout.contains("lets ferris in by sshd")), (0, true), "{ran}");
    for (words, right, wrong) in [
        (["sshd", "ferris", "--mode", "password+code"], typed(&host.code("ferris")), typed("000000")),
        (
            ["sudo", "ferris", "--mode", "password+code"],
            typed(&host.code("ferris")),
            format!("wrong\n{}\n", 1),
        ),
        (["sudo", "ferris", "--mode", "code"], format!("{}\n", host.code("ferris")), format!("{PASSWORD}\n")),
        (
            ["sshd", "ferris", "--mode", "publickey+code"],
            format!("{}\n", host.code("ferris")),
            "000000\n".to_owned(),
        ),
    ] {
        let ran = attempt(&words, &wrong);
        assert_eq!(
            (ran.status, ran.stderr.contains("does not let ferris in")),
            (1, true),
            "{words:?}: {ran}"
        );
        let ran = attempt(&words, &right);
        assert_eq!((ran.status, ran.stdout.contains("lets ferris in")), (0, true), "{words:?}: {ran}");
        assert_eq!(files(&host), before);
    }
    let _shown = installed(&host, "sudo", "password+code");
    assert_eq!(attempt(&["sudo", "ferris"], &typed("000000")).status, 1);
    assert_eq!(attempt(&["sudo", "ferris"], &typed(&host.code("ferris"))).status, 0);
    assert_eq!(attempt(&["nowhere/else", "ferris"], "").status, 2);
    assert_eq!(attempt(&["sudo", "--", "-v"], "").status, 2);
    host.program(&["mount", "--bind", "/dev/null", "/usr/bin/pamtester"]).succeed();
    let ran = attempt(&["sudo", "ferris"], "");
    assert!(ran.status == 1 && ran.stderr.contains("apt install pamtester"), "{ran}");
}
