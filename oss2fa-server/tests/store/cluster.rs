//! A private PostgreSQL, run by somebody who is not root.
//!
//! The crate of the end-to-end tests has one too, which this crate may not depend on; this one can also be
//! frozen and speak TLS.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, User, chown};
use tempfile::TempDir;

/// Debian's package makes this user.
const USER: &str = "postgres";

/// A running server; each test takes a database of its own.
pub(crate) struct Cluster {
    folder: TempDir,
    port: u16,
    settings: Vec<String>,
    databases: AtomicU32,
    process: Mutex<Option<Child>>,
}

impl Cluster {
    /// Starts one. Without PostgreSQL the test fails.
    pub(crate) fn start() -> Self {
        Self::with(&[], |_| ())
    }

    /// Starts one with settings, and with files in its folder.
    pub(crate) fn with(settings: &[&str], prepare: impl FnOnce(&Path)) -> Self {
        let folder = tempfile::Builder::new().prefix("oss2fa-pg-").tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let cluster = Self {
            folder,
            port: free_port(),
            settings: settings.iter().map(ToString::to_string).collect(),
            databases: AtomicU32::new(0),
            process: Mutex::new(None),
        };
        let data = cluster.data();
        fs::create_dir(&data).unwrap();
        own(&data);
        let initdb = cluster
            .program("initdb")
            .args(["-A", "trust", "--no-sync", "--locale=C.UTF-8", "-E", "UTF8", "-U", USER, "-D"])
            .arg(&data)
            .output()
            .expect("setpriv of util-linux");
        assert!(initdb.status.success(), "initdb: {}", String::from_utf8_lossy(&initdb.stderr));
        prepare(&data);
        for entry in fs::read_dir(&data).unwrap() {
            own(&entry.unwrap().path());
        }
        cluster.start_again();
        cluster
    }

    /// A new database, by the socket.
    pub(crate) fn database(&self) -> String {
        let name = self.new_database();
        let socket = self.data().display().to_string().replace('/', "%2F");
        format!("postgres://{USER}@{socket}:{}/{name}", self.port)
    }

    fn new_database(&self) -> String {
        let name = format!("oss2fa_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.sql("postgres", &format!("CREATE DATABASE {name}"));
        name
    }

    /// What psql answers, one row a line, columns apart by `|`.
    pub(crate) fn sql(&self, database: &str, statement: &str) -> String {
        let psql = self
            .program("psql")
            .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-U", USER, "-h"])
            .arg(self.data())
            .args(["-p", &self.port.to_string(), "-d", database, "-c", statement])
            .output()
            .unwrap();
        assert!(psql.status.success(), "{statement}: {}", String::from_utf8_lossy(&psql.stderr));
        String::from_utf8(psql.stdout).unwrap().trim_end().to_owned()
    }

    /// Starts it and waits until it takes connections.
    pub(crate) fn start_again(&self) {
        let log = fs::File::options().create(true).append(true).open(self.folder.path().join("log")).unwrap();
        let mut server = self.program("postgres");
        server.arg("-D").arg(self.data()).args(["-p", &self.port.to_string()]);
        let socket = format!("unix_socket_directories={}", self.data().display());
        for setting in ["listen_addresses=127.0.0.1", "fsync=off", "max_connections=200", &socket] {
            server.args(["-c", setting]);
        }
        for setting in &self.settings {
            server.args(["-c", setting]);
        }
        let child = server.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        assert!(self.process.lock().unwrap().replace(child).is_none(), "it has not ended");
        let begun = Instant::now();
        while !self.is_ready() {
            let log = || fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            assert!(begun.elapsed() < Duration::from_secs(60), "PostgreSQL is not ready:\n{}", log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn is_ready(&self) -> bool {
        let mut asked = self.program("pg_isready");
        asked.args(["-q", "-U", USER, "-p", &self.port.to_string(), "-h"]).arg(self.data());
        asked.status().is_ok_and(|status| status.success())
    }

    fn signal(&self, signal: Signal) {
        if let Some(child) = &*self.process.lock().unwrap() {
            let _gone = kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), signal);
        }
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn program(&self, name: &str) -> Command {
        let mut command = Command::new("/usr/bin/setpriv");
        // Where the test is killed, nothing stays behind.
        command.args(["--pdeathsig", "QUIT"]);
        if nix::unistd::geteuid().is_root() {
            command.args([&format!("--reuid={USER}"), &format!("--regid={USER}"), "--clear-groups"]);
        }
        command.arg("--").arg(programs().join(name)).current_dir("/").env_clear();
        command.env("PATH", "/usr/bin:/bin").env("LC_ALL", "C.UTF-8");
        command
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.signal(Signal::SIGQUIT);
        if let Some(mut child) = self.process.lock().unwrap().take() {
            let _status = child.wait();
        }
    }
}

fn own(path: &Path) {
    if nix::unistd::geteuid().is_root() {
        let user = User::from_name(USER).unwrap();
        let user = user.expect("the user postgres of Debian's package postgresql");
        chown(path, Some(user.uid), Some(user.gid)).unwrap();
    }
}

// Debian keeps the programs of each version in a folder of its own.
fn programs() -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").expect("Debian's package postgresql");
    let mut versions: Vec<PathBuf> = versions.map(|entry| entry.unwrap().path()).collect();
    versions.sort();
    versions.last().map(|path| path.join("bin")).expect("Debian's package postgresql")
}

// Below the range from which the kernel gives ports to clients; the port also names the socket. A lock keeps it from other
// tests, each of which is a process, until the cluster has it.
fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    static TAKEN: Mutex<Vec<fs::File>> = Mutex::new(Vec::new());
    let folder = std::env::temp_dir().join(format!("oss2fa-ports-{}", nix::unistd::geteuid()));
    fs::create_dir_all(&folder).unwrap();
    loop {
        let number = std::process::id().wrapping_mul(31).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = 10_000 + u16::try_from(number % 10_000).unwrap();
        let lock = fs::File::create(folder.join(port.to_string())).unwrap();
        if lock.try_lock().is_ok() && TcpListener::bind(("127.0.0.1", port)).is_ok() {
            TAKEN.lock().unwrap().push(lock);
            return port;
        }
    }
}
