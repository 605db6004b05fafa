//! Programs and sockets that talk to the server.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use oss2fa_server::listen::PairFiles;

use crate::server::text;

/// What a program said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// Runs a program to its end.
pub(crate) fn run(program: &str, arguments: &[&str], input: &[u8]) -> Said {
    let mut child = start(program, arguments);
    // It may end without reading.
    let _ = child.stdin.take().unwrap().write_all(input);
    said(child)
}

pub(crate) fn start(program: &str, arguments: &[&str]) -> Child {
    Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("this test needs the program {program}: {error}"))
}

pub(crate) fn said(child: Child) -> Said {
    let output = child.wait_with_output().unwrap();
    Said {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

const CURL: [&str; 6] = ["-q", "-sS", "--noproxy", "*", "--max-time", "30"];

pub(crate) fn curl(arguments: &[&str]) -> Said {
    said(curl_started(arguments))
}

pub(crate) fn curl_started(arguments: &[&str]) -> Child {
    start("curl", &[&CURL[..], arguments].concat())
}

/// What `curl` got from an address that must answer.
pub(crate) fn got(arguments: &[&str]) -> String {
    let said = curl(&[&["--fail"], arguments].concat());
    assert_eq!(said.code, 0, "curl {arguments:?}: {}", said.err);
    said.out
}

/// Talks TLS by openssl; `input` is sent, and the connection kept until the server closes it.
pub(crate) fn s_client(address: SocketAddr, arguments: &[&str], input: &[u8]) -> Said {
    let address = address.to_string();
    run("openssl", &[&["s_client", "-connect", &address, "-ign_eof"], arguments].concat(), input)
}

/// One request that asks the server to close.
pub(crate) const LAST_REQUEST: &[u8] = b"GET /hello HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

/// Which certificate a new connection is shown.
pub(crate) fn fingerprint_at(address: SocketAddr) -> String {
    let shown = s_client(address, &[], LAST_REQUEST);
    let said = run("openssl", &["x509", "-noout", "-fingerprint", "-sha256"], shown.out.as_bytes());
    assert_eq!(said.code, 0, "no certificate was shown: {shown:?}");
    said.out
}

pub(crate) fn fingerprint_of(certificate: &Path) -> String {
    let said = run("openssl", &["x509", "-noout", "-fingerprint", "-sha256", "-in", text(certificate)], b"");
    assert_eq!(said.code, 0, "{said:?}");
    said.out
}

/// A pair made by openssl.
pub(crate) fn openssl_pair(folder: &Path, name: &str, key: &[&str]) -> PairFiles {
    let files = PairFiles {
        certificate: folder.join(format!("{name}.crt")),
        key: folder.join(format!("{name}.key")),
    };
    let subject = format!("/CN={name}");
    let mut arguments = vec!["req", "-x509", "-nodes", "-days", "2", "-subj", &subject];
    arguments.extend(["-addext", "subjectAltName=DNS:localhost", "-newkey"]);
    arguments.extend(key);
    arguments.extend(["-out", text(&files.certificate), "-keyout", text(&files.key)]);
    let said = run("openssl", &arguments, b"");
    assert_eq!(said.code, 0, "{said:?}");
    files
}

pub(crate) const P256: [&str; 3] = ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"];

/// A connection without any library.
pub(crate) struct Raw(pub(crate) TcpStream);

impl Raw {
    pub(crate) fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        Self(stream)
    }

    /// Asks for `/hello`, and reads the answer.
    pub(crate) fn hello(&mut self) {
        self.0.write_all(b"GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        let mut part = [0; 1024];
        while !answer.ends_with(b"\r\n\r\nhello") {
            let length = self.0.read(&mut part).unwrap();
            assert_ne!(length, 0, "closed after: {}", String::from_utf8_lossy(&answer));
            answer.extend_from_slice(&part[..length]);
        }
        assert!(answer.starts_with(b"HTTP/1.1 200 OK\r\n"), "{}", String::from_utf8_lossy(&answer));
    }

    /// Reads until the server closes, and tells how long that took.
    pub(crate) fn closed_after(&mut self, since: Instant) -> Duration {
        let mut rest = [0; 1024];
        loop {
            match self.0.read(&mut rest) {
                Ok(0) => return since.elapsed(),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return since.elapsed(),
                Err(error) => panic!("not closed: {error}"),
            }
        }
    }
}

/// Asks again and again, for at most a minute.
pub(crate) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < Duration::from_secs(60), "it did not come to this: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
