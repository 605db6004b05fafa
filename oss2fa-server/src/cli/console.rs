//! Where a command reads and writes; all that it shows is made safe for a terminal first.

use std::io::{self, BufRead, Read, Write};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use oss2fa_core::wire::DisplayText;
use serde::Serialize;

use super::context::Form;
use super::failure::{Code, Exit, Failure};

/// What is at the other end of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attached {
    /// A person, or something that behaves like one.
    Terminal,
    /// A file, a pipe, nothing.
    Elsewhere,
}

/// The three standard streams.
pub struct Console<'io> {
    /// Where answers come from.
    pub stdin: &'io mut dyn BufRead,
    /// Where results go.
    pub stdout: &'io mut (dyn Write + Send),
    /// Where prompts, progress and errors go.
    pub stderr: &'io mut (dyn Write + Send),
    /// What `stdin` is.
    pub stdin_is: Attached,
    /// What `stdout` is.
    pub stdout_is: Attached,
    /// What `stderr` is.
    pub stderr_is: Attached,
}

/// Longest line that is read as an answer, in bytes.
const LONGEST_ANSWER: u64 = 1024;

impl Console<'_> {
    /// A line of the result.
    pub(crate) fn say(&mut self, line: &str) -> Result<(), Failure> {
        writeln!(self.stdout, "{}", DisplayText::new(line).as_str()).map_err(|e| Failure::output(&e))
    }

    /// A part of the result that brings its own line breaks, of this program's making.
    pub(crate) fn draw(&mut self, text: &str) -> Result<(), Failure> {
        self.stdout.write_all(text.as_bytes()).map_err(|e| Failure::output(&e))
    }

    /// The result as one line of JSON.
    pub(crate) fn json(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        serde_json::to_writer(&mut self.stdout, value)
            .map_err(io::Error::from)
            .and_then(|()| self.stdout.write_all(b"\n"))
            .map_err(|e| Failure::output(&e))
    }

    /// A line beside the result: a warning, advice.
    pub(crate) fn note(&mut self, line: &str) -> Result<(), Failure> {
        self.flush()?;
        writeln!(self.stderr, "{}", DisplayText::new(line).as_str()).map_err(|e| Failure::output(&e))
    }

    /// A bar for long work, drawn where somebody is watching.
    pub(crate) fn bar(&self, what: &'static str) -> ProgressBar {
        let target = match self.stderr_is {
            Attached::Terminal => ProgressDrawTarget::stderr(),
            Attached::Elsewhere => ProgressDrawTarget::hidden(),
        };
        let style = ProgressStyle::with_template("{msg} {wide_bar} {human_pos}/{human_len} {eta}")
            .unwrap_or_else(|_| ProgressStyle::default_bar());
        ProgressBar::with_draw_target(None, target).with_style(style).with_message(what)
    }

    /// Lets results out.
    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        self.stdout.flush().map_err(|e| Failure::output(&e))
    }

    /// Asks a question and reads one line.
    pub(crate) fn ask(&mut self, prompt: &str) -> Result<String, Failure> {
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

    fn read_line(&mut self) -> Result<String, Failure> {
        let mut line = String::new();
        match Read::take(&mut *self.stdin, LONGEST_ANSWER).read_line(&mut line) {
            Ok(0) => Err(Failure::new(
                Code::NoAnswer,
                "the input ended before an answer came, and nothing was done. Add --yes to be asked nothing",
            )),
            Ok(_) => Ok(line.trim().to_owned()),
            Err(error) => Err(Failure::new(Code::NoAnswer, format!("the answer could not be read: {error}"))),
        }
    }

    /// Shows why a command was not done. There is nowhere to report that this fails.
    pub(crate) fn show_failure(&mut self, failure: &Failure, form: Form) {
        if failure.is_silent() {
            return;
        }
        let _ = self.stdout.flush();
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
        let failure = Failure::new(Code::BadUsage, message);
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
