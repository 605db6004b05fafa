//! Secrets that were planted in every place a request has: none of them reaches the log, the audit or, in the
//! clear, the store.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};

use oss2fa_server::http::router::documentation;
use serde_json::{Value, json};

use crate::program::{Program, said};

const PHONE: &str = "+15550142857";
const MAIL: &str = "canary.address@canary.example";
const GATEWAY_KEY: &str = "canary-gateway-key-271828";
const MAIL_PASSWORD: &str = "canary-mail-password-314159";

/// All that must not be seen.
#[derive(Default)]
struct Canaries(Vec<String>);

impl Canaries {
    fn add(&mut self, secret: &str) {
        assert!(secret.len() >= 8, "{secret:?} could stand somewhere by chance");
        self.0.push(secret.to_owned());
    }

    /// A secret in Base32, and the bytes and hexadecimal digits that it stands for.
    fn add_seed(&mut self, base32: &str) {
        let script = "import base64, sys; print(base64.b32decode(sys.argv[1]).hex())";
        self.add(base32);
        self.add(&said("/usr/bin/python3", &["-c", script, base32]));
    }

    fn are_not_in(&self, bytes: &[u8], what: &str) {
        // A character for each byte: the search of texts is compiled for speed, also in tests.
        let as_text = |bytes: &[u8]| bytes.iter().map(|byte| char::from(*byte)).collect::<String>();
        let text = as_text(bytes);
        for canary in &self.0 {
            let hex = (canary.len() >= 40 && canary.bytes().all(|byte| byte.is_ascii_hexdigit()))
                .then(|| data_encoding::HEXLOWER_PERMISSIVE.decode(canary.as_bytes()).unwrap());
            for pattern in [Some(canary.as_bytes().to_vec()), hex].into_iter().flatten() {
                assert!(!text.contains(&as_text(&pattern)), "{what} holds {canary}");
            }
        }
    }
}

/// A gateway that says back what it was sent, and takes every second message.
fn gateway() -> (u16, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let sent = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&sent);
    std::thread::spawn(move || {
        for (n, stream) in listener.incoming().enumerate() {
            let mut stream: TcpStream = stream.unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let (mut head, mut length) = (String::new(), 0);
            while !head.ends_with("\r\n\r\n") {
                let at = head.len();
                reader.read_line(&mut head).unwrap();
                if let Some(value) = head[at..].to_ascii_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            let body = String::from_utf8(body).unwrap();
            let status = if n % 2 == 0 { "500 canary-status-words" } else { "200 OK" };
            let answer = format!(
                "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            );
            seen.lock().unwrap().push(body);
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    (port, sent)
}

fn code_of(message: &str) -> String {
    let digits = message.split(|c: char| !c.is_ascii_digit());
    digits.into_iter().find(|run| run.len() == 8).unwrap_or_else(|| panic!("no code: {message}")).to_owned()
}

fn totp(seed: &str, when: &str) -> String {
    said("oathtool", &["--totp", "--base32", "--digits=8", "--now", when, seed])
}

fn write_secret(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

fn no_secret_is_written(format: &str) {
    let (port, sent) = gateway();
    let secrets = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = secrets.path().join(name);
        write_secret(&path, text);
        path.display().to_string()
    };
    let server = Program::start(&format!(
        "[log]\nlevel = 'trace'\nformat = '{format}'\n\
         [limits]\naddress_burst = 100000\nrefused_per_minute = 100000\n\
         [smtp]\nhost = '127.0.0.1'\nport = 1\nsecurity = 'tls'\nusername = 'codes'\nfrom = 'a@example.org'\n\
         password_file = '{}'\n\
         [sms]\nurl = 'http://127.0.0.1:{port}/send/{{phone}}'\nsecret_file = '{}'\n\
         body = '{{\"text\": \"{{text}}\"}}'\ncontent_type = 'application/json'\n\
         headers = {{ Authorization = 'Bearer {{secret}}' }}\n",
        file("mail", MAIL_PASSWORD),
        file("gateway", GATEWAY_KEY),
    ));
    let mut canaries = Canaries::default();
    for planted in [PHONE, PHONE.trim_start_matches('+'), MAIL, GATEWAY_KEY, MAIL_PASSWORD, &server.token] {
        canaries.add(planted);
    }
    let key = std::fs::read_to_string(server.file("master.key")).unwrap();
    canaries.add(key.trim());
    let owner = server.owner();
    canaries.add(owner.token.expose());
    canaries.add(owner.secret_key.expose());
    let admin = format!("X-Admin-Token: {}", owner.token.expose());
    let pair = format!("{}:{}", owner.access_key, owner.secret_key.expose());
    let ask = |method: &str, path: &str, body: Value| {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        server.ask(method, path, &["-H", &admin], &body)
    };
    server.ask("GET", "/tenants", &["-u", &pair], "").expect(200);

    // Eight digits: six may stand in a log by chance.
    ask("PUT", "/tenants/integrations/1/policy", json!({"code_length": 8, "trusted_device_days": 30}))
        .expect(200);
    let made = ask("POST", "/tenants/integrations", json!({"name": "two", "tenant": 1})).expect(201).json();
    let made_admin = json!({"name": "helper", "role": "helpdesk", "tenant": 1});
    let helper = ask("POST", "/tenants/administrators", made_admin).expect(201).json();
    let pk = made["pk"].as_i64().unwrap();
    let rotated =
        ask("POST", &format!("/tenants/integrations/{pk}/rotate-token"), Value::Null).expect(200).json();
    for shown in [&made, &helper, &rotated] {
        for field in ["token", "secret_key"] {
            canaries.add(shown[field].as_str().unwrap());
        }
    }

    let begin = |name: &str| {
        let made = server.post("/integrations/enrollments", &json!({"username": name})).expect(201).json();
        format!("/integrations/enrollments/{}", made["pk"])
    };
    let prepare = |enrollment: &str, body: Value| server.post(&format!("{enrollment}/prepare-device"), &body);
    let complete = |enrollment: &str, token: &str| {
        server.post(&format!("{enrollment}/complete"), &json!({"token": token}))
    };
    // An app, with wrong, right and used codes on every way.
    let phone = begin("ferris");
    let prepared =
        prepare(&phone, json!({"kind": "TOTP", "options": {"generate_qr_code": true}})).expect(200).json();
    let details = &prepared["public_details"];
    let uri = details["provisioning_uri"].as_str().unwrap();
    let seed = uri.split("secret=").nth(1).unwrap().split('&').next().unwrap().to_owned();
    canaries.add_seed(&seed);
    canaries.add(&details["qr_code"].as_str().unwrap()[64..]);
    complete(&phone, "wrong-canary-1").expect(403);
    let code = totp(&seed, "now");
    canaries.add(&code);
    complete(&phone, &code).expect(201);
    let login = server.post("/integrations/clients/auth", &json!({"username": "ferris"})).expect(200).json();
    let device = login["devices"][0]["pk"].clone();
    let challenge = server
        .post("/integrations/challenges", &json!({"username": "ferris", "device_pk": device}))
        .expect(201)
        .json();
    let answer = format!("/integrations/challenges/{}/complete", challenge["pk"]);
    server.post(&answer, &json!({"token": code})).expect(403);
    server.post(&answer, &json!({"token": {"nested": "wrong-canary-2"}}));
    let next = totp(&seed, "now + 30 seconds");
    canaries.add(&next);
    let passed = server.post(&answer, &json!({"token": next, "remember_device": true})).expect(200).json();
    let trusted = passed["trusted_device_token"].as_str().unwrap().to_owned();
    canaries.add(&trusted);
    for context in [trusted.as_str(), "wrong-canary-3"] {
        let context = json!({"trusted_device_token": context, "fingerprint": "wrong-canary-4"});
        let body = json!({"username": "ferris", "binding_context": context});
        server.post("/integrations/clients/auth", &body).expect(200);
    }
    for token in [&next, "wrong-canary-5", "73190462"] {
        server.post("/integrations/clients/verify", &json!({"username": "ferris", "token": token}));
    }
    // Codes on paper.
    let paper = begin("ferris");
    let shown = prepare(&paper, json!({"kind": "RECOVERY"})).expect(200).json();
    let codes = shown["public_details"]["codes"].as_array().unwrap_or_else(|| panic!("{shown}")).clone();
    for code in &codes {
        canaries.add(code.as_str().unwrap());
        canaries.add(&code.as_str().unwrap().replace('-', ""));
    }
    complete(&paper, codes[0].as_str().unwrap()).expect(201);
    server
        .post("/integrations/clients/verify", &json!({"username": "ferris", "token": codes[1]}))
        .expect(200);
    // Codes that are sent: refused by the gateway, then taken; no mail server at all.
    for expected in [502, 200] {
        let sms = begin("gopher");
        prepare(&sms, json!({"kind": "SMS", "options": {"address": PHONE}})).expect(expected);
        let code = code_of(sent.lock().unwrap().last().unwrap());
        canaries.add(&code);
        if expected == 200 {
            complete(&sms, "00000000").expect(403);
            complete(&sms, &code).expect(201);
        }
    }
    let mail = begin("gopher");
    prepare(&mail, json!({"kind": "Email", "options": {"address": MAIL}})).expect(502);
    prepare(&begin("gopher"), json!({"kind": "Email", "options": {"address": "wrong-canary-6 @"}}))
        .expect(422);

    // Each operation once more: with what is no token, in each place a secret could be put by mistake.
    let mut operations = 0;
    for (path, item) in &documentation().paths.paths {
        let path = path.replace("{pk}", "1").replace("{device_pk}", "1");
        let there = [
            ("GET", item.get.is_some()),
            ("POST", item.post.is_some()),
            ("PUT", item.put.is_some()),
            ("PATCH", item.patch.is_some()),
            ("DELETE", item.delete.is_some()),
        ];
        for (method, _) in there.into_iter().filter(|(_, there)| *there) {
            operations += 1;
            let asked = format!("{path}?integration=1&token=wrong-canary-7&cursor=wrong-canary-8");
            let body =
                json!({"username": "wrong-canary-9 ", "token": "wrong-canary-10", "wrong-canary-11": 1});
            let integration = format!("X-Integration-Token: {}", server.token);
            for words in [
                ["-H", "X-Integration-Token: wrong-canary-12"],
                ["-H", "X-Admin-Token: wrong-canary-13"],
                ["-u", "wrong-canary-14:wrong-canary-15"],
                ["-H", "Authorization: Bearer wrong-canary-16"],
                ["-H", &integration],
            ] {
                let body = if method == "GET" { String::new() } else { body.to_string() };
                let answer = server.ask(method, &asked, &words, &body);
                assert!(answer.status < 500, "{method} {path}: {answer:?}");
                assert!(!answer.body.contains("wrong-canary"), "said back: {answer:?}");
            }
        }
    }
    assert!(operations > 25, "the operations were not found");
    canaries.add("wrong-canary");

    let log = server.log();
    assert!(
        log.contains("message_not_sent") && log.contains("/integrations/challenges/{pk}/complete"),
        "{log}"
    );
    canaries.are_not_in(log.as_bytes(), "the log");
    for user in ["ferris", "gopher"] {
        assert!(!log.contains(user), "the log names {user}");
    }
    let audit = audit_of(&server);
    assert!(audit.contains("ferris") && audit.contains("challenge"), "the audit was read: {audit}");
    canaries.are_not_in(audit.as_bytes(), "the audit");
    // Sealed or digested, all of it; names of clients and administrators stand there in the clear.
    for name in ["server.db", "server.db-wal"] {
        if let Ok(bytes) = std::fs::read(server.file(name)) {
            canaries.are_not_in(&bytes, name);
        }
    }
}

/// All rows of the audit, each column as text.
fn audit_of(server: &Program) -> String {
    let database = server.database();
    let mut statement = database.prepare("SELECT * FROM audit").unwrap();
    let width = statement.column_count();
    let mut rows = statement.query([]).unwrap();
    let mut text = String::new();
    while let Some(row) = rows.next().unwrap() {
        for column in 0..width {
            let value: rusqlite::types::Value = row.get(column).unwrap();
            text.push_str(&format!("{value:?} "));
        }
        text.push('\n');
    }
    text
}

#[test]
fn row_20_24_and_34_no_secret_is_written_to_a_log_of_lines() {
    no_secret_is_written("text");
}

#[test]
fn row_20_24_and_34_no_secret_is_written_to_a_log_of_json() {
    no_secret_is_written("json");
}
