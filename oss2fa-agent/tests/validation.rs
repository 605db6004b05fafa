//! Validation servers that answer by a script: every status, and answers that are late, unsigned, wrongly signed, for
//! another question, or no answer at all. Only a right one lets in.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail where it likes")]

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use oss2fa_agent::config::Config;
use oss2fa_agent::outside::System;
use oss2fa_agent::validation::{NoAnswer, ValidationServers};
use oss2fa_core::factor::yubico_otp::TypedOtp;
use oss2fa_core::factor::yubico_validation::{ApiKey, Status};
use oss2fa_core::ids::DeviceId;

const OTP: &str = "vvcccccccccbudelvecubhnnrglftvvvvkftcnrjldhf";
const KEY: &str = "MTIzNDU2Nzg5MDEyMzQ1Njc4OTA=";

/// What the evidence of a right answer says.
const RIGHT: Option<u64> = Some(19 << 8 | 16);

/// The parameters of a request, as they came in.
type Request = BTreeMap<String, String>;

struct Scripted {
    url: String,
    asked: Arc<Mutex<Vec<Request>>>,
}

/// A server; `answer` gives the whole of an HTTP answer, or nothing, ever.
fn server(answer: impl Fn(&Request) -> Option<String> + Send + Sync + 'static) -> Scripted {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/wsapi/2.0/verify", listener.local_addr().unwrap());
    let (asked, answer) = (Arc::new(Mutex::new(Vec::new())), Arc::new(answer));
    let kept = Arc::clone(&asked);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, kept, answer) = (stream.unwrap(), Arc::clone(&kept), Arc::clone(&answer));
            thread::spawn(move || {
                let mut head = vec![0; 8192];
                let length = stream.read(&mut head).unwrap();
                let text = String::from_utf8_lossy(&head[..length]).into_owned();
                let target = text.split(' ').nth(1).unwrap_or_default().to_owned();
                let request = reqwest::Url::parse(&format!("http://x{target}")).unwrap();
                let request: Request = request.query_pairs().into_owned().collect();
                kept.lock().unwrap().push(request.clone());
                match answer(&request) {
                    Some(answer) => stream.write_all(answer.as_bytes()).unwrap(),
                    None => thread::sleep(Duration::from_secs(60)),
                }
            });
        }
    });
    Scripted { url, asked }
}

fn http(body: &str) -> Option<String> {
    Some(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len()))
}

/// A signed answer to this request, with these fields in place of the right ones.
fn signed(request: &Request, key: &str, changes: &[(&'static str, &str)]) -> String {
    let mut fields: BTreeMap<&str, String> = [
        ("t", "2026-11-26T00:00:00Z0123".to_owned()),
        ("otp", request["otp"].clone()),
        ("nonce", request["nonce"].clone()),
        ("timestamp", "51624".to_owned()),
        ("sessioncounter", "19".to_owned()),
        ("sessionuse", "16".to_owned()),
        ("status", "OK".to_owned()),
    ]
    .into();
    fields.extend(changes.iter().map(|(name, value)| (*name, (*value).to_owned())));
    let pairs = fields.iter().map(|(name, value)| (*name, value.as_str()));
    let mut body = format!("h={}\r\n", ApiKey::parse(key).unwrap().sign(pairs));
    for (name, value) in &fields {
        body.push_str(&format!("{name}={value}\r\n"));
    }
    body
}

fn right(request: &Request) -> Option<String> {
    http(&signed(request, KEY, &[]))
}

fn dead() -> String {
    // Bound and let go: nobody listens there.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    format!("http://{port}/wsapi/2.0/verify")
}

fn servers(urls: &[&str], timeout: u64) -> ValidationServers {
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    fs::write(&secret, format!("{KEY}\n")).unwrap();
    fs::set_permissions(&secret, Permissions::from_mode(0o640)).unwrap();
    let text =
        format!("[yubico]\nurls = {urls:?}\nclient_id = 87\nsecret_file = {secret:?}\ntimeout = {timeout}\n");
    let config = Config::parse(Path::new("/agent.toml"), &text).unwrap();
    ValidationServers::start(&config.yubico.unwrap(), Arc::new(System)).unwrap()
}

/// What a server answers.
type Answer = fn(&Request) -> Option<String>;

/// What it comes to: the position of the evidence, `None` where the password is wrong.
fn judge(urls: &[&str], timeout: u64) -> Result<Option<u64>, NoAnswer> {
    let far = Instant::now() + Duration::from_secs(60);
    let judged = servers(urls, timeout).judge(DeviceId(5), TypedOtp::read(OTP).unwrap(), far);
    judged.map(|verified| verified.map(|verified| verified.position()))
}

fn why(judged: Result<Option<u64>, NoAnswer>) -> String {
    let Err(NoAnswer::Failed(why)) = judged else { return format!("{judged:?}") };
    why
}

#[test]
fn a_right_answer_is_evidence_and_the_question_is_signed() {
    let server = server(right);
    for _ in 0..2 {
        assert_eq!(judge(&[&server.url], 20), Ok(RIGHT));
    }
    let asked = server.asked.lock().unwrap();
    for request in asked.iter() {
        let names: Vec<&str> = request.keys().map(String::as_str).collect();
        assert_eq!(names, ["h", "id", "nonce", "otp", "timestamp"]);
        assert_eq!((request["id"].as_str(), request["otp"].as_str()), ("87", OTP));
        let pairs = request.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        assert!(ApiKey::parse(KEY).unwrap().signed(pairs, &request["h"]).is_some());
    }
    assert_ne!(asked[0]["nonce"], asked[1]["nonce"]);
}

#[test]
fn every_status_but_one_lets_nobody_in() {
    for status in Status::ALL {
        let server = server(move |request| http(&signed(request, KEY, &[("status", status.as_str())])));
        let judged = judge(&[&server.url], 20);
        match status {
            Status::Ok => assert_eq!(judged, Ok(RIGHT)),
            Status::BadOtp | Status::ReplayedOtp | Status::ReplayedRequest => assert_eq!(judged, Ok(None)),
            failed => assert!(why(judged).contains(failed.as_str()), "{failed}"),
        }
    }
}

#[test]
fn what_is_no_answer_to_the_question_lets_nobody_in() {
    const OTHER: &str = "MDk4NzY1NDMyMTA5ODc2NTQzMjE=";
    let cases: [(&str, Answer); 8] = [
        ("not signed", |request| http(signed(request, KEY, &[]).split_once("\r\n").unwrap().1)),
        ("signature is wrong", |request| http(&signed(request, OTHER, &[]))),
        ("nonce of another", |request| http(&signed(request, KEY, &[("nonce", "0123456789abcdef")]))),
        ("another password", |request| {
            http(&signed(request, KEY, &[("otp", "vvcccccccccbudelvecubhnnrglftvvvvkftcnrjldhg")]))
        }),
        ("does not tell the counters", |request| http(&signed(request, KEY, &[("sessionuse", "many")]))),
        ("not an answer of the protocol", |_| http("<html><body>It works!</body></html>")),
        ("it answered 302", |_| {
            Some("HTTP/1.1 302 Found\r\nLocation: /ok\r\nContent-Length: 0\r\n\r\n".to_owned())
        }),
        ("too long", |_| http(&"status=OK\r\n".repeat(1000))),
    ];
    for (expected, answer) in cases {
        let server = server(answer);
        let why = why(judge(&[&server.url], 20));
        assert!(why.contains(expected), "{expected}: {why}");
        assert!(!why.contains(OTP), "{why}");
    }
}

#[test]
fn servers_that_are_away_or_late_let_nobody_in() {
    let begun = Instant::now();
    let why_dead = why(judge(&[&dead(), &dead()], 20));
    assert!(!why_dead.contains(OTP), "{why_dead}");
    let silent = server(|_| None);
    assert!(why(judge(&[&silent.url, &dead()], 1)).contains("did not answer within"));
    let took = begun.elapsed();
    assert!(took > Duration::from_secs(1) && took < Duration::from_secs(20), "{took:?}");
    let soon = Instant::now() + Duration::from_millis(300);
    let judged = servers(&[&silent.url], 20).judge(DeviceId(5), TypedOtp::read(OTP).unwrap(), soon);
    assert!(
        judged.is_err() && Instant::now() < soon + Duration::from_secs(10),
        "beyond the login's deadline"
    );
}

#[test]
fn one_dead_server_fails_nothing_and_nobody_waits_for_it() {
    let (silent, good) = (server(|_| None), server(right));
    let begun = Instant::now();
    assert_eq!(judge(&[&dead(), &silent.url, &good.url], 20), Ok(RIGHT));
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
}

#[test]
fn files_that_cannot_be_used_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    let check = |text: &str, mode: u32| {
        fs::write(&secret, text).unwrap();
        fs::set_permissions(&secret, Permissions::from_mode(mode)).unwrap();
        let text = format!(
            "[yubico]\nurls = [\"http://localhost:1/v\"]\nclient_id = 87\nsecret_file = {secret:?}\n"
        );
        ValidationServers::check(&Config::parse(Path::new("/agent.toml"), &text).unwrap().yubico.unwrap())
    };
    assert_eq!(check(&format!("{KEY}\n"), 0o640), Ok(()));
    assert!(check(KEY, 0o644).unwrap_err().contains("has mode 0644"));
    assert!(check("c2hvcnQ=", 0o640).unwrap_err().contains("as it was handed out"));
    assert!(check("", 0o640).unwrap_err().contains("the client's key on one line"));
}
