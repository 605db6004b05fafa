//! A running server: its banner, its end, its commands.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Output, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use toml::Table;

use crate::command::Ran;
use crate::server::place::Place;
use crate::server::plan::Plan;

/// The line that says that the server takes requests.
const STARTED: &str = "==> OSS2FA server started";

const PATIENCE: Duration = Duration::from_secs(60);

/// A running `oss2fa-server serve`.
#[derive(Debug)]
pub struct Server {
    /// `https://127.0.0.1:PORT`, or `http:` where the configuration switched TLS off.
    pub url: String,
    /// Token of the default integration.
    pub token: String,
    place: Place,
    settings: Table,
    flags: Vec<String>,
    process: Mutex<Option<Child>>,
    banner: Mutex<String>,
}

impl Server {
    pub(crate) fn prepare(place: Place, plan: &Plan) -> Self {
        let tls = plan.settings.get("tls").and_then(|tls| tls.get("mode")).and_then(|mode| mode.as_str());
        let scheme = if tls == Some("off") { "http" } else { "https" };
        Self {
            url: format!("{scheme}://127.0.0.1:{}", place.port()),
            token: String::new(),
            flags: plan.flags(&place),
            settings: plan.settings.clone(),
            place,
            process: Mutex::new(None),
            banner: Mutex::new(String::new()),
        }
    }

    pub(crate) fn with_banner(mut self, banner: &str, known: Option<&str>) -> Self {
        let shown = value_in(banner, "Integration").filter(|text| is_token(text));
        let token = known.map(str::to_owned).or(shown);
        self.token = token.unwrap_or_else(|| panic!("no token in the banner:\n{banner}"));
        self
    }

    /// Starts the process; what it wrote, where it ended before the banner did.
    pub(crate) fn launch(&self) -> Result<String, String> {
        let log = File::options().create(true).append(true).open(self.place.outside("log")).unwrap();
        let mut copy = log.try_clone().unwrap();
        let mut command = self.place.server();
        command.arg("serve").args(&self.flags).args(self.place.listen());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        *self.process.lock().unwrap() = Some(child);
        let (sender, receiver) = mpsc::channel();
        // Reads on after the banner: a pipe that nobody empties would stop the server.
        thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let _full = writeln!(copy, "{line}");
                let _nobody = sender.send(line);
            }
        });
        let mut banner = String::new();
        let begun = Instant::now();
        while !banner.contains(STARTED) {
            match receiver.recv_timeout(PATIENCE.saturating_sub(begun.elapsed())) {
                Ok(line) => {
                    banner.push_str(&line);
                    banner.push('\n');
                }
                Err(RecvTimeoutError::Disconnected) => return Err(self.log()),
                Err(RecvTimeoutError::Timeout) => panic!("no banner in {PATIENCE:?}:\n{}", self.log()),
            }
        }
        banner.clone_into(&mut self.banner.lock().unwrap());
        Ok(banner)
    }

    /// Starts it again after its end, on the same port, and waits for its banner.
    ///
    /// # Panics
    /// Where it does not start.
    pub fn start_again(&self) {
        assert!(self.process.lock().unwrap().is_none(), "it has not ended");
        let _banner = self.launch().unwrap_or_else(|log| panic!("the server does not start again:\n{log}"));
    }

    /// Kill -9; its process is gone when this returns.
    pub fn kill_9(&self) {
        if let Some(mut process) = self.process.lock().unwrap().take() {
            let _gone = process.kill();
            let _status = process.wait();
        }
    }

    /// SIGTERM, and waits for the end.
    ///
    /// # Panics
    /// Where it does not end with exit status 0.
    pub fn stop(&self) {
        self.signal(Signal::SIGTERM);
        let status = self.wait();
        assert_eq!(status, 0, "exit status after SIGTERM:\n{}", self.log());
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.pid()).unwrap()), signal).expect("the server is there");
    }

    /// Waits for its end and gives its exit status; 128 and more for a signal.
    pub fn wait(&self) -> i32 {
        let mut process = self.process.lock().unwrap().take().expect("the server was started");
        let begun = Instant::now();
        loop {
            if let Some(status) = process.try_wait().unwrap() {
                return status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
            }
            if begun.elapsed() > PATIENCE {
                let _gone = process.kill();
                let _status = process.wait();
                panic!("the server does not end within {PATIENCE:?}:\n{}", self.log());
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Number of its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.lock().unwrap().as_ref().expect("the server runs").id()
    }

    /// What it wrote on standard output when it was last started, up to and with the last line.
    #[must_use]
    pub fn banner(&self) -> String {
        self.banner.lock().unwrap().clone()
    }

    /// All that it wrote, on both streams.
    #[must_use]
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.place.outside("log")).unwrap_or_default()).into_owned()
    }

    /// `oss2fa-server WORDS` on the same installation.
    #[must_use]
    pub fn cli(&self, words: &[&str]) -> Ran {
        let mut command = self.place.server();
        command.args(words).args(&self.flags).stdin(Stdio::null());
        let begun = Instant::now();
        let output: Output = command.output().unwrap();
        Ran {
            status: output.status.code().unwrap_or_else(|| 128 + output.status.signal().unwrap_or(0)),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            took: begun.elapsed(),
        }
    }

    /// The same, with `--json`, for what it prints.
    ///
    /// # Panics
    /// Where its exit status is not 0.
    #[must_use]
    pub fn cli_json(&self, words: &[&str]) -> serde_json::Value {
        let ran = self.cli(&[words, &["--json"]].concat());
        assert_eq!(ran.status, 0, "{words:?}: {ran}");
        ran.json()
    }

    /// The port of loopback that it listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.place.port()
    }

    /// Codes of this client that were accepted, by the audit.
    ///
    /// # Panics
    /// Where the audit cannot be read.
    #[must_use]
    pub fn accepted(&self, client: &str) -> usize {
        let listed = self.cli(&["audit", "list", "--client", client, "--event", "accepted", "--json"]);
        assert_eq!(listed.status, 0, "{listed}");
        listed.stdout.lines().filter(|line| !line.is_empty()).count()
    }

    /// Its certificate.
    #[must_use]
    pub fn ca(&self) -> PathBuf {
        let named = self.settings.get("tls").and_then(|tls| tls.get("certificate"));
        named.and_then(|path| path.as_str()).map_or_else(|| self.data().join("tls.crt"), PathBuf::from)
    }

    /// Its data folder, as it sees it itself.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.place.data()
    }

    /// A file of its data folder, for this process.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.place.data_from_here(name)
    }

    pub(crate) fn settings(&self) -> &Table {
        &self.settings
    }

    pub(crate) fn command(&self, program: &str) -> std::process::Command {
        self.place.command(program)
    }

    /// A file for the harness's own use.
    #[must_use]
    pub fn scratch(&self, name: &str) -> PathBuf {
        self.place.outside(name)
    }

    /// What the kernel says of it: `field` of `/proc/PID/status`.
    #[must_use]
    pub fn kernel(&self, field: &str) -> String {
        let status = fs::read_to_string(Path::new("/proc").join(self.pid().to_string()).join("status"));
        let status = status.unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(&format!("{field}:")));
        line.unwrap_or_else(|| panic!("no {field}")).trim().to_owned()
    }
}

#[expect(clippy::print_stderr, reason = "the reader of a failed test wants the server's words")]
impl Drop for Server {
    fn drop(&mut self) {
        if let Ok(mut process) = self.process.lock()
            && let Some(mut process) = process.take()
        {
            let _gone = process.kill();
            let _status = process.wait();
        }
        if thread::panicking() {
            eprintln!("the server at {} wrote:\n{}", self.url, self.log());
        }
    }
}

fn value_in(banner: &str, label: &str) -> Option<String> {
    let lines = banner.lines().filter_map(|line| line.trim_start().split_once(": "));
    lines.into_iter().find(|(name, _)| *name == label).map(|(_, value)| value.to_owned())
}

fn is_token(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}
