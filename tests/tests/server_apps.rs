//! ungleich-otp's REST as its apps call it: tokens by pyotp and oathtool, requests by curl and by Python's
//! requests, on both databases; and what is malformed, each with its answer.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failure is a panic in tests, in their helpers too"
)]

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use oss2fa_tests::server::{App, PostgresCluster, Reply, Server, Store};
use oss2fa_tests::{early_in_a_step, workspace};
use serde_json::{Value, json};

const ENABLED: &str = "[ungleich_otp]\nenabled = true\n";
/// Many requests of one address, some of them wrong.
const UNLIMITED: &str = "[limits]\naddress_per_second = 100000\naddress_burst = 100000\n\
    token_per_second = 100000\ntoken_burst = 100000\nrefused_per_minute = 100000\n";
const JSON: &str = "Content-Type: application/json";

fn start(store: Store<'_>, settings: &str) -> Server {
    Server::new().on(store).config(ENABLED).config(UNLIMITED).config(settings).start()
}

/// Runs on both databases.
fn on_both(settings: &str, test: impl Fn(&Server)) {
    test(&start(Store::Sqlite, settings));
    let cluster = PostgresCluster::start();
    test(&start(Store::Postgres(&cluster), settings));
}

fn send(server: &Server, method: &str, path: &str, body: &Value) -> Reply {
    server.curl(method, path, &[JSON], &body.to_string())
}

#[track_caller]
fn ok(reply: Reply) -> Value {
    let body = reply.expect(200).json();
    assert_eq!(body["status"], "OK", "{body}");
    body
}

#[track_caller]
fn fails(reply: &Reply, status: u16, words: &str) {
    let body = reply.json();
    assert_eq!((reply.status, &body["status"]), (status, &json!("FAIL")), "{reply}");
    let error = body["error"].as_str().unwrap_or_default();
    assert!(error.contains(words), "{words:?}: {reply}");
    assert_eq!(body.as_object().unwrap().len(), 2, "status and error alone: {reply}");
    assert_eq!(reply.header("Content-Type"), Some("application/json"), "{reply}");
}

#[test]
fn an_app_does_all_that_the_document_says() {
    on_both("", |server| {
        let web = App::create(server, "nico", &["--trusted"]);
        let cron = App::create(server, "nico", &[]);
        let other = App::create(server, "sanghee", &[]);

        // Verify: right, early and late, wrong, another's.
        let verify = |body: Value| send(server, "POST", "/verify", &body);
        assert_eq!(ok(verify(web.about(&cron, &cron.token()))), json!({"status": "OK"}));
        for offset in [-30, 30] {
            // The window is one step: what is early now is too late as soon as this one ends.
            early_in_a_step();
            ok(verify(web.about(&cron, &cron.token_at(offset))));
        }
        for offset in [-95, 95] {
            fails(&verify(web.about(&cron, &cron.token_at(offset))), 403, "tokentoverify");
        }
        fails(&verify(web.about(&cron, &web.token())), 403, "tokentoverify");
        fails(&verify(cron.about(&web, &web.token())), 403, "not trusted");
        // As often as it is shown.
        let twice = web.about(&cron, &cron.token());
        for _ in 0..3 {
            ok(verify(twice.clone()));
        }

        // Register, and the seed of the new app, which then proves itself.
        let named = json!({"username": "nico", "appname": "new \u{e9}"});
        let made = ok(send(server, "POST", "/app/register", &cron.asking(&named)));
        let uuid = made["appuuid"].as_str().unwrap();
        assert_eq!(made.as_object().unwrap().len(), 2, "{made}");
        let path = format!("/app/{uuid}");
        let seed = ok(send(server, "GET", &path, &cron.claim()));
        assert_eq!(seed.as_object().unwrap().len(), 2, "{seed}");
        let new = App { uuid: uuid.to_owned(), seed: seed["seed"].as_str().unwrap().to_owned() };
        ok(verify(web.about(&new, &new.token())));
        assert_eq!(ok(send(server, "POST", &path, &web.claim())), seed);
        assert_eq!(
            ok(send(server, "GET", &path.to_uppercase().replace("/APP/", "/app/"), &new.claim())),
            seed
        );

        // Lists, each user's own.
        let apps = ok(send(server, "GET", "/app", &new.claim()));
        let expected = json!({"status": "OK", "apps": [
            {"name": "web", "appuuid": web.uuid},
            {"name": "web", "appuuid": cron.uuid},
            {"name": "new é", "appuuid": new.uuid},
        ]});
        assert_eq!(apps, expected);
        assert_eq!(ok(send(server, "POST", "/app", &web.claim())), expected);
        let own = json!({"status": "OK", "apps": [{"name": "web", "appuuid": other.uuid}]});
        assert_eq!(ok(send(server, "GET", "/app", &other.claim())), own);
        for path in [&path, &format!("/app/{}", web.uuid), "/app/nothing", "/app/%00", "/app/%ff"] {
            fails(&send(server, "GET", path, &other.claim()), 404, "no such app");
        }
        // Of another user, only a trusted app registers one.
        let foreign = json!({"username": "sanghee", "appname": "x"});
        fails(&send(server, "POST", "/app/register", &cron.asking(&foreign)), 403, "another user");
        ok(send(server, "POST", "/app/register", &web.asking(&foreign)));
        assert_eq!(ok(send(server, "GET", "/app", &other.claim()))["apps"].as_array().unwrap().len(), 2);

        // It is a client like others: set inactive, it fails, and all of it is in the audit and the figures.
        let at = ["--integration", "ungleich-otp"];
        assert_eq!(server.cli(&[&["client", "status", &cron.uuid, "inactive"], &at[..]].concat()).status, 0);
        fails(&verify(web.about(&cron, &cron.token())), 403, "tokentoverify");
        fails(&send(server, "GET", "/app", &cron.claim()), 403, "not known");
        assert_eq!(server.cli(&["app", "untrust", &web.uuid]).status, 0);
        fails(&verify(web.about(&new, &new.token())), 403, "not trusted");
        let audit = server.cli(&["audit", "list", "--json"]).stdout;
        for event in ["app_registered", "seed_read", "accepted", "refused", "barred", "app_untrusted"] {
            assert!(audit.contains(&format!("\"event\":\"{event}\"")), "no {event}: {audit}");
        }
        assert!(!audit.contains(&web.seed) && !server.log().contains(&web.seed));
        let figures = server.curl("GET", "/metrics", &[], "").text();
        assert!(
            figures.contains("oss2fa_app_verifications_total{door=\"rest\",verdict=\"ok\"}"),
            "{figures}"
        );
        assert_eq!(server.cli(&["audit", "verify"]).status, 0);
    });
}

/// As the document's other services would: GET with a body, by `requests`.
const REQUESTS: &str = r#"
import json, sys
import pyotp, requests
url, ca, me, other = sys.argv[1], sys.argv[2], json.loads(sys.argv[3]), json.loads(sys.argv[4])
s = requests.Session()
s.verify = ca
s.trust_env = False
def body(**more):
    return {"version": "1", "appuuid": me["uuid"], "token": pyotp.TOTP(me["seed"]).now(), **more}
def ok(answer):
    assert answer.status_code == 200 and answer.json()["status"] == "OK", answer.text
    return answer.json()
def fail(answer):
    assert 400 <= answer.status_code < 500 and answer.json()["status"] == "FAIL", answer.text
it = {"appuuidtoverify": other["uuid"], "tokentoverify": pyotp.TOTP(other["seed"]).now()}
ok(s.post(url + "/verify", json=body(**it)))
fail(s.post(url + "/verify", json=body(**{**it, "tokentoverify": "000000"})))
made = ok(s.post(url + "/app/register", json=body(username="nico", appname="by requests")))["appuuid"]
apps = ok(s.get(url + "/app", json=body()))["apps"]
assert {"name": "by requests", "appuuid": made} in apps, apps
seed = ok(s.get(url + "/app/" + made, json=body()))["seed"]
assert ok(s.post(url + "/app/" + made, json=body()))["seed"] == seed
it = {"appuuidtoverify": made, "tokentoverify": pyotp.TOTP(seed).now()}
ok(s.post(url + "/verify", json=body(**it)))
fail(s.get(url + "/app", params=body()))
fail(s.post(url + "/verify", data=body(**it)))
print("done")
"#;

#[test]
fn python_s_requests_speaks_to_it() {
    on_both("", |server| {
        let pair = [App::create(server, "nico", &["--trusted"]), App::create(server, "sanghee", &[])];
        let [me, other] = pair.map(|app| app.known().to_string());
        let ca = server.ca().display().to_string();
        let mut python = Command::new("/usr/bin/python3");
        let output = python.args(["-c", REQUESTS, &server.url, &ca, &me, &other]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.stdout, b"done\n");
    });
}

#[test]
fn a_single_use_token_works_once_and_the_window_is_that_of_the_configuration() {
    on_both("[ungleich_otp]\nsingle_use_tokens = true\nwindow = 3\n", |server| {
        let web = App::create(server, "nico", &["--trusted"]);
        let other = App::create(server, "nico", &[]);
        let body = json!({"version": "1", "appuuid": web.uuid, "token": web.token_at(-60)});
        ok(send(server, "GET", "/app", &body));
        fails(&send(server, "GET", "/app", &body), 403, "not known");
        let mut body = web.about(&other, &other.token_at(-60));
        ok(send(server, "POST", "/verify", &body));
        body["token"] = json!(web.token_at(30));
        fails(&send(server, "POST", "/verify", &body), 403, "tokentoverify");
        // Each of the two was spent, whatever became of the other.
        fails(&send(server, "POST", "/verify", &body), 403, "not known");
    });
}

#[test]
fn a_seed_is_read_as_often_as_the_configuration_says() {
    for (policy, reads) in [("once", [200, 403]), ("until-first-use", [200, 200])] {
        let server = start(Store::Sqlite, &format!("[ungleich_otp]\nseed_reads = \"{policy}\"\n"));
        let web = App::create(&server, "nico", &[]);
        let named = json!({"username": "nico", "appname": "new"});
        let made = ok(send(&server, "POST", "/app/register", &web.asking(&named)));
        let path = format!("/app/{}", made["appuuid"].as_str().unwrap());
        let mut seed = String::new();
        for status in reads {
            let reply = send(&server, "GET", &path, &web.claim()).expect(status);
            if status == 200 {
                seed = reply.json()["seed"].as_str().unwrap().to_owned();
            }
        }
        let new = App { uuid: made["appuuid"].as_str().unwrap().to_owned(), seed };
        ok(send(&server, "GET", "/app", &new.claim()));
        fails(&send(&server, "GET", &path, &web.claim()), 403, "not shown any more");
        // Whoever made an app by command has seen its seed, and its own token was used.
        fails(&send(&server, "GET", &format!("/app/{}", web.uuid), &web.claim()), 403, "not shown any more");
    }
}

#[test]
fn apps_of_the_original_are_taken_over_and_given_back() {
    on_both("", |server| {
        let dump = server.scratch("dump.json");
        let fields = |uuid: &str, seed: &str, trusted: bool| json!({"appuuid": uuid, "appname": "web", "username": "nico", "seed": seed, "trusted": trusted});
        let [web, cron] = ["1", "2"].map(|last| format!("0d5e1a4c-6d8e-4f43-9a51-3a1d6b7c000{last}"));
        let entries = json!([
            {"model": "otpauth.app", "pk": web, "fields": fields(&web, "JBSWY3DPEHPK3PXP", true)},
            {"model": "otpauth.app", "pk": 7, "fields": fields(&cron, "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ", false)},
        ]);
        fs::write(&dump, entries.to_string()).unwrap();
        let import = ["app", "import", "--django", dump.to_str().unwrap()];
        assert_eq!(server.cli_json(&import)["imported"], json!(2));
        // The seeds that their owners have are still those.
        let [web, cron] = [(web, "JBSWY3DPEHPK3PXP"), (cron, "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ")]
            .map(|(uuid, seed)| App { uuid, seed: seed.to_owned() });
        ok(send(server, "POST", "/verify", &web.about(&cron, &cron.token())));
        fails(&send(server, "POST", "/verify", &cron.about(&web, &web.token())), 403, "not trusted");
        let export = server.cli(&["app", "export"]);
        let apps = export.json();
        for (app, entry) in entries.as_array().unwrap().iter().zip(apps.as_array().unwrap()) {
            assert_eq!(app["fields"], entry["fields"], "{export}");
        }
    });
}

#[test]
fn nothing_is_there_where_it_is_not_enabled() {
    let server = Server::new().start();
    let web = App::create(&server, "nico", &["--trusted"]);
    for (method, path) in
        [("POST", "/verify"), ("POST", "/app/register"), ("GET", "/app"), ("POST", "/app"), ("GET", "/app/x")]
    {
        send(&server, method, path, &web.claim()).refused(404, "no_such_path");
    }
}

#[test]
fn an_idempotency_key_of_other_clients_changes_nothing() {
    let server = start(Store::Sqlite, "");
    let web = App::create(&server, "nico", &["--trusted"]);
    let body = web.about(&web, &web.token()).to_string();
    ok(server.curl("POST", "/verify", &[JSON, "Idempotency-Key: one"], &body));
}

#[test]
fn each_malformed_request_has_its_answer() {
    let rows = fs::read_to_string(workspace().join("tests/ungleich-otp/requests.json")).unwrap();
    let rows: Vec<Value> = serde_json::from_str(&rows).unwrap();
    let names: BTreeSet<&str> = rows.iter().map(|row| row["what"].as_str().unwrap()).collect();
    assert!(rows.len() >= 50 && names.len() == rows.len(), "each stands for something of its own");
    let server = start(Store::Sqlite, "");
    for row in &rows {
        let (what, says) = (row["what"].as_str().unwrap(), row["says"].as_str().unwrap());
        // A fresh app for each: wrong tokens lock it.
        let app = App::create(&server, "nico", &["--trusted"]);
        let token = app.token();
        let fill = |text: &str| text.replace("$mine", &token).replace("$me", &app.uuid);
        let body = match &row["body"] {
            Value::String(text) => fill(text),
            repeated => {
                repeated[0].as_str().unwrap().repeat(repeated[1].as_u64().unwrap().try_into().unwrap())
            }
        };
        let headers =
            row["headers"].as_array().map(|all| all.iter().map(|one| one.as_str().unwrap()).collect());
        let headers: Vec<&str> = headers.unwrap_or_else(|| vec![JSON]);
        let path = fill(row["path"].as_str().unwrap());
        let reply = server.curl(row["method"].as_str().unwrap(), &path, &headers, &body);
        assert_eq!(json!(reply.status), row["status"], "{what}: {reply}");
        fails(&reply, reply.status, says);
        assert!(!reply.text().contains(&token), "{what}: an answer repeats a token: {reply}");
    }
    // After all of it, it works.
    let app = App::create(&server, "nico", &["--trusted"]);
    ok(send(&server, "POST", "/verify", &app.about(&app, &app.token())));
}

#[test]
fn limits_refuse_in_the_same_shape() {
    let server = Server::new()
        .config(ENABLED)
        .config("[limits]\nrefused_per_minute = 3\nrequest_timeout = 5\naddress_burst = 1000\n")
        .start();
    let app = App::create(&server, "nico", &["--trusted"]);
    // A body that does not come.
    let slow = server
        .curl_with(&["--expect100-timeout", "0"], "POST", "/verify", &[JSON, "Content-Length: 100"], "{")
        .map(|reply| fails(&reply, 408, "did not arrive in time"));
    assert!(slow.is_ok(), "{slow:?}");
    let stranger = json!({"version": "1", "appuuid": "00000000-0000-4000-8000-000000000000", "token": "1"});
    let refused: Vec<Reply> = (0..5).map(|_| send(&server, "GET", "/app", &stranger)).collect();
    fails(&refused[0], 403, "not known");
    fails(&refused[4], 429, "too many requests");
    assert!(refused[4].header("Retry-After").is_some());
    ok(send(&server, "GET", "/app", &app.claim()));
}
