//! A process that has no more file descriptors. Alone in its file: the limit is the whole process's.
#![expect(clippy::unwrap_used, reason = "a test may fail where it likes")]

use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::thread::sleep;
use std::time::{Duration, Instant};

use axum::Router;
use axum::routing::get;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use oss2fa_server::listen::{ListenLimits, PerAddress, Transport, bind, serve};

static LINES: Mutex<Vec<u8>> = Mutex::new(Vec::new());

struct Lines;

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LINES.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn without_descriptors_it_says_so_once_and_recovers() {
    tracing_subscriber::fmt().with_ansi(false).with_writer(|| Lines).init();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let entered = runtime.enter();
    let listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let port = listener.local_addr().unwrap().port();
    let limits = ListenLimits {
        connections: 10_000,
        per_address: PerAddress { most: 10_000, exempt: Vec::new() },
        request_timeout: Duration::from_secs(30),
        stream_timeout: Duration::from_secs(30),
        handshake_timeout: Duration::from_secs(10),
        stop_grace: Duration::from_secs(1),
    };
    let app = Router::new().route("/hello", get(|| async { "hello" }));
    runtime.spawn(serve(listener, Transport::Plain, app, limits, std::future::pending()));

    // One who holds a hundred connections.
    let script = format!(
        "for i in $(seq 100); do exec {{fd}}<>/dev/tcp/127.0.0.1/{port} || exit 1; done; echo open; exec sleep 60"
    );
    let mut hoarder = Command::new("bash")
        .args(["-c", &script])
        .stdout(Stdio::piped())
        .spawn()
        .expect("this test needs the program bash");
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, 64, hard).unwrap();
    let mut line = String::new();
    BufReader::new(hoarder.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "open\n");
    let begun = Instant::now();
    while !String::from_utf8_lossy(&LINES.lock().unwrap()).contains("code=\"accept\"") {
        assert!(begun.elapsed() < Duration::from_secs(60), "it says nothing");
        sleep(Duration::from_millis(20));
    }
    // Several pauses.
    sleep(Duration::from_millis(1500));
    let logs = String::from_utf8(LINES.lock().unwrap().clone()).unwrap();
    let failures: Vec<_> = logs.lines().filter(|line| line.contains("code=\"accept\"")).collect();
    assert_eq!(failures.len(), 1, "{logs}");
    assert!(failures[0].contains("os error 24") && failures[0].contains("LimitNOFILE"), "{logs}");

    hoarder.kill().unwrap();
    hoarder.wait().unwrap();
    // The server shares this process and its limit: until it has seen the others leave, there is none for a client either.
    let begun = Instant::now();
    let mut client = loop {
        match TcpStream::connect(("127.0.0.1", port)) {
            Ok(client) => break client,
            Err(error) => assert!(begun.elapsed() < Duration::from_secs(60), "it does not recover: {error}"),
        }
        sleep(Duration::from_millis(20));
    };
    client.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    client.write_all(b"GET /hello HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let answer = io::read_to_string(&mut client).unwrap();
    assert!(answer.ends_with("\r\n\r\nhello"), "{answer}");
    drop(entered);
}
