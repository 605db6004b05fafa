//! The RPM packages: what is in them, what rpmlint says, and how they install, upgrade and go away.
//!
//! The root that they are installed in is a Debian, as in the other tests: their scripts and owners are tried
//! there, their names of other packages are not.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::people::ENROL_ROOT;
use crate::root::{DebianRoot, Ran, owned_by, repository, target};
use crate::server_package::START_ONCE;
use crate::{AGENT, MODULE, VERSION as DEBIAN_VERSION};

const VERSION: &str = "0.1.0";
const CONFIG: &str = "/etc/oss2fa/server.toml";

#[test]
fn the_packages_hold_every_file_and_rpmlint_finds_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let [agent, server] = build_packages(VERSION, folder.path());
    let files = |package: &Path| {
        Ran::from(Command::new("rpm").arg("-qlp").arg(package).output().unwrap()).expect_ok("rpm -qlp")
    };
    let (in_agent, in_server) = (files(&agent), files(&server));
    for wanted in [
        "/usr/bin/oss2fa-agent",
        "/usr/lib64/security/pam_oss2fa.so",
        "/usr/lib/systemd/system/oss2fa-agent.service",
        "/usr/lib/systemd/system/oss2fa-agent.socket",
        "/usr/lib/sysusers.d/oss2fa-agent.conf",
        "/usr/lib/tmpfiles.d/oss2fa-agent.conf",
        "/usr/lib/udev/rules.d/70-oss2fa-agent.rules",
        "/etc/oss2fa/agent.toml",
        "/var/lib/oss2fa",
        "/usr/share/man/man1/oss2fa-agent.1.gz",
        "/usr/share/bash-completion/completions/oss2fa-agent",
        "/usr/share/zsh/site-functions/_oss2fa-agent",
        "/usr/share/fish/vendor_completions.d/oss2fa-agent.fish",
        "/usr/share/licenses/oss2fa-agent/LICENSE",
        "/usr/share/doc/oss2fa-agent/stacks.md",
        "/usr/share/doc/oss2fa-agent/apparmor/oss2fa-agent",
        "/usr/share/oss2fa-agent/selinux/oss2fa_agent.te",
        "/usr/share/oss2fa-agent/selinux/oss2fa_agent.fc",
        "/usr/share/oss2fa-agent/selinux/oss2fa_agent.if",
    ] {
        assert!(in_agent.lines().any(|line| line == wanted), "{wanted} is not in the package:\n{in_agent}");
    }
    for wanted in [
        "/usr/bin/oss2fa-server",
        "/usr/lib/systemd/system/oss2fa-server.service",
        "/usr/lib/sysusers.d/oss2fa-server.conf",
        "/usr/lib/tmpfiles.d/oss2fa-server.conf",
        CONFIG,
        "/var/lib/oss2fa-server",
        "/usr/share/man/man1/oss2fa-server.1.gz",
        "/usr/share/bash-completion/completions/oss2fa-server",
        "/usr/share/zsh/site-functions/_oss2fa-server",
        "/usr/share/fish/vendor_completions.d/oss2fa-server.fish",
        "/usr/share/licenses/oss2fa-server/LICENSE",
        "/usr/share/doc/oss2fa-server/openapi.json",
    ] {
        assert!(in_server.lines().any(|line| line == wanted), "{wanted} is not in the package:\n{in_server}");
    }
    // Debian's way to write stacks, which no system with RPM has.
    assert!(!in_agent.contains("pam-configs") && !in_agent.contains("examples/pam.d"), "{in_agent}");

    let rpmlint = Command::new("rpmlint")
        .arg("-c")
        .arg(repository().join("packaging/rpm/rpmlint.toml"))
        .args([agent, server])
        .output()
        .unwrap_or_else(|error| panic!("rpmlint does not run: {error}"));
    let said = Ran::from(rpmlint).expect_ok("rpmlint");
    assert!(said.contains("2 packages and 0 specfiles checked; 0 errors, 0 warnings"), "{said}");
}

#[test]
fn they_install_upgrade_with_data_kept_and_go_away() {
    let root = DebianRoot::fresh();
    let inside = root.path("/root");
    install(&root, &build_packages("0.0.9", &inside)).expect_ok("the install");

    rpm(&root, &["--verify", "--nodeps", "oss2fa-agent", "oss2fa-server"]).expect_ok("rpm --verify");
    assert_eq!(root.owner_and_mode("/var/lib/oss2fa"), owned_by(&root, "oss2fa", "700"));
    assert_eq!(root.owner_and_mode("/var/lib/oss2fa-server"), owned_by(&root, "oss2fa-server", "700"));
    let group = root.run("id -g oss2fa-server").expect_ok("id");
    assert_eq!(root.owner_and_mode(CONFIG), format!("0:{} 640", group.trim()));
    root.run("oss2fa-agent check-config").expect_ok("check-config");
    let linked = root.run(&format!("ldd -r /usr/lib64/security/{MODULE}")).expect_ok("ldd");
    assert!(!linked.contains("not found"), "{linked}");

    let changed = root.read(CONFIG).replace("token_burst = 400", "token_burst = 300");
    root.run(&format!("sed -i 's/token_burst = 400/token_burst = 300/' {CONFIG}")).expect_ok("sed");
    root.run(&format!("{START_ONCE}; runuser -u oss2fa-server -- oss2fa-server tenant create acme"))
        .expect_ok("a tenant");
    install(&root, &build_packages(VERSION, &inside)).expect_ok("the upgrade");
    let versions = rpm(&root, &["-qa", "--qf", "%{NAME} %{VERSION}\n"]).expect_ok("rpm -qa");
    assert!(
        versions.contains("oss2fa-agent 0.1.0") && versions.contains("oss2fa-server 0.1.0"),
        "{versions}"
    );
    assert!(!versions.contains("0.0.9"), "{versions}");
    assert_eq!(root.read(CONFIG), changed, "an upgrade keeps what somebody has set");
    let tenants = root.run("runuser -u oss2fa-server -- oss2fa-server tenant list").expect_ok("tenant list");
    assert!(tenants.contains("acme"), "{tenants}");

    root.write("/etc/pam.d/door", &format!("# auth required {MODULE}\nauth required {MODULE}\n"));
    let refusal = rpm(&root, &["-e", "oss2fa-agent"]).expect_failure("a removal with the module in a stack");
    assert!(refusal.contains("/etc/pam.d/door:2:") && !refusal.contains("/etc/pam.d/door:1:"), "{refusal}");
    assert!(root.path("/usr/lib64/security").join(MODULE).exists());
    root.run("rm /etc/pam.d/door").expect_ok("rm");
    rpm(&root, &["-e", "oss2fa-agent", "oss2fa-server"]).expect_ok("the removal");
    assert!(!root.path("/usr/bin/oss2fa-agent").exists() && !root.path("/usr/bin/oss2fa-server").exists());
    assert!(root.path("/var/lib/oss2fa-server/master.key").exists(), "a removal keeps the data");
}

#[test]
fn an_account_that_somebody_logs_in_with_stops_the_install() {
    let root = DebianRoot::fresh();
    root.run("useradd -m oss2fa && useradd -m oss2fa-server").expect_ok("useradd");
    let refusal = install(&root, &build_packages(VERSION, &root.path("/root"))).expect_failure("the install");
    for package in ["oss2fa-agent", "oss2fa-server"] {
        assert!(refusal.contains(&format!("{package}: this host already has a user")), "{refusal}");
        assert!(!root.path("/usr/bin").join(package).exists(), "{package} is installed");
    }
}

#[test]
fn the_stacks_of_those_systems_ask_below_a_substack_and_not_below_an_include() {
    let root = DebianRoot::with_package(AGENT, DEBIAN_VERSION);
    // As authselect writes it.
    let system_auth =
        "auth required pam_env.so\nauth sufficient pam_unix.so nullok\nauth required pam_deny.so\n";
    root.write("/etc/pam.d/system-auth", system_auth);
    let stacks = std::fs::read_to_string(repository().join("packaging/rpm/stacks.md")).unwrap();
    let line = |words: &str| {
        let found =
            stacks.lines().map(str::trim).find(|line| line.starts_with("auth ") && line.contains(words));
        found.unwrap_or_else(|| panic!("no '{words}' in stacks.md"))
    };
    let (password, code) = (line("substack"), line(MODULE));
    root.write("/etc/pam.d/documented", &format!("{password}\n{code}\n"));
    root.write("/etc/pam.d/included", &format!("auth include system-auth\n{code}\n"));
    let script = format!(
        "echo root:secret | chpasswd
        oss2fa-agent serve 2>/dev/null &
        for i in $(seq 600); do oss2fa-agent status >/dev/null 2>&1 && break; sleep 0.1; done
        {{ {ENROL_ROOT}; }} >/dev/null
        login() {{ printf '%s\\n%s\\n' \"$2\" \"$3\" | pamtester \"$1\" root authenticate >/dev/null 2>&1; echo $?; }}
        login documented secret $(oathtool --hotp -b -c 1 $secret)
        login documented secret 000000
        login documented wrong $(oathtool --hotp -b -c 2 $secret)
        login included secret nothing"
    );
    let statuses = root.run(&script).expect_ok("the logins");
    assert_eq!(statuses.split_whitespace().collect::<Vec<_>>(), ["0", "1", "1", "0"], "{statuses}");
}

/// Runs `packaging/rpm/build-rpm.sh` on the release build: the agent's package and the server's.
fn build_packages(version: &str, folder: &Path) -> [PathBuf; 2] {
    let output = Command::new(repository().join("packaging/rpm/build-rpm.sh"))
        .arg(version)
        .arg(folder)
        .env("BUILD_DIR", target().join("release"))
        .env("PAYLOAD", "w0.ufdio")
        .output()
        .unwrap();
    let names = String::from_utf8_lossy(&output.stdout).into_owned();
    Ran::from(output).expect_ok("packaging/rpm/build-rpm.sh (has `make build` run?)");
    let paths: Vec<_> = names.lines().map(PathBuf::from).collect();
    paths.try_into().unwrap_or_else(|paths| panic!("not two packages: {paths:?}"))
}

/// As root would install or upgrade. `--nodeps`: a Debian's packages are not in the database of RPM.
fn install(root: &DebianRoot, packages: &[PathBuf]) -> Ran {
    let files: Vec<_> = packages.iter().map(|package| package.display().to_string()).collect();
    let files = files.iter().map(String::as_str);
    rpm(root, &["-U", "--nodeps"].into_iter().chain(files).collect::<Vec<_>>())
}

fn rpm(root: &DebianRoot, words: &[&str]) -> Ran {
    let output = Command::new("rpm")
        .arg("--root")
        .arg(root.path("/"))
        .args(["--dbpath", "/var/lib/rpm"])
        .args(words)
        .env("LC_ALL", "C.UTF-8")
        .output()
        .unwrap_or_else(|error| panic!("rpm does not run: {error}"));
    Ran::from(output)
}
