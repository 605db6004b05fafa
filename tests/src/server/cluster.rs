//! A private PostgreSQL, run by somebody who is not root.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::server::place::{free_port, open_to_all};
use crate::world::PATH;

/// A running cluster; each test takes a database of its own.
#[derive(Debug)]
pub struct PostgresCluster {
    folder: TempDir,
    programs: PathBuf,
    port: u16,
    fsync: &'static str,
    databases: AtomicU32,
    process: Mutex<Option<Child>>,
}

/// Debian's package makes this user.
const USER: &str = "postgres";

impl PostgresCluster {
    /// Starts one that loses what it wrote where the machine does: fast.
    #[must_use]
    pub fn start() -> Self {
        Self::with_fsync("off")
    }

    /// Starts one that keeps what it acknowledged.
    #[must_use]
    pub fn durable() -> Self {
        Self::with_fsync("on")
    }

    fn with_fsync(fsync: &'static str) -> Self {
        let folder = tempfile::Builder::new().prefix("oss2fa-pg-").tempdir().unwrap();
        open_to_all(folder.path());
        let cluster = Self {
            folder,
            programs: programs(),
            port: free_port(),
            fsync,
            databases: AtomicU32::new(0),
            process: Mutex::new(None),
        };
        let data = cluster.data();
        fs::create_dir(&data).unwrap();
        if nix::unistd::geteuid().is_root() {
            let user = nix::unistd::User::from_name(USER).unwrap();
            let user = user.expect("the user postgres of Debian's package postgresql");
            nix::unistd::chown(&data, Some(user.uid), Some(user.gid)).unwrap();
        }
        let initdb = cluster
            .program("initdb")
            .args(["-A", "trust", "--no-sync", "--no-locale", "-E", "UTF8", "-U", USER, "-D"])
            .arg(&data)
            .output()
            .expect("setpriv of util-linux");
        assert!(initdb.status.success(), "initdb: {}", String::from_utf8_lossy(&initdb.stderr));
        cluster.start_again();
        cluster
    }

    /// A new database, as `store` of `server.toml` names it.
    #[must_use]
    pub fn database(&self) -> String {
        let name = format!("oss2fa_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        let _done = self.sql("postgres", &format!("CREATE DATABASE {name}"));
        format!("postgres://{USER}@127.0.0.1:{}/{name}?sslmode=disable", self.port)
    }

    /// What psql answers, one row a line, columns apart by `|`.
    ///
    /// # Panics
    /// Where the statement fails.
    #[must_use]
    pub fn sql(&self, database: &str, statement: &str) -> String {
        let psql = self
            .program("psql")
            .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-U", USER])
            .args(["-p", &self.port.to_string(), "-d", database, "-c", statement])
            .output()
            .unwrap();
        assert!(psql.status.success(), "{statement}: {}", String::from_utf8_lossy(&psql.stderr));
        String::from_utf8(psql.stdout).unwrap().trim_end().to_owned()
    }

    /// Starts it after its end and waits until it takes connections.
    ///
    /// # Panics
    /// Where it does not within a minute and a half.
    pub fn start_again(&self) {
        let log = fs::File::options().create(true).append(true).open(self.folder.path().join("log")).unwrap();
        let socket = format!("unix_socket_directories={}", self.data().display());
        let child = self
            .program("postgres")
            .arg("-D")
            .arg(self.data())
            .args(["-p", &self.port.to_string(), "-c", "listen_addresses=127.0.0.1", "-c", &socket])
            .args(["-c", &format!("fsync={}", self.fsync), "-c", "max_connections=200"])
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        assert!(self.process.lock().unwrap().replace(child).is_none(), "it has not ended");
        let begun = Instant::now();
        while !self.is_ready() {
            let log = || fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            assert!(begun.elapsed() < Duration::from_secs(90), "PostgreSQL is not ready:\n{}", log());
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn is_ready(&self) -> bool {
        let mut asked = self.program("pg_isready");
        asked.args(["-q", "-h", "127.0.0.1", "-U", USER, "-p", &self.port.to_string()]);
        asked.status().is_ok_and(|status| status.success())
    }

    /// Stops it as an administrator does who does not wait for its clients.
    pub fn stop(&self) {
        self.end(Signal::SIGINT);
    }

    /// Stops it, and starts it again.
    pub fn restart(&self) {
        self.stop();
        self.start_again();
    }

    /// Ends it as a power cut does, but for what the kernel still holds.
    pub fn kill(&self) {
        self.end(Signal::SIGQUIT);
    }

    fn end(&self, signal: Signal) {
        if let Some(mut child) = self.process.lock().unwrap().take() {
            let pid = Pid::from_raw(i32::try_from(child.id()).unwrap());
            let _gone = kill(pid, signal);
            let _status = child.wait();
        }
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn program(&self, name: &str) -> Command {
        let path = self.programs.join(name);
        let mut command = Command::new("/usr/bin/setpriv");
        if nix::unistd::geteuid().is_root() {
            command.args([&format!("--reuid={USER}"), &format!("--regid={USER}"), "--clear-groups"]);
        }
        command.arg("--").arg(path).current_dir("/").env_clear().env("PATH", PATH).env("LC_ALL", "C.UTF-8");
        command
    }
}

impl Drop for PostgresCluster {
    fn drop(&mut self) {
        self.kill();
    }
}

// Debian keeps the programs of each version in a folder of its own.
fn programs() -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").expect("Debian's package postgresql");
    let mut versions: Vec<PathBuf> = versions.map(|entry| entry.unwrap().path()).collect();
    versions.sort();
    let newest = versions.last().map(|path| path.join("bin"));
    newest.filter(|path| Path::new(path).join("initdb").exists()).expect("initdb of Debian's postgresql")
}
