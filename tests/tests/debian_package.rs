//! The Debian package, in a Debian of its own: installed, upgraded, removed, purged, and a login
//! through what it ships under a real systemd.

#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test: whatever goes wrong fails it")]

mod debian_root;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use debian_root::booted::Booted;
use debian_root::{DebianRoot, Ran, build_package, repository};

const VERSION: &str = "0.1.0-1";
const OLDER: &str = "0.0.9-1";
const MODULE: &str = "pam_oss2fa.so";
const PASSWORD: &str = "correct horse";

#[test]
fn a_fresh_install_puts_every_file_in_place_and_changes_no_login() {
    let root = DebianRoot::fresh();
    let stacks_before = root.run("cd /etc/pam.d && md5sum *").expect_ok("md5sum");
    root.install(VERSION).expect_ok("the first install");

    let files = root.run("dpkg -L oss2fa-agent").expect_ok("dpkg -L");
    for wanted in [
        "/usr/bin/oss2fa-agent",
        "/lib/systemd/system/oss2fa-agent.service",
        "/lib/systemd/system/oss2fa-agent.socket",
        "/usr/lib/sysusers.d/oss2fa-agent.conf",
        "/usr/lib/tmpfiles.d/oss2fa-agent.conf",
        "/usr/share/pam-configs/oss2fa",
        "/etc/oss2fa/agent.toml",
        "/usr/share/man/man1/oss2fa-agent.1.gz",
        "/usr/share/bash-completion/completions/oss2fa-agent",
        "/usr/share/zsh/vendor-completions/_oss2fa-agent",
        "/usr/share/fish/vendor_completions.d/oss2fa-agent.fish",
        "/usr/share/doc/oss2fa-agent/copyright",
        "/usr/share/doc/oss2fa-agent/changelog.Debian.gz",
        "/usr/share/doc/oss2fa-agent/examples/pam.d/sshd",
        "/usr/share/doc/oss2fa-agent/examples/sshd_config.d/oss2fa.conf",
    ] {
        assert!(files.lines().any(|line| line == wanted), "{wanted} is not in the package:\n{files}");
    }
    assert!(
        files.lines().any(|line| line.ends_with(&format!("/security/{MODULE}"))),
        "no module in:\n{files}"
    );
    for file in files.lines() {
        let meta = fs::metadata(root.path(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert_eq!(meta.permissions().mode() & 0o022, 0, "{file} may be written by more than root");
        assert!(root.owner_and_mode(file).starts_with("0:0 "), "{file} is not root's");
    }
    root.run("cd / && md5sum --quiet -c /var/lib/dpkg/info/oss2fa-agent.md5sums").expect_ok("the md5sums");
    assert_eq!(root.owner_and_mode("/etc/oss2fa/agent.toml"), "0:0 644");

    let account = root.run("getent passwd oss2fa").expect_ok("the agent's user");
    assert!(account.trim_end().ends_with("OSS2FA agent:/var/lib/oss2fa:/usr/sbin/nologin"), "{account}");
    assert_eq!(root.owner_and_mode("/var/lib/oss2fa"), owned_by_agent(&root, "700"));
    assert_eq!(root.owner_and_mode("/run/oss2fa"), "0:0 755");

    let stacks_after = root.run("cd /etc/pam.d && md5sum *").expect_ok("md5sum");
    assert_eq!(stacks_after, stacks_before, "installing must not touch a login");
    root.run("oss2fa-agent check-config").expect_ok("check-config on the shipped configuration");
}

#[test]
fn libpam_finds_and_loads_the_module_and_is_refused_without_the_agent() {
    let root = DebianRoot::with_package(VERSION);
    let module = root.run(&format!("find / -xdev -name {MODULE}")).expect_ok("find");
    let linked = root.run(&format!("ldd -r {}", module.trim())).expect_ok("ldd");
    // libpam itself gives libpam's symbols; everything else must resolve.
    assert!(!linked.contains("not found"), "{linked}");

    root.write("/etc/pam.d/only-code", &format!("auth required {MODULE}\n"));
    let login = root
        .run("pamtester only-code root authenticate </dev/null")
        .expect_failure("a login without the agent");
    assert!(login.contains("cannot retrieve authentication info"), "not PAM_AUTHINFO_UNAVAIL: {login}");
}

#[test]
fn an_upgrade_keeps_the_devices_and_a_changed_configuration() {
    let root = DebianRoot::with_package(OLDER);
    let changed = root.read("/etc/oss2fa/agent.toml").replace("totp_skew = 1", "totp_skew = 2");
    root.write("/etc/oss2fa/agent.toml", &changed);
    enrol_root(&root);
    let user = root.run("id oss2fa").expect_ok("id");

    root.install(VERSION).expect_ok("the upgrade");

    let version =
        root.run("dpkg-query -W -f '${Version} ${db:Status-Status}' oss2fa-agent").expect_ok("dpkg-query");
    assert_eq!(version, format!("{VERSION} installed"));
    assert_eq!(root.read("/etc/oss2fa/agent.toml"), changed);
    assert_eq!(root.run("id oss2fa").expect_ok("id"), user);
    assert_root_is_still_enrolled(&root);
}

#[test]
fn a_removal_is_refused_while_a_stack_names_the_module() {
    let root = DebianRoot::with_package(VERSION);
    root.run("pam-auth-update --enable oss2fa").expect_ok("pam-auth-update --enable");
    root.write(
        "/etc/pam.d/sudo",
        "# auth required pam_oss2fa.so\n@include common-auth\nauth required pam_oss2fa.so\n",
    );

    let refusal =
        root.run("dpkg --remove oss2fa-agent").expect_failure("a removal with the module in sudo's stack");
    assert!(refusal.contains("/etc/pam.d/sudo:3:auth required pam_oss2fa.so"), "{refusal}");
    assert!(!refusal.contains("sudo:1:"), "a comment does not hold the package: {refusal}");
    assert!(root.read("/etc/pam.d/common-auth").contains(MODULE), "a refused removal must change no stack");
    let state = root.run("dpkg-query -W -f '${db:Status-Status}' oss2fa-agent").expect_ok("dpkg-query");
    assert_eq!(state, "installed");

    // Without the line in sudo the profile's own goes by itself.
    root.write("/etc/pam.d/sudo", "# auth required pam_oss2fa.so\n@include common-auth\n");
    root.run("dpkg --remove oss2fa-agent").expect_ok("the removal");
    assert!(!root.read("/etc/pam.d/common-auth").contains(MODULE), "{}", root.read("/etc/pam.d/common-auth"));
    root.run("pamtester sudo root acct_mgmt").expect_ok("a stack after the removal");
}

#[test]
fn a_removal_is_refused_while_a_hand_edited_common_auth_names_the_module() {
    let root = DebianRoot::with_package(VERSION);
    let edited = format!("auth required {MODULE}\nauth required pam_unix.so\n");
    root.write("/etc/pam.d/common-auth", &edited);

    let refusal =
        root.run("dpkg --remove oss2fa-agent").expect_failure("a removal with a hand-edited common-auth");
    assert!(refusal.contains("/etc/pam.d/common-auth:1:"), "{refusal}");
    assert_eq!(root.read("/etc/pam.d/common-auth"), edited);
}

#[test]
fn a_removal_keeps_the_devices_for_a_later_install() {
    let root = DebianRoot::with_package(VERSION);
    enrol_root(&root);
    root.run("dpkg --remove oss2fa-agent").expect_ok("the removal");
    assert!(!root.path("/usr/bin/oss2fa-agent").exists());
    assert!(root.path("/etc/oss2fa/agent.toml").exists(), "a removal keeps the configuration");
    assert_eq!(root.owner_and_mode("/var/lib/oss2fa"), owned_by_agent(&root, "700"));

    root.install(VERSION).expect_ok("the install after the removal");
    assert_root_is_still_enrolled(&root);
}

#[test]
fn a_purge_leaves_nothing_behind_and_the_package_installs_again() {
    let root = DebianRoot::fresh();
    let everything = "find / -xdev ! -path '/proc/*' ! -path '/root/*' ! -path '/var/log/*' ! -path '/var/lib/dpkg/*' \
                      ! -path '/var/cache/*' ! -name '*-' | LC_ALL=C sort";
    let before = root.run(everything).expect_ok("find");
    root.install(VERSION).expect_ok("the install");
    enrol_root(&root);
    root.run("pam-auth-update --enable oss2fa").expect_ok("pam-auth-update --enable");

    root.run("dpkg --purge oss2fa-agent").expect_ok("the purge");

    let after = root.run(everything).expect_ok("find");
    let left: Vec<_> = after.lines().filter(|line| !before.lines().any(|old| old == *line)).collect();
    assert!(left.iter().all(|path| OTHERS_FILES.contains(path)), "a purge left {left:?}");
    assert!(!root.read("/etc/pam.d/common-auth").contains(MODULE));
    for table in ["passwd", "group"] {
        root.run(&format!("getent {table} oss2fa")).expect_failure("the agent's user after a purge");
    }

    root.install(VERSION).expect_ok("the install after the purge");
    let state = root.run("dpkg-query -W -f '${db:Status-Status}' oss2fa-agent").expect_ok("dpkg-query");
    assert_eq!(state, "installed");
}

/// Made while the package was there by the programs of other packages, and theirs to keep.
const OTHERS_FILES: &[&str] = &[
    "/var/lib/pam/seen",
    "/etc/systemd/system/sockets.target.wants",
    "/var/lib/systemd/deb-systemd-helper-enabled",
];

#[test]
fn without_systemd_the_user_is_made_by_adduser() {
    let root = DebianRoot::fresh();
    root.run("rm /bin/systemd-sysusers /bin/systemd-tmpfiles /bin/systemctl").expect_ok("rm");
    root.install(VERSION).expect_ok("an install without systemd");
    let account = root.run("getent passwd oss2fa").expect_ok("the agent's user");
    assert!(account.contains(":/var/lib/oss2fa:/usr/sbin/nologin"), "{account}");
    assert_eq!(root.owner_and_mode("/var/lib/oss2fa"), owned_by_agent(&root, "700"));
    enrol_root(&root);
}

#[test]
fn an_account_that_somebody_logs_in_with_does_not_become_the_agents() {
    let root = DebianRoot::fresh();
    root.run("useradd -m oss2fa").expect_ok("useradd");
    let refusal = root.install(VERSION).expect_failure("an install beside a user of that name");
    assert!(refusal.contains("not a system"), "{refusal}");
    assert!(!root.path("/var/lib/oss2fa").exists());

    root.run("userdel -r oss2fa; dpkg --configure oss2fa-agent")
        .expect_ok("the install once the user is gone");
}

#[test]
fn the_profile_is_off_at_first_and_stands_after_the_password() {
    let root = DebianRoot::with_package(VERSION);
    assert!(!root.read("/etc/pam.d/common-auth").contains(MODULE));

    root.run("pam-auth-update --enable oss2fa").expect_ok("pam-auth-update --enable");

    let auth = root.read("/etc/pam.d/common-auth");
    let lines: Vec<_> =
        auth.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty()).collect();
    let place = |module: &str| {
        lines
            .iter()
            .position(|line| line.contains(module))
            .unwrap_or_else(|| panic!("{module} is missing:\n{auth}"))
    };
    assert!(place("pam_unix.so") < place("pam_deny.so") && place("pam_deny.so") < place(MODULE), "{auth}");
    let words: Vec<_> = lines.get(place(MODULE)).unwrap().split_whitespace().collect();
    assert_eq!(words, ["auth", "required", MODULE]);
    assert!(!auth.contains("sufficient"), "{auth}");
    // A jump over the denial lands on pam_permit, not past the module.
    assert!(lines.first().unwrap().contains("[success=1 "), "{auth}");
    for stack in ["account", "session", "session-noninteractive", "password"] {
        let text = root.read(&format!("/etc/pam.d/common-{stack}"));
        assert!(!text.contains(MODULE), "cron and systemd --user would be refused:\n{text}");
    }

    // As real libpam takes it: with the right password the missing agent still refuses.
    add_ferris(&root.run(&add_ferris_script()));
    root.write("/etc/pam.d/door", "@include common-auth\n@include common-account\n");
    root.run(&format!("printf '{PASSWORD}\\n' | pamtester door ferris authenticate"))
        .expect_failure("no agent");
    // What never authenticates goes on working.
    root.run("pamtester door ferris acct_mgmt").expect_ok("the account phase, as cron runs it");
    root.run("pam-auth-update --disable oss2fa").expect_ok("pam-auth-update --disable");
    root.run(&format!("printf '{PASSWORD}\\n' | pamtester door ferris authenticate"))
        .expect_ok("the profile is off");
}

#[test]
fn lintian_finds_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let package = build_package(VERSION, folder.path());
    let lintian = Command::new("lintian")
        .args(["--allow-root", "--fail-on", "error,warning", "--no-tag-display-limit"])
        .arg(&package)
        .output()
        .unwrap_or_else(|error| panic!("lintian does not run: {error}"));
    Ran::from(lintian).expect_ok("lintian");
}

#[test]
fn the_same_build_gives_the_same_package() {
    let folder = tempfile::tempdir().unwrap();
    let first = fs::read(build_package(VERSION, &folder.path().join("one"))).unwrap();
    let second = fs::read(build_package(VERSION, &folder.path().join("two"))).unwrap();
    assert!(first == second, "two builds of one version differ");
}

#[test]
fn under_systemd_the_hardened_agent_serves_the_shipped_stacks() {
    let root = DebianRoot::with_package(VERSION);
    add_ferris(&root.run(&add_ferris_script()));
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

/// A login by key alone runs no auth phase; `enforce` in the account phase refuses it.
fn public_key_is_not_enough(host: &Booted) {
    host.run(
        "install -d -o ferris -g ferris -m 0700 /home/ferris/.ssh && ssh-keygen -q -t ed25519 -N '' -f /root/key &&
         install -o ferris -g ferris -m 0600 /root/key.pub /home/ferris/.ssh/authorized_keys &&
         echo 'AuthenticationMethods publickey' >/etc/ssh/sshd_config.d/0-key.conf && systemctl reload ssh",
    )
    .expect_ok("a key for ferris");
    let login = ssh_with(host, "", "-i /root/key -o PreferredAuthentications=publickey");
    login.expect_failure("ssh with a key alone, past the shipped AuthenticationMethods");
}

/// The other shipped stack: key, then code; and the code alone is not enough.
fn public_key_and_code(host: &Booted, secret: &str) {
    host.run(
        "cp /usr/share/doc/oss2fa-agent/examples/pam.d/sshd-publickey /etc/pam.d/sshd &&
         echo 'AuthenticationMethods publickey,keyboard-interactive' >/etc/ssh/sshd_config.d/0-key.conf &&
         systemctl reload ssh",
    )
    .expect_ok("key and code");
    let login = ssh_with(host, &code(secret, 4), "-i /root/key").expect_ok("ssh with key and code");
    assert!(login.contains("in as ferris"), "{login}");
    // The day that the line in sshd_config gets lost.
    host.run("echo 'AuthenticationMethods any' >/etc/ssh/sshd_config.d/0-key.conf && systemctl reload ssh")
        .expect_ok("reload");
    ssh_with(host, &code(secret, 5), "-o PubkeyAuthentication=no").expect_failure("ssh with a code alone");
    host.run("oss2fa-agent unlock --user ferris").expect_ok("unlock");
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
            -o UserKnownHostsFile=/dev/null -o NumberOfPasswordPrompts=1 -o ConnectTimeout=10 {options} \
            ferris@127.0.0.1 'echo in as $(id -un)'"#
    ))
}

fn add_ferris_script() -> String {
    format!("useradd -m -s /bin/sh ferris && echo 'ferris:{PASSWORD}' | chpasswd")
}

#[track_caller]
fn add_ferris(added: &Ran) {
    assert!(added.ok, "useradd: {}", added.text);
}

/// Enrols root with the agent run by hand, as on a host without systemd.
fn enrol_root(root: &DebianRoot) {
    let script = "oss2fa-agent serve >/tmp/agent.log 2>&1 & 
        for i in $(seq 100); do [ -S /run/oss2fa/agent.sock ] && break; sleep 0.1; done
        made=$(oss2fa-agent enroll hotp --user root --json) || { cat /tmp/agent.log; exit 1; }
        secret=$(echo \"$made\" | sed 's/.*[?&]secret=\\([A-Z2-7]*\\).*/\\1/')
        device=$(echo \"$made\" | sed 's/.*\"device\": *\\([0-9]*\\).*/\\1/')
        oss2fa-agent confirm --user root --device $device $(oathtool --hotp -b -c 0 $secret) && rm -f /tmp/agent.log";
    root.run(script).expect_ok("enrolling root by an agent started by hand");
}

#[track_caller]
fn assert_root_is_still_enrolled(root: &DebianRoot) {
    let script = "oss2fa-agent serve >/tmp/agent.log 2>&1 &
        for i in $(seq 100); do [ -S /run/oss2fa/agent.sock ] && break; sleep 0.1; done
        oss2fa-agent list --user root --json || cat /tmp/agent.log";
    let devices = root.run(script).expect_ok("listing root's devices");
    assert!(devices.contains("hotp") && devices.contains("active"), "{devices}");
}

/// Enrols a user with HOTP through the running agent; gives the secret. Counter 0 is spent.
fn enrol(run: &dyn Fn(&str) -> Ran, user: &str) -> String {
    let made = run(&format!("oss2fa-agent enroll hotp --user {user} --json")).expect_ok("enroll --json");
    let made: serde_json::Value =
        serde_json::from_str(&made).unwrap_or_else(|error| panic!("{error}: {made}"));
    let uri = made.get("provisioning_uri").and_then(|uri| uri.as_str()).unwrap();
    let secret = uri.split(['?', '&']).find_map(|part| part.strip_prefix("secret=")).unwrap().to_owned();
    let device = made.get("device").unwrap();
    run(&format!("oss2fa-agent confirm --user {user} --device {device} {}", code(&secret, 0)))
        .expect_ok("confirm");
    secret
}

/// The HOTP code by oathtool, never by the product.
fn code(secret: &str, counter: u32) -> String {
    let output =
        Command::new("oathtool").args(["--hotp", "-b", "-c", &counter.to_string(), secret]).output().unwrap();
    assert!(output.status.success(), "oathtool: {output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn owned_by_agent(root: &DebianRoot, mode: &str) -> String {
    let ids = root.run("echo $(id -u oss2fa):$(id -g oss2fa)").expect_ok("id");
    format!("{} {mode}", ids.trim())
}

#[test]
fn the_example_files_of_the_package_are_those_of_the_repository() {
    let root = DebianRoot::with_package(VERSION);
    for folder in ["pam.d", "sshd_config.d"] {
        for file in fs::read_dir(repository().join("config").join(folder)).unwrap() {
            let path = file.unwrap().path();
            let name = path.file_name().map(Path::new).unwrap().display().to_string();
            let installed = root.read(&format!("/usr/share/doc/oss2fa-agent/examples/{folder}/{name}"));
            assert_eq!(installed, fs::read_to_string(&path).unwrap(), "{folder}/{name}");
        }
    }
}
