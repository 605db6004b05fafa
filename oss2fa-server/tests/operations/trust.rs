//! Whom the server trusts when it is the one that connects: mail server, gateway, database, receivers of events.
//! The peers are `openssl s_server`, with each certificate that must not be believed, and with one that must.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use serde_json::json;
use tempfile::TempDir;

use crate::program::Program;

const PASSWORD: &str = "canary-password-314159";

/// What the peer shows of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shows {
    Right,
    NoCertificate,
    Expired,
    AnotherName,
    AnotherAuthority,
}

const BAD: [Shows; 4] = [Shows::NoCertificate, Shows::Expired, Shows::AnotherName, Shows::AnotherAuthority];

/// A peer that writes down what it is told once TLS stands.
struct Peer {
    child: Child,
    port: u16,
    told: Arc<Mutex<Vec<u8>>>,
    folder: TempDir,
}

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

impl Peer {
    /// `greeting` is what it says first.
    fn start(shows: Shows, greeting: &str) -> Self {
        // Another program may take the port between the look and the start: then again with another.
        (0..5)
            .find_map(|_| Self::try_start(shows, greeting))
            .expect("openssl listens at a port that was free")
    }

    fn try_start(shows: Shows, greeting: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| folder.path().join(name).display().to_string();
        let trusted = authority();
        fs::write(file("ca.pem"), trusted.pem()).unwrap();
        let name = if shows == Shows::AnotherName { "mail.example.org" } else { "127.0.0.1" };
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        if shows == Shows::Expired {
            (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
        }
        let signer = if shows == Shows::AnotherAuthority { authority() } else { trusted };
        let key = KeyPair::generate().unwrap();
        fs::write(file("tls.crt"), params.signed_by(&key, &signer).unwrap().pem()).unwrap();
        fs::write(file("tls.key"), key.serialize_pem()).unwrap();

        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut openssl = Command::new("openssl");
        openssl.args(["s_server", "-quiet", "-accept", &format!("127.0.0.1:{port}")]);
        match shows {
            // Whatever the openssl of this machine thinks of them, it offers them here.
            Shows::NoCertificate => {
                openssl.args(["-nocert", "-tls1_2", "-cipher", "aNULL:@SECLEVEL=0"]);
            }
            _ => {
                openssl.args(["-cert", &file("tls.crt"), "-key", &file("tls.key")]);
            }
        }
        let mut child = openssl
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("this test needs openssl");
        let _ended = child.stdin.as_mut().unwrap().write_all(greeting.as_bytes());
        let told = Arc::new(Mutex::new(Vec::new()));
        let (mut out, heard) = (child.stdout.take().unwrap(), Arc::clone(&told));
        thread::spawn(move || {
            let mut some = [0; 4096];
            while let Ok(count @ 1..) = out.read(&mut some) {
                heard.lock().unwrap().extend_from_slice(&some[..count]);
            }
        });
        let mut peer = Self { child, port, told, folder };
        // Not by connecting: the greeting is for the server.
        let listening = format!(" 0100007F:{port:04X} 00000000:0000 0A ");
        let begun = Instant::now();
        while peer.child.try_wait().unwrap().is_none() {
            if fs::read_to_string("/proc/net/tcp").unwrap().contains(&listening) {
                return Some(peer);
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "openssl does not listen");
            sleep(Duration::from_millis(20));
        }
        None
    }

    fn ca_file(&self) -> String {
        self.folder.path().join("ca.pem").display().to_string()
    }

    fn told(&self) -> String {
        String::from_utf8_lossy(&self.told.lock().unwrap()).into_owned()
    }

    fn until(&self, done: impl Fn() -> bool, what: &str) {
        let begun = Instant::now();
        while !done() {
            assert!(begun.elapsed() < Duration::from_secs(60), "{what}; told: {:?}", self.told());
            sleep(Duration::from_millis(20));
        }
    }

    /// The right one is told this, any other nothing.
    fn judge(&self, shows: Shows, part: &str) {
        if shows == Shows::Right {
            self.until(|| self.told().contains(part), "the right peer was told nothing");
        } else {
            sleep(Duration::from_millis(200));
            assert_eq!(self.told(), "", "{shows:?}");
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn secret_file(folder: &Path) -> String {
    use std::os::unix::fs::PermissionsExt;
    let path = folder.join("secret");
    fs::write(&path, PASSWORD).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    path.display().to_string()
}

/// Has a code sent; it never arrives, for no peer answers as it should.
fn send_code(server: &Program, kind: &str, address: &str) {
    let made = server.post("/integrations/enrollments", &json!({"username": "ferris"})).expect(201);
    let path = format!("/integrations/enrollments/{}/prepare-device", made.json()["pk"]);
    let asked = json!({"kind": kind, "options": {"address": address}});
    assert_eq!(server.post(&path, &asked).expect(502).code(), "message_not_sent");
}

fn all(check: impl Fn(Shows)) {
    check(Shows::Right);
    BAD.into_iter().for_each(check);
}

#[test]
fn row_15_and_22_a_gateway_that_proves_nothing_is_told_nothing() {
    all(|shows| {
        let peer = Peer::start(shows, "");
        let server = Program::start(&format!(
            "[sms]\nurl = 'https://127.0.0.1:{}/send/{{phone}}'\nca_file = '{}'\nsecret_file = '{}'\ntimeout = 6\n\
             body = '{{\"text\": \"{{text}}\"}}'\ncontent_type = 'application/json'\n\
             headers = {{ Authorization = 'Bearer {{secret}}' }}\n",
            peer.port,
            peer.ca_file(),
            secret_file(peer.folder.path()),
        ));
        send_code(&server, "SMS", "+15550142857");
        peer.judge(shows, PASSWORD);
    });
}

#[test]
fn row_15_and_22_a_mail_server_that_proves_nothing_is_told_nothing() {
    all(|shows| {
        let peer = Peer::start(shows, "220 mail ESMTP\r\n250-mail\r\n250 AUTH PLAIN\r\n");
        let server = Program::start(&format!(
            "[smtp]\nhost = '127.0.0.1'\nport = {}\nsecurity = 'tls'\nca_file = '{}'\nusername = 'codes'\n\
             password_file = '{}'\nfrom = 'codes@example.org'\ntimeout = 6\n",
            peer.port,
            peer.ca_file(),
            secret_file(peer.folder.path()),
        ));
        send_code(&server, "EMAIL", "ferris@example.org");
        peer.judge(shows, "EHLO");
    });
}

#[test]
fn row_15_and_22_a_receiver_of_events_that_proves_nothing_is_told_nothing() {
    all(|shows| {
        let peer = Peer::start(shows, "");
        let authorities = peer.folder.path().join("ca.pem");
        let server = Program::with_environment(
            "[webhooks]\ndanger_plain_http = true\ntimeout = 6\n",
            &[("SSL_CERT_FILE", &authorities)],
        );
        let token = format!("X-Admin-Token: {}", server.owner().token.expose());
        let path = "/tenants/integrations/1/webhooks";
        let made = json!({"url": format!("https://127.0.0.1:{}/hook", peer.port)}).to_string();
        server.ask("POST", path, &["-H", &token], &made).expect(201);
        let failed = || {
            let listed = server.ask("GET", path, &["-H", &token], "").expect(200).json();
            listed["results"][0]["failure"].is_string()
        };
        peer.until(failed, "the delivery has not failed");
        peer.judge(shows, "webhook_created");
    });
}

/// PostgreSQL's first words: the client asks for TLS, and gets this answer. What it says then goes to the peer.
fn database(answer: u8, behind: u16) -> (u16, Arc<Mutex<Vec<u8>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let plain = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&plain);
    thread::spawn(move || {
        for client in listener.incoming() {
            let mut client = client.unwrap();
            let mut request = [0; 8];
            if client.read_exact(&mut request).is_err() {
                continue;
            }
            assert_eq!(request[4..], 80_877_103_u32.to_be_bytes(), "SSLRequest comes first");
            client.write_all(&[answer]).unwrap();
            if answer != b'S' {
                let mut rest = Vec::new();
                let _ = client.read_to_end(&mut rest);
                heard.lock().unwrap().extend(rest);
                continue;
            }
            let peer = TcpStream::connect(("127.0.0.1", behind)).unwrap();
            let (mut from_client, mut to_peer) = (client.try_clone().unwrap(), peer.try_clone().unwrap());
            thread::spawn(move || {
                let _ = io::copy(&mut from_client, &mut to_peer);
                let _ = to_peer.shutdown(std::net::Shutdown::Both);
            });
            thread::spawn(move || {
                let _ = io::copy(&mut &peer, &mut client);
                let _ = client.shutdown(std::net::Shutdown::Both);
            });
        }
    });
    (port, plain)
}

/// Starts with the database at this port, which does not go well.
fn start_with_database(port: u16, ca_file: &str) -> (Child, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("server.toml");
    let text = format!(
        "listen = \"127.0.0.1:0\"\nstore_ca_file = '{ca_file}'\n\
         store = 'postgres://oss2fa:{PASSWORD}@127.0.0.1:{port}/factors?sslmode=require&connect_timeout=20'\n"
    );
    fs::write(&config, text).unwrap();
    let child = Command::new(env!("CARGO_BIN_EXE_oss2fa-server"))
        .args(["serve", "--config", config.to_str().unwrap(), "--data-dir"])
        .arg(folder.path().join("data"))
        .env_clear()
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    (child, folder)
}

#[test]
fn row_15_and_22_a_database_that_proves_nothing_is_told_nothing() {
    all(|shows| {
        let peer = Peer::start(shows, "");
        let (port, _) = database(b'S', peer.port);
        let (mut child, _folder) = start_with_database(port, &peer.ca_file());
        if shows == Shows::Right {
            peer.judge(shows, "factors");
            child.kill().unwrap();
            child.wait().unwrap();
        } else {
            let output = child.wait_with_output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(!output.status.success() && !said.contains(PASSWORD), "{shows:?}: {said}");
            peer.judge(shows, "factors");
        }
    });
    // One that does not speak TLS at all gets neither a name nor a password.
    let authorities = Peer::start(Shows::Right, "");
    let (port, plain) = database(b'N', 1);
    let output = start_with_database(port, &authorities.ca_file()).0.wait_with_output().unwrap();
    assert!(!output.status.success());
    assert_eq!(*plain.lock().unwrap(), b"", "{}", String::from_utf8_lossy(&output.stderr));
}
