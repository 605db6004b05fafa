//! Where a server runs: in a temporary folder, or on what looks to it like a machine of its own.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU16, Ordering};

use tempfile::TempDir;

use crate::built::Built;
use crate::network::Network;
use crate::world::{PATH, World};

/// Its data folder, where nobody says another.
const DATA: &str = "/var/lib/oss2fa-server";

/// The folder, the network and the program of a server.
#[derive(Debug)]
pub(crate) struct Place {
    folder: TempDir,
    machine: Option<Machine>,
    /// Of a test, where not the machine's own.
    network: Option<String>,
    port: u16,
}

/// A private world with a network of its own.
#[derive(Debug)]
struct Machine {
    world: World,
    network: Network,
}

impl Place {
    /// A temporary folder and a free port on loopback; in a network of the test's own, where one is named.
    pub(crate) fn folder(network: Option<String>) -> Self {
        let folder = tempfile::Builder::new().prefix("oss2fa-server-").tempdir().unwrap();
        fs::create_dir(folder.path().join("data")).unwrap();
        Self { folder, machine: None, network, port: free_port() }
    }

    /// A machine on which the server was just installed, and never started; its data folder is a disk of so many MiB,
    /// where that is said.
    pub(crate) fn machine(disk: Option<u32>) -> Self {
        let world = World::new();
        if let Some(mebibytes) = disk {
            let size = format!("size={mebibytes}m,mode=700");
            world.program(&["mkdir", "-p", DATA]).succeed();
            world.program(&["mount", "-t", "tmpfs", "-o", &size, "none", DATA]).succeed();
        }
        fs::copy(Built::server(), world.path("/usr/local/bin/oss2fa-server")).unwrap();
        world.program(&["rm", "-rf", "/etc/oss2fa"]).succeed();
        let folder = tempfile::Builder::new().prefix("oss2fa-server-").tempdir().unwrap();
        let network = Network::new();
        Self { folder, machine: Some(Machine { world, network }), network: None, port: 8300 }
    }

    /// The port that the server has.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Does the server have to be told where to listen?
    pub(crate) fn listen(&self) -> Vec<String> {
        if self.machine.is_some() {
            return Vec::new();
        }
        vec!["--listen".to_owned(), format!("127.0.0.1:{}", self.port)]
    }

    /// Its data folder, as the server and the programs around it see it.
    pub(crate) fn data(&self) -> PathBuf {
        match &self.machine {
            Some(_) => PathBuf::from(DATA),
            None => self.folder.path().join("data"),
        }
    }

    /// A file of its data folder, as this process reaches it.
    pub(crate) fn data_from_here(&self, name: &str) -> PathBuf {
        match &self.machine {
            Some(machine) => machine.world.path(DATA).join(name),
            None => self.data().join(name),
        }
    }

    /// A file beside the data folder, for the harness.
    pub(crate) fn outside(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A program that runs where the server does.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = match &self.machine {
            None => match &self.network {
                None => Command::new(program),
                Some(network) => {
                    let mut command = Command::new("/usr/bin/nsenter");
                    command.args([&format!("--net={network}"), "--", program]);
                    command
                }
            },
            Some(machine) => {
                let mut command = Command::new("/usr/bin/nsenter");
                command.arg(format!("--mount={}", machine.world.mount_namespace().display()));
                command.arg(format!("--net={}", machine.network.namespace()));
                command.args(["--wd=/", "--", program]);
                command
            }
        };
        command.env_clear().env("PATH", PATH).env("LC_ALL", "C.UTF-8");
        command
    }

    /// The server's own program.
    pub(crate) fn server(&self) -> Command {
        match &self.machine {
            Some(_) => self.command("/usr/local/bin/oss2fa-server"),
            None => self.command(&Built::server().display().to_string()),
        }
    }
}

/// Ports for servers are below the range from which the kernel gives ports to clients, so that none of them sits there
/// while a server is away for a restart.
const FIRST_PORT: u16 = 20_000;
const PORTS: u16 = 12_000;

/// A port that nobody listens on, and that no other test is given as long as this process lives.
///
/// # Panics
/// Where the temporary folder cannot be written to.
#[must_use]
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let seed = u16::try_from(std::process::id() % 601).unwrap() * 20;
    loop {
        let port = FIRST_PORT + (seed + NEXT.fetch_add(1, Ordering::Relaxed)) % PORTS;
        if is_taken_for_us(port) {
            return port;
        }
    }
}

/// All but the last digit of ten such ports.
///
/// # Panics
/// Where no ten in a row are free.
#[must_use]
pub fn free_ports_of_ten() -> u16 {
    let mut tens = FIRST_PORT / 10..(FIRST_PORT + PORTS) / 10;
    tens.find(|ten| (0..10).all(|last| is_taken_for_us(ten * 10 + last))).expect("ten free ports in a row")
}

/// Tests run in processes of their own, several at once, and each looks for a port before its server has it: a lock says
/// which are somebody's already. It goes with the process, however that ends.
fn is_taken_for_us(port: u16) -> bool {
    static TAKEN: Mutex<Vec<File>> = Mutex::new(Vec::new());
    let folder = std::env::temp_dir().join(format!("oss2fa-ports-{}", nix::unistd::geteuid()));
    fs::create_dir_all(&folder).unwrap();
    let lock = File::create(folder.join(port.to_string())).unwrap();
    if lock.try_lock().is_err() || TcpListener::bind(("127.0.0.1", port)).is_err() {
        return false;
    }
    TAKEN.lock().unwrap().push(lock);
    true
}

/// A folder that another user of this machine may enter.
pub(crate) fn open_to_all(folder: &Path) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
}
