//! YubiKeys that type passwords, at a host's own prompt: enrolled by one touch, with secrets on the host or with a
//! validation server. Passwords are made by ykgenerate.

use oss2fa_tests::Factor::Totp;
use oss2fa_tests::server::{Server, Store};
use oss2fa_tests::{Host, Pam, Yubikey, stack};

const CODE: &str = "Verification code: ";

fn yubikey() -> Yubikey {
    Yubikey::new("vvccccccbcgu", "8792ebfe26cc", "ecde18dbe76fbd0c33330f1c354871db")
}

fn enroll_with_secrets(host: &Host, user: &str, yubikey: &mut Yubikey) {
    let Yubikey { private_id, key, .. } = yubikey.clone();
    let typed = format!("{private_id}\n{key}\n{}\n", yubikey.touch());
    host.cli(&["enroll", "yubico-otp", "--own-secrets", "--user", user]).input(&typed).succeed();
}

#[test]
fn a_touch_lets_its_owner_in_over_ssh_once() {
    let host = Host::new()
        .user("ferris")
        .user("corro")
        .pam("sshd", stack::SECOND_FACTOR)
        .pam("hello", stack::SECOND_FACTOR)
        .start();
    let mut yubikey = yubikey();
    enroll_with_secrets(&host, "ferris", &mut yubikey);
    enroll_with_secrets(&host, "corro", &mut yubikey);
    let sshd = host.sshd("keyboard-interactive").start();
    let otp = yubikey.touch();
    let end = sshd.login("ferris").answer(CODE, &otp).finish();
    assert_eq!((end.status, end.rest.contains("ferris")), (0, true), "{end:?}");
    let end = sshd.login("ferris").answer(CODE, &otp).finish();
    assert_eq!(end.status, 255, "replayed: {end:?}");
    let (pam, ran) = host.authenticate("hello", "corro", &[&otp]);
    assert_eq!(pam, Pam::AuthErr, "what passed for one account passes for no other: {ran}");
    host.restart_agent();
    let (pam, ran) = host.authenticate("hello", "ferris", &[&otp]);
    assert_eq!(pam, Pam::AuthErr, "after kill -9, too: {ran}");
    let (early, late) = (yubikey.touch(), yubikey.touch());
    let (pam, ran) = host.authenticate("hello", "ferris", &[&late]);
    assert_eq!(pam, Pam::Success, "{ran}");
    let (pam, ran) = host.authenticate("hello", "ferris", &[&early]);
    assert_eq!(pam, Pam::AuthErr, "typed before what was accepted: {ran}");
    yubikey.plug_in();
    let (pam, ran) = host.authenticate("hello", "corro", &[&yubikey.touch()]);
    assert_eq!(pam, Pam::Success, "{ran}");
    let shown = [host.log(), host.syslog().text()].concat();
    for secret in [otp.as_str(), &yubikey.key, &yubikey.private_id] {
        assert!(!shown.contains(secret), "{secret} is in a log");
    }
    let listed = host.cli(&["list", "--user", "ferris"]).output();
    assert!(listed.contains("yubico_otp"), "{listed}");
}

#[test]
fn keys_of_pam_yubico_go_on_working_through_a_validation_server_and_through_nothing_else() {
    let cloud = Server::new().on(Store::Sqlite).start();
    let mut yubikey = yubikey();
    let secrets = cloud.scratch("keys.csv");
    let Yubikey { public_id, private_id, key, .. } = &yubikey;
    let line = format!("Yubico OTP,12/11/2026 18:55,1,{public_id},{private_id},{key},,,0,0\n");
    std::fs::write(&secrets, line).unwrap();
    let _report = cloud.cli_json(&["import", "yubikey-csv", secrets.to_str().unwrap()]);
    let client = cloud.cli_json(&["yubico-client", "create", "host"]);
    let (id, api_key) = (client["id"].as_i64().unwrap(), client["key"].as_str().unwrap());
    let authorities = std::fs::read_to_string(cloud.ca()).unwrap();
    let validation = format!("{}/wsapi/2.0/verify", cloud.url);
    // One that is dead beside it.
    let urls = ["http://127.0.0.1:9/wsapi/2.0/verify", validation.as_str()];
    let host = Host::new()
        .user("ferris")
        .enrolled(Totp)
        .user("corro")
        .pam("hello", stack::SECOND_FACTOR)
        .validated_at(&urls, &authorities, (id, api_key))
        .start();
    host.write("/etc/yubikey_mappings", &format!("ferris:{}\ncorro:cccccccccccb\n", yubikey.public_id));
    let report = host.cli_json(&["import", "yubikey-authfile", "/etc/yubikey_mappings"]);
    assert_eq!(report["entries"][0]["result"], "imported", "{report}");
    let otp = yubikey.touch();
    let (pam, ran) = host.authenticate("hello", "ferris", &[&otp]);
    assert_eq!(pam, Pam::Success, "{ran}");
    let (pam, ran) = host.authenticate("hello", "ferris", &[&otp]);
    assert_eq!(pam, Pam::AuthErr, "{ran}");
    let (pam, ran) = host.authenticate("hello", "corro", &[&yubikey.touch()]);
    assert_eq!(pam, Pam::AuthErr, "of another key: {ran}");
    // One touch enrols a key that it knows.
    let enroll = || host.cli(&["enroll", "yubico-otp", "--user", "corro"]);
    enroll().input(&format!("{}\n", yubikey.touch())).succeed();
    // While it is away nobody gets in by the key, and codes of this host count as before.
    cloud.stop();
    let (pam, ran) = host.authenticate("hello", "ferris", &[&yubikey.touch()]);
    assert_eq!(pam, Pam::AuthinfoUnavail, "{ran}");
    let (pam, ran) = host.authenticate("hello", "ferris", &[&host.code("ferris")]);
    assert_eq!(pam, Pam::Success, "{ran}");
    cloud.start_again();
    let otp = yubikey.touch();
    let (pam, ran) = host.authenticate("hello", "ferris", &[&otp]);
    assert_eq!(pam, Pam::Success, "{ran}");
    assert!(!host.log().contains(&otp), "a password is in the log");
}
