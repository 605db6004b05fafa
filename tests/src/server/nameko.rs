//! nameko's own clients, and messages that are none of theirs, by the scripts of tests/peers/nameko.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};

use crate::built::workspace;

/// Whose client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nameko {
    /// 2.14: `ClusterRpcProxy`.
    Two,
    /// 3.0, a release candidate: `ClusterRpcClient`.
    Three,
}

impl Nameko {
    /// A program of its environment.
    ///
    /// # Panics
    /// Where `tests/peers/install.sh` was not run.
    #[must_use]
    pub fn program(self, name: &str) -> Command {
        let folder = match self {
            Self::Two => "target/peers/nameko-2/bin",
            Self::Three => "target/peers/nameko-3/bin",
        };
        let program = workspace().join(folder).join(name);
        assert!(program.exists(), "{} is not there: run tests/peers/install.sh", program.display());
        let mut command = Command::new(program);
        // Nothing is written into the sources, and eventlet's advice to use something else is left out.
        command.env_clear().env("LC_ALL", "C.UTF-8").env("PYTHONDONTWRITEBYTECODE", "1");
        command.env("PYTHONWARNINGS", "ignore").stdin(Stdio::null());
        command
    }

    /// Runs a script to its end; what it printed.
    ///
    /// # Panics
    /// Where it fails.
    #[must_use]
    pub fn run(self, script: &str, words: &[&str]) -> String {
        let output = self.script(script, words).output().unwrap();
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{self:?}, {script}: {printed}\n{complaint}");
        printed.trim().to_owned()
    }

    /// Begins to run a script.
    #[must_use]
    pub fn start(self, script: &str, words: &[&str]) -> Running {
        let mut child = self.script(script, words).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Running { child, lines }
    }

    fn script(self, script: &str, words: &[&str]) -> Command {
        let mut command = self.program("python");
        command.arg(workspace().join("tests/peers/nameko").join(script)).args(words);
        command
    }
}

/// A script that runs.
#[derive(Debug)]
pub struct Running {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Running {
    /// Waits until it prints this line.
    ///
    /// # Panics
    /// Where it ends before.
    pub fn until(&mut self, wanted: &str) {
        while self.line().expect("it ended before that") != wanted {}
    }

    /// Waits for its end; its last line.
    ///
    /// # Panics
    /// Where it fails.
    #[must_use]
    pub fn last(mut self) -> String {
        let mut last = String::new();
        while let Some(line) = self.line() {
            last = line;
        }
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}");
        last
    }

    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let read = self.lines.read_line(&mut line).unwrap();
        (read > 0).then(|| line.trim_end().to_owned())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _status = self.child.wait();
    }
}
