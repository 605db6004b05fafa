//! The load generator against servers that count what they get.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::{Expected, Head, Latencies, Outcome, Pace, Plan, Requests, Target, TrustedCertificate, run};

trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

type Answers = Arc<dyn Fn(usize, &str) -> String + Send + Sync>;

/// Answers each body by what `answers` makes of it and of its number; gives back all bodies.
fn serve(tls: Option<Arc<ServerConfig>>, answers: Answers) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let bodies = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&bodies);
    thread::spawn(move || {
        for socket in listener.incoming() {
            let (kept, answers, tls) = (Arc::clone(&kept), Arc::clone(&answers), tls.clone());
            thread::spawn(move || {
                let socket: TcpStream = socket.unwrap();
                match tls {
                    None => converse(socket, &kept, &answers),
                    Some(config) => {
                        let session = ServerConnection::new(config).unwrap();
                        converse(StreamOwned::new(session, socket), &kept, &answers);
                    }
                }
            });
        }
    });
    (address, bodies)
}

fn converse(mut stream: impl Stream, kept: &Mutex<Vec<String>>, answers: &Answers) {
    let mut received = String::new();
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = stream.read(&mut buffer) {
        received += std::str::from_utf8(&buffer[..count]).unwrap();
        let Some((head, body)) = received.split_once("\r\n\r\n") else { continue };
        let length = head.split("Content-Length: ").nth(1).map_or(0, |rest| rest.trim().parse().unwrap());
        if body.len() < length {
            continue;
        }
        assert_eq!(body.len(), length, "one request at a time");
        let mut all = kept.lock().unwrap();
        let number = all.len();
        all.push(body.to_owned());
        drop(all);
        let answer = answers(number, body);
        received.clear();
        if stream.write_all(answer.as_bytes()).and_then(|()| stream.flush()).is_err()
            || answer.contains("Connection: close")
        {
            break;
        }
    }
}

fn answer(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

fn plan(connections: usize, milliseconds: u64, pace: Pace) -> Plan {
    Plan {
        connections,
        warm_up: Duration::ZERO,
        measured: Duration::from_millis(milliseconds),
        pace,
        expected: Expected { status: 200, contains: b"yes".to_vec() },
    }
}

fn head(target: &Target) -> Head {
    Head { authority: target.authority(), path: "/".to_owned(), headers: Vec::new() }
}

fn send(target: &Target, bodies: &[String], plan: &Plan) -> Outcome {
    run(target, &mut Requests::post(&head(target), bodies), plan).unwrap()
}

fn numbered(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("body {number}")).collect()
}

/// A certificate of openssl's.
fn certificate(folder: &Path) -> (Arc<ServerConfig>, TrustedCertificate) {
    let (key, pem) = (folder.join("key.pem"), folder.join("certificate.pem"));
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"])
        .args(["-subj", "/CN=load", "-keyout"])
        .arg(&key)
        .arg("-out")
        .arg(&pem)
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from_pem_file(&pem).unwrap()],
            PrivateKeyDer::from_pem_file(&key).unwrap(),
        )
        .unwrap();
    (Arc::new(config), TrustedCertificate::from_file(&pem).unwrap())
}

#[test]
fn every_body_is_sent_once_in_the_clear_and_over_tls() {
    let folder = tempfile::tempdir().unwrap();
    let (config, certificate) = certificate(folder.path());
    for tls in [None, Some(config)] {
        let secure = tls.is_some();
        let (address, bodies) = serve(tls, Arc::new(|_, _| answer("200 OK", "yes")));
        let target = if secure { Target::tls(address, certificate.clone()) } else { Target::plain(address) };
        let mut sent = numbered(3_000);
        // One that does not fit into one record of TLS, nor into one read.
        sent.push("x".repeat(40_000));
        let outcome = send(&target, &sent, &plan(7, 60_000, Pace::Full)).flawless().unwrap();
        assert_eq!((outcome.accepted, outcome.sent), (3_001, 3_001));
        assert_eq!(outcome.statuses[&200], 3_001);
        assert!(outcome.seconds < 30.0, "it ends with the requests, not with the time");
        let mut bodies = bodies.lock().unwrap().clone();
        bodies.sort();
        sent.sort();
        assert!(bodies == sent, "each arrived once");
    }
}

#[test]
fn another_certificate_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (config, _) = certificate(folder.path());
    let (_, other) = certificate(folder.path());
    let (address, bodies) = serve(Some(config), Arc::new(|_, _| answer("200 OK", "yes")));
    let target = Target::tls(address, other);
    let mut requests = Requests::get(&head(&target));
    let error = run(&target, &mut requests, &plan(1, 60_000, Pace::Full)).unwrap_err();
    assert!(error.to_string().contains("certificate"), "{error}");
    assert!(bodies.lock().unwrap().is_empty());
}

#[test]
fn a_refusal_is_counted_apart_and_told() {
    let (address, _) = serve(
        None,
        Arc::new(|number, _| match number {
            3 => answer("403 Forbidden", "wrong"),
            4 => answer("200 OK", "no"),
            _ => answer("200 OK", "yes"),
        }),
    );
    let target = Target::plain(address);
    let outcome = send(&target, &numbered(10), &plan(1, 60_000, Pace::Full));
    assert_eq!((outcome.accepted, outcome.refused, outcome.broken), (8, 2, 0));
    assert_eq!(outcome.statuses.clone().into_iter().collect::<Vec<_>>(), [(200, 9), (403, 1)]);
    let error = outcome.flawless().unwrap_err().to_string();
    assert!(error.contains("403 wrong"), "{error}");
}

#[test]
fn a_server_that_closes_after_each_answer_is_asked_on() {
    let closing = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 3\r\n\r\nyes";
    let (address, bodies) = serve(None, Arc::new(move |_, _| closing.to_owned()));
    let outcome = send(&Target::plain(address), &numbered(50), &plan(3, 60_000, Pace::Full));
    assert_eq!(outcome.flawless().unwrap().accepted, 50);
    assert_eq!(bodies.lock().unwrap().len(), 50);
}

#[test]
fn a_connection_that_breaks_is_not_an_answer() {
    let (address, _) = serve(
        None,
        Arc::new(|number, _| match number {
            2 => "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 3\r\n\r\nye".to_owned(),
            _ => answer("200 OK", "yes"),
        }),
    );
    let outcome = send(&Target::plain(address), &numbered(10), &plan(1, 60_000, Pace::Full));
    assert_eq!((outcome.accepted, outcome.refused, outcome.broken), (9, 0, 1));
    assert!(outcome.flawless().is_err());
}

/// One of a few tries, for this machine has other work, too, shows what a server and nobody else has to do with.
fn in_one_of_a_few(show: impl Fn() -> Result<(), String>) {
    let failures: Vec<String> = (0..5).map_while(|_| show().err()).collect();
    assert!(failures.len() < 5, "{failures:#?}");
}

#[test]
fn at_a_fixed_rate_a_stall_counts_for_all_that_fell_due_in_it() {
    in_one_of_a_few(|| {
        let latency = with_a_stall();
        if latency.p50_ms < 50.0 { Ok(()) } else { Err(format!("{latency:?}")) }
    });
}

fn with_a_stall() -> Latencies {
    let (address, bodies) = serve(
        None,
        Arc::new(|number, _| {
            if number == 50 {
                thread::sleep(Duration::from_millis(300));
            }
            answer("200 OK", "yes")
        }),
    );
    let target = Target::plain(address);
    let outcome = send(&target, &numbered(1_000), &plan(1, 1_000, Pace::PerSecond(200.0)));
    let sent = bodies.lock().unwrap().len();
    assert_eq!(sent, 200, "no more and no fewer than fell due");
    assert_eq!(outcome.sent, 200);
    let latency = outcome.flawless().unwrap().latency;
    assert!(latency.max_ms >= 300.0, "{latency:?}");
    // One answer of 200 was slow; 60 fell due meanwhile, and none of those was asked late in silence.
    assert!(latency.p99_ms >= 250.0, "{latency:?}");
    latency
}

#[test]
fn the_peak_takes_no_longer_than_planned() {
    let (address, _) = serve(None, Arc::new(|_, _| answer("200 OK", "yes")));
    let target = Target::plain(address);
    in_one_of_a_few(|| {
        let outcome = run(&target, &mut Requests::get(&head(&target)), &plan(4, 200, Pace::Full)).unwrap();
        assert!((outcome.seconds - 0.2).abs() < 0.001, "{}", outcome.seconds);
        assert!((outcome.per_second - outcome.accepted as f64 / outcome.seconds).abs() < 1.0);
        if outcome.accepted > 20 { Ok(()) } else { Err(format!("{} were accepted", outcome.accepted)) }
    });
}
