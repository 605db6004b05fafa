//! The client of the validation protocol against servers that answer by a script: every status, and answers that are
//! late, unsigned, wrongly signed, for another question, or no answer at all. Only a right one lets in.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail where it likes")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use oss2fa_core::factor::yubico_otp::TypedOtp;
use oss2fa_core::factor::yubico_validation::{ApiKey, Status};
use oss2fa_core::ids::DeviceId;
use oss2fa_server::config::{Config, Overrides};
use oss2fa_server::outside::System;
use oss2fa_server::yubico::{NoAnswer, OtpAuthority, ValidationServers};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const OTP: &str = "vvcccccccccbudelvecubhnnrglftvvvvkftcnrjldhf";
const KEY: &str = "MTIzNDU2Nzg5MDEyMzQ1Njc4OTA=";

/// The parameters of a request, as they came in.
type Request = BTreeMap<String, String>;

/// What a server answers: the whole of an HTTP answer; `None`: it never does.
type Answer = fn(&Request) -> Option<String>;

struct Scripted {
    url: String,
    asked: Arc<Mutex<Vec<Request>>>,
}

impl Scripted {
    async fn start(answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/wsapi/2.0/verify", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&asked);
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let kept = Arc::clone(&kept);
                tokio::spawn(async move {
                    let mut head = vec![0; 8192];
                    let length = stream.read(&mut head).await.unwrap();
                    let text = String::from_utf8_lossy(&head[..length]).into_owned();
                    let target = text.split(' ').nth(1).unwrap_or_default().to_owned();
                    let request = reqwest::Url::parse(&format!("http://x{target}")).unwrap();
                    let request: Request = request.query_pairs().into_owned().collect();
                    kept.lock().unwrap().push(request.clone());
                    match answer(&request) {
                        Some(answer) => stream.write_all(answer.as_bytes()).await.unwrap(),
                        None => tokio::time::sleep(Duration::from_secs(60)).await,
                    }
                });
            }
        });
        Self { url, asked }
    }
}

fn http(body: &str) -> Option<String> {
    let length = body.len();
    Some(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"))
}

/// A signed answer to this request, with these fields in place of the right ones.
fn signed(request: &Request, key: &str, changes: &[(&'static str, &str)]) -> String {
    let mut fields: BTreeMap<&str, String> = [
        ("t", "2026-11-26T00:00:00Z0123".to_owned()),
        ("otp", request["otp"].clone()),
        ("nonce", request["nonce"].clone()),
        ("sl", "100".to_owned()),
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
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    format!("http://{port}/wsapi/2.0/verify")
}

fn servers(urls: &[&str], timeout: u64) -> ValidationServers {
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    std::fs::write(&secret, format!("{KEY}\n")).unwrap();
    std::fs::set_permissions(&secret, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let text =
        format!("[yubico]\nurls = {urls:?}\nclient_id = 87\nsecret_file = {secret:?}\ntimeout = {timeout}\n");
    let config = Config::parse(Path::new("/server.toml"), &text, Overrides::default()).unwrap();
    ValidationServers::configured(&config.yubico.unwrap(), Arc::new(System)).unwrap()
}

/// What it comes to: the position of the evidence, `None` where the password is wrong.
async fn judge(urls: &[&str], timeout: u64) -> Result<Option<u64>, NoAnswer> {
    let judged = servers(urls, timeout).judge(DeviceId(5), &TypedOtp::read(OTP).unwrap()).await;
    judged.map(|verified| verified.map(|verified| verified.position()))
}

const RIGHT: Option<u64> = Some(19 << 8 | 16);

#[tokio::test]
async fn a_right_answer_is_evidence_and_the_question_is_signed() {
    let server = Scripted::start(right).await;
    for _ in 0..2 {
        assert_eq!(judge(&[&server.url], 5).await, Ok(RIGHT));
    }
    let asked = server.asked.lock().unwrap();
    for request in asked.iter() {
        let names: Vec<&str> = request.keys().map(String::as_str).collect();
        assert_eq!(names, ["h", "id", "nonce", "otp", "timestamp"]);
        assert_eq!((request["id"].as_str(), request["otp"].as_str()), ("87", OTP));
        let pairs = request.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        assert!(ApiKey::parse(KEY).unwrap().signed(pairs, &request["h"]).is_some());
        assert!((16..=40).contains(&request["nonce"].len()));
    }
    assert_ne!(asked[0]["nonce"], asked[1]["nonce"]);
}

#[tokio::test]
async fn every_status_is_a_refusal_or_an_outage() {
    static STATUS: AtomicUsize = AtomicUsize::new(0);
    let server = Scripted::start(|request| {
        let status = Status::ALL[STATUS.load(Ordering::SeqCst)].as_str();
        http(&signed(request, KEY, &[("status", status)]))
    })
    .await;
    for (number, status) in Status::ALL.into_iter().enumerate() {
        STATUS.store(number, Ordering::SeqCst);
        let judged = judge(&[&server.url], 5).await;
        match status {
            Status::Ok => assert_eq!(judged, Ok(RIGHT)),
            Status::BadOtp | Status::ReplayedOtp | Status::ReplayedRequest => {
                assert_eq!(judged, Ok(None), "{status}");
            }
            Status::BadSignature
            | Status::MissingParameter
            | Status::NoSuchClient
            | Status::OperationNotAllowed
            | Status::BackendError
            | Status::NotEnoughAnswers => match judged {
                Err(NoAnswer::Failed { why }) => assert!(why.concat().contains(status.as_str()), "{why:?}"),
                other => panic!("{status}: {other:?}"),
            },
        }
    }
}

#[tokio::test]
async fn what_is_no_answer_to_the_question_lets_nobody_in() {
    const OTHER_OTP: &str = "vvcccccccccbjhckgcrhneirvhrnriutnvgndjkvduhk";
    let answers: &[(&str, Answer)] = &[
        ("unsigned", |request| http(signed(request, KEY, &[]).split_once("\r\n").unwrap().1)),
        ("wrongly signed", |request| http(&signed(request, "YWJjZGVmZ2hpamtsbW5vcHFyc3Q=", &[]))),
        ("changed on the way", |request| {
            http(&signed(request, KEY, &[("status", "BAD_OTP")]).replace("BAD_OTP", "OK"))
        }),
        ("for another nonce", |request| {
            http(&signed(request, KEY, &[("nonce", "aef3a7835277a28da831005c2ae3b919e2076a62")]))
        }),
        ("for another password", |request| http(&signed(request, KEY, &[("otp", OTHER_OTP)]))),
        ("a page", |_| http("<html><body>status=OK</body></html>")),
        ("nothing", |_| http("")),
        ("a redirection", |_| {
            Some(
                "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n".to_owned(),
            )
        }),
        ("an error with a right body", |request| {
            right(request).map(|answer| answer.replace("200 OK", "500 Oops"))
        }),
        ("an endless body", |_| http(&"status=OK\r\n".repeat(10_000))),
        ("no HTTP", |_| Some("status=OK\r\n".to_owned())),
        ("a hang-up", |_| Some(String::new())),
    ];
    for (what, answer) in answers {
        let server = Scripted::start(*answer).await;
        let judged = judge(&[&server.url], 5).await;
        assert!(matches!(&judged, Err(NoAnswer::Failed { why }) if why.len() == 1), "{what}: {judged:?}");
        let told = format!("{judged:?}");
        assert!(!told.contains(OTP) && !told.contains(KEY), "{what}: {told}");
    }
}

#[tokio::test]
async fn a_late_answer_is_none() {
    let late = Scripted::start(|_| None).await;
    let begun = Instant::now();
    let judged = judge(&[&late.url, &late.url], 8).await;
    assert!(matches!(judged, Err(NoAnswer::Failed { .. })), "{judged:?}");
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(15), "one deadline for all: {took:?}");
}

#[tokio::test]
async fn one_dead_server_does_not_fail_all_and_nobody_waits_for_it() {
    let (good, late) = (Scripted::start(right).await, Scripted::start(|_| None).await);
    let page = Scripted::start(|_| http("<html>down for maintenance</html>")).await;
    let begun = Instant::now();
    assert_eq!(judge(&[&dead(), &late.url, &page.url, &good.url], 50).await, Ok(RIGHT));
    assert!(begun.elapsed() < Duration::from_secs(20));
    // All were asked one question.
    let nonce = |server: &Scripted| server.asked.lock().unwrap()[0]["nonce"].clone();
    assert_eq!(nonce(&good), nonce(&page));
}

#[tokio::test]
async fn a_server_that_heard_of_the_question_from_another_does_not_decide() {
    let seen =
        Scripted::start(|request| http(&signed(request, KEY, &[("status", "REPLAYED_REQUEST")]))).await;
    let good = Scripted::start(right).await;
    assert_eq!(judge(&[&seen.url, &good.url], 5).await, Ok(RIGHT));
    let replayed =
        Scripted::start(|request| http(&signed(request, KEY, &[("status", "REPLAYED_OTP")]))).await;
    assert_eq!(judge(&[&seen.url, &replayed.url], 5).await, Ok(None));
}

#[test]
fn a_section_that_cannot_be_used_is_refused() {
    let good = "[yubico]\nclient_id = 1\nsecret_file = \"/secret\"\n";
    let parse = |text: &str| Config::parse(Path::new("/server.toml"), text, Overrides::default());
    let config = parse(good).unwrap().yubico.unwrap();
    assert_eq!(config.urls[0].as_str(), "https://api.yubico.com/wsapi/2.0/verify");
    for (line, key) in [
        ("urls = []", "[yubico] urls"),
        ("urls = [\"http://example.org/wsapi/2.0/verify\"]", "[yubico] urls"),
        ("urls = [\"https://user:word@example.org/\"]", "[yubico] urls"),
        ("urls = [\"https://example.org/?id=1\"]", "[yubico] urls"),
        ("urls = [\"example.org\"]", "[yubico] urls"),
        ("timeout = 0", "[yubico] timeout"),
        ("ca_file = \"ca.pem\"", "[yubico] ca_file"),
        ("url = \"x\"", "url"),
    ] {
        let refused = parse(&format!("{good}{line}\n")).err().map(|error| error.to_string());
        assert!(refused.as_ref().is_some_and(|words| words.contains(key)), "{line}: {refused:?}");
    }
    for text in [
        "[yubico]\nclient_id = 1\n",
        "[yubico]\nsecret_file = \"/s\"\n",
        "[yubico]\nclient_id = 0\nsecret_file = \"/s\"\n",
    ] {
        assert!(parse(text).is_err(), "{text}");
    }
}
