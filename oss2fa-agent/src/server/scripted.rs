//! A server for tests that answers as it is told to, over real TLS, and remembers what it was asked.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rcgen::{CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

/// What it was asked.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) key: Option<String>,
    pub(crate) token: Option<String>,
    pub(crate) body: Value,
}

/// What it does about that.
#[derive(Debug, Clone)]
pub(crate) enum Reaction {
    Answer(u16, Value),
    /// With one more line of the head.
    WithHead(u16, &'static str, Value),
    /// Ends the connection without a word.
    Cut,
    /// Ends it in the middle of the answer.
    HalfAnAnswer,
    Garbage,
    Late(Duration, u16, Value),
}

/// How it shows who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Identity {
    /// By a certificate of the authority.
    Right,
    Expired,
    OfAnotherName,
    OfAnotherAuthority,
    /// Speaks no TLS.
    Plain,
}

type Answer = Box<dyn Fn(&Asked, usize) -> Reaction + Send + Sync>;

struct Desk {
    asked: Mutex<Vec<Asked>>,
    answer: Answer,
    tls: Option<Arc<ServerConfig>>,
    ended: AtomicBool,
    open: Mutex<Vec<TcpStream>>,
}

/// It runs until it is dropped.
pub(crate) struct Scripted {
    desk: Arc<Desk>,
    address: SocketAddr,
    folder: TempDir,
    pub(crate) fingerprint: String,
}

impl Scripted {
    /// On a free port. `answer` is given the question, and how often this operation was asked before.
    pub(crate) fn start(
        identity: Identity,
        answer: impl Fn(&Asked, usize) -> Reaction + Send + Sync + 'static,
    ) -> Self {
        Self::start_at("127.0.0.1:0".parse().unwrap(), identity, answer)
    }

    pub(crate) fn start_at(
        address: SocketAddr,
        identity: Identity,
        answer: impl Fn(&Asked, usize) -> Reaction + Send + Sync + 'static,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (tls, fingerprint) = certificate(identity, folder.path());
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let desk = Arc::new(Desk {
            asked: Mutex::default(),
            answer: Box::new(answer),
            tls: (identity != Identity::Plain).then_some(tls),
            ended: AtomicBool::new(false),
            open: Mutex::default(),
        });
        let serving = Arc::clone(&desk);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if serving.ended.load(Ordering::SeqCst) {
                    return;
                }
                serving.open.lock().unwrap().push(stream.try_clone().unwrap());
                let serving = Arc::clone(&serving);
                thread::spawn(move || serving.serve(stream));
            }
        });
        Self { desk, address, folder, fingerprint }
    }

    pub(crate) fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The authority that it should be of.
    pub(crate) fn ca_file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.desk.asked.lock().unwrap().clone()
    }

    pub(crate) fn asked_for(&self, path: &str) -> Vec<Asked> {
        self.asked().into_iter().filter(|asked| asked.path == path).collect()
    }

    /// Ends every connection; new ones are refused.
    pub(crate) fn stop(&self) {
        self.desk.ended.store(true, Ordering::SeqCst);
        // Wakes the listener, which then goes.
        let _woken = TcpStream::connect(self.address);
        for stream in self.desk.open.lock().unwrap().drain(..) {
            let _gone = stream.shutdown(Shutdown::Both);
        }
        while TcpStream::connect(self.address).is_ok() {
            thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.desk.ended.store(true, Ordering::SeqCst);
        let _woken = TcpStream::connect(self.address);
    }
}

impl Desk {
    fn serve(&self, stream: TcpStream) {
        let end = stream.try_clone().unwrap();
        match &self.tls {
            None => self.converse(stream),
            Some(tls) => {
                let Ok(connection) = ServerConnection::new(Arc::clone(tls)) else { return };
                self.converse(StreamOwned::new(connection, stream));
            }
        }
        let _gone = end.shutdown(Shutdown::Both);
    }

    fn converse(&self, stream: impl Read + Write) {
        let mut stream = BufReader::new(stream);
        while let Some(asked) = read(&mut stream) {
            let before = {
                let mut all = self.asked.lock().unwrap();
                let same = |other: &&Asked| other.path == asked.path && other.method == asked.method;
                let before = all.iter().filter(same).count();
                all.push(asked.clone());
                before
            };
            let out = stream.get_mut();
            let kept = match (self.answer)(&asked, before) {
                Reaction::Answer(status, body) => write(out, status, "", &body),
                Reaction::WithHead(status, line, body) => write(out, status, line, &body),
                Reaction::Late(pause, status, body) => {
                    thread::sleep(pause);
                    write(out, status, "", &body)
                }
                Reaction::Cut => return,
                Reaction::HalfAnAnswer => {
                    let _half = out.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"client\":1");
                    let _half = out.flush();
                    return;
                }
                Reaction::Garbage => {
                    let _garbage = out.write_all(b"\x00\x01\x02 this is not HTTP \xff\xff\r\n\r\n");
                    let _garbage = out.flush();
                    return;
                }
            };
            if kept.is_err() {
                return;
            }
        }
    }
}

fn read(stream: &mut impl BufRead) -> Option<Asked> {
    let mut line = String::new();
    stream.read_line(&mut line).ok().filter(|length| *length > 0)?;
    let mut words = line.split_whitespace();
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let (mut length, mut key, mut token) = (0, None, None);
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim().split_once(": ") else { break };
        match name.to_lowercase().as_str() {
            "content-length" => length = value.parse().ok()?,
            "idempotency-key" => key = Some(value.to_owned()),
            "x-integration-token" => token = Some(value.to_owned()),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
    Some(Asked { method, path, key, token, body })
}

fn write(out: &mut impl Write, status: u16, head: &str, body: &Value) -> std::io::Result<()> {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let length = body.len();
    let head = if head.is_empty() { String::new() } else { format!("{head}\r\n") };
    write!(out, "HTTP/1.1 {status} Words\r\nContent-Length: {length}\r\n{head}\r\n{body}")?;
    out.flush()
}

// Writes the authority's certificate to the folder; gives the server's, with the SHA-256 of it.
fn certificate(identity: Identity, folder: &Path) -> (Arc<ServerConfig>, String) {
    let authority = |name: &str| {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
    };
    let (right, other) = (authority("right"), authority("right"));
    std::fs::write(folder.join("ca.pem"), right.pem()).unwrap();
    let names = if identity == Identity::OfAnotherName { "192.0.2.1" } else { "127.0.0.1" };
    let mut params = CertificateParams::new(vec![names.to_owned()]).unwrap();
    if identity == Identity::Expired {
        (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
    }
    let key = KeyPair::generate().unwrap();
    let issuer = if identity == Identity::OfAnotherAuthority { &other } else { &right };
    let certificate = params.signed_by(&key, issuer).unwrap();
    let der: CertificateDer<'static> = certificate.der().clone();
    let fingerprint = format!("sha256:{}", data_encoding::HEXLOWER.encode(&Sha256::digest(&der)));
    let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![der], key)
        .unwrap();
    (Arc::new(config), fingerprint)
}
