//! Connections that live on: Python's http.client sends its next request on the same one, or is told not to;
//! and curl as people call it, which speaks HTTP/2. New ones meet the certificate that lies on the disk by then.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a failure is a panic in tests, in their helpers too")]

use std::fs;
use std::io::Read;
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use oss2fa_tests::server::{Authority, Server};
use serde_json::Value;

/// Arguments: PORT CA TOKEN. Each kind of request a hundred times, on one connection unless told that it ends.
const CALLER: &str = r#"
import http.client, ssl, sys
port, ca, token = int(sys.argv[1]), sys.argv[2], sys.argv[3]
context = ssl.create_default_context(cafile=ca)
mine = {"Content-Type": "application/json", "X-Integration-Token": token}
login = b'{"username": "john.doe"}'
for name, method, path, body, headers, status in [
    ("answered", "POST", "/integrations/clients/auth", login, mine, 200),
    ("without a token", "POST", "/integrations/enrollments", login, {}, 401),
    ("no such method", "PUT", "/integrations/clients/auth", login, mine, 405),
    ("no such path", "POST", "/nothing", login, mine, 404),
    ("no JSON", "POST", "/integrations/clients/auth", login, mine | {"Content-Type": "text/plain"}, 415),
    ("no such version", "POST", "/integrations/clients/auth", login, mine | {"Accept": "text/html"}, 406),
    ("options", "OPTIONS", "/integrations/clients/auth", login, {}, 200),
    ("in pieces", "POST", "/nothing", [b'{"username": ', b'"john"}'], mine, 404),
    ("too large", "POST", "/integrations/clients/auth", b"x" * 300000, mine, 413),
]:
    connection, opened = None, 0
    for number in range(100):
        if connection is None:
            connection, opened = http.client.HTTPSConnection("127.0.0.1", port, context=context, timeout=60), opened + 1
        connection.request(method, path, body=body, headers=headers)
        answer = connection.getresponse()
        answer.read()
        assert answer.status == status, f"{name}: {answer.status} at {number}"
        if answer.will_close:
            connection.close()
            connection = None
    assert opened == 1, f"{name}: {opened} connections"
# Nobody waits for what is far too large: the answer comes before the body, and says that it is the last.
connection = http.client.HTTPSConnection("127.0.0.1", port, context=context, timeout=60)
connection.request("POST", "/nothing", headers=mine | {"Content-Length": "500000000"})
answer = connection.getresponse()
assert (answer.status, answer.getheader("Connection")) == (404, "close"), answer.headers
"#;

#[test]
fn a_refusal_that_has_not_read_the_body_does_not_break_the_next_request() {
    let server = Server::new()
        .config(
            "[limits]\naddress_per_second = 100000\naddress_burst = 100000\nrefused_per_minute = 100000\n",
        )
        .config("[limits]\ntoken_per_second = 100000\ntoken_burst = 100000\n")
        .start();
    let port = server.url.rsplit(':').next().unwrap_or_default();
    let python = Command::new("/usr/bin/python3")
        .args(["-c", CALLER, port, &server.ca().display().to_string(), &server.token])
        .output()
        .unwrap();
    assert!(python.status.success(), "{}", String::from_utf8_lossy(&python.stderr));
}

/// A request as the document shows it, by curl without any option about protocol or type; the status that came.
fn curl(server: &Server, method: &str, path: &str, headers: &[&str], body: &str) -> String {
    let output = Command::new("/usr/bin/curl")
        .args(["-q", "-sS", "-o", "/dev/null", "-w", "%{http_code} over HTTP/%{http_version}", "-X", method])
        .args(headers.iter().flat_map(|header| ["-H", *header]))
        .arg("--cacert")
        .arg(server.ca())
        .args(["-d", body, &format!("{}{path}", server.url)])
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn curl_gets_every_answer_over_http_2_also_where_its_body_was_not_read() {
    let server = Server::new().config("[limits]\nrefused_per_minute = 100000\n").start();
    let token = format!("X-Integration-Token: {}", server.token);
    let accept = "Accept: application/json; version=1.0";
    let (enrollments, login) = ("/integrations/enrollments", r#"{"username": "john.doe"}"#);
    for (method, path, headers, status) in [
        ("POST", enrollments, &[accept, &token][..], 201),
        ("POST", enrollments, &[accept][..], 401),
        ("POST", enrollments, &["Accept: application/json; version=9.0", &token][..], 406),
        ("POST", enrollments, &["Content-Type: text/plain", &token][..], 415),
        ("PUT", enrollments, &[accept, &token][..], 405),
        ("POST", "/nothing", &[accept, &token][..], 404),
        ("POST", "/integrations/enrollments/9/complete", &[accept][..], 401),
    ] {
        // Whether the answer or the end of the body is first is a matter of luck.
        for number in 0..20 {
            let came = curl(&server, method, path, headers, login);
            assert_eq!(came, format!("{status} over HTTP/2"), "{method} {path} {headers:?} at {number}");
        }
    }
    let large = format!(r#"{{"username": "{}"}}"#, "x".repeat(90_000));
    for _again in 0..5 {
        assert_eq!(curl(&server, "POST", enrollments, &[&token], &large), "413 over HTTP/2");
    }
}

/// The certificate that a new connection is shown, as PEM; the authority vouches for it.
fn shown(server: &Server, authority: &Authority) -> String {
    let output = Command::new("/usr/bin/openssl")
        .args(["s_client", "-verify_return_error", "-CAfile"])
        .arg(authority.ca())
        .args(["-connect", &format!("127.0.0.1:{}", server.port())])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let (_, rest) = text.split_once("-----BEGIN").unwrap_or_else(|| panic!("{output:?}"));
    let (certificate, _) = rest.split_once("-----END").unwrap_or_else(|| panic!("{output:?}"));
    certificate.trim_end().to_owned()
}

/// The one on the disk, in the same form.
fn kept(authority: &Authority) -> String {
    let text = fs::read_to_string(authority.certificate()).unwrap();
    let (_, rest) = text.split_once("-----BEGIN").unwrap();
    rest.split_once("-----END").unwrap().0.trim_end().to_owned()
}

/// When the one on the disk ends, as openssl and date say it: seconds since 1970.
fn end(authority: &Authority) -> f64 {
    let script = format!(
        "date -d \"$(openssl x509 -noout -enddate -in '{}' | cut -d= -f2)\" +%s",
        authority.certificate().display()
    );
    let output = Command::new("/bin/sh").args(["-c", &script]).output().unwrap();
    String::from_utf8_lossy(&output.stdout).trim().parse().unwrap()
}

/// The value of a series of `/metrics`.
fn figure(server: &Server, series: &str) -> f64 {
    let text = server.anybody().get("/metrics").expect(200).text();
    let value = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    value.unwrap_or_else(|| panic!("no {series} in\n{text}")).parse().unwrap()
}

#[test]
fn a_certificate_that_was_replaced_on_the_disk_is_shown_without_a_restart() {
    let authority = Authority::new();
    let (certificate, key) = (authority.certificate(), authority.key());
    let files = format!("certificate = '{}'\nkey = '{}'\n", certificate.display(), key.display());
    let server = Server::new().config(&format!("[tls]\n{files}")).start();
    let before = shown(&server, &authority);
    assert_eq!(before, kept(&authority));
    let (told, first) = ("oss2fa_certificate_end_timestamp_seconds", end(&authority));
    assert_eq!(figure(&server, told), first);
    // Two that are made in one second end in one.
    while end(&authority) == first {
        authority.renew();
    }
    let after = kept(&authority);
    assert_ne!(before, after);
    // Nobody tells the server: it looks every five seconds.
    let begun = Instant::now();
    while shown(&server, &authority) != after {
        assert!(begun.elapsed() < Duration::from_secs(60), "the old one is shown still:\n{}", server.log());
        thread::sleep(Duration::from_millis(200));
    }
    assert_eq!(figure(&server, told), end(&authority), "alarms are set by the new one");
}

#[test]
fn what_is_refused_to_a_crowded_address_is_counted() {
    let server = Server::new().config("[limits]\nconnections_per_address = 3\n").start();
    let refused = "oss2fa_connections_refused_total";
    let open = || TcpStream::connect(("127.0.0.1", server.port())).unwrap();
    let held: Vec<_> = (0..3).map(|_| open()).collect();
    for _ in 0..2 {
        let mut stream = open();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        assert!(matches!(stream.read(&mut [0]), Ok(0) | Err(_)), "closed without a word");
    }
    drop(held);
    let begun = Instant::now();
    // Until the end of the three is seen, whoever asks is refused, and counted.
    while server.anybody().try_send("GET", "/healthz", &Value::Null).is_err() {
        assert!(begun.elapsed() < Duration::from_secs(20), "{}", server.log());
    }
    assert!(figure(&server, refused) >= 2.0);
}
