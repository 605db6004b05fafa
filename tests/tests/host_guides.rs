//! The console blocks of README.md and of the guides of a host, each page run from top to bottom in a private world of
//! its own, as a reader would.
#![expect(clippy::unwrap_used, reason = "a failure is a panic in tests, in their helpers too")]

use std::fs;

use oss2fa_tests::{Guide, Host, PASSWORD, Token};

/// Blocks of README.md that need a machine of their own: `make demo`, and the three ways to install.
const NOT_RUN: usize = 4;

/// What a host has that ran another module: its line below the password, in the stack of a Debian.
fn stack_with(service: &str, line: &str) -> String {
    let stack = fs::read_to_string(format!("/etc/pam.d/{service}")).unwrap();
    assert!(stack.contains("@include common-auth\n"), "{stack}");
    stack.replace("@include common-auth\n", &format!("@include common-auth\n{line}\n"))
}

#[test]
fn the_readme_does_what_it_says() {
    let guide = Guide::read("README.md");
    assert!(guide.runs() > 15 && guide.leaves_out() <= NOT_RUN, "{} {}", guide.runs(), guide.leaves_out());
    let host = Host::new().user("ferris").in_group("sudo").start();
    // Other media than the one of /var.
    for folder in ["/var/backups", "/mnt"] {
        host.program(&["mount", "-t", "tmpfs", "none", folder]).succeed();
    }
    guide.follow(&host);
}

#[test]
fn the_guide_of_sshd_does_what_it_says() {
    let guide = Guide::read("docs/sshd.md");
    // The key is made by `guest_ssh.rs`, which has a security key to make it on.
    assert!(guide.runs() >= 16 && guide.leaves_out() == 0, "{}", guide.runs());
    let host = Host::new().user("ferris").in_group("sudo").user("robot").start();
    let agent = host.sk_agent();
    host.write("/home/ferris/.ssh/id_ecdsa_sk.pub", &host.read(&agent.file("id_ecdsa_sk")));
    host.program(&["chown", "-R", "ferris:", "/home/ferris/.ssh"]).succeed();
    guide.follow(&host);
}

#[test]
fn the_guide_of_sudo_and_su_does_what_it_says() {
    let guide = Guide::read("docs/sudo-su.md");
    assert!(guide.runs() >= 10 && guide.leaves_out() == 0, "{}", guide.runs());
    let host = Host::new().user("ferris").in_group("sudo").user("gopher").start();
    // Debian's root has a password where its installer was given one.
    host.program(&["chpasswd"]).input(&format!("root:{PASSWORD}\n")).succeed();
    guide.follow(&host);
}

#[test]
fn the_guide_from_google_authenticator_does_what_it_says() {
    let guide = Guide::read("docs/from-google-authenticator.md");
    assert!(guide.runs() >= 7 && guide.leaves_out() == 0, "{}", guide.runs());
    let host = Host::new()
        .user("ferris")
        .in_group("sudo")
        .user("gopher")
        .pam("sshd", &stack_with("sshd", "auth required pam_google_authenticator.so nullok"))
        .set("policy.unenrolled", "deny")
        .start();
    host.write(
        "/etc/ssh/sshd_config.d/codes.conf",
        "KbdInteractiveAuthentication yes\nPasswordAuthentication no\nAuthenticationMethods keyboard-interactive\n",
    );
    let google = "google-authenticator -t -d -f -C -q -r 3 -R 30 -w 7 -s /home/ferris/.google_authenticator";
    host.program(&["sh", "-c", google]).as_user("ferris").succeed();
    let file = host.read("/home/ferris/.google_authenticator");
    let phone = Token::scan(&format!("otpauth://totp/ferris?secret={}", file.lines().next().unwrap()));
    guide.with_token("ferris", phone).follow(&host);
}

#[test]
fn the_guide_from_pam_oath_does_what_it_says() {
    let guide = Guide::read("docs/from-pam-oath.md");
    assert!(guide.runs() >= 5 && guide.leaves_out() == 0, "{}", guide.runs());
    let host = Host::new()
        .user("ferris")
        .in_group("sudo")
        .user("gopher")
        .pam(
            "sudo",
            &stack_with("sudo", "auth sufficient pam_oath.so usersfile=/etc/users.oath window=20 digits=6"),
        )
        .start();
    host.write("/etc/users.oath", "HOTP ferris - 3132333435363738393031323334353637383930\nHOTP gopher 1234 3132333435363738393031323334353637383931\n");
    host.program(&["chmod", "0600", "/etc/users.oath"]).succeed();
    let key = "otpauth://hotp/ferris?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&counter=0";
    guide.with_token("ferris", Token::scan(key)).follow(&host);
}
