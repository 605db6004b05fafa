//! A program at a pseudo-terminal, with somebody typing (Python's `pexpect`).

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use serde::Deserialize;
use serde_json::json;

use crate::command::Program;

/// A terminal session under way.
#[derive(Debug)]
pub struct Terminal {
    driver: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
    transcript: String,
}

/// How a session ended.
#[derive(Debug)]
pub struct End {
    /// Exit status; 128 and more for a signal.
    pub status: i32,
    /// What was shown after the last thing that was waited for.
    pub rest: String,
    /// All that was shown.
    pub transcript: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Answer {
    found: String,
    before: String,
    status: i32,
    pid: u32,
}

const PATIENCE: u32 = 60;

impl Program {
    /// Starts the program at a terminal of its own.
    ///
    /// # Panics
    /// Without Debian's python3-pexpect.
    #[must_use]
    pub fn terminal(&self) -> Terminal {
        let mut words = self.argv();
        // The driver itself runs in the world, so that the terminal is one of that world.
        let start = words.iter().position(|word| word == "--").unwrap() + 1;
        let driver = ["/usr/bin/python3", "-c", include_str!("terminal.py")];
        words.splice(start..start, driver.iter().map(|word| (*word).to_owned()));
        let mut command = std::process::Command::new(&words[0]);
        command.args(&words[1..]).env_clear().env("PATH", crate::world::PATH);
        command.env("LC_ALL", "C.UTF-8").env("TERM", "xterm");
        let mut driver = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("nsenter");
        let requests = driver.stdin.take().unwrap();
        let answers = BufReader::new(driver.stdout.take().unwrap());
        Terminal { driver, requests, answers, transcript: String::new() }
    }
}

impl Terminal {
    fn ask(&mut self, request: &serde_json::Value) -> Answer {
        writeln!(self.requests, "{request}").expect("the terminal's driver (Debian's python3-pexpect)");
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        let answer: Answer = serde_json::from_str(&line).expect("an answer of the terminal's driver");
        self.transcript.push_str(&answer.before.replace("\r\n", "\n"));
        answer
    }

    /// Waits until this is shown, and gives what was shown before it.
    ///
    /// # Panics
    /// Where it does not come within a minute.
    pub fn expect(&mut self, text: &str) -> String {
        let answer = self.ask(&json!({"do": "expect", "text": text, "seconds": PATIENCE}));
        assert_eq!(answer.found, "yes", "waited for {text:?}; so far:\n{}", self.transcript);
        self.transcript.push_str(text);
        answer.before.replace("\r\n", "\n")
    }

    /// Types this, without a line end.
    pub fn type_keys(&mut self, keys: &str) {
        let _done = self.ask(&json!({"do": "send", "text": keys}));
    }

    /// Types a line.
    pub fn send(&mut self, line: &str) {
        self.type_keys(&format!("{line}\r"));
    }

    /// Waits for a prompt and answers it.
    #[must_use]
    pub fn answer(mut self, prompt: &str, line: &str) -> Self {
        let _before = self.expect(prompt);
        self.send(line);
        self
    }

    /// Waits for a prompt and answers it, or for the program's end.
    #[must_use]
    pub fn answer_if_asked(mut self, prompt: &str, line: &str) -> Self {
        let answer = self.ask(&json!({"do": "expect", "text": prompt, "seconds": PATIENCE}));
        if answer.found == "yes" {
            self.transcript.push_str(prompt);
            self.send(line);
        }
        self
    }

    /// Number of the program's process.
    pub fn pid(&mut self) -> u32 {
        self.ask(&json!({"do": "pid"})).pid
    }

    /// Waits for the program's end.
    ///
    /// # Panics
    /// Where it does not end within a minute.
    #[must_use]
    pub fn finish(mut self) -> End {
        let answer = self.ask(&json!({"do": "finish", "seconds": PATIENCE}));
        assert_eq!(answer.found, "end", "it does not end; so far:\n{}", self.transcript);
        End {
            status: answer.status,
            rest: answer.before.replace("\r\n", "\n"),
            transcript: self.transcript.clone(),
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _gone = self.driver.kill();
        let _status = self.driver.wait();
    }
}
