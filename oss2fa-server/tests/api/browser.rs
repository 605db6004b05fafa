//! A real browser: Debian's chromium with a security key that its driver makes, on a page at localhost.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::security_keys::Desk;

const CREATE: &str = "const [options, done] = arguments;
    navigator.credentials.create({publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(options.publicKey)})
        .then(made => done(made.toJSON()), error => done(error.name));";

const GET: &str = "const [options, done] = arguments;
    navigator.credentials.get({publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(options.publicKey)})
        .then(given => done(given.toJSON()), error => done(error.name));";

/// A page whose origin is `http://localhost:PORT`.
const PAGE: &str = "
import http.server
class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header('Content-Type', 'text/html')
        self.end_headers()
        self.wfile.write(b'<!doctype html><title>Log in</title>')
    def log_message(self, *_):
        pass
server = http.server.HTTPServer(('127.0.0.1', 0), Page)
print('on port %d.' % server.server_port, flush=True)
server.serve_forever()
";

/// A process that says on which port it listens.
struct Listening {
    process: Child,
    port: u16,
}

impl Listening {
    fn start(command: &mut Command) -> Self {
        let mut process = command
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("a Debian package is needed: run packaging/install-test-packages.sh");
        let lines = BufReader::new(process.stdout.take().unwrap()).lines().map_while(Result::ok);
        let mut ports = lines
            .filter_map(|line| line.rsplit_once("on port ")?.1.trim_end_matches('.').parse().ok())
            .filter(|port| *port != 0);
        let port = ports.next().expect("a port");
        // Whoever writes on must not find the pipe closed.
        std::thread::spawn(move || ports.count());
        Self { process, port }
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        let _gone = self.process.kill();
        let _reaped = self.process.wait();
    }
}

struct Browser {
    driver: Listening,
    session: String,
    page: Listening,
}

impl Browser {
    fn open() -> Self {
        let page = Listening::start(Command::new("/usr/bin/python3").args(["-c", PAGE]));
        let driver = Listening::start(Command::new("chromedriver").arg("--port=0"));
        let mut browser = Self { driver, session: String::new(), page };
        let arguments = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"];
        let options = json!({"binary": "/usr/bin/chromium", "args": arguments});
        let wanted = json!({"capabilities": {"alwaysMatch": {"goog:chromeOptions": options}}});
        let opened = browser.ask("POST", "session", &wanted);
        browser.session = format!("session/{}", opened["sessionId"].as_str().expect("a session"));
        browser.tell("url", &json!({"url": browser.origin()}));
        browser
    }

    fn origin(&self) -> String {
        format!("http://localhost:{}", self.page.port)
    }

    /// WebDriver, by curl.
    fn ask(&self, method: &str, path: &str, body: &Value) -> Value {
        let url = format!("http://127.0.0.1:{}/{path}", self.driver.port);
        let asked = Command::new("curl")
            .args(["-sS", "-m", "60", "-X", method, &url, "--json", &body.to_string()])
            .output();
        let answered = asked.unwrap().stdout;
        let answer: Value =
            serde_json::from_slice(&answered).unwrap_or_else(|error| panic!("{path}: {error}"));
        assert!(answer["value"]["error"].is_null(), "{path}: {answer}");
        answer["value"].clone()
    }

    fn tell(&self, path: &str, body: &Value) -> Value {
        self.ask("POST", &format!("{}/{path}", self.session), body)
    }

    /// Plugs a key in that is touched at once; gives its number.
    fn plug_in(&self, protocol: &str, verifies: bool) -> String {
        let key = json!({
            "protocol": protocol, "transport": "usb", "hasResidentKey": false, "isUserConsenting": true,
            "hasUserVerification": verifies, "isUserVerified": verifies,
        });
        self.tell("webauthn/authenticator", &key).as_str().unwrap().to_owned()
    }

    fn pull_out(&self, key: &str) {
        self.ask("DELETE", &format!("{}/webauthn/authenticator/{key}", self.session), &json!({}));
    }

    /// From now on its owner knows the PIN, or does not.
    fn set_verified(&self, key: &str, verified: bool) {
        self.tell(&format!("webauthn/authenticator/{key}/uv"), &json!({"isUserVerified": verified}));
    }

    /// What the key gives, or the name of the error.
    fn run(&self, script: &str, options: &Value) -> Value {
        self.tell("execute/async", &json!({"script": script, "args": [options]}))
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if !self.session.is_empty() {
            self.ask("DELETE", &self.session, &json!({}));
        }
    }
}

#[tokio::test]
async fn a_browser_enrolls_a_key_and_logs_in_with_it() {
    let (desk, browser) = (Desk::new().await, Browser::open());
    let policy = |verification: &str| json!({"rp_id": "localhost", "origins": [browser.origin()], "user_verification": verification});
    desk.whole_policy(&policy("required")).await.ok();
    let key = browser.plug_in("ctap2", true);
    let begun = desk.begin("touch").await;
    let options = desk.prepare(begun, "FIDO2").await.ok()["public_details"].clone();
    let made = browser.run(CREATE, &options);
    let done = desk.complete(begun, &made).await;
    assert_eq!(done.status, 201, "{done:?} {made}");
    let device = desk.newest("touch").await;
    for _ in 0..2 {
        let (challenge, options) = desk.challenge("touch", device).await;
        desk.answer(challenge, &browser.run(GET, &options)).await.ok();
    }
    // The same key a second time: the browser sees it on the list.
    let again = desk.begin("touch").await;
    let options = desk.prepare(again, "FIDO2").await.ok()["public_details"].clone();
    assert_eq!(browser.run(CREATE, &options), "InvalidStateError");
    // Somebody who does not know the PIN.
    browser.set_verified(&key, false);
    let (challenge, options) = desk.challenge("touch", device).await;
    assert_eq!(browser.run(GET, &options), "NotAllowedError");
    let mut weaker = options.clone();
    weaker["publicKey"]["userVerification"] = json!("discouraged");
    let touched = browser.run(GET, &weaker);
    assert!(touched["response"].is_object(), "{touched}");
    let refused = desk.answer(challenge, &touched).await;
    assert_eq!(refused.refusal(), (403, "wrong_token".to_owned()), "a page that asked for less: {refused:?}");
    // A key that knows U2F alone.
    desk.whole_policy(&policy("preferred")).await.ok();
    browser.pull_out(&key);
    browser.plug_in("ctap1/u2f", false);
    let begun = desk.begin("old").await;
    let options = desk.prepare(begun, "U2F").await.ok()["public_details"].clone();
    let made = browser.run(CREATE, &options);
    let done = desk.complete(begun, &made).await;
    assert_eq!(done.status, 201, "{done:?} {made}");
    let (challenge, options) = desk.challenge("old", desk.newest("old").await).await;
    desk.answer(challenge, &browser.run(GET, &options)).await.ok();
}
