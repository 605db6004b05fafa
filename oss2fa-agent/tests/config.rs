//! The configuration file: what it says by default, what it refuses, and in which words.

#![expect(clippy::unwrap_used, reason = "a test may fail where it likes")]

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::stat::Mode;
use nix::unistd::{geteuid, mkfifo};
use oss2fa_agent::config::{Config, LockLimits, MasterKeySource, Mode as Decides, SystemLog, Trust};
use oss2fa_agent::policy::{Messages, SelfService, Unenrolled};
use oss2fa_core::verdict::FactorKind;
use oss2fa_ctap::auth_data::Aaguid;
use oss2fa_ctap::verify::{Aaguids, UserVerification};
use tempfile::TempDir;

const DOCUMENTED: &str = include_str!("../../config/agent.toml");

fn parse(text: &str) -> Result<Config, String> {
    Config::parse(Path::new("/etc/oss2fa/agent.toml"), text).map_err(|error| error.to_string())
}

fn refusal(text: &str) -> String {
    match parse(text) {
        Ok(_) => format!("ACCEPTED: {text}"),
        Err(error) => error,
    }
}

#[test]
fn the_documented_file_says_what_holds_without_it() {
    let documented = parse(DOCUMENTED).unwrap();
    assert_eq!(format!("{documented:#?}"), format!("{:#?}", parse("").unwrap()));
}

/// `[section] key` and the default of every key that the documented file shows, also in comments.
fn documented_keys() -> Vec<(String, String, String)> {
    let mut section = String::new();
    let mut keys = Vec::new();
    for line in DOCUMENTED.lines() {
        let line = line.strip_prefix("# ").unwrap_or(line).split("   #").next().unwrap_or_default();
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = name.to_owned();
        } else if let Some((key, value)) = line.split_once(" = ")
            && key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
        {
            keys.push((section.clone(), key.to_owned(), value.to_owned()));
        }
    }
    keys
}

#[test]
fn every_documented_key_is_known_and_every_known_key_is_documented() {
    let keys = documented_keys();
    for (section, key, value) in &keys {
        parse(&format!("[{section}]\n{key} = {value}\n")).unwrap_or_else(|error| panic!("{error}"));
        let misspelt = refusal(&format!("[{section}]\n{key}s = {value}\n"));
        assert!(misspelt.contains(&format!("unknown field `{key}s`")), "{misspelt}");
    }
    let documented = |section: &str| -> Vec<&str> {
        keys.iter().filter(|(at, ..)| at == section).map(|(_, key, _)| key.as_str()).collect()
    };
    for section in ["agent", "store", "policy", "locks", "audit", "policy.service.sshd", "server", "yubico"] {
        // The parser lists what it would have taken.
        let error = refusal(&format!("[{section}]\nno_such_key = 1\n"));
        let (_, expected) = error.split_once("expected ").unwrap_or_else(|| panic!("{error}"));
        for known in expected.split('`').skip(1).step_by(2).filter(|known| *known != "service") {
            let shown = documented(section).contains(&known)
                || (section == "policy.service.sshd" && documented("policy").contains(&known));
            assert!(shown, "[{section}] {known} is nowhere in config/agent.toml");
        }
    }
}

#[test]
fn the_defaults_are_the_strict_ones() {
    let config = parse("").unwrap();
    assert_eq!(config.agent.socket, PathBuf::from("/run/oss2fa/agent.sock"));
    assert_eq!(config.agent.user, "oss2fa");
    assert_eq!(config.agent.login_timeout, Duration::from_secs(120));
    assert_eq!(config.agent.log_level, tracing::Level::INFO);
    assert_eq!(config.store.path, PathBuf::from("/var/lib/oss2fa/agent.db"));
    assert_eq!(config.store.master_key, MasterKeySource::File("/var/lib/oss2fa/master.key".into()));
    let rules = config.policy.rules("anything");
    assert_eq!(rules.unenrolled, Unenrolled::Deny);
    assert!(rules.required_groups.is_empty() && rules.exempt_groups.is_empty());
    assert!(rules.skip_networks.is_empty());
    use FactorKind::{Fido2, Hotp, RecoveryCode, SshSk, Totp, U2f, YubicoOtp, YubikeyHmac};
    assert_eq!(rules.factors, [Totp, Hotp, RecoveryCode, Fido2, U2f, YubicoOtp, YubikeyHmac, SshSk]);
    assert!(!config.policy.counts_ssh_touch("sshd") && config.policy.ssh_touch_services().next().is_none());
    assert_eq!(config.keys.sshd_config, PathBuf::from("/etc/ssh/sshd_config"));
    assert_eq!(rules.user_verification, UserVerification::NotAsked);
    assert_eq!(config.keys.rp_id.as_str(), "oss2fa:host");
    assert_eq!((config.keys.touch_timeout.as_secs(), &config.keys.models), (15, &Aaguids::Any));
    assert_eq!(config.policy.totp_skew, 1);
    let limits = LockLimits {
        free_attempts: 5,
        free_attempts_per_source: 50,
        free_attempts_per_user: 200,
        first_pause: 30,
        longest_pause: 3600,
    };
    assert_eq!(config.locks, limits);
    assert_eq!(config.audit.syslog, SystemLog::On);
}

#[test]
fn every_key_is_taken_over() {
    let config = parse(
        r#"
        [agent]
        socket = "/run/other.sock"
        user = "daemon"
        login_timeout = 5
        log_level = "trace"
        [store]
        path = "/srv/a.db"
        master_key = "credential:oss2fa.key"
        [policy]
        unenrolled = "skip"
        required_groups = ["wheel"]
        exempt_groups = ["robots"]
        skip_networks = ["192.0.2.77/24", "2001:db8::/32", "198.51.100.7"]
        self_service = ["rename"]
        totp_skew = 0
        [policy.service.su]
        unenrolled = "deny"
        required_groups = ["a"]
        exempt_groups = []
        skip_networks = []
        factors = ["hotp"]
        messages = "hide"
        [locks]
        free_attempts = 1
        free_attempts_per_source = 2
        free_attempts_per_user = 3
        first_pause = 4
        longest_pause = 5
        [audit]
        syslog = false
        "#,
    )
    .unwrap();
    assert_eq!(config.agent.socket, PathBuf::from("/run/other.sock"));
    assert_eq!((config.agent.user.as_str(), config.agent.login_timeout.as_secs()), ("daemon", 5));
    assert_eq!(config.agent.log_level, tracing::Level::TRACE);
    assert_eq!(config.store.path, PathBuf::from("/srv/a.db"));
    assert_eq!(config.store.master_key, MasterKeySource::Credential("oss2fa.key".to_owned()));
    let base = config.policy.base();
    assert_eq!(base.unenrolled, Unenrolled::Skip);
    assert_eq!((base.required_groups[0].as_str(), base.exempt_groups[0].as_str()), ("wheel", "robots"));
    let networks: Vec<String> = base.skip_networks.iter().map(ToString::to_string).collect();
    assert_eq!(networks, ["192.0.2.0/24", "2001:db8::/32", "198.51.100.7/32"]);
    assert!(config.policy.allows(SelfService::Rename) && !config.policy.allows(SelfService::Enroll));
    assert_eq!(config.policy.totp_skew, 0);
    let su = config.policy.rules("su-l");
    assert_eq!((su.unenrolled, su.required_groups[0].as_str()), (Unenrolled::Deny, "a"));
    assert!(su.exempt_groups.is_empty() && su.skip_networks.is_empty());
    assert_eq!((su.factors.as_slice(), su.messages("su")), ([FactorKind::Hotp].as_slice(), Messages::Hide));
    let LockLimits { free_attempts, free_attempts_per_source, free_attempts_per_user, .. } = config.locks;
    assert_eq!((free_attempts, free_attempts_per_source, free_attempts_per_user), (1, 2, 3));
    assert_eq!((config.locks.first_pause, config.locks.longest_pause), (4, 5));
    assert_eq!(config.audit.syslog, SystemLog::Off);
}

#[test]
fn what_a_rule_leaves_out_stays_as_above() {
    let config = parse(
        "[policy]\nrequired_groups = [\"wheel\"]\nskip_networks = [\"192.0.2.0/24\"]\n[policy.service.su]\n",
    )
    .unwrap();
    assert_eq!(config.policy.rules("su"), config.policy.base());
}

#[test]
fn each_mistake_is_named_with_its_file_its_key_and_what_is_allowed() {
    insta::assert_snapshot!(refusal("[policy]\nunenroled = \"deny\"\n"), @r#"
the configuration /etc/oss2fa/agent.toml cannot be understood: TOML parse error at line 2, column 1
  |
2 | unenroled = "deny"
  | ^^^^^^^^^
unknown field `unenroled`, expected one of `unenrolled`, `required_groups`, `exempt_groups`, `skip_networks`, `self_service`, `totp_skew`, `enroll_at_login`, `user_verification`, `ssh_touch_services`, `service`
"#);
    insta::assert_snapshot!(refusal("[polciy]\n"), @"
the configuration /etc/oss2fa/agent.toml cannot be understood: TOML parse error at line 1, column 2
  |
1 | [polciy]
  |  ^^^^^^
unknown field `polciy`, expected one of `agent`, `store`, `policy`, `locks`, `audit`, `keys`, `server`, `yubico`
");
    insta::assert_snapshot!(refusal("[policy]\nunenrolled = deny\n"), @"
the configuration /etc/oss2fa/agent.toml cannot be understood: TOML parse error at line 2, column 14
  |
2 | unenrolled = deny
  |              ^^^^
string values must be quoted, expected literal string
");
    insta::assert_snapshot!(refusal("[policy]\nunenrolled = \"allow\"\n"), @r#"the configuration /etc/oss2fa/agent.toml has [policy] unenrolled = "allow": allowed is "deny" or "skip""#);
    insta::assert_snapshot!(refusal("[policy]\nskip_networks = [\"0.0.0.0/0\"]\n"), @r#"the configuration /etc/oss2fa/agent.toml has [policy] skip_networks = "0.0.0.0/0": allowed is networks smaller than the whole Internet"#);
    insta::assert_snapshot!(refusal("[policy]\nskip_networks = [\"::/0\"]\n"), @r#"the configuration /etc/oss2fa/agent.toml has [policy] skip_networks = "::/0": allowed is networks smaller than the whole Internet"#);
    insta::assert_snapshot!(refusal("[policy]\nskip_networks = [\"office.example.org\"]\n"), @r#"the configuration /etc/oss2fa/agent.toml has [policy] skip_networks = "office.example.org": allowed is addresses and networks such as "192.0.2.0/24"; names are not taken"#);
    insta::assert_snapshot!(refusal("[policy]\nexempt_groups = [\"a,b\"]\n"), @r#"the configuration /etc/oss2fa/agent.toml has [policy] exempt_groups = "a,b": allowed is names of groups"#);
    insta::assert_snapshot!(refusal("[policy]\nself_service = [\"unlock\"]\n"), @r#"the configuration /etc/oss2fa/agent.toml has [policy] self_service = "unlock": allowed is any of enroll, list, remove, rename"#);
    insta::assert_snapshot!(refusal("[policy]\ntotp_skew = 4\n"), @"the configuration /etc/oss2fa/agent.toml has [policy] totp_skew = 4: allowed is a whole number from 0 to 3");
    insta::assert_snapshot!(refusal("[policy.service.sshd]\nfactors = []\n"), @"the configuration /etc/oss2fa/agent.toml has [policy.service.sshd] factors = []: allowed is at least one of totp, hotp, recovery_code, fido2, u2f, yubico_otp, yubikey_hmac, ssh_sk");
    insta::assert_snapshot!(refusal("[policy.service.sshd]\nfactors = [\"totp\", \"sent_code\"]\n"), @r#"the configuration /etc/oss2fa/agent.toml has [policy.service.sshd] factors = "sent_code": allowed is any of totp, hotp, recovery_code, fido2, u2f, yubico_otp, yubikey_hmac, ssh_sk"#);
    insta::assert_snapshot!(refusal("[policy.service.sshd]\nfactors = [\"sms\"]\n"), @r#"the configuration /etc/oss2fa/agent.toml has [policy.service.sshd] factors = "sms": allowed is any of totp, hotp, recovery_code, fido2, u2f, yubico_otp, yubikey_hmac, ssh_sk"#);
    insta::assert_snapshot!(refusal("[policy.service.sshd]\nmessages = \"no\"\n"), @r#"the configuration /etc/oss2fa/agent.toml has [policy.service.sshd] messages = "no": allowed is "show" or "hide""#);
    insta::assert_snapshot!(refusal("[policy.service.su]\n[policy.service.su-l]\n"), @"the configuration /etc/oss2fa/agent.toml has [policy.service.su-l] = a second rule: allowed is one rule for su, which holds for its login shells, too");
    insta::assert_snapshot!(refusal("[agent]\nsocket = \"agent.sock\"\n"), @"the configuration /etc/oss2fa/agent.toml has [agent] socket = agent.sock: allowed is an absolute path");
    insta::assert_snapshot!(refusal(&format!("[agent]\nsocket = \"/{}\"\n", "s".repeat(107))), @"the configuration /etc/oss2fa/agent.toml has [agent] socket = /sssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssss: allowed is a path of at most 107 bytes");
    insta::assert_snapshot!(refusal("[agent]\nuser = \"root\"\n"), @r#"the configuration /etc/oss2fa/agent.toml has [agent] user = "root": allowed is a system user other than root"#);
    insta::assert_snapshot!(refusal("[agent]\nlogin_timeout = 0\n"), @"the configuration /etc/oss2fa/agent.toml has [agent] login_timeout = 0: allowed is a whole number from 5 to 600");
    insta::assert_snapshot!(refusal("[agent]\nlog_level = \"loud\"\n"), @"the configuration /etc/oss2fa/agent.toml has [agent] log_level = loud: allowed is error, warn, info, debug or trace");
    insta::assert_snapshot!(refusal("[store]\npath = \"agent.db\"\n"), @"the configuration /etc/oss2fa/agent.toml has [store] path = agent.db: allowed is an absolute path");
    insta::assert_snapshot!(refusal("[store]\nmaster_key = \"master.key\"\n"), @"the configuration /etc/oss2fa/agent.toml has [store] master_key = master.key: allowed is an absolute path");
    insta::assert_snapshot!(refusal("[store]\nmaster_key = \"credential:../key\"\n"), @r#"the configuration /etc/oss2fa/agent.toml has [store] master_key = credential:../key: allowed is "credential:NAME" with a plain name"#);
    insta::assert_snapshot!(refusal("[locks]\nfree_attempts = 0\n"), @"the configuration /etc/oss2fa/agent.toml has [locks] free_attempts = 0: allowed is a whole number from 1 to 100");
    insta::assert_snapshot!(refusal("[locks]\nlongest_pause = 29\n"), @"the configuration /etc/oss2fa/agent.toml has [locks] longest_pause = 29: allowed is at least first_pause");
    insta::assert_snapshot!(refusal("[audit]\nsyslog = \"yes\"\n"), @r#"
the configuration /etc/oss2fa/agent.toml cannot be understood: TOML parse error at line 2, column 10
  |
2 | syslog = "yes"
  |          ^^^^^
invalid type: string "yes", expected a boolean
"#);
}

/// A file with these bytes and this mode, and what comes of reading it; the folder is called FOLDER.
fn loading(bytes: &[u8], mode: u32) -> String {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("agent.toml");
    fs::write(&path, bytes).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    loaded(&folder, &path)
}

fn loaded(folder: &TempDir, path: &Path) -> String {
    match Config::load(path) {
        Ok(_) => "accepted".to_owned(),
        Err(error) => error.to_string().replace(&folder.path().display().to_string(), "FOLDER"),
    }
}

#[test]
fn a_file_that_only_root_can_write_is_read() {
    for mode in [0o600, 0o640, 0o644, 0o444] {
        assert_eq!(loading(DOCUMENTED.as_bytes(), mode), "accepted", "{mode:o}");
    }
}

#[test]
fn a_file_that_others_could_write_is_refused() {
    insta::assert_snapshot!(loading(b"", 0o664), @"the configuration FOLDER/agent.toml has mode 0664, so others than root could change who gets in. Mend it with: chown root FOLDER/agent.toml; chmod go-w FOLDER/agent.toml");
    insta::assert_snapshot!(loading(b"", 0o646), @"the configuration FOLDER/agent.toml has mode 0646, so others than root could change who gets in. Mend it with: chown root FOLDER/agent.toml; chmod go-w FOLDER/agent.toml");
}

#[test]
fn a_file_of_somebody_else_is_refused() {
    if !geteuid().is_root() {
        return;
    }
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("agent.toml");
    fs::write(&path, "").unwrap();
    chown(&path, Some(4321), None).unwrap();
    insta::assert_snapshot!(loaded(&folder, &path), @"the configuration FOLDER/agent.toml belongs to uid 4321, so others than root could change who gets in. Mend it with: chown root FOLDER/agent.toml; chmod go-w FOLDER/agent.toml");
    // The file counts, not the link to it.
    let link = folder.path().join("link.toml");
    symlink(&path, &link).unwrap();
    insta::assert_snapshot!(loaded(&folder, &link), @"the configuration FOLDER/link.toml belongs to uid 4321, so others than root could change who gets in. Mend it with: chown root FOLDER/link.toml; chmod go-w FOLDER/link.toml");
}

#[test]
fn what_is_no_file_is_refused_at_once() {
    let folder = TempDir::new().unwrap();
    let pipe = folder.path().join("pipe");
    mkfifo(&pipe, Mode::from_bits_truncate(0o600)).unwrap();
    let began = Instant::now();
    insta::assert_snapshot!(loaded(&folder, &pipe), @"the configuration FOLDER/pipe cannot be understood: it is not a regular file");
    assert!(began.elapsed() < Duration::from_secs(60), "it waited for a writer");
    insta::assert_snapshot!(loaded(&folder, folder.path()), @"the configuration FOLDER cannot be understood: it is not a regular file");
    insta::assert_snapshot!(loaded(&folder, &folder.path().join("missing.toml")), @"cannot read the configuration FOLDER/missing.toml: No such file or directory (os error 2). Create it, for example from agent.toml in the documentation's examples");
}

#[test]
fn an_empty_file_is_no_wish_for_defaults() {
    insta::assert_snapshot!(loading(b"", 0o600), @"the configuration FOLDER/agent.toml cannot be understood: it is empty, as a file is that was cut short by a full disk. Restore it; if you do want every default, write a comment into it");
    for blank in [" ", "\n", "\r\n\t \n", "\u{feff}", "\u{feff}\n", "\0", "\0\0\0\0"] {
        let said = loading(blank.as_bytes(), 0o600);
        assert!(
            said.starts_with("the configuration FOLDER/agent.toml cannot be understood"),
            "{blank:?}: {said}"
        );
    }
    assert_eq!(loading(b"# Every default holds.\n", 0o600), "accepted");
}

#[test]
fn a_file_is_read_whole_or_not_at_all() {
    // The rule stands behind what would be read at the most.
    let long = format!("#{}\n[policy]\nunenrolled = \"skip\"\n", " ".repeat(1024 * 1024));
    insta::assert_snapshot!(loading(long.as_bytes(), 0o600), @"the configuration FOLDER/agent.toml cannot be understood: it is longer than 1048576 bytes");
    assert_eq!(loading(format!("#{}", " ".repeat(1024 * 1024 - 1)).as_bytes(), 0o600), "accepted");
    insta::assert_snapshot!(loading(b"# caf\xe9\n", 0o600), @"the configuration FOLDER/agent.toml cannot be understood: it is not text in UTF-8");
}

const ASKS: &str = "[server]\nurls = [\"https://otp.example.org\"]\n";

#[test]
fn a_host_asks_a_server_only_where_it_has_its_address() {
    assert_eq!(parse("").unwrap().server, None);
    assert_eq!(
        parse("[server]\nmode = \"local\"\nurls = [\"https://otp.example.org\"]\n").unwrap().server,
        None
    );
    let server = parse(ASKS).unwrap().server.unwrap();
    assert_eq!(
        (server.mode, server.trust, server.timeout),
        (Decides::Remote, Trust::System, Duration::from_secs(5))
    );
    assert_eq!(server.token_file, PathBuf::from("/etc/oss2fa/server.token"));
    assert!(server.fail_open_services.is_empty() && !server.host.is_empty());
    let server = parse(&format!(
        "{ASKS}mode = \"remote-then-local\"\nhost = \"web1\"\nfail_open_services = [\"sudo-i\"]\n"
    ));
    let server = server.unwrap().server.unwrap();
    assert_eq!((server.mode, server.host.as_str()), (Decides::RemoteThenLocal, "web1"));
    // By the family of services, as rules go.
    assert_eq!(server.fail_open_services.iter().collect::<Vec<_>>(), ["sudo"]);
    let pin = format!("{ASKS}pinned_certificate = \"sha256:{}\"\n", "AB:".repeat(32).trim_end_matches(':'));
    assert_eq!(parse(&pin).unwrap().server.unwrap().trust, Trust::Pinned([0xab; 32]));
}

#[test]
fn whatever_would_make_the_server_less_than_sure_is_refused() {
    for (lines, words) in [
        ("urls = [\"http://otp.example.org\"]", "allowed is https alone"),
        ("urls = [\"otp.example.org\"]", "addresses such as"),
        ("urls = [\"https://user:secret@otp.example.org\"]", "without user, query and fragment"),
        ("urls = [\"https://otp.example.org/?a=b\"]", "without user, query and fragment"),
        ("urls = [\"https://a.example.org\", \"https://a.example.org/\"]", "each address once"),
        ("mode = \"remote\"", "at least one address"),
        ("mode = \"remote-then-local\"", "at least one address"),
        ("mode = \"both\"", "\"local\", \"remote\" or \"remote-then-local\""),
        ("token_file = \"server.token\"", "an absolute path"),
        ("ca_file = \"ca.pem\"", "an absolute path"),
        ("ca_file = \"/ca.pem\"\npinned_certificate = \"sha256:ab\"", "only one of them can decide"),
        ("pinned_certificate = \"sha256:ab\"", "64 hexadecimal digits"),
        ("pinned_certificate = \"sha1:ab\"", "64 hexadecimal digits"),
        ("timeout = 0", "a whole number from 1 to 60"),
        ("timeout = 61", "a whole number from 1 to 60"),
        ("fail_open_services = [\"*\"]", "names of PAM services"),
        ("fail_open_services = [\"\"]", "names of PAM services"),
        ("host = \"a b\"", "letters, digits, dots and dashes"),
        ("verify = false", "unknown field `verify`"),
        ("[policy]\nenroll_at_login = [\"*\"]", "names of PAM services"),
    ] {
        let said = refusal(&format!("[server]\n{lines}\n"));
        assert!(said.contains(words), "{lines}: {said}");
    }
}

#[test]
fn security_keys_are_configured_strictly() {
    let config = parse("[keys]\nallowed_models = [\"ee882879-721c-4913-9775-3dfcce97072a\"]\n").unwrap();
    let model = Aaguid([
        0xee, 0x88, 0x28, 0x79, 0x72, 0x1c, 0x49, 0x13, 0x97, 0x75, 0x3d, 0xfc, 0xce, 0x97, 0x07, 0x2a,
    ]);
    assert_eq!(config.keys.models, Aaguids::Only(vec![model]));
    let verified = parse("[policy.service.su]\nuser_verification = \"required\"\n").unwrap();
    assert_eq!(verified.policy.rules("su-l").user_verification, UserVerification::Required);
    for bad in [
        "[keys]\nrp_id = \"\"\n",
        "[keys]\nrp_id = \"two words\"\n",
        "[keys]\ntouch_timeout = 2\n",
        "[keys]\ntouch_timeout = 121\n",
        "[keys]\ntouch_file = \"touch\"\n",
        "[keys]\nallowed_models = [\"a YubiKey\"]\n",
        "[keys]\nattestation = \"yes\"\n",
        "[keys]\nattestation = \"required\"\n",
        "[keys]\nattestation = \"required\"\nattestation_roots = \"roots.pem\"\n",
        "[keys]\nallowed_models = [\"ee882879\"]\n",
        "[keys]\nmodels = []\n",
        "[policy]\nuser_verification = \"no\"\n",
        "[policy.service.su]\nuser_verification = \"pin\"\n",
    ] {
        let refusal = refusal(bad);
        assert!(!refusal.starts_with("ACCEPTED"), "{refusal}");
    }
}

#[test]
fn the_touch_of_an_ssh_key_counts_where_both_keys_of_policy_say_so() {
    let counts = |text: &str| {
        let config = parse(text).unwrap();
        ["sshd", "sudo"].map(|service| config.counts_ssh_touch(service))
    };
    assert_eq!(counts("[policy]\nssh_touch_services = [\"sshd\"]\n"), [true, false]);
    let left_out = "[policy]\nssh_touch_services = [\"sshd\"]\n[policy.service.sshd]\nfactors = [\"totp\"]\n";
    assert_eq!(counts(left_out), [false, false]);
    let by_strictest =
        "[policy]\nssh_touch_services = [\"sshd\"]\n[policy.service.sudo]\nfactors = [\"totp\"]\n";
    assert_eq!(counts(by_strictest), [false, false]);
    let server = |mode: &str| {
        let server =
            format!("[server]\nmode = \"{mode}\"\nurls = [\"https://2fa.example.org\"]\nhost = \"web1\"\n");
        counts(&format!("{server}[policy]\nssh_touch_services = [\"sshd\"]\n"))
    };
    assert_eq!(server("remote"), [false, false]);
    assert_eq!(server("remote-then-local"), [true, false]);
    for bad in [
        "[policy]\nssh_touch_services = [\"*\"]\n",
        "[policy]\nssh_touch_services = true\n",
        "[policy.service.sshd]\nssh_touch_services = [\"sshd\"]\n",
        "[keys]\nsshd_config = \"ssh/sshd_config\"\n",
    ] {
        assert!(parse(bad).is_err(), "{bad}");
    }
}

const VALIDATES: &str = "[yubico]\nclient_id = 87\n";

#[test]
fn validation_servers_are_asked_only_where_this_host_is_their_client() {
    assert_eq!(parse("").unwrap().yubico, None);
    assert_eq!(parse("[yubico]\ntimeout = 3\n").unwrap().yubico, None);
    let yubico = parse(VALIDATES).unwrap().yubico.unwrap();
    assert_eq!((yubico.client_id, yubico.timeout, yubico.trust), (87, Duration::from_secs(5), Trust::System));
    assert_eq!(yubico.urls[0].as_str(), "https://api.yubico.com/wsapi/2.0/verify");
    let lines = "urls = [\"https://a.example.org/v\", \"http://localhost:8/v\"]\nca_file = \"/etc/ca.pem\"\n";
    let yubico = parse(&format!("{VALIDATES}{lines}")).unwrap().yubico.unwrap();
    assert_eq!((yubico.urls.len(), yubico.trust), (2, Trust::Authorities("/etc/ca.pem".into())));
}

#[test]
fn whatever_would_make_validation_servers_less_than_sure_is_refused() {
    for (lines, allowed) in [
        ("urls = []", "1 to 10 addresses"),
        ("urls = [\"http://a.example.org/v\"]", "https, or http to this machine"),
        ("urls = [\"https://ferris:secret@a.example.org/v\"]", "https, or http to this machine"),
        ("urls = [\"https://a.example.org/v?id=1\"]", "without a query"),
        ("secret_file = \"yubico.secret\"", "an absolute path"),
        ("timeout = 0", "a whole number from 1 to 20"),
        ("ca_file = \"ca.pem\"", "an absolute path"),
        ("client_id = 0", "a whole number from 1 to"),
    ] {
        let said = refusal(&format!("[yubico]\n{lines}\n"));
        assert!(said.contains(allowed), "{lines}: {said}");
    }
}
