//! Real sshd and keys on a security key: where the touch counts no code is asked for, and nowhere else.
//!
//! The keys are those of an ssh-agent in Python, which signs what a security key would, and can leave the touch out.
#![expect(clippy::indexing_slicing, reason = "a failure is a panic in tests, in their helpers too")]

use oss2fa_tests::Factor::Totp;
use oss2fa_tests::{End, Host, Plan, Ran, SkAgent, Sshd, SshdPlan, Touch, stack};

const CODE: &str = "Verification code: ";
const BOTH: &str = "publickey,keyboard-interactive";
const INSISTS: &str = "PubkeyAuthOptions touch-required";

/// `ferris` has an authenticator app, and the touch of a key counts at sshd.
fn plan() -> Plan {
    Host::new()
        .user("ferris")
        .enrolled(Totp)
        .pam("sshd", stack::ENFORCED)
        .set("policy.ssh_touch_services", vec!["sshd"])
        .set("keys.sshd_config", "/etc/ssh/test/config")
}

fn enroll(host: &Host, agent: &SkAgent<'_>, name: &str) -> String {
    let made = host.cli(&["enroll", "ssh-sk", &agent.file(name), "--user", "ferris", "--json"]).run();
    assert_eq!(made.status, 0, "{made}");
    made.json()["device"].to_string()
}

/// An sshd that takes both keys of the agent, whatever `options` say of them.
fn started<'h>(sshd: SshdPlan<'h>, agent: &SkAgent<'_>, options: &str) -> Sshd<'h> {
    let sshd = sshd.start();
    agent.authorize("ferris", options);
    sshd
}

fn identity(agent: &SkAgent<'_>, name: &str) -> String {
    format!("IdentityFile={}", agent.file(name))
}

/// A login with this key, at no terminal: whoever is asked anything does not get in.
fn login(sshd: &Sshd<'_>, agent: &SkAgent<'_>, name: &str) -> Ran {
    sshd.ssh("ferris", &[&identity(agent, name), "NumberOfPasswordPrompts=1"], &["id", "-un"]).run()
}

/// A login with the ECDSA key, by whoever types a code.
fn login_with_code(host: &Host, sshd: &Sshd<'_>, agent: &SkAgent<'_>) -> End {
    let options = [&identity(agent, "id_ecdsa_sk"), "NumberOfPasswordPrompts=1"];
    let terminal = sshd.ssh("ferris", &options, &["id", "-un"]).terminal();
    terminal.answer(CODE, &host.code("ferris")).finish()
}

#[track_caller]
fn gets_in(ran: &Ran) {
    assert_eq!((ran.status, ran.stdout.as_str()), (0, "ferris\n"), "{ran}");
}

#[track_caller]
fn gets_in_by_code(host: &Host, sshd: &Sshd<'_>, agent: &SkAgent<'_>) {
    let end = login_with_code(host, sshd, agent);
    assert_eq!((end.status, end.rest.contains("ferris")), (0, true), "{end:?}");
}

#[test]
fn a_touched_key_needs_no_code_and_every_other_key_does() {
    let host = plan().start();
    let agent = host.sk_agent();
    let device = enroll(&host, &agent, "id_ecdsa_sk");
    let sshd = started(host.sshd(BOTH).line(INSISTS), &agent, "");
    gets_in(&login(&sshd, &agent, "id_ecdsa_sk"));
    let audit = host.cli(&["audit"]).output();
    let event = audit.lines().rfind(|line| line.contains("accepted")).unwrap();
    assert!(event.contains(&format!("ssh_sk device={device} SHA256:")), "{event}");
    assert!(event.ends_with("sshd insists on its touch"), "{event}");
    let listed = host.cli_json(&["list", "--user", "ferris"]);
    let listed = listed.as_array().unwrap().iter().find(|listed| listed["kind"] == "ssh_sk").unwrap();
    assert!(listed["last_used_at"].is_u64() && listed["name"] == "ferris@laptop", "{listed}");

    // Of a security key as well, but enrolled by nobody.
    assert_eq!(login(&sshd, &agent, "id_ed25519_sk").status, 255);
    enroll(&host, &agent, "id_ed25519_sk");
    gets_in(&login(&sshd, &agent, "id_ed25519_sk"));

    // A key in a file.
    sshd.authorize_key("ferris");
    let end = sshd.login("ferris").answer(CODE, &host.code("ferris")).finish();
    assert_eq!(end.status, 0, "{end:?}");

    agent.authorize("ferris", "");
    host.cli(&["remove", "--user", "ferris", "--device", &device]).succeed();
    assert_eq!(login(&sshd, &agent, "id_ecdsa_sk").status, 255);
    gets_in_by_code(&host, &sshd, &agent);
}

#[test]
fn without_a_touch_sshd_takes_no_key_whatever_its_owner_writes() {
    let host = plan().start();
    let agent = host.sk_agent();
    enroll(&host, &agent, "id_ecdsa_sk");
    for options in ["", "no-touch-required"] {
        let sshd = started(host.sshd(BOTH).line(INSISTS), &agent, options);
        agent.says(Touch::None);
        let refused = login(&sshd, &agent, "id_ecdsa_sk");
        assert_eq!(refused.status, 255, "{refused}");
        sshd.logs("user presence (authenticator touch) requirement not met");
        agent.says(Touch::Present);
        gets_in(&login(&sshd, &agent, "id_ecdsa_sk"));
    }
}

#[test]
fn where_sshd_does_not_insist_a_code_is_asked_for() {
    let host = plan().start();
    let agent = host.sk_agent();
    enroll(&host, &agent, "id_ecdsa_sk");
    // What this is about: sshd takes the key, and nobody has touched it.
    let sshd = started(host.sshd(BOTH), &agent, "no-touch-required");
    agent.says(Touch::None);
    assert_eq!(login(&sshd, &agent, "id_ecdsa_sk").status, 255);
    gets_in_by_code(&host, &sshd, &agent);
    assert!(host.log().contains("the touch of an ssh key does not count"), "{}", host.log());
    agent.says(Touch::Present);
    assert_eq!(login(&sshd, &agent, "id_ecdsa_sk").status, 255, "touched, and nobody can know");
    drop(sshd);

    let match_line = "Match User ferris\n    PubkeyAuthOptions none";
    let sshd = started(host.sshd(BOTH).line(INSISTS).line(match_line), &agent, "no-touch-required");
    agent.says(Touch::None);
    gets_in_by_code(&host, &sshd, &agent);
    drop(sshd);

    let match_line = "Match User corro\n    PubkeyAuthOptions none";
    let sshd = started(host.sshd(BOTH).line(INSISTS).line(match_line), &agent, "no-touch-required");
    assert_eq!(login(&sshd, &agent, "id_ecdsa_sk").status, 255);
    agent.says(Touch::Present);
    gets_in(&login(&sshd, &agent, "id_ecdsa_sk"));
    // A file that the agent's user cannot read says nothing.
    host.program(&["chmod", "600", "/etc/ssh/test/config"]).succeed();
    gets_in_by_code(&host, &sshd, &agent);
    assert!(host.log().contains("Permission denied"), "{}", host.log());
}

#[test]
fn policy_may_want_the_user_known_and_sshd_must_want_it_too() {
    let host = plan().set("policy.user_verification", "required").start();
    let agent = host.sk_agent();
    enroll(&host, &agent, "id_ecdsa_sk");
    let sshd = started(host.sshd(BOTH).line(INSISTS), &agent, "");
    agent.says(Touch::Verified);
    assert_eq!(login(&sshd, &agent, "id_ecdsa_sk").status, 255);
    gets_in_by_code(&host, &sshd, &agent);
    drop(sshd);
    let sshd = started(host.sshd(BOTH).line(&format!("{INSISTS} verify-required")), &agent, "");
    gets_in(&login(&sshd, &agent, "id_ecdsa_sk"));
    agent.says(Touch::Present);
    assert_eq!(login(&sshd, &agent, "id_ecdsa_sk").status, 255);
    sshd.logs("user verification requirement not met");
}

#[test]
fn by_default_a_touch_counts_for_nothing() {
    let host = plan().set("policy.ssh_touch_services", Vec::<String>::new()).start();
    let agent = host.sk_agent();
    enroll(&host, &agent, "id_ecdsa_sk");
    let sshd = started(host.sshd(BOTH).line(INSISTS), &agent, "");
    assert_eq!(login(&sshd, &agent, "id_ecdsa_sk").status, 255);
    gets_in_by_code(&host, &sshd, &agent);
}

#[test]
fn a_key_alone_is_refused_by_enforce_since_sshd_names_it_too_late() {
    let host = plan().start();
    let agent = host.sk_agent();
    enroll(&host, &agent, "id_ecdsa_sk");
    let sshd = started(host.sshd("publickey").line(INSISTS), &agent, "");
    let refused = login(&sshd, &agent, "id_ecdsa_sk");
    assert_eq!(refused.status, 255, "{refused}");
    assert!(refused.stderr.contains("showed no second factor"), "{refused}");
}

#[test]
fn a_certificate_counts_for_nothing() {
    let host = plan().start();
    let agent = host.sk_agent();
    enroll(&host, &agent, "id_ecdsa_sk");
    host.write("/etc/ssh/test/made", "");
    host.program(&["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", "/etc/ssh/test/ca"]).succeed();
    host.program(&[
        "ssh-keygen",
        "-q",
        "-s",
        "/etc/ssh/test/ca",
        "-I",
        "x",
        "-n",
        "ferris",
        &agent.file("id_ecdsa_sk"),
    ])
    .succeed();
    let sshd = host.sshd(BOTH).line(INSISTS).line("TrustedUserCAKeys /etc/ssh/test/ca.pub").start();
    let certificate = identity(&agent, "id_ecdsa_sk-cert");
    let options = [certificate.as_str(), "NumberOfPasswordPrompts=1"];
    let terminal = sshd.ssh("ferris", &options, &["id", "-un"]).terminal();
    let end = terminal.answer(CODE, &host.code("ferris")).finish();
    assert_eq!((end.status, end.rest.contains("ferris")), (0, true), "{end:?}");
    sshd.logs("ECDSA-SK-CERT");
}

#[test]
fn a_user_cannot_say_it_in_sshds_place() {
    let host = plan().start();
    let agent = host.sk_agent();
    enroll(&host, &agent, "id_ecdsa_sk");
    let sshd = started(host.sshd(BOTH).line(INSISTS).line("AcceptEnv SSH_AUTH_INFO_0"), &agent, "");
    let key: Vec<String> =
        host.read(&agent.file("id_ecdsa_sk")).split(' ').take(2).map(str::to_owned).collect();
    let said = format!("SSH_AUTH_INFO_0=publickey {}", key.join(" "));
    // By a client that sends it as a variable, after a key of another kind.
    sshd.authorize_key("ferris");
    let set = format!("SetEnv=\"{said}\"");
    let end = sshd.ssh("ferris", &[&set, "NumberOfPasswordPrompts=1"], &["id", "-un"]).terminal();
    let end = end.answer(CODE, &host.wrong_code("ferris")).finish();
    assert_eq!(end.status, 255, "{end:?}");
    // In a PAM handle of their own, where root is believed and they are not.
    let handle = ["pamtester", "-E", &said, "sshd", "ferris", "authenticate"];
    let ran = host.program(&handle).as_user("ferris").input("000000\n").run();
    assert!(ran.status != 0 && ran.text().contains("Verification code:"), "{ran}");
    let ran = host.program(&handle).input("000000\n").run();
    assert_eq!(ran.status, 0, "by root, who needs no such thing: {ran}");
}

#[test]
fn install_and_doctor_see_to_it_that_sshd_insists() {
    let host = plan()
        .enrolled(oss2fa_tests::Factor::RecoveryCodes)
        .set("keys.sshd_config", "/etc/ssh/sshd_config")
        .start();
    host.program(&["usermod", "--append", "--groups", "sudo", "ferris"]).succeed();
    let install = ["pam", "install", "sshd", "--mode", "publickey+code", "--yes"];
    host.write("/etc/pam.d/sshd", &std::fs::read_to_string("/etc/pam.d/sshd").unwrap());
    let said = host.cli(&install).output();
    assert!(said.contains("+PubkeyAuthOptions touch-required"), "{said}");
    assert!(said.contains("is asked for no code"), "{said}");
    let agent = host.sk_agent();
    enroll(&host, &agent, "id_ecdsa_sk");
    let sshd = started(host.sshd_as_configured(), &agent, "");
    gets_in(&login(&sshd, &agent, "id_ecdsa_sk"));
    assert!(host.cli(&["status"]).output().contains("sshd: a touch of an ssh key counts"));

    host.write("/etc/ssh/sshd_config.d/00-a.conf", "PubkeyAuthOptions none\n");
    let said = host.cli(&["doctor", "sshd"]).output();
    assert!(said.contains("protected") && said.contains("and does not, or not for everybody"), "{said}");
    assert!(said.contains("/etc/ssh/sshd_config.d/00-a.conf:1 does not insist"), "{said}");
    let said = host.cli(&["status"]).output();
    assert!(said.contains("no touch of an ssh key counts") && said.contains("00-a.conf:1"), "{said}");
    host.write("/etc/ssh/sshd_config.d/00-a.conf", "PubkeyAuthOptions touch-required\n");
    host.program(&["chmod", "600", "/etc/ssh/sshd_config.d/00-a.conf"]).succeed();
    let said = host.cli(&["doctor", "sshd"]).output();
    assert!(said.contains("the agent, as oss2fa, cannot read /etc/ssh/sshd_config.d/00-a.conf"), "{said}");
    let stack = host.read("/etc/pam.d/sshd");
    host.write("/etc/pam.d/sshd", &format!("auth optional pam_env.so user_readenv=1\n{stack}"));
    let said = host.cli(&["doctor", "sshd"]).output();
    assert!(said.contains("/etc/pam.d/sshd:1 lets users say by a file of their own"), "{said}");
}
