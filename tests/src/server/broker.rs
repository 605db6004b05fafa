//! A RabbitMQ of its own on loopback, run by somebody who is not root.

use std::fmt::Write as _;
use std::fs;
use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::{Pid, User, chown, geteuid};
use serde_json::json;
use tempfile::TempDir;

use crate::server::authority::Authority;
use crate::server::place::{free_port, open_to_all};
use crate::world::PATH;

/// A running broker; each story takes a virtual host of its own.
#[derive(Debug)]
pub struct Broker {
    folder: TempDir,
    authority: Authority,
    port: u16,
    tls_port: u16,
    distribution_port: u16,
    epmd_port: u16,
    process: Mutex<Option<Child>>,
}

/// Debian's package makes this user.
const USER: &str = "rabbitmq";

/// It takes some seven seconds, and longer where others want the processors, too.
const START: Duration = Duration::from_secs(90);

/// Salted SHA-256 of the passwords, as the broker keeps them: `admin`, and `p/q@r` of the server.
const ADMIN: &str = "AQIDBBlq3ZS1hzMaL2K4eXHtHf/kx8h+5DwpLXopdK8M0jjf";
const SERVER: &str = "BQYHCBDTIhX7NXjLHraHriCKy2RGGOeMacdBbFkZ3KI0Xqxv";

impl Broker {
    /// What the server's user may configure, write and read.
    pub const PERMISSIONS: &str = "^(nameko-rpc|rpc-ungleichotp.*)$";

    /// Starts one that has these virtual hosts, and waits until it takes connections.
    ///
    /// # Panics
    /// Without Debian's package rabbitmq-server, or where it does not start.
    #[must_use]
    pub fn start(hosts: &[&str]) -> Self {
        let folder = tempfile::Builder::new().prefix("oss2fa-mq-").tempdir().unwrap();
        open_to_all(folder.path());
        let broker = Self {
            folder,
            authority: Authority::new(),
            port: free_port(),
            tls_port: free_port(),
            distribution_port: free_port(),
            epmd_port: free_port(),
            process: Mutex::new(None),
        };
        broker.configure(hosts);
        broker.start_again();
        broker
    }

    fn configure(&self, hosts: &[&str]) {
        let node = self.node();
        fs::create_dir(&node).unwrap();
        for (from, name) in [
            (self.authority.ca(), "ca.pem"),
            (self.authority.certificate(), "server.pem"),
            (self.authority.key(), "server.key"),
        ] {
            fs::copy(from, node.join(name)).unwrap();
        }
        let at = node.display();
        let mut config = format!("log.file.level = warning\nload_definitions = {at}/definitions.json\n");
        writeln!(config, "listeners.ssl.1 = 127.0.0.1:{}", self.tls_port).unwrap();
        for (key, name) in [("cacertfile", "ca.pem"), ("certfile", "server.pem"), ("keyfile", "server.key")] {
            writeln!(config, "ssl_options.{key} = {at}/{name}").unwrap();
        }
        fs::write(node.join("rabbitmq.conf"), config).unwrap();
        fs::write(node.join("plugins"), "[].").unwrap();
        fs::write(node.join("definitions.json"), definitions(hosts)).unwrap();
        if geteuid().is_root() {
            let user = User::from_name(USER).unwrap().expect("the user of Debian's package rabbitmq-server");
            let files = fs::read_dir(&node).unwrap().map(|entry| entry.unwrap().path());
            for path in files.chain([node.clone()]) {
                chown(&path, Some(user.uid), Some(user.gid)).unwrap();
            }
        }
    }

    /// Starts it after its end and waits until it takes connections.
    ///
    /// # Panics
    /// Where it does not within a minute and a half.
    pub fn start_again(&self) {
        let log = fs::File::options().create(true).append(true).open(self.folder.path().join("log")).unwrap();
        let child = self
            .program(&program())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            // It has children of its own, and all of them end with it.
            .process_group(0)
            .spawn()
            .expect("setpriv of util-linux");
        assert!(self.process.lock().unwrap().replace(child).is_none(), "it has not ended");
        let begun = Instant::now();
        let listens = |port: u16| TcpStream::connect(("127.0.0.1", port)).is_ok();
        while !(listens(self.port) && listens(self.tls_port)) {
            let log = || fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            let ended = self.process.lock().unwrap().as_mut().unwrap().try_wait().unwrap();
            assert!(ended.is_none() && begun.elapsed() < START, "RabbitMQ is not ready:\n{}", log());
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Ends it as a power cut does, but for what the kernel still holds.
    pub fn kill(&self) {
        if let Some(mut child) = self.process.lock().unwrap().take() {
            let _gone = killpg(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGKILL);
            let _status = child.wait();
        }
    }

    /// Where callers reach it: a user who may do everything.
    #[must_use]
    pub fn caller(&self, host: &str) -> String {
        format!("amqp://admin:admin@127.0.0.1:{}/{host}", self.port)
    }

    /// `bus_url` of the server: a user who may do what the guide says.
    #[must_use]
    pub fn server(&self, host: &str) -> String {
        format!("amqp://oss2fa:p%2Fq%40r@127.0.0.1:{}/{host}", self.port)
    }

    /// The same by TLS.
    #[must_use]
    pub fn tls(&self, host: &str) -> String {
        format!("amqps://oss2fa:p%2Fq%40r@localhost:{}/{host}", self.tls_port)
    }

    /// The file with the authority that its certificate is from.
    #[must_use]
    pub fn ca(&self) -> PathBuf {
        self.authority.ca()
    }

    fn node(&self) -> PathBuf {
        self.folder.path().join("node")
    }

    fn program(&self, path: &Path) -> Command {
        let node = self.node();
        let mut command = Command::new("/usr/bin/setpriv");
        if geteuid().is_root() {
            command.args([&format!("--reuid={USER}"), &format!("--regid={USER}"), "--clear-groups"]);
        }
        command.arg("--").arg(path).current_dir("/").env_clear().env("PATH", PATH).env("LC_ALL", "C.UTF-8");
        command
            .env("HOME", &node)
            .env("RABBITMQ_CONF_ENV_FILE", "/dev/null")
            .env("RABBITMQ_NODENAME", format!("oss2fa-{}@localhost", self.port))
            .env("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1")
            .env("RABBITMQ_NODE_PORT", self.port.to_string())
            .env("RABBITMQ_DIST_PORT", self.distribution_port.to_string())
            .env("RABBITMQ_MNESIA_BASE", node.join("data"))
            .env("RABBITMQ_LOG_BASE", node.join("log"))
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", node.join("plugins"))
            .env("RABBITMQ_PID_FILE", node.join("pid"))
            .env("RABBITMQ_CONFIG_FILE", node.join("rabbitmq.conf"))
            .env("ERL_EPMD_ADDRESS", "127.0.0.1")
            .env("ERL_EPMD_PORT", self.epmd_port.to_string())
            .env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", "-kernel inet_dist_use_interface {127,0,0,1}");
        command
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.kill();
        // Its name server is a daemon, and refuses to end while it still knows of a node.
        for _try in 0..50 {
            let port = self.epmd_port.to_string();
            let mut end = self.program(Path::new("/usr/bin/epmd"));
            let said = end.args(["-port", &port, "-kill"]).output();
            if said.is_err() || TcpStream::connect(("127.0.0.1", self.epmd_port)).is_err() {
                return;
            }
            thread::sleep(Duration::from_millis(100));
        }
    }
}

// The script of the package itself refuses whoever is neither root nor its user.
fn program() -> PathBuf {
    let folders = fs::read_dir("/usr/lib/rabbitmq/lib").expect("Debian's package rabbitmq-server");
    let mut programs = folders.map(|entry| entry.unwrap().path().join("sbin/rabbitmq-server"));
    programs.find(|path| path.exists()).expect("rabbitmq-server of Debian's package")
}

fn definitions(hosts: &[&str]) -> String {
    let user = |name: &str, hash: &str| {
        json!({"name": name, "password_hash": hash, "tags": [],
            "hashing_algorithm": "rabbit_password_hashing_sha256"})
    };
    let may = |name: &str, host: &str, what: &str| json!({"user": name, "vhost": host, "configure": what, "write": what, "read": what});
    let permissions: Vec<_> = hosts
        .iter()
        .flat_map(|host| [may("admin", host, ".*"), may("oss2fa", host, Broker::PERMISSIONS)])
        .collect();
    let hosts: Vec<_> = hosts.iter().map(|host| json!({"name": host})).collect();
    let users = [user("admin", ADMIN), user("oss2fa", SERVER)];
    json!({"vhosts": hosts, "users": users, "permissions": permissions}).to_string()
}
