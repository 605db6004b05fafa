//! A PostgreSQL of the benchmark's own, with the settings that it comes with.

use std::fs::{self, File};
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, User};

use super::instance::free_port;
use super::stock::{empty, remove};

const START: Duration = Duration::from_secs(30);

/// A running database server.
pub(crate) struct Postgres {
    child: Child,
    folder: PathBuf,
    port: u16,
}

impl Postgres {
    pub(crate) fn start() -> Self {
        let programs = programs();
        let folder = empty("postgres");
        // It refuses to run as root.
        let user = User::from_name("postgres").unwrap().expect("Debian's postgresql makes this user");
        chown(&folder, Some(user.uid.as_raw()), Some(user.gid.as_raw())).unwrap();
        let data = folder.join("data");
        let run = |name: &str| {
            let mut command = Command::new(programs.join(name));
            command.uid(user.uid.as_raw()).gid(user.gid.as_raw()).current_dir(&folder).stdin(Stdio::null());
            command
        };
        let made = run("initdb").arg("--auth=trust").arg("-D").arg(&data).output().expect("initdb");
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        let port = free_port();
        let log = File::create(folder.join("log")).unwrap();
        let child = run("postgres")
            .arg("-D")
            .arg(&data)
            .args(["-c", "fsync=on", "-c", "synchronous_commit=on", "-c", "listen_addresses=127.0.0.1"])
            .args(["-c", &format!("port={port}"), "-c", "unix_socket_directories="])
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("postgres");
        let begun = Instant::now();
        let port_words = ["-h", "127.0.0.1", "-p", &port.to_string()].map(str::to_owned);
        while !run("pg_isready").args(&port_words).stdout(Stdio::null()).status().unwrap().success() {
            let log = || fs::read_to_string(folder.join("log")).unwrap_or_default();
            assert!(begun.elapsed() < START, "PostgreSQL does not start: {}", log());
            thread::sleep(Duration::from_millis(50));
        }
        Self { child, folder, port }
    }

    /// For `store` in `server.toml`.
    pub(crate) fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres?sslmode=disable", self.port)
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // Its fast way to stop.
        let _gone = kill(Pid::from_raw(self.child.id().cast_signed()), Signal::SIGINT);
        let _ended = self.child.wait();
        if !thread::panicking() {
            remove(&self.folder);
        }
    }
}

// Debian keeps one folder per major version.
fn programs() -> PathBuf {
    let all = Path::new("/usr/lib/postgresql").read_dir().expect("Debian's package postgresql");
    let version = |path: &PathBuf| path.file_name()?.to_str()?.parse::<u32>().ok();
    let newest =
        all.map(|entry| entry.unwrap().path()).filter(|path| version(path).is_some()).max_by_key(version);
    newest.expect("a version of PostgreSQL").join("bin")
}
