//! A Python program beside a test, which says on which port it listens and writes what it receives.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::world::PATH;

/// The running program. It ends with this value, and where its standard input ends.
#[derive(Debug)]
pub(crate) struct Script {
    child: Child,
    folder: TempDir,
    /// Where it listens, on loopback.
    pub(crate) port: u16,
}

impl Script {
    /// Starts Debian's Python, with `FOLDER WORDS..` as its arguments.
    pub(crate) fn start(name: &str, program: &str, words: &[&str]) -> Self {
        let folder = tempfile::Builder::new().prefix(&format!("oss2fa-{name}-")).tempdir().unwrap();
        let mut child = Command::new("/usr/bin/python3")
            .args(["-c", program])
            .arg(folder.path())
            .args(words)
            .env_clear()
            .env("PATH", PATH)
            .env("LC_ALL", "C.UTF-8")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("Debian's python3");
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let port = line.trim().strip_prefix("ready ").and_then(|port| port.parse().ok());
        let port = port.unwrap_or_else(|| panic!("{name} is not ready: {line:?}"));
        Self { child, folder, port }
    }

    /// Writes what it shall do from now on; it looks at each request.
    pub(crate) fn set_mode(&self, mode: &str) {
        let new = self.folder.path().join("mode.new");
        fs::write(&new, mode).unwrap();
        fs::rename(&new, self.folder.path().join("mode")).unwrap();
    }

    /// All that it received, the oldest first.
    pub(crate) fn received(&self) -> Vec<Value> {
        let entries = fs::read_dir(self.folder.path()).unwrap();
        let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        files.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
        files.sort();
        files.iter().map(|path| serde_json::from_slice(&fs::read(path).unwrap()).unwrap()).collect()
    }

    /// Waits until it has received so many.
    pub(crate) fn wait_for(&self, count: usize) -> Vec<Value> {
        let begun = Instant::now();
        loop {
            let received = self.received();
            if received.len() >= count {
                return received;
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "waited for {count}, there are {received:?}");
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Keeps a secret in a file that nobody else may read, and gives its path.
    pub(crate) fn keep_secret(&self, secret: &str) {
        let file = self.secret_file();
        fs::write(&file, format!("{secret}\n")).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// Where that is.
    pub(crate) fn secret_file(&self) -> PathBuf {
        self.folder.path().join("secret")
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _status = self.child.wait();
    }
}

/// The text of a field.
pub(crate) fn text(value: &Value, field: &str) -> String {
    value[field].as_str().unwrap_or_default().to_owned()
}
