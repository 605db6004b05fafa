//! The arguments of the module's line in a stack.
#![forbid(unsafe_code)]

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use oss2fa_core::wire::{Conversation, Echo};

/// Where the agent listens unless `socket=` says otherwise.
pub const DEFAULT_SOCKET: &str = "/run/oss2fa/agent.sock";

/// How long a login may take unless `timeout=` says otherwise.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(130);

/// Longest `socket=`, in bytes: `sun_path` without its final zero (unix(7)).
const MAX_SOCKET: usize = 107;

/// Largest `timeout=`, in seconds.
const MAX_TIMEOUT: u64 = 600;

/// Longest `prompt=`, in bytes.
const MAX_PROMPT: usize = 256;

const KNOWN: &str = "known are socket=PATH, timeout=SECONDS, prompt=TEXT, echo, quiet, debug, \
                     and enforce on an account line";

/// Which part of a stack the line stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// `auth`
    Auth,
    /// `account`
    Account,
}

/// How much is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verbosity {
    /// What an administrator should know.
    Normal,
    /// Each step (`debug`).
    Debug,
}

/// What the account phase does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Enforcement {
    /// It has no opinion.
    Off,
    /// It refuses who has shown no second factor and must have one (`enforce`).
    On,
}

/// The arguments, parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The agent's socket.
    pub socket: PathBuf,
    /// From the call of the module to its end, the time that the user takes to type included.
    pub timeout: Duration,
    /// The words of the code prompt; the agent has its own.
    pub prompt: Option<String>,
    /// Whether the code is shown while it is typed.
    pub echo: Echo,
    /// Whether the program around the module can show messages.
    pub conversation: Conversation,
    /// How much is logged.
    pub verbosity: Verbosity,
    /// What the account phase does.
    pub enforcement: Enforcement,
}

/// An argument that the module does not take. The login is refused: a line that means something
/// else than its author thought must not decide who gets in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadArgument {
    name: String,
    reason: &'static str,
}

impl fmt::Display for BadArgument {
    // The value is left out: somebody may have put a secret there.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "argument {:?} in the PAM stack: {}", self.name, self.reason)
    }
}

impl Options {
    /// Reads the arguments as libpam split them; `[prompt=Your code: ]` comes without its brackets.
    ///
    /// # Errors
    /// [`BadArgument`] for one that is unknown, malformed, or named twice.
    pub fn parse(arguments: &[Vec<u8>], phase: Phase) -> Result<Self, BadArgument> {
        let mut given = Given::default();
        for argument in arguments {
            given.take(argument, phase)?;
        }
        Ok(Self {
            socket: given.socket.unwrap_or_else(|| PathBuf::from(DEFAULT_SOCKET)),
            timeout: given.timeout.unwrap_or(DEFAULT_TIMEOUT),
            prompt: given.prompt,
            echo: given.echo.unwrap_or(Echo::Off),
            conversation: given.conversation.unwrap_or(Conversation::Messages),
            verbosity: given.verbosity.unwrap_or(Verbosity::Normal),
            enforcement: given.enforcement.unwrap_or(Enforcement::Off),
        })
    }
}

#[derive(Default)]
struct Given {
    socket: Option<PathBuf>,
    timeout: Option<Duration>,
    prompt: Option<String>,
    echo: Option<Echo>,
    conversation: Option<Conversation>,
    verbosity: Option<Verbosity>,
    enforcement: Option<Enforcement>,
}

impl Given {
    fn take(&mut self, argument: &[u8], phase: Phase) -> Result<(), BadArgument> {
        let text = String::from_utf8_lossy(argument);
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (&*text, None),
        };
        let taken = if std::str::from_utf8(argument).is_err() {
            Err("is not UTF-8")
        } else {
            match (name, value) {
                ("socket", Some(value)) => socket(value).and_then(|it| once(&mut self.socket, it)),
                ("timeout", Some(value)) => timeout(value).and_then(|it| once(&mut self.timeout, it)),
                ("prompt", Some(value)) => prompt(value).and_then(|it| once(&mut self.prompt, it)),
                ("echo", None) => once(&mut self.echo, Echo::On),
                ("quiet", None) => once(&mut self.conversation, Conversation::PromptsOnly),
                ("debug", None) => once(&mut self.verbosity, Verbosity::Debug),
                ("enforce", None) => match phase {
                    Phase::Account => once(&mut self.enforcement, Enforcement::On),
                    Phase::Auth => Err("belongs on an account line: account required pam_oss2fa.so enforce"),
                },
                ("socket" | "timeout" | "prompt", None) => Err("needs a value, as in NAME=VALUE"),
                ("echo" | "quiet" | "debug" | "enforce", Some(_)) => Err("takes no value"),
                _ => Err(KNOWN),
            }
        };
        taken.map_err(|reason| BadArgument { name: name.to_owned(), reason })
    }
}

fn once<T>(place: &mut Option<T>, value: T) -> Result<(), &'static str> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err("is named twice"),
    }
}

fn socket(value: &str) -> Result<PathBuf, &'static str> {
    let path = Path::new(value);
    if !path.is_absolute() {
        return Err("must be an absolute path");
    }
    if value.len() > MAX_SOCKET {
        return Err("must be at most 107 bytes long");
    }
    Ok(path.to_owned())
}

fn timeout(value: &str) -> Result<Duration, &'static str> {
    let digits = value.bytes().all(|byte| byte.is_ascii_digit());
    match value.parse::<u64>() {
        Ok(seconds @ 1..=MAX_TIMEOUT) if digits => Ok(Duration::from_secs(seconds)),
        _ => Err("must be a number of seconds from 1 to 600"),
    }
}

fn prompt(value: &str) -> Result<String, &'static str> {
    if value.is_empty() || value.len() > MAX_PROMPT || value.chars().any(char::is_control) {
        return Err("must be 1 to 256 bytes without control characters, as in [prompt=Your code: ]");
    }
    Ok(value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str], phase: Phase) -> Result<Options, String> {
        let arguments: Vec<Vec<u8>> = arguments.iter().map(|it| it.as_bytes().to_vec()).collect();
        Options::parse(&arguments, phase).map_err(|bad| bad.to_string())
    }

    #[test]
    fn without_arguments_the_defaults_hold() {
        let options = parse(&[], Phase::Auth).unwrap();
        assert_eq!(options.socket, Path::new("/run/oss2fa/agent.sock"));
        assert_eq!(options.timeout, Duration::from_secs(130));
        assert_eq!(options.prompt, None);
        assert_eq!(options.echo, Echo::Off);
        assert_eq!(options.conversation, Conversation::Messages);
        assert_eq!(options.verbosity, Verbosity::Normal);
        assert_eq!(options.enforcement, Enforcement::Off);
    }

    #[test]
    fn every_argument_is_read() {
        let all = [
            "socket=/run/x/a=b.sock",
            "timeout=600",
            "prompt=Your code = ",
            "echo",
            "quiet",
            "debug",
            "enforce",
        ];
        let options = parse(&all, Phase::Account).unwrap();
        assert_eq!(
            options,
            Options {
                socket: PathBuf::from("/run/x/a=b.sock"),
                timeout: Duration::from_secs(600),
                prompt: Some("Your code = ".to_owned()),
                echo: Echo::On,
                conversation: Conversation::PromptsOnly,
                verbosity: Verbosity::Debug,
                enforcement: Enforcement::On,
            }
        );
    }

    #[test]
    fn what_is_not_understood_is_refused_by_name() {
        let long_socket = format!("socket=/{}", "x".repeat(107));
        let long_prompt = format!("prompt={}", "x".repeat(257));
        for bad in [
            "",
            "=",
            "nullok",
            "Echo",
            "echo=1",
            "quiet=",
            "debug=yes",
            "socket",
            "socket=",
            "socket=agent.sock",
            &long_socket,
            "timeout",
            "timeout=",
            "timeout=0",
            "timeout=601",
            "timeout=+5",
            "timeout=-5",
            "timeout= 5",
            "timeout=5s",
            "timeout=99999999999999999999",
            "prompt",
            "prompt=",
            "prompt=a\nb",
            "prompt=a\u{1b}[2J",
            &long_prompt,
            "enforce=1",
        ] {
            let name = bad.split('=').next().unwrap();
            let refused = parse(&[bad], Phase::Account).unwrap_err();
            assert!(refused.starts_with(&format!("argument {name:?} in the PAM stack: ")), "{refused}");
        }
    }

    #[test]
    fn an_argument_that_stands_twice_is_refused() {
        for twice in ["socket=/a", "timeout=5", "prompt=x", "echo", "quiet", "debug", "enforce"] {
            assert!(
                parse(&[twice, twice], Phase::Account).unwrap_err().ends_with("is named twice"),
                "{twice}"
            );
        }
    }

    #[test]
    fn enforce_belongs_to_the_account_phase() {
        assert!(parse(&["enforce"], Phase::Auth).unwrap_err().contains("account line"));
    }

    #[test]
    fn bytes_that_are_not_text_are_refused() {
        assert!(Options::parse(&[b"prompt=\xff".to_vec()], Phase::Auth).is_err());
        assert!(Options::parse(&[b"\xff".to_vec()], Phase::Auth).is_err());
    }

    #[test]
    fn a_value_is_not_repeated_in_the_log() {
        let refused = parse(&["password=canary-4711"], Phase::Auth).unwrap_err();
        assert!(refused.contains("\"password\"") && !refused.contains("canary"), "{refused}");
        let bare = parse(&["a\nsshd: Accepted"], Phase::Auth).unwrap_err();
        assert!(!bare.contains('\n'), "{bare}");
    }
}
