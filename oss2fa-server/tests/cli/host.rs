//! The built program with a folder of its own; requests go to its server by curl.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_oss2fa-server");

pub(crate) struct Host {
    folder: TempDir,
}

/// What a command left behind.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) status: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    pub(crate) fn of(output: Output) -> Self {
        Self {
            status: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// The code of a failure under `--json`.
    pub(crate) fn error(&self) -> String {
        let error: Value = serde_json::from_str(&self.stderr).unwrap_or_else(|_| panic!("{self:?}"));
        assert!(!error["message"].as_str().unwrap().is_empty());
        assert_eq!(error.as_object().unwrap().len(), 2);
        error["error"].as_str().unwrap().to_owned()
    }
}

impl Host {
    /// Without any server's start before.
    pub(crate) fn empty() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("server.toml");
        fs::write(&config, "listen = \"127.0.0.1:0\"\n[tls]\nmode = \"off\"\n").unwrap();
        fs::set_permissions(&config, PermissionsExt::from_mode(0o644)).unwrap();
        Self { folder }
    }

    /// With the store of a server that was started and stopped.
    pub(crate) fn begun() -> (Self, String) {
        let host = Self::empty();
        let server = host.serve();
        let token = server.token.clone();
        drop(server);
        (host, token)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command.arg("--config").arg(self.path("server.toml")).arg("--data-dir").arg(self.path("data"));
        command.args(words).env_remove("SECRET_KEY").env_remove("POSTGRES_USERNAME").stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, words: &[&str]) -> Ran {
        Ran::of(self.command(words).output().unwrap())
    }

    /// With an answer typed.
    pub(crate) fn typed(&self, words: &[&str], answer: &str) -> Ran {
        let mut command = self.command(words);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(answer.as_bytes()).unwrap();
        Ran::of(child.wait_with_output().unwrap())
    }

    pub(crate) fn done(&self, words: &[&str]) -> String {
        let ran = self.run(words);
        assert_eq!(ran.status, 0, "{words:?}: {ran:?}");
        ran.stdout
    }

    pub(crate) fn json(&self, words: &[&str]) -> Value {
        let stdout = self.done(&[words, &["--json"]].concat());
        serde_json::from_str(&stdout).unwrap_or_else(|_| panic!("{words:?}: {stdout}"))
    }

    /// Fails with this status and this code.
    pub(crate) fn refused(&self, words: &[&str], status: i32, code: &str) {
        self.refused_under_json(words, status, code);
        let words_alone = self.run(words);
        assert_eq!(words_alone.status, status);
        assert!(words_alone.stderr.starts_with("error: "), "{words_alone:?}");
    }

    /// The same, for what without `--json` would ask first.
    pub(crate) fn refused_under_json(&self, words: &[&str], status: i32, code: &str) {
        let ran = self.run(&[words, &["--json"]].concat());
        assert_eq!((ran.status, ran.error().as_str()), (status, code), "{words:?}: {ran:?}");
        assert_eq!(ran.stdout, "", "{words:?}");
    }

    /// What SQLite's own program answers.
    pub(crate) fn sql(&self, statement: &str) -> String {
        let output = Command::new("sqlite3")
            .arg(self.path("data/server.db"))
            .arg(statement)
            .output()
            .expect("sqlite3");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }

    pub(crate) fn serve(&self) -> Server {
        self.serve_with(&[])
    }

    /// With these variables of the environment.
    pub(crate) fn serve_with(&self, variables: &[(&str, &str)]) -> Server {
        let mut command = self.command(&["serve"]);
        command.envs(variables.iter().copied()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut server = Server { child, url: String::new(), token: String::new() };
        for line in lines {
            let line = line.unwrap();
            if let Some((_, rest)) = line.split_once("addr: \"") {
                server.url = format!("http://{}", rest.split('"').next().unwrap());
            }
            if let Some((_, value)) = line.split_once("Integration: ") {
                value.clone_into(&mut server.token);
            }
            if line.starts_with("==> ") {
                return server;
            }
        }
        panic!("the server did not start");
    }
}

/// A running server; it is ended in order.
pub(crate) struct Server {
    child: Child,
    pub(crate) url: String,
    pub(crate) token: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.child.id()).unwrap());
        let _ = nix::sys::signal::kill(pid, nix::sys::signal::SIGTERM);
        let _ = self.child.wait();
    }
}

impl Server {
    /// Status and body of a POST with JSON.
    pub(crate) fn post(&self, path: &str, token: &str, body: &Value) -> (u16, Value) {
        let output = Command::new("curl")
            .args(["-sS", "-H", &format!("X-Integration-Token: {token}")])
            .args(["-H", "Content-Type: application/json", "-d", &body.to_string()])
            .args(["-w", "\n%{http_code}", &format!("{}{path}", self.url)])
            .output()
            .expect("curl");
        let text = String::from_utf8(output.stdout).unwrap();
        let (body, status) = text.rsplit_once('\n').unwrap_or_else(|| panic!("{:?}", output.stderr));
        (status.parse().unwrap(), serde_json::from_str(body).unwrap_or(Value::Null))
    }

    /// Enrolls a HOTP device; gives its secret. The code with counter 0 is used then.
    pub(crate) fn enroll(&self, username: &str) -> String {
        let (status, made) =
            self.post("/integrations/enrollments", &self.token, &serde_json::json!({ "username": username }));
        assert_eq!(status, 201, "{made}");
        let path = format!("/integrations/enrollments/{}", made["pk"]);
        let kind = serde_json::json!({ "kind": "HOTP", "options": {} });
        let (status, shown) = self.post(&format!("{path}/prepare-device"), &self.token, &kind);
        assert_eq!(status, 200, "{shown}");
        let uri = find(&shown, "otpauth://").unwrap_or_else(|| panic!("{shown}"));
        let secret = uri.split_once("secret=").unwrap().1.split('&').next().unwrap().to_owned();
        let answer = serde_json::json!({ "token": hotp(&secret, 0) });
        let (status, done) = self.post(&format!("{path}/complete"), &self.token, &answer);
        assert_eq!(status, 201, "{done}");
        secret
    }

    /// The status of a verification in one request.
    pub(crate) fn verify(&self, username: &str, code: &str) -> u16 {
        let body = serde_json::json!({ "username": username, "token": code });
        self.post("/integrations/clients/verify", &self.token, &body).0
    }

    /// The same, with another token than the banner's.
    pub(crate) fn verify_with(&self, token: &str, username: &str, code: &str) -> u16 {
        let body = serde_json::json!({ "username": username, "token": code });
        self.post("/integrations/clients/verify", token, &body).0
    }
}

fn find<'v>(value: &'v Value, start: &str) -> Option<&'v str> {
    match value {
        Value::String(text) => text.starts_with(start).then_some(text),
        Value::Array(items) => items.iter().find_map(|item| find(item, start)),
        Value::Object(fields) => fields.values().find_map(|field| find(field, start)),
        _ => None,
    }
}

/// A code as oathtool makes it.
pub(crate) fn hotp(secret: &str, counter: u64) -> String {
    let output = Command::new("oathtool")
        .args(["--hotp", "--base32", &format!("--counter={counter}"), secret])
        .output()
        .expect("oathtool (Debian package oathtool)");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
