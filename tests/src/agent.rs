//! The daemon of a world: started, signalled, restarted, its log kept.

use std::fs::File;
use std::io::Read as _;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::world::World;

/// Where the agent of a world listens, inside it.
pub(crate) const SOCKET: &str = "/run/oss2fa/agent.sock";

/// Where the agent of a world finds its configuration, inside it.
pub(crate) const CONFIG: &str = "/etc/oss2fa/agent.toml";

/// A running `oss2fa-agent serve`.
#[derive(Debug)]
pub struct Agent {
    process: Child,
}

impl Agent {
    /// Starts the daemon as root and waits until it serves.
    ///
    /// # Panics
    /// Where it ends instead, or does not serve within a minute.
    #[must_use]
    pub fn start(world: &World) -> Self {
        Self::start_by(world, &[])
    }

    /// The same, started through a program that these words call.
    ///
    /// # Panics
    /// As [`Agent::start`].
    #[must_use]
    pub(crate) fn start_by(world: &World, before: &[&str]) -> Self {
        let mut agent = Self::launch(world, &[before, &["/usr/local/bin/oss2fa-agent", "serve"]].concat());
        agent.wait_until_ready(world);
        agent
    }

    /// Starts the daemon by these words, and does not wait.
    #[must_use]
    pub fn launch(world: &World, words: &[&str]) -> Self {
        let log = File::options().create(true).append(true).open(world.folder().join("agent.log")).unwrap();
        let mut command = world.program(words).command();
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        Self { process: command.spawn().unwrap() }
    }

    /// Waits until the daemon serves: its socket listens before its store is open.
    ///
    /// # Panics
    /// Where it ends instead, or does not serve within a minute.
    pub fn wait_until_ready(&mut self, world: &World) {
        let begun = Instant::now();
        while !Self::serves(world) {
            let log = || Self::log(world);
            assert!(self.process.try_wait().unwrap().is_none(), "the agent has ended:\n{}", log());
            assert!(begun.elapsed() < Duration::from_secs(60), "the agent does not serve:\n{}", log());
            thread::sleep(Duration::from_millis(2));
        }
    }

    // Whoever hangs up without a word is hung up on, and by nobody but the daemon itself.
    fn serves(world: &World) -> bool {
        let Ok(mut stream) = UnixStream::connect(world.path(SOCKET)) else { return false };
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        matches!(stream.read(&mut [0]), Ok(0))
    }

    /// All that the agents of this world wrote.
    #[must_use]
    pub fn log(world: &World) -> String {
        let bytes = std::fs::read(world.folder().join("agent.log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Number of its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.process.id()).unwrap());
        kill(pid, signal).expect("the agent is there");
    }

    /// Waits for its end and gives its exit status; 128 and more for a signal.
    pub fn wait(&mut self) -> i32 {
        use std::os::unix::process::ExitStatusExt;
        let status = self.process.wait().unwrap();
        status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
    }

    /// Its exit status, if it has ended within this time.
    pub fn ended_within(&mut self, patience: Duration) -> Option<i32> {
        let begun = Instant::now();
        while begun.elapsed() < patience {
            if self.process.try_wait().unwrap().is_some() {
                return Some(self.wait());
            }
            thread::sleep(Duration::from_millis(5));
        }
        None
    }

    /// Kill -9, and its process is gone when this returns.
    pub fn kill(&mut self) {
        let _gone = self.process.kill();
        let _status = self.process.wait();
    }

    /// What the kernel says of it: `field` of `/proc/PID/status`.
    #[must_use]
    pub fn kernel(&self, field: &str) -> String {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(&format!("{field}:")));
        line.unwrap_or_else(|| panic!("no {field}")).split_whitespace().collect::<Vec<_>>().join(" ")
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.kill();
    }
}
