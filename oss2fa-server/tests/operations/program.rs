//! A running `oss2fa-server serve`, plain on loopback, and curl.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use oss2fa_server::config::{Config, Overrides};
use oss2fa_server::ids::SERVER;
use oss2fa_server::open::open;
use oss2fa_server::outside::{Clock, System};
use oss2fa_server::service::credential::Credentials;
use oss2fa_server::store::Store;
use oss2fa_server::store::verbs::Doer;
use oss2fa_server::store::verbs::administrators::{CreateAdministrator, Role};
use serde_json::Value;
use tempfile::TempDir;

/// The running server.
pub(crate) struct Program {
    pub(crate) address: String,
    pub(crate) token: String,
    folder: TempDir,
    child: Child,
}

/// What curl got.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn of(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Self { status, head: head.to_owned(), body: body.to_owned() }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(crate) fn code(&self) -> String {
        self.json()["error"]["code"].as_str().unwrap_or_else(|| panic!("no error: {self:?}")).to_owned()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.into_iter().find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self:?}");
        self
    }
}

impl Program {
    /// With these lines of `server.toml`.
    pub(crate) fn start(config: &str) -> Self {
        Self::with_environment(config, &[])
    }

    /// And these variables.
    pub(crate) fn with_environment(config: &str, variables: &[(&str, &Path)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let text = format!("listen = \"127.0.0.1:0\"\n{config}\n[tls]\nmode = \"off\"\n");
        fs::write(folder.path().join("server.toml"), text).unwrap();
        let log = File::create(folder.path().join("log")).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_oss2fa-server"))
            .args(["serve", "--config"])
            .arg(folder.path().join("server.toml"))
            .arg("--data-dir")
            .arg(folder.path().join("data"))
            .env_clear()
            .envs(variables.iter().copied())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut banner = String::new();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        while !banner.contains("==> OSS2FA server started\n") {
            let length = lines.read_line(&mut banner).unwrap();
            assert_ne!(length, 0, "no banner: {}", fs::read_to_string(folder.path().join("log")).unwrap());
        }
        let after = |label: &str| banner.split_once(label).unwrap().1.lines().next().unwrap().to_owned();
        let address = after("addr: \"").split('"').next().unwrap().to_owned();
        Self { address, token: after("Integration: "), folder, child }
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join("data").join(name)
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    /// Waits for a line of the log that holds this, and gives it.
    pub(crate) fn logged(&self, part: &str) -> String {
        let begun = Instant::now();
        loop {
            if let Some(line) = self.log().lines().find(|line| line.contains(part)) {
                return line.to_owned();
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "no {part:?} in {}", self.log());
            sleep(Duration::from_millis(20));
        }
    }

    /// One request by curl, with these further words for it.
    pub(crate) fn ask(&self, method: &str, path: &str, words: &[&str], body: &str) -> Answer {
        let mut curl = Command::new("curl");
        curl.args(["-q", "-sS", "-i", "--noproxy", "*", "--max-time", "40", "-X", method]).args(words);
        if !body.is_empty() {
            curl.args(["-H", "Content-Type: application/json", "--data-binary", "@-"]);
        }
        curl.arg(format!("http://{}{path}", self.address));
        let mut curl =
            curl.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("this test needs curl");
        curl.stdin.take().unwrap().write_all(body.as_bytes()).unwrap();
        let output = curl.wait_with_output().unwrap();
        assert!(output.status.success(), "curl {method} {path}: {:?}\n{}", output.status, self.log());
        Answer::of(&String::from_utf8(output.stdout).unwrap())
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &[], "")
    }

    /// As the first integration.
    pub(crate) fn post(&self, path: &str, body: &Value) -> Answer {
        let token = format!("X-Integration-Token: {}", self.token);
        self.ask("POST", path, &["-H", &token], &body.to_string())
    }

    /// A connection without any library.
    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        stream
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), signal).unwrap();
    }

    /// Waits for its end; 128 and more for a signal.
    pub(crate) fn wait(&mut self) -> i32 {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code().unwrap_or_else(|| 128 + status.signal().unwrap());
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "it does not end: {}", self.log());
            sleep(Duration::from_millis(10));
        }
    }

    /// Its store, from another process.
    pub(crate) fn store(&self, work: impl AsyncFnOnce(&Store)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let overrides = Overrides { data_dir: Some(self.folder.path().join("data")), listen: None };
        let path = self.folder.path().join("server.toml");
        let config = Config::load(Some(&path), overrides).unwrap();
        runtime.block_on(async {
            let (store, _) = open(&config, None, &System, Arc::new(System)).await.unwrap();
            work(&store).await;
            store.close().await;
        });
    }

    /// A new owner of the server; gives what proves it.
    pub(crate) fn owner(&self) -> Credentials {
        let credentials = Credentials::generate(&System).unwrap();
        let doer = Doer {
            tenant: SERVER,
            integration: None,
            actor: "cli".into(),
            source: String::new(),
            now: System.now(),
            whereabouts: Default::default(),
        };
        let create = CreateAdministrator {
            doer,
            tenant: None,
            name: "owner".to_owned(),
            role: Role::Owner,
            credentials: credentials.digests(),
        };
        self.store(async |store| drop(store.write(create).await.unwrap()));
        credentials
    }

    /// Its database, as another program of the machine has it.
    pub(crate) fn database(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.file("server.db")).unwrap()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads until the server closes.
pub(crate) fn read_all(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    stream.read_to_end(&mut text).unwrap();
    String::from_utf8(text).unwrap()
}

/// What another program says.
pub(crate) fn said(program: &str, words: &[&str]) -> String {
    let output = Command::new(program).args(words).output();
    let output = output.unwrap_or_else(|error| panic!("this test needs {program}: {error}"));
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
