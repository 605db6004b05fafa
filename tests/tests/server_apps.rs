//! ungleich-otp's REST as its apps call it: tokens by pyotp and oathtool, requests by curl and by Python's
//! requests, on both databases; and what is malformed, each with its answer.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failure is a panic in tests, in their helpers too"
)]

use std::process::Command;

use oss2fa_tests::server::{PostgresCluster, Reply, Server, Store};
use serde_json::{Value, json};

const ENABLED: &str = "[ungleich_otp]\nenabled = true\n";
/// Many requests of one address, some of them wrong.
const UNLIMITED: &str = "[limits]\naddress_per_second = 100000\naddress_burst = 100000\n\
    token_per_second = 100000\ntoken_burst = 100000\nrefused_per_minute = 100000\n";
const JSON: &str = "Content-Type: application/json";

/// An app as its owner has it.
struct App {
    uuid: String,
    seed: String,
}

impl App {
    fn create(server: &Server, user: &str, words: &[&str]) -> Self {
        let made = server.cli_json(&[&["app", "create", "--user", user, "--name", "web"], words].concat());
        let text = |field: &str| made[field].as_str().unwrap().to_owned();
        Self { uuid: text("appuuid"), seed: text("seed") }
    }

    /// Its token so many seconds from now, by oathtool.
    fn token_at(&self, offset: i64) -> String {
        let now = format!("now {offset:+} seconds");
        said(Command::new("/usr/bin/oathtool").args(["--totp", "--base32", "--now", &now, &self.seed]))
    }

    /// Its token now, by pyotp.
    fn token(&self) -> String {
        let script = "import pyotp, sys; print(pyotp.TOTP(sys.argv[1]).now())";
        said(Command::new("/usr/bin/python3").args(["-c", script, &self.seed]))
    }

    fn claim(&self) -> Value {
        json!({"version": "1", "appuuid": self.uuid, "token": self.token()})
    }

    fn asking(&self, more: Value) -> Value {
        let mut body = self.claim();
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    }

    fn about(&self, other: &Self, token: &str) -> Value {
        self.asking(json!({"appuuidtoverify": other.uuid, "tokentoverify": token}))
    }
}

fn said(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

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
        let made = ok(send(server, "POST", "/app/register", &cron.asking(named)));
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
        fails(&send(server, "POST", "/app/register", &cron.asking(foreign.clone())), 403, "another user");
        ok(send(server, "POST", "/app/register", &web.asking(foreign)));
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
        let [me, other] = pair.map(|app| json!({"uuid": app.uuid, "seed": app.seed}).to_string());
        let ca = server.ca().display().to_string();
        let mut python = Command::new("/usr/bin/python3");
        assert_eq!(said(python.args(["-c", REQUESTS, &server.url, &ca, &me, &other])), "done");
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
        let made = ok(send(&server, "POST", "/app/register", &web.asking(named)));
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

/// A request that is malformed: method, path, headers, body; `U` and `T` stand for the app's UUID and token.
struct Bad {
    what: &'static str,
    method: &'static str,
    path: &'static str,
    headers: &'static [&'static str],
    body: &'static str,
    status: u16,
    words: &'static str,
}

const fn bad(
    what: &'static str,
    path: &'static str,
    body: &'static str,
    status: u16,
    words: &'static str,
) -> Bad {
    Bad { what, method: "POST", path, headers: &[JSON], body, status, words }
}

const NEEDED: &str = "version, appuuid, token, appuuidtoverify and tokentoverify, all of them text";
const COMMON: &str = "version, appuuid and token, all of them text";
const RIGHT: &str = r#"{"version":"1","appuuid":"U","token":"T","appuuidtoverify":"U","tokentoverify":"T"}"#;
const CLAIM: &str = r#"{"version":"1","appuuid":"U","token":"T"}"#;
const GREEK: &str =
    r#"{"version":"1","appuuid":"U","token":"T","appuuidtoverify":"U","tokentoverify":"١٢٣٤٥٦"}"#;

/// Each with its answer. None of them ever gets in, and the server goes on.
const MALFORMED: [Bad; 50] = [
    // Bodies that are none.
    bad("no body", "/verify", "", 400, NEEDED),
    bad("not JSON", "/verify", "appuuid=U&token=T", 400, NEEDED),
    bad(
        "the document's own notation",
        "/verify",
        r#"{ version: "1", appuuid: "U", token: "T", }"#,
        400,
        NEEDED,
    ),
    bad("half of it", "/verify", r#"{"version":"1","appuuid":"U","#, 400, NEEDED),
    bad("two of them", "/app", r#"{"version":"1","appuuid":"U","token":"T"}{}"#, 400, COMMON),
    bad("null", "/verify", "null", 400, NEEDED),
    bad("a number", "/verify", "1", 400, NEEDED),
    bad("a text", "/verify", r#""U""#, 400, NEEDED),
    bad("a list of objects", "/verify", r#"[{"version":"1"}]"#, 400, NEEDED),
    bad("an empty object", "/verify", "{}", 400, NEEDED),
    bad("nesting without end", "/app", DEEP, 400, COMMON),
    bad("no UTF-8 escape", "/app", r#"{"version":"1","appuuid":"\ud800","token":"T"}"#, 400, COMMON),
    // Fields.
    bad("no version", "/app", r#"{"appuuid":"U","token":"T"}"#, 400, COMMON),
    bad("another version", "/app", r#"{"version":"2","appuuid":"U","token":"T"}"#, 400, "version must be"),
    bad("an empty version", "/app", r#"{"version":"","appuuid":"U","token":"T"}"#, 400, "version must be"),
    bad("a version as a number", "/app", r#"{"version":1,"appuuid":"U","token":"T"}"#, 400, COMMON),
    bad("no appuuid", "/app", r#"{"version":"1","token":"T"}"#, 400, COMMON),
    bad("no token", "/app", r#"{"version":"1","appuuid":"U"}"#, 400, COMMON),
    bad("a token as a number", "/app", r#"{"version":"1","appuuid":"U","token":123456}"#, 400, COMMON),
    bad("a token as null", "/app", r#"{"version":"1","appuuid":"U","token":null}"#, 400, COMMON),
    bad("a token as a list", "/app", r#"{"version":"1","appuuid":"U","token":["T"]}"#, 400, COMMON),
    bad("a field too many", "/app", r#"{"version":"1","appuuid":"U","token":"T","admin":true}"#, 400, COMMON),
    bad("a field twice", "/app", r#"{"version":"1","appuuid":"U","token":"0","token":"T"}"#, 400, COMMON),
    bad("a field in capitals", "/app", r#"{"Version":"1","appuuid":"U","token":"T"}"#, 400, COMMON),
    bad("no app to verify", "/verify", CLAIM, 400, NEEDED),
    bad("no name to register", "/app/register", CLAIM, 400, "username and appname, all of them text"),
    // Values.
    bad(
        "an empty appuuid",
        "/app",
        r#"{"version":"1","appuuid":"","token":"T"}"#,
        400,
        "appuuid must be a UUID",
    ),
    bad(
        "no UUID",
        "/app",
        r#"{"version":"1","appuuid":"' OR 1=1 --","token":"T"}"#,
        400,
        "appuuid must be a UUID",
    ),
    bad(
        "a UUID in braces",
        "/app",
        r#"{"version":"1","appuuid":"{U}","token":"T"}"#,
        400,
        "appuuid must be a UUID",
    ),
    bad(
        "no UUID to verify",
        "/verify",
        r#"{"version":"1","appuuid":"U","token":"T","appuuidtoverify":"x","tokentoverify":"T"}"#,
        400,
        "appuuidtoverify must be a UUID",
    ),
    bad(
        "an unknown app",
        "/app",
        r#"{"version":"1","appuuid":"00000000-0000-4000-8000-000000000000","token":"T"}"#,
        403,
        "not known",
    ),
    bad(
        "an unknown app to verify",
        "/verify",
        r#"{"version":"1","appuuid":"U","token":"T","appuuidtoverify":"00000000-0000-4000-8000-000000000000","tokentoverify":"T"}"#,
        403,
        "tokentoverify is no valid token",
    ),
    bad("an empty token", "/app", r#"{"version":"1","appuuid":"U","token":""}"#, 403, "not known"),
    bad("a token too short", "/app", r#"{"version":"1","appuuid":"U","token":"12345"}"#, 403, "not known"),
    bad("a token too long", "/app", r#"{"version":"1","appuuid":"U","token":"T0"}"#, 403, "not known"),
    bad("a token with a NUL", "/app", r#"{"version":"1","appuuid":"U","token":"T\u0000"}"#, 403, "not known"),
    bad("a token in other digits", "/verify", GREEK, 403, "tokentoverify is no valid token"),
    bad(
        "a user that cannot be",
        "/app/register",
        r#"{"version":"1","appuuid":"U","token":"T","username":"a b","appname":"x"}"#,
        422,
        "username must be",
    ),
    bad(
        "a name that cannot be seen",
        "/app/register",
        r#"{"version":"1","appuuid":"U","token":"T","username":"nico","appname":"\u202e"}"#,
        422,
        "appname must be",
    ),
    bad(
        "no name",
        "/app/register",
        r#"{"version":"1","appuuid":"U","token":"T","username":"nico","appname":" "}"#,
        422,
        "appname must be",
    ),
    // Requests.
    Bad { method: "GET", ..bad("GET without a body", "/app", "", 400, COMMON) },
    Bad { method: "GET", ..bad("GET of what is posted", "/verify", RIGHT, 405, "does not take this method") },
    Bad { method: "DELETE", ..bad("DELETE", "/app/U", CLAIM, 405, "does not take this method") },
    Bad { method: "PUT", ..bad("PUT", "/app", CLAIM, 405, "does not take this method") },
    Bad {
        method: "GET",
        ..bad("fields in the query", "/app?version=1&appuuid=U&token=T", "", 400, "no query")
    },
    bad("a query besides", "/verify?x=1", RIGHT, 400, "no query"),
    Bad {
        headers: &["Content-Type: text/plain"],
        ..bad("another type", "/verify", RIGHT, 415, "send the body as JSON")
    },
    Bad {
        headers: &["Content-Type: application/x-www-form-urlencoded"],
        ..bad("a form", "/app", "version=1&appuuid=U&token=T", 415, "send the body as JSON")
    },
    Bad {
        headers: &[JSON, "Accept: text/html"],
        ..bad("another type is asked for", "/verify", RIGHT, 406, "this server speaks")
    },
    bad("too large", "/verify", LARGE, 413, "too large"),
];

/// Stand for bodies that are made.
const DEEP: &str = "DEEP";
const LARGE: &str = "LARGE";

#[test]
fn each_malformed_request_has_its_answer() {
    let server = start(Store::Sqlite, "");
    let mut names: Vec<&str> = MALFORMED.iter().map(|row| row.what).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), MALFORMED.len(), "each stands for something of its own");
    for row in &MALFORMED {
        // A fresh app for each: wrong tokens lock it.
        let app = App::create(&server, "nico", &["--trusted"]);
        let fill = |text: &str| text.replace('U', &app.uuid).replace('T', &app.token());
        let body = match row.body {
            DEEP => format!("{}{}", "[".repeat(30_000), "]".repeat(30_000)),
            LARGE => format!(r#"{{"version":"1","appuuid":"{}"}}"#, "x".repeat(70_000)),
            text => fill(text),
        };
        // The path's letters are not the places that are filled.
        let path = row.path.replace("/U", &format!("/{}", app.uuid)).replace("=U", &format!("={}", app.uuid));
        let reply = server.curl(row.method, &path, row.headers, &body);
        let body = reply.json();
        assert_eq!((reply.status, &body["status"]), (row.status, &json!("FAIL")), "{}: {reply}", row.what);
        fails(&reply, row.status, row.words);
        assert!(!reply.text().contains(&app.token()), "{}: an answer repeats a token: {reply}", row.what);
    }
    // After all of it, it works.
    let app = App::create(&server, "nico", &["--trusted"]);
    ok(send(&server, "POST", "/verify", &app.about(&app, &app.token())));
}

#[test]
fn limits_refuse_in_the_same_shape() {
    let server = Server::new()
        .config(ENABLED)
        .config("[limits]\nrefused_per_minute = 3\nrequest_timeout = 1\naddress_burst = 1000\n")
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
