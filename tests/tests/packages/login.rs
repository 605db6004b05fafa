//! The whole host, booted: the hardened unit under a real systemd, and logins through the stacks as they
//! are shipped.

use std::time::{Duration, Instant};

use crate::booted::Booted;
use crate::people::{PASSWORD, add_ferris, code, enrol};
use crate::root::{DebianRoot, Ran};
use crate::{AGENT, MODULE, VERSION};

#[test]
fn under_systemd_the_hardened_agent_serves_the_shipped_stacks() {
    let root = DebianRoot::with_package(AGENT, VERSION);
    add_ferris(&root);
    let examples = "/usr/share/doc/oss2fa-agent/examples";
    root.run(&format!("cp {examples}/pam.d/sshd {examples}/pam.d/sudo {examples}/pam.d/su /etc/pam.d/"))
        .expect_ok("cp");
    root.run(&format!("cp {examples}/sshd_config.d/oss2fa.conf /etc/ssh/sshd_config.d/")).expect_ok("cp");
    root.write("/etc/sudoers.d/ferris", "ferris ALL=(ALL) ALL\n");
    let host = Booted::new(root);

    // The socket is there before the agent is; the first request starts it.
    host.run("systemctl is-active oss2fa-agent.socket").expect_ok("the socket unit");
    host.run("systemctl is-active oss2fa-agent.service").expect_failure("nobody has asked for the agent yet");
    let secret = enrol(&|script| host.run(script), "ferris");
    let agent = host
        .run("systemctl show -p User,ActiveState,NRestarts oss2fa-agent.service")
        .expect_ok("systemctl show");
    assert!(
        agent.contains("ActiveState=active") && agent.contains("NRestarts=0"),
        "{agent}{}",
        host.journal("oss2fa-agent")
    );
    let status = host.run("grep -E '^(Uid|CapEff|CapBnd|Seccomp|NoNewPrivs):' /proc/$(systemctl show -P MainPID oss2fa-agent)/status");
    let status = status.expect_ok("the agent's process").split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        status.contains("CapEff: 0000000000000000 CapBnd: 0000000000000000 NoNewPrivs: 1 Seccomp: 2"),
        "{status}"
    );
    assert!(!status.contains("Uid: 0"), "{status}");

    // Password, then code, by ssh, with the stack and the drop-in as they are shipped.
    let login = ssh(&host, &code(&secret, 1)).expect_ok("ssh with password and code");
    assert!(login.contains("in as ferris"), "{login}");
    ssh(&host, &code(&secret, 1)).expect_failure("ssh with the same code again");
    ssh(&host, &code(&secret, 2)).expect_ok("ssh with the next code");
    let sudo = host.run(&format!(
        "printf '{PASSWORD}\\n{}\\n' | setpriv --reuid=ferris --regid=ferris --init-groups sudo -S id -un",
        code(&secret, 3)
    ));
    assert!(sudo.expect_ok("sudo with password and code").contains("root"));
    public_key_is_not_enough(&host);
    public_key_and_code(&host, &secret);

    // A restart keeps the socket: a request made meanwhile is answered by the new agent.
    host.run("systemctl restart oss2fa-agent && oss2fa-agent status").expect_ok("a restart");
    host.run("systemctl reload oss2fa-agent").expect_ok("a reload");
    let kept = host.run("oss2fa-agent list --user ferris --json").expect_ok("list");
    assert!(kept.contains("active"), "{kept}");
    // The audit reaches the journal through /dev/log, out of the private /dev and network.
    host.wait_for_journal("-t oss2fa-agent", "event=accepted user=\"ferris\" service=\"sshd\"");
    let refused = host.journal("oss2fa-agent");
    assert!(
        !refused.contains("Operation not permitted"),
        "the confinement is in the agent's way:\n{refused}"
    );

    let began = Instant::now();
    host.run("dpkg --purge oss2fa-agent").expect_failure("a purge while sshd's stack names the module");
    host.run("systemctl is-active oss2fa-agent.socket").expect_ok("the socket after a refused purge");
    host.run("sed -i /pam_oss2fa/d /etc/pam.d/sshd /etc/pam.d/sudo /etc/pam.d/su; dpkg --purge oss2fa-agent")
        .expect_ok("the purge");
    assert!(began.elapsed() < Duration::from_secs(60), "stopping an idle agent takes too long");
    host.run("systemctl is-active oss2fa-agent.service").expect_failure("the agent after the purge");
    host.run("getent passwd oss2fa").expect_failure("the user after the purge");
}

#[test]
fn an_upgrade_restarts_the_running_agent_between_two_logins() {
    let root = DebianRoot::with_package(AGENT, "0.0.9-1");
    let changed = root.read("/etc/oss2fa/agent.toml").replace("totp_skew = 1", "totp_skew = 2");
    root.write("/etc/oss2fa/agent.toml", &changed);
    root.write("/etc/pam.d/only-code", &format!("auth required {MODULE}\n"));
    add_ferris(&root);
    let host = Booted::new(root);
    let secret = enrol(&|script| host.run(script), "ferris");
    let login = |counter: u32| {
        host.run(&format!("echo {} | pamtester only-code ferris authenticate", code(&secret, counter)))
    };
    login(1).expect_ok("a login before the upgrade");
    let main = || host.run("systemctl show -P MainPID oss2fa-agent").expect_ok("its process");
    let before = main();

    host.run(&host.root.how_to_install(AGENT, VERSION)).expect_ok("the upgrade");

    assert_ne!(main(), before, "the old agent still runs");
    login(1).expect_failure("a code of before the upgrade, again");
    login(2).expect_ok("a login after the upgrade");
    host.run("systemctl is-active oss2fa-agent.socket").expect_ok("the socket after an upgrade");
    assert_eq!(host.root.read("/etc/oss2fa/agent.toml"), changed, "an upgrade keeps what somebody has set");
    // An administrator who has switched it off finds it off.
    host.run("systemctl disable --now oss2fa-agent.socket oss2fa-agent.service").expect_ok("disable");
    host.run(&host.root.how_to_install(AGENT, "0.1.1-1")).expect_ok("another upgrade");
    host.run("systemctl is-enabled oss2fa-agent.socket").expect_failure("an upgrade has enabled it");
    login(3).expect_failure("a login without the agent");
}

/// A login by key alone runs no auth phase; `enforce` in the account phase refuses it.
fn public_key_is_not_enough(host: &Booted) {
    host.run(
        "install -d -o ferris -g ferris -m 0700 /home/ferris/.ssh && ssh-keygen -q -t ed25519 -N '' -f /root/key &&
         install -o ferris -g ferris -m 0600 /root/key.pub /home/ferris/.ssh/authorized_keys &&
         echo 'AuthenticationMethods publickey' >/etc/ssh/sshd_config.d/0-key.conf && systemctl restart ssh",
    )
    .expect_ok("a key for ferris");
    let login = ssh_with(host, "", "-i /root/key -o PreferredAuthentications=publickey");
    login.expect_failure("ssh with a key alone, past the shipped AuthenticationMethods");
    // Refused by nothing else. Of all units: a child of sshd may be gone before the journal can tell whose line it was.
    host.wait_for_journal("", "Access denied for user ferris by PAM account configuration");
}

/// The other shipped stack: key, then code; and the code alone is not enough.
fn public_key_and_code(host: &Booted, secret: &str) {
    host.run(
        "cp /usr/share/doc/oss2fa-agent/examples/pam.d/sshd-publickey /etc/pam.d/sshd &&
         echo 'AuthenticationMethods publickey,keyboard-interactive' >/etc/ssh/sshd_config.d/0-key.conf &&
         systemctl restart ssh",
    )
    .expect_ok("key and code");
    let login = ssh_with(host, &code(secret, 4), "-i /root/key").expect_ok("ssh with key and code");
    assert!(login.contains("in as ferris"), "{login}");
    // The day that the line in sshd_config gets lost.
    host.run("echo 'AuthenticationMethods any' >/etc/ssh/sshd_config.d/0-key.conf && systemctl restart ssh")
        .expect_ok("reload");
    ssh_with(host, &code(secret, 5), "-o PubkeyAuthentication=no").expect_failure("ssh with a code alone");
    // Refused by nothing else.
    host.wait_for_journal("", "pam_exec(sshd:auth)");
}

fn ssh(host: &Booted, code: &str) -> Ran {
    ssh_with(host, code, "")
}

/// ssh from inside to inside; a question that has "assword" in it gets the password, another the code.
fn ssh_with(host: &Booted, code: &str, options: &str) -> Ran {
    host.run(&format!(
        r#"cat >/root/answer <<'END'
#!/bin/sh
case "$1" in *assword*) echo '{PASSWORD}';; *) echo '{code}';; esac
END
        chmod 0700 /root/answer
        SSH_ASKPASS=/root/answer SSH_ASKPASS_REQUIRE=force setsid -w ssh -F /dev/null -o StrictHostKeyChecking=no \
            -o UserKnownHostsFile=/dev/null -o NumberOfPasswordPrompts=1 -o ConnectTimeout=60 {options} \
            ferris@127.0.0.1 'echo in as $(id -un)'"#
    ))
}
