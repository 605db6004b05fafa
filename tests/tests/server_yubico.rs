//! YubiKeys at the server: pam_yubico, ykclient and yubico-client have their passwords validated, as they are; every
//! status of the protocol; devices of clients; a server that asks another one. Passwords are made by ykgenerate.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failure is a panic in tests, in their helpers too"
)]

use std::process::Command;

use oss2fa_tests::server::{PostgresCluster, Server, Store};
use oss2fa_tests::{Pam, World, Yubikey, workspace};
use serde_json::{Value, json};

/// Many requests of one address, some of them wrong.
const UNLIMITED: &str = "[limits]\naddress_per_second = 100000\naddress_burst = 100000\n\
    token_per_second = 100000\ntoken_burst = 100000\nrefused_per_minute = 100000\n";

/// A client of the protocol as its administrator has it.
struct ApiClient {
    id: String,
    key: String,
}

impl ApiClient {
    fn create(server: &Server) -> Self {
        let made = server.cli_json(&["yubico-client", "create", "login"]);
        Self { id: made["id"].to_string(), key: made["key"].as_str().unwrap().to_owned() }
    }

    /// The signature of these parameters, by openssl.
    fn sign(&self, parameters: &[(&str, &str)]) -> String {
        let mut sorted = parameters.to_vec();
        sorted.sort_unstable();
        let text: Vec<String> = sorted.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let script = "printf %s \"$1\" | openssl dgst -sha1 -mac HMAC -macopt \
            hexkey:$(printf %s \"$2\" | base64 -d | od -An -tx1 | tr -d ' \\n') -binary | base64";
        said(Command::new("/bin/sh").args(["-c", script, "sign", &text.join("&"), &self.key]))
    }

    /// The lines of the answer to a signed request; its own signature is right.
    fn ask(&self, server: &Server, parameters: &[(&str, &str)]) -> Vec<(String, String)> {
        let answer = lines(server, &query(parameters, Some(&self.sign(parameters))));
        let pairs: Vec<(&str, &str)> = answer
            .iter()
            .filter(|(name, _)| name != "h")
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        assert_eq!(value(&answer, "h"), self.sign(&pairs), "{answer:?}");
        answer
    }

    fn status(&self, server: &Server, otp: &str, nonce: &str) -> String {
        let answer = self.ask(server, &[("id", &self.id), ("nonce", nonce), ("otp", otp)]);
        assert_eq!((value(&answer, "otp"), value(&answer, "nonce")), (otp.to_owned(), nonce.to_owned()));
        value(&answer, "status")
    }
}

const NONCE: &str = "aef3a7835277a28da831005c2ae3b919e2076a62";

fn query(parameters: &[(&str, &str)], signature: Option<&str>) -> String {
    let escaped = |text: &str| text.replace('+', "%2B").replace('=', "%3D").replace('/', "%2F");
    let mut pairs: Vec<String> =
        parameters.iter().map(|(name, value)| format!("{name}={}", escaped(value))).collect();
    pairs.extend(signature.map(|signature| format!("h={}", escaped(signature))));
    pairs.join("&")
}

fn lines(server: &Server, query: &str) -> Vec<(String, String)> {
    let reply = server.curl("GET", &format!("/wsapi/2.0/verify?{query}"), &[], "").expect(200);
    let text = String::from_utf8(reply.body).unwrap();
    text.split("\r\n")
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

fn value(answer: &[(String, String)], name: &str) -> String {
    answer.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone()).unwrap_or_default()
}

fn said(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn yubikey() -> Yubikey {
    Yubikey::new("vvccccccbcgu", "8792ebfe26cc", "ecde18dbe76fbd0c33330f1c354871db")
}

fn start(store: Store<'_>, settings: &str) -> Server {
    Server::new().on(store).config(UNLIMITED).config(settings).start()
}

/// Runs on both databases.
fn on_both(test: impl Fn(&Server)) {
    test(&start(Store::Sqlite, ""));
    let cluster = PostgresCluster::start();
    test(&start(Store::Postgres(&cluster), ""));
}

/// Takes the key over from a file as the personalisation tools write it.
fn import(server: &Server, yubikey: &Yubikey) {
    let file = server.scratch("keys.csv");
    let Yubikey { public_id, private_id, key, .. } = yubikey;
    let text = format!(
        "LOGGING START,12/11/2026 18:55\nYubico OTP,12/11/2026 18:55,1,{public_id},{private_id},{key},,,0,0\n"
    );
    std::fs::write(&file, text).unwrap();
    let report = server.cli_json(&["import", "yubikey-csv", file.to_str().unwrap()]);
    assert_eq!(report, json!([{"line": 2, "public_id": public_id, "result": "imported"}]));
}

#[test]
fn every_status_is_answered_as_the_protocol_names_it() {
    on_both(|server| {
        let mut yubikey = yubikey();
        import(server, &yubikey);
        let client = ApiClient::create(server);
        let id = client.id.as_str();
        let first = yubikey.touch();
        let answer = client.ask(server, &[("id", id), ("nonce", NONCE), ("otp", &first), ("timestamp", "1")]);
        for (name, expected) in [
            ("status", "OK"),
            ("sl", "100"),
            ("sessioncounter", "1"),
            ("sessionuse", "0"),
            ("timestamp", "51624"),
        ] {
            assert_eq!(value(&answer, name), expected, "{answer:?}");
        }
        assert_eq!(value(&answer, "t").len(), "2026-11-26T00:00:00Z0123".len(), "{answer:?}");
        assert_eq!(client.status(server, &first, NONCE), "REPLAYED_REQUEST");
        assert_eq!(client.status(server, &first, &NONCE.replace('a', "b")), "REPLAYED_OTP");
        let (second, third) = (yubikey.touch(), yubikey.touch());
        let untimed = client.ask(server, &[("id", id), ("nonce", NONCE), ("otp", &third)]);
        assert_eq!((value(&untimed, "status"), value(&untimed, "timestamp")), ("OK".into(), String::new()));
        assert_eq!(client.status(server, &second, NONCE), "REPLAYED_OTP", "typed before what was accepted");
        yubikey.plug_in();
        assert_eq!(client.status(server, &yubikey.touch(), NONCE), "OK");

        let fresh = yubikey.touch();
        let changed = fresh.replace(&fresh[43..], if fresh.ends_with('c') { "b" } else { "c" });
        let stranger = Yubikey { public_id: "vvccccccbcgt".to_owned(), ..yubikey.clone() };
        for otp in [&changed, &stranger.at(9, 9), "123456", "vvccccccbcgu"] {
            assert_eq!(client.status(server, otp, NONCE), "BAD_OTP", "{otp}");
        }
        let good = [("id", id), ("nonce", NONCE), ("otp", fresh.as_str())];
        for missing in ["nonce", "otp"] {
            let left: Vec<_> = good.iter().copied().filter(|(name, _)| *name != missing).collect();
            assert_eq!(value(&client.ask(server, &left), "status"), "MISSING_PARAMETER", "{missing}");
        }
        let short = client.ask(server, &[("id", id), ("nonce", "short"), ("otp", &fresh)]);
        assert_eq!(value(&short, "status"), "MISSING_PARAMETER");
        let unsigned = |query: &str, status: &str| {
            let answer = lines(server, query);
            assert_eq!(value(&answer, "status"), status, "{query}");
            assert_eq!(value(&answer, "h"), "", "whoever has no key gets no signature: {answer:?}");
        };
        unsigned(&query(&good, None), "BAD_SIGNATURE");
        unsigned(&query(&good, Some("AAAAAAAAAAAAAAAAAAAAAAAAAAA=")), "BAD_SIGNATURE");
        let other = ApiClient::create(server);
        unsigned(&query(&good, Some(&other.sign(&good))), "BAD_SIGNATURE");
        unsigned(&query(&good[1..], None), "MISSING_PARAMETER");
        unsigned("", "MISSING_PARAMETER");
        unsigned(&format!("{}&otp=x", query(&good, Some(&client.sign(&good)))), "MISSING_PARAMETER");
        for nobody in ["0", "999", "-1", "abc", "99999999999999999999"] {
            unsigned(&query(&[("id", nobody), good[1], good[2]], None), "NO_SUCH_CLIENT");
        }
        // Nothing of all that has spent the password.
        server.set_policy(&json!({"device_kinds": ["TOTP"]}));
        std::thread::sleep(std::time::Duration::from_millis(1100));
        assert_eq!(client.status(server, &fresh, NONCE), "OPERATION_NOT_ALLOWED");
        server.owner("again").set_policy(1, &json!({"device_kinds": []}));
        std::thread::sleep(std::time::Duration::from_millis(1100));
        assert_eq!(client.status(server, &fresh, NONCE), "OK");
        // A client that was removed is nobody.
        let removed = server.cli(&["yubico-client", "remove", id]);
        assert_eq!(removed.status, 0, "{removed}");
        std::thread::sleep(std::time::Duration::from_millis(1100));
        unsigned(&query(&good, Some(&client.sign(&good))), "NO_SUCH_CLIENT");
        assert!(!server.log().contains(&fresh), "a password in the log");
    });
}

#[test]
fn what_was_accepted_stays_spent_over_a_kill() {
    let server = start(Store::Sqlite, "");
    let mut yubikey = yubikey();
    import(&server, &yubikey);
    let client = ApiClient::create(&server);
    let otp = yubikey.touch();
    assert_eq!(client.status(&server, &otp, NONCE), "OK");
    server.kill_9();
    server.start_again();
    assert_eq!(client.status(&server, &otp, &NONCE.replace('a', "b")), "REPLAYED_OTP");
    assert_eq!(client.status(&server, &yubikey.touch(), NONCE), "OK");
}

#[test]
fn pam_yubico_lets_in_whom_the_server_vouches_for() {
    let server = start(Store::Sqlite, "");
    let mut yubikey = yubikey();
    import(&server, &yubikey);
    let client = ApiClient::create(&server);
    let world = World::new();
    let added = world.program(&["useradd", "-m", "ferris"]).run();
    assert_eq!(added.status, 0, "{added}");
    world.write("/etc/yubikeys", &format!("ferris:{}\n", yubikey.public_id));
    let stack = |key: &str| {
        format!(
            "auth required /lib/security/pam_yubico.so id={} key={key} urllist={}/wsapi/2.0/verify \
             authfile=/etc/yubikeys cainfo={}\naccount required pam_permit.so\n",
            client.id,
            server.url,
            server.ca().display()
        )
    };
    world.write("/etc/pam.d/yubico", &stack(&client.key));
    world.write("/etc/pam.d/foreign", &stack("MTIzNDU2Nzg5MDEyMzQ1Njc4OTA="));
    let otp = yubikey.touch();
    let (pam, ran) = world.authenticate("yubico", "ferris", &[&otp]);
    assert_eq!(pam, Pam::Success, "{ran}");
    let (pam, ran) = world.authenticate("yubico", "ferris", &[&otp]);
    assert_ne!(pam, Pam::Success, "a password twice: {ran}");
    let fresh = yubikey.touch();
    let (pam, ran) = world.authenticate("foreign", "ferris", &[&fresh]);
    assert_ne!(pam, Pam::Success, "an answer that is not signed with its key: {ran}");
    let (pam, ran) = world.authenticate("yubico", "ferris", &[&fresh]);
    assert_eq!(pam, Pam::Success, "{ran}");
}

#[test]
fn ykclient_tells_right_replayed_and_wrong_apart() {
    let server = start(Store::Sqlite, "");
    let mut yubikey = yubikey();
    import(&server, &yubikey);
    let client = ApiClient::create(&server);
    let ask = |otp: &str, key: &str| {
        let url = format!("{}/wsapi/2.0/verify", server.url);
        let output = Command::new("/usr/bin/ykclient")
            .args(["--url", &url, "--cai", &server.ca().display().to_string(), "--apikey", key])
            .args([&client.id, otp])
            .output()
            .expect("ykclient of Debian's libykclient-dev");
        (output.status.code().unwrap(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let otp = yubikey.touch();
    let (status, told) = ask(&otp, &client.key);
    assert_eq!(status, 0, "{told}");
    let (status, told) = ask(&otp, &client.key);
    assert_eq!(status, 2, "{told}");
    let (status, told) = ask(&otp.replace("vvcc", "vvcb"), &client.key);
    assert_eq!(status, 3, "{told}");
    let (status, told) = ask(&yubikey.touch(), "MTIzNDU2Nzg5MDEyMzQ1Njc4OTA=");
    assert_ne!(status, 0, "{told}");
}

#[test]
fn yubico_client_verifies_one_password_and_several() {
    let server = start(Store::Sqlite, "");
    let mut yubikey = yubikey();
    import(&server, &yubikey);
    let client = ApiClient::create(&server);
    let program = workspace().join("target/peers/yubico/bin/python");
    assert!(program.exists(), "{} is not there: run tests/peers/install.sh", program.display());
    let script = "\
import sys
from yubico_client import Yubico
from yubico_client.yubico_exceptions import StatusCodeError
id, key, url, ca, *otps = sys.argv[1:]
client = Yubico(id, key, api_urls=(url,), ca_certs_bundle_path=ca)
print(client.verify(otps[0]))
try:
    client.verify(otps[0])
except StatusCodeError as error:
    print(error.status_code)
print(client.verify_multi(otps[1:]))
try:
    print(client.verify(otps[3].replace('vvcc', 'vvcb')))
except Exception as error:
    print(error)
";
    let mut command = Command::new(program);
    command.args(["-c", script, &client.id, &client.key]);
    command.args([&format!("{}/wsapi/2.0/verify", server.url), &server.ca().display().to_string()]);
    // `verify_multi` wants one session, and times that go up.
    let otps: Vec<String> = (0..4).map(|_| yubikey.touch()).collect();
    assert_eq!(
        said(command.args(&otps[..1]).args(&otps[1..3]).arg(&otps[3])),
        "True\nREPLAYED_OTP\nTrue\nNO_VALID_ANSWERS"
    );
}

fn prepare(server: &Server, user: &str, options: &Value) -> (i64, Value) {
    let caller = server.integration();
    let made = caller.post("/integrations/enrollments", &json!({"username": user})).expect(201).json();
    let pk = made["pk"].as_i64().unwrap();
    let body = json!({"kind": "YUBIKEY", "options": options});
    let prepared = caller.post(&format!("/integrations/enrollments/{pk}/prepare-device"), &body);
    (pk, prepared.expect(200).json())
}

fn verify(server: &Server, user: &str, otp: &str) -> u16 {
    let body = json!({"username": user, "token": otp});
    server.integration().post("/integrations/clients/verify", &body).status
}

#[test]
fn a_key_with_secrets_of_its_own_is_a_device_on_every_path_once() {
    on_both(|server| {
        let caller = server.integration();
        let (pk, prepared) = prepare(server, "ferris", &json!({}));
        let made = |name: &str| prepared["public_details"][name].as_str().unwrap().to_owned();
        let mut yubikey = Yubikey::new(&made("public_id"), &made("private_id"), &made("key"));
        let complete = format!("/integrations/enrollments/{pk}/complete");
        let wrong = Yubikey { key: "0".repeat(32), ..yubikey.clone() };
        assert_eq!(caller.post(&complete, &json!({"token": wrong.at(1, 0)})).status, 403);
        let enrolled = yubikey.touch();
        let _done = caller.post(&complete, &json!({"token": enrolled})).expect(201);
        // What was used to enroll is used.
        assert_eq!(verify(server, "ferris", &enrolled), 403);
        let devices = server.cli_json(&["client", "show", "ferris"]);
        let shown = devices.to_string();
        let masked = format!("********{}", &yubikey.public_id[8..]);
        assert!(shown.contains(&masked) && !shown.contains(&yubikey.key), "{shown}");
        // In one request, by a challenge, over the protocol: on none of them twice.
        let client = ApiClient::create(server);
        let first = yubikey.touch();
        assert_eq!(verify(server, "ferris", &first), 200);
        assert_eq!(verify(server, "ferris", &first), 403);
        assert_eq!(client.status(server, &first, NONCE), "REPLAYED_OTP");
        let second = yubikey.touch();
        assert_eq!(client.status(server, &second, NONCE), "OK");
        assert_eq!(verify(server, "ferris", &second), 403);
        let asked =
            caller.post("/integrations/clients/auth", &json!({"username": "ferris"})).expect(200).json();
        let device = asked["devices"][0]["pk"].as_i64().unwrap();
        let challenge = json!({"username": "ferris", "device_pk": device});
        let opened = caller.post("/integrations/challenges", &challenge).expect(201).json();
        let path = format!("/integrations/challenges/{}/complete", opened["pk"]);
        assert_eq!(caller.post(&path, &json!({"token": second})).status, 403);
        let third = yubikey.touch();
        let _done = caller.post(&path, &json!({"token": third})).expect(200);
        assert_eq!(client.status(server, &third, NONCE), "REPLAYED_OTP");
        // The key is somebody's.
        let given =
            json!({"public_id": yubikey.public_id, "private_id": "0102030405ff", "key": "1".repeat(32)});
        let (pk, prepared) = prepare(server, "gopher", &given);
        assert_eq!(
            prepared["public_details"],
            json!({"public_id": yubikey.public_id}),
            "what was given is not repeated"
        );
        let theirs = Yubikey::new(&yubikey.public_id, "0102030405ff", &"1".repeat(32)).touch();
        let refused =
            caller.post(&format!("/integrations/enrollments/{pk}/complete"), &json!({"token": theirs}));
        assert_eq!((refused.status, &refused.json()["error"]["code"]), (409, &json!("key_taken")));
        let kinds = caller.get("/devices-kind").json().to_string();
        assert!(kinds.contains("\"YUBIKEY\""), "{kinds}");
    });
}

#[test]
fn a_server_has_passwords_judged_by_validation_servers() {
    // Another one of ours in the place of YubiCloud; and one that is dead.
    let cloud = start(Store::Sqlite, "");
    let mut yubikey = yubikey();
    import(&cloud, &yubikey);
    let client = ApiClient::create(&cloud);
    let folder = tempfile::tempdir().unwrap();
    let kept = folder.path().join("secret");
    std::fs::write(&kept, &client.key).unwrap();
    std::fs::set_permissions(&kept, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let section = format!(
        "[yubico]\nurls = [\"http://127.0.0.1:9/wsapi/2.0/verify\", \"{}/wsapi/2.0/verify\"]\n\
         client_id = {}\nsecret_file = {kept:?}\ntimeout = 5\nca_file = {:?}\n",
        cloud.url,
        client.id,
        cloud.ca()
    );
    let server = start(Store::Sqlite, &section);
    let caller = server.integration();
    let (pk, prepared) = prepare(&server, "ferris", &json!({"judged_by": "servers"}));
    assert_eq!(prepared["public_details"], Value::Null);
    let complete = format!("/integrations/enrollments/{pk}/complete");
    let first = yubikey.touch();
    assert_eq!(caller.post(&complete, &json!({"token": first.replace("vvcc", "vvcb")})).status, 403);
    let _done = caller.post(&complete, &json!({"token": first})).expect(201);
    assert_eq!(verify(&server, "ferris", &first), 403);
    let second = yubikey.touch();
    assert_eq!(verify(&server, "ferris", &second), 200);
    assert_eq!(verify(&server, "ferris", &second), 403);
    let asked = caller.post("/integrations/clients/auth", &json!({"username": "ferris"})).expect(200).json();
    let device = asked["devices"][0]["pk"].as_i64().unwrap();
    let challenge = json!({"username": "ferris", "device_pk": device});
    let opened = caller.post("/integrations/challenges", &challenge).expect(201).json();
    let path = format!("/integrations/challenges/{}/complete", opened["pk"]);
    assert_eq!(caller.post(&path, &json!({"token": second})).status, 403);
    let _done = caller.post(&path, &json!({"token": yubikey.touch()})).expect(200);
    // While it is away nobody gets in, and no try is counted.
    cloud.stop();
    let body = json!({"username": "ferris", "token": yubikey.touch()});
    let away = caller.post("/integrations/clients/verify", &body);
    assert_eq!((away.status, &away.json()["error"]["code"]), (502, &json!("otp_not_validated")));
    cloud.start_again();
    assert_eq!(verify(&server, "ferris", &yubikey.touch()), 200);
}

#[test]
fn an_import_tells_of_each_line() {
    let server = start(Store::Sqlite, "");
    let file = server.scratch("keys.csv");
    let lines = "# ykksm 1\n\
        1,cccccccccccb,f5e9f3e9d7a3,05c6ae260d8ec7fa0d5b9ef1ec4a1a52,000000000000,2026-11-12T00:00:00,\n\
        2,cccccccccccb,f5e9f3e9d7a4,05c6ae260d8ec7fa0d5b9ef1ec4a1a53,000000000000,2026-11-12T00:00:00,\n\
        3,cccccccccccd,f5e9f3e9d7a5,05c6ae260d8ec7fa0d5b9ef1ec4a1a52,000000000000,2026-11-12T00:00:00,\n\
        4,,0,69cfb9202438ca68964ec3244bfa4843d073a43b,,2026-12-12T08:41:07,\n";
    std::fs::write(&file, lines).unwrap();
    let ran = server.cli(&["import", "yubikey-csv", file.to_str().unwrap()]);
    assert_eq!(ran.status, 1, "{ran}");
    for line in [
        "line 2: cccccccccccb imported",
        "line 3: cccccccccccb already there: a device has this public id already",
        "line 4: cccccccccccd refused: another device has this key",
        "line 5: refused: the public id is not",
    ] {
        assert!(ran.stdout.contains(line), "{line}: {ran}");
    }
    assert!(ran.stderr.contains("2 of 4 entries were not imported"), "{ran}");
    assert!(!format!("{ran}").contains("05c6ae"), "{ran}");
}
