//! Programs that run to their end in a world.

use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::world::{PATH, World};

/// A program to run.
#[derive(Debug, Clone)]
pub struct Program {
    namespace: String,
    words: Vec<String>,
    user: Option<String>,
    environment: Vec<(String, String)>,
    input: String,
    umask: Option<&'static str>,
}

/// What came of it.
#[derive(Debug)]
pub struct Ran {
    /// Exit status; 128 and more for a signal, as shells count.
    pub status: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// How long it took.
    pub took: Duration,
}

impl Program {
    pub(crate) fn new(world: &World, words: &[&str]) -> Self {
        Self {
            namespace: world.namespace(),
            words: words.iter().map(|word| (*word).to_owned()).collect(),
            user: None,
            environment: Vec::new(),
            input: String::new(),
            umask: None,
        }
    }

    /// Run as this user, with their groups, without anything of root's environment.
    #[must_use]
    pub fn as_user(mut self, user: &str) -> Self {
        self.user = Some(user.to_owned());
        self
    }

    /// One more variable in the environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// What the program reads.
    #[must_use]
    pub fn input(mut self, text: &str) -> Self {
        self.input.push_str(text);
        self
    }

    /// The umask to begin with.
    #[must_use]
    pub fn umask(mut self, mask: &'static str) -> Self {
        self.umask = Some(mask);
        self
    }

    /// The whole command, entering the world first.
    #[must_use]
    pub fn command(&self) -> Command {
        let words = self.argv();
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).env_clear().env("PATH", PATH).env("LC_ALL", "C.UTF-8").env("TERM", "xterm");
        command
    }

    pub(crate) fn argv(&self) -> Vec<String> {
        let mut words =
            vec!["/usr/bin/nsenter".to_owned(), self.namespace.clone(), "--wd=/".to_owned(), "--".to_owned()];
        let owned = |list: &[&str]| list.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        if let Some(mask) = self.umask {
            words.extend(owned(&["/bin/sh", "-c", &format!("umask {mask}; exec \"$@\""), "sh"]));
        }
        if let Some(user) = &self.user {
            let (uid, gid) = (format!("--reuid={user}"), format!("--regid={user}"));
            words.extend(owned(&["/usr/bin/setpriv", &uid, &gid, "--init-groups", "--reset-env"]));
        }
        if !self.environment.is_empty() || self.user.is_some() {
            words.push("/usr/bin/env".to_owned());
            if self.user.is_some() {
                words.extend([format!("PATH={PATH}"), "LC_ALL=C.UTF-8".to_owned()]);
            }
            words.extend(self.environment.iter().map(|(name, value)| format!("{name}={value}")));
        }
        words.extend(self.words.iter().cloned());
        words
    }

    /// Starts it with all three streams as pipes, the input written and closed.
    #[must_use]
    pub fn spawn(&self) -> Child {
        let mut command = self.command();
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{:?}: {error}", self.words));
        // A program that ends without reading all of it is no failure of the harness.
        let _ended = child.stdin.take().unwrap().write_all(self.input.as_bytes());
        child
    }

    /// Runs it to its end.
    #[must_use]
    pub fn run(&self) -> Ran {
        let begun = Instant::now();
        let output = self.spawn().wait_with_output().unwrap();
        Ran {
            status: output.status.code().unwrap_or_else(|| 128 + output.status.signal().unwrap_or(0)),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            took: begun.elapsed(),
        }
    }

    /// Runs it and takes its output; anything but exit status 0 fails the test.
    #[must_use]
    pub fn output(&self) -> String {
        let ran = self.run();
        assert_eq!(ran.status, 0, "{:?}: {ran}", self.words);
        ran.stdout
    }

    /// Runs it; anything but exit status 0 fails the test.
    pub fn succeed(&self) {
        let _output = self.output();
    }
}

impl Ran {
    /// Both streams.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }

    /// The output as JSON.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self}"))
    }
}

impl std::fmt::Display for Ran {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "status {} after {:?}\n{}\n{}", self.status, self.took, self.stdout, self.stderr)
    }
}
