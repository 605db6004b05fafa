//! Where a command reads and writes; all that it shows is made safe for a terminal first.

use std::io::{self, BufRead, Read, Write};

use nix::sys::termios::{self, LocalFlags, SetArg, Termios};
use oss2fa_core::secret::SecretText;
use oss2fa_core::wire::DisplayText;
use serde::Serialize;

use super::context::Form;
use super::failure::{Exit, Failure, OwnCode};

/// What is at the other end of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attached {
    /// A person, or something that behaves like one.
    Terminal,
    /// A file, a pipe, nothing.
    Elsewhere,
}

/// Whether the last line on standard error is one that will be replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// It is not.
    None,
    /// It is.
    Shown,
}

/// The three standard streams.
pub struct Console<'io> {
    /// Where answers and codes come from.
    pub stdin: &'io mut dyn BufRead,
    /// Where results go.
    pub stdout: &'io mut dyn Write,
    /// Where prompts, progress and errors go.
    pub stderr: &'io mut dyn Write,
    /// What `stdin` is.
    pub stdin_is: Attached,
    /// What `stdout` is.
    pub stdout_is: Attached,
    /// What `stderr` is.
    pub stderr_is: Attached,
    /// Whether a line of progress stands there; [`Progress::None`] at first.
    pub progress: Progress,
}

/// While it lives, the terminal of standard input does not show what is typed.
struct Hidden(Termios);

impl Hidden {
    fn begin() -> Option<Self> {
        let before = termios::tcgetattr(io::stdin()).ok()?;
        let mut silent = before.clone();
        silent.local_flags.remove(LocalFlags::ECHO);
        termios::tcsetattr(io::stdin(), SetArg::TCSAFLUSH, &silent).ok()?;
        Some(Self(before))
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        let _as_before = termios::tcsetattr(io::stdin(), SetArg::TCSAFLUSH, &self.0);
    }
}

/// Longest line that is read as an answer, in bytes.
const LONGEST_ANSWER: u64 = 1024;

impl Console<'_> {
    /// A line of the result.
    pub(crate) fn say(&mut self, line: &str) -> Result<(), Failure> {
        writeln!(self.stdout, "{}", DisplayText::new(line).as_str()).map_err(|e| Failure::output(&e))
    }

    /// A part of the result that brings its own escape sequences and line breaks: of this program's
    /// making, never of the daemon's or a user's.
    pub(crate) fn draw(&mut self, picture: &str) -> Result<(), Failure> {
        self.stdout.write_all(picture.as_bytes()).map_err(|e| Failure::output(&e))
    }

    /// The result as one line of JSON.
    pub(crate) fn json(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        serde_json::to_writer(&mut self.stdout, value)
            .map_err(io::Error::from)
            .and_then(|()| self.stdout.write_all(b"\n"))
            .map_err(|e| Failure::output(&e))
    }

    /// A line beside the result: progress, advice.
    pub(crate) fn note(&mut self, line: &str) -> Result<(), Failure> {
        self.flush()?;
        writeln!(self.stderr, "{}", DisplayText::new(line).as_str()).map_err(|e| Failure::output(&e))
    }

    /// A line that takes the place of the one before it, where somebody is watching.
    pub(crate) fn progress(&mut self, line: &str) -> Result<(), Failure> {
        if self.stderr_is == Attached::Elsewhere {
            return Ok(());
        }
        self.progress = Progress::Shown;
        write!(self.stderr, "\r\x1b[K{}", DisplayText::new(line).as_str())
            .and_then(|()| self.stderr.flush())
            .map_err(|e| Failure::output(&e))
    }

    /// Takes the last such line away.
    pub(crate) fn end_progress(&mut self) -> Result<(), Failure> {
        if std::mem::replace(&mut self.progress, Progress::None) == Progress::Shown {
            write!(self.stderr, "\r\x1b[K").map_err(|e| Failure::output(&e))?;
        }
        Ok(())
    }

    /// Lets results out, for whoever reads them while the command goes on.
    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        self.stdout.flush().map_err(|e| Failure::output(&e))
    }

    /// Asks a question and reads one line.
    pub(crate) fn ask(&mut self, prompt: &str) -> Result<SecretText, Failure> {
        self.flush()?;
        write!(self.stderr, "{}", DisplayText::new(prompt).as_str())
            .and_then(|()| self.stderr.flush())
            .map_err(|e| Failure::output(&e))?;
        let answer = self.read_line();
        // Nobody has pressed Enter: what comes next begins a line of its own.
        if answer.is_err() || self.stdin_is == Attached::Elsewhere {
            writeln!(self.stderr).map_err(|e| Failure::output(&e))?;
        }
        answer
    }

    /// Asks a question and reads one line that nobody is to see; from elsewhere than a terminal as it comes.
    pub(crate) fn ask_hidden(&mut self, prompt: &str) -> Result<SecretText, Failure> {
        if self.stdin_is == Attached::Elsewhere {
            return self.ask(prompt);
        }
        let hidden = Hidden::begin();
        let answer = self.ask(prompt);
        if hidden.is_some() {
            writeln!(self.stderr).map_err(|e| Failure::output(&e))?;
        }
        answer
    }

    /// Reads one line without asking.
    pub(crate) fn read_line(&mut self) -> Result<SecretText, Failure> {
        let mut line = String::new();
        let length = Read::take(&mut *self.stdin, LONGEST_ANSWER).read_line(&mut line);
        let line = SecretText::new(line);
        match length {
            Ok(0) => Err(Failure::new(OwnCode::NoAnswer, "the input ended before a code was typed")),
            Ok(_) => Ok(SecretText::new(line.expose().trim().to_owned())),
            Err(error) => {
                Err(Failure::new(OwnCode::NoAnswer, format!("the code could not be read: {error}")))
            }
        }
    }

    /// Shows why a command was not done. There is nowhere to report that this fails.
    pub(crate) fn show_failure(&mut self, failure: &Failure, form: Form) {
        if failure.is_silent() {
            return;
        }
        let _ = self.stdout.flush();
        let _ = self.end_progress();
        let _ = match form {
            Form::Json => serde_json::to_writer(&mut self.stderr, failure)
                .map_err(io::Error::from)
                .and_then(|()| self.stderr.write_all(b"\n")),
            Form::Words => writeln!(self.stderr, "error: {}", DisplayText::new(failure.message()).as_str()),
        };
        let _ = self.stderr.flush();
    }

    /// The same as JSON; help and version are no failures, and stay text.
    pub(crate) fn show_usage_as_json(&mut self, answer: &clap::Error) -> Exit {
        if !answer.use_stderr() {
            return self.show_usage(answer);
        }
        let text = answer.render().to_string();
        let message = text.strip_prefix("error: ").unwrap_or(&text).trim_end();
        let failure = Failure::new(OwnCode::BadUsage, message);
        self.show_failure(&failure, Form::Json);
        failure.exit()
    }

    /// Shows what clap answers by itself: help, version, or what is wrong with the command line.
    pub(crate) fn show_usage(&mut self, answer: &clap::Error) -> Exit {
        let text = answer.render();
        let (stream, attached, exit) = if answer.use_stderr() {
            (&mut self.stderr, self.stderr_is, Exit::Usage)
        } else {
            (&mut self.stdout, self.stdout_is, Exit::Done)
        };
        let _ = match attached {
            Attached::Terminal => write!(stream, "{}", text.ansi()),
            Attached::Elsewhere => write!(stream, "{text}"),
        };
        let _ = stream.flush();
        exit
    }
}
