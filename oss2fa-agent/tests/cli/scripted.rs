//! A daemon that follows a script, and the command line run against it.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fmt::{self, Write as _};
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use nix::unistd::{User, getuid};
use oss2fa_agent::cli::{self, Attached, Console, Environment, Exit, Progress};
use oss2fa_core::wire::{Decoder, encode};
use serde_json::Value;
use tempfile::TempDir;

type Script = Arc<Mutex<VecDeque<(Value, Answer)>>>;

/// What the daemon does with a request.
#[derive(Debug)]
pub(crate) enum Answer {
    /// Sends this message.
    Message(Value),
    /// Sends these bytes and hangs up.
    Bytes(Vec<u8>),
    /// Sends these messages, and expects what stands beside one as the next request on the connection.
    Talk(Vec<(Value, Option<Value>)>),
}

/// A host with a configuration, and a daemon where one was started.
pub(crate) struct Host {
    folder: TempDir,
    uid: u32,
    stdin: String,
    terminals: Attached,
    script: Script,
    daemon: Option<JoinHandle<()>>,
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) exit: Exit,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Host {
    /// Without a daemon.
    pub(crate) fn new() -> Self {
        let host = Self {
            folder: tempfile::tempdir().unwrap(),
            uid: getuid().as_raw(),
            stdin: String::new(),
            terminals: Attached::Elsewhere,
            script: Script::default(),
            daemon: None,
        };
        host.configure("");
        host
    }

    /// With a daemon that expects these requests, in this order.
    pub(crate) fn with_daemon(script: impl IntoIterator<Item = (Value, Value)>) -> Self {
        Self::new().serving(script.into_iter().map(|(request, answer)| (request, Answer::Message(answer))))
    }

    /// Starts the daemon.
    pub(crate) fn serving(mut self, script: impl IntoIterator<Item = (Value, Answer)>) -> Self {
        self.script.lock().unwrap().extend(script);
        let listener = UnixListener::bind(self.path("agent.sock")).unwrap();
        let script = Arc::clone(&self.script);
        self.daemon = Some(std::thread::spawn(move || {
            for stream in listener.incoming() {
                // A connection that says nothing is the test's, to end the daemon.
                let Some((mut stream, request)) = receive(stream.unwrap()) else { return };
                let (expected, answer) = script.lock().unwrap().pop_front().expect("one request too many");
                assert_eq!(request, expected);
                match answer {
                    Answer::Message(message) => stream.write_all(&encode(&message).unwrap()).unwrap(),
                    Answer::Bytes(bytes) => stream.write_all(&bytes).unwrap(),
                    Answer::Talk(messages) => {
                        for (message, expected) in messages {
                            stream.write_all(&encode(&message).unwrap()).unwrap();
                            let Some(expected) = expected else { continue };
                            let again = receive(stream.try_clone().unwrap());
                            assert_eq!(again.map(|(_, request)| request), Some(expected));
                        }
                    }
                }
            }
        }));
        self
    }

    /// What is typed, or piped in.
    pub(crate) fn typing(mut self, stdin: &str) -> Self {
        stdin.clone_into(&mut self.stdin);
        self
    }

    /// All three streams are a terminal.
    pub(crate) fn on_a_terminal(mut self) -> Self {
        self.terminals = Attached::Terminal;
        self
    }

    /// The command line believes that this user id runs it.
    pub(crate) fn run_by(mut self, uid: u32) -> Self {
        self.uid = uid;
        self
    }

    /// A file of the host.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file of the host.
    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
        path
    }

    /// Writes the configuration, with `more` after what every host needs.
    pub(crate) fn configure(&self, more: &str) -> PathBuf {
        // The daemon of these tests runs as the test: a user that the command line trusts.
        let own = User::from_uid(getuid()).unwrap().unwrap().name;
        let user = if own == "root" { "nobody" } else { &own };
        let folder = self.folder.path().display();
        self.write(
            "agent.toml",
            &format!(
                "[agent]\nsocket = \"{folder}/agent.sock\"\nuser = \"{user}\"\n[store]\npath = \"{folder}/agent.db\"\n\
                 master_key = \"{folder}/master.key\"\n[audit]\nsyslog = false\n{more}"
            ),
        )
    }

    /// Runs a command, and holds the daemon to its script.
    pub(crate) fn run(&mut self, words: &[&str]) -> Ran {
        let ran = self.run_with(words, &self.path("agent.toml"));
        if let Some(daemon) = self.daemon.take() {
            drop(UnixStream::connect(self.path("agent.sock")));
            daemon.join().expect("the daemon saw what it expected");
            let left = self.script.lock().unwrap();
            assert!(left.is_empty(), "never asked: {left:?}\n{ran}");
        }
        ran
    }

    /// Runs a command with this configuration.
    pub(crate) fn run_with(&self, words: &[&str], config: &Path) -> Ran {
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let exit = self.execute(words, config, &mut stdout, &mut stderr);
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Ran { exit, stdout: text(stdout), stderr: text(stderr) }.without(self.folder.path())
    }

    /// Runs a command that writes there.
    pub(crate) fn run_into(&self, words: &[&str], stdout: &mut dyn Write, stderr: &mut dyn Write) -> Exit {
        self.execute(words, &self.path("agent.toml"), stdout, stderr)
    }

    fn execute(&self, words: &[&str], config: &Path, stdout: &mut dyn Write, stderr: &mut dyn Write) -> Exit {
        let environment =
            Environment { uid: self.uid, term: Some("xterm-256color".to_owned()), credentials: None };
        let mut arguments: Vec<OsString> = vec!["oss2fa-agent".into(), "--config".into(), config.into()];
        arguments.extend(words.iter().map(OsString::from));
        cli::run(
            arguments,
            &environment,
            &mut Console {
                stdin: &mut self.stdin.as_bytes(),
                stdout,
                stderr,
                stdin_is: self.terminals,
                stdout_is: self.terminals,
                stderr_is: self.terminals,
                progress: Progress::None,
            },
        )
    }
}

fn receive(mut stream: UnixStream) -> Option<(UnixStream, Value)> {
    let mut decoder = Decoder::default();
    loop {
        if let Some(request) = decoder.next().unwrap() {
            return Some((stream, request));
        }
        let mut buffer = vec![0; decoder.missing().unwrap()];
        match stream.read(&mut buffer).unwrap() {
            0 => return None,
            length => decoder.push(&buffer[..length]),
        }
    }
}

impl Ran {
    fn without(mut self, folder: &Path) -> Self {
        let folder = folder.display().to_string();
        self.stdout = self.stdout.replace(&folder, "[DIR]");
        self.stderr = self.stderr.replace(&folder, "[DIR]");
        self
    }
}

impl fmt::Display for Ran {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = format!("exit status: {}\n", self.exit.status());
        for (name, stream) in [("stdout", &self.stdout), ("stderr", &self.stderr)] {
            if !stream.is_empty() {
                writeln!(text, "---- {name} ----\n{}", stream.trim_end_matches('\n'))?;
            }
        }
        f.write_str(&text)
    }
}
